"""Estimators: scikit-learn takes them for its own."""

import pickle

import pytest

import nodegrad as ng
from nodegrad.nn import Module

np = pytest.importorskip("numpy")
sklearn = pytest.importorskip("sklearn")
estimators = pytest.importorskip("nodegrad.training.estimators")


@pytest.mark.filterwarnings("ignore")  # checks provoke warnings on purpose
@pytest.mark.parametrize("kind", ["MLPClassifier", "MLPRegressor"])
def test_every_check_of_scikit_learn_passes(kind):
    from sklearn.utils.estimator_checks import check_estimator

    results = check_estimator(getattr(estimators, kind)(epochs=100), on_fail=None, on_skip=None)

    assert len(results) > 50
    assert [result for result in results if result["status"] not in ("passed", "skipped")] == []


def test_grid_search_in_processes():
    from sklearn.datasets import load_iris
    from sklearn.model_selection import GridSearchCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    X, y = load_iris(return_X_y=True)
    names = np.array(["setosa", "versicolor", "virginica"])[y]
    search = GridSearchCV(
        make_pipeline(
            StandardScaler(), estimators.MLPClassifier(optimizer="lbfgs", epochs=60, random_state=1)
        ),
        {"mlpclassifier__hidden_layer_sizes": [(4,), (8,)]},
        cv=3,
        n_jobs=2,
    )

    search.fit(X, names)

    assert search.best_score_ > 0.93
    assert set(search.predict(X)) == {"setosa", "versicolor", "virginica"}
    assert search.predict_proba(X).sum(axis=1) == pytest.approx(1.0)
    assert (pickle.loads(pickle.dumps(search)).predict(X) == search.predict(X)).all()


class Parabola(Module):
    def __init__(self, seed=0):
        self.a = [ng.Value(0.0) for _ in range(3)]

    def forward(self, x):
        return self.a[0] + self.a[1] * x[0] + self.a[2] * x[0] ** 2


@pytest.mark.parametrize("optimizer", ["lbfgs", "lm"])
def test_any_model_is_an_estimator(optimizer):
    X = np.linspace(-1, 1, 20)[:, None]
    y = 1.0 - 2.0 * X[:, 0] + 3.0 * X[:, 0] ** 2

    found = estimators.MLPRegressor(build=lambda *sizes: Parabola(), optimizer=optimizer).fit(X, y)

    assert [a.data for a in found.model_.a] == pytest.approx([1.0, -2.0, 3.0], abs=1e-5)


def test_one_class_is_refused():
    with pytest.raises(ValueError, match="one class"):
        estimators.MLPClassifier().fit([[0.0], [1.0]], [1, 1])


@pytest.mark.parametrize("weight", ["balanced", {"rare": 9.0, "usual": 1.0}])
def test_class_weights_are_those_of_the_samples_of_a_class(weight):
    X = np.random.default_rng(1).normal(size=(100, 2))
    y = np.array(["rare"] * 10 + ["usual"] * 90)
    given = {"epochs": 3, "random_state": 1}

    ours = estimators.MLPClassifier(class_weight=weight, **given).fit(X, y)
    theirs = estimators.MLPClassifier(**given).fit(X, y, sample_weight=np.where(y == "rare", 9.0, 1.0))

    assert ours.predict_proba(X) == pytest.approx(theirs.predict_proba(X))
    plain = estimators.MLPClassifier(**given).fit(X, y)
    assert ours.predict_proba(X)[:, 0].mean() > 1.05 * plain.predict_proba(X)[:, 0].mean()


@pytest.mark.parametrize("weight", [None, "balanced"])
def test_sample_weights_of_another_length_are_refused(weight):
    model = estimators.MLPClassifier(class_weight=weight)

    with pytest.raises(ValueError, match=r"sample_weight.shape == \(3,\), expected \(2,\)"):
        model.fit([[0.0], [1.0]], [0, 1], sample_weight=[1.0, 1.0, 1.0])


@pytest.mark.parametrize(("sizes", "layers"), [((), [2]), (3, [3, 2]), ([4, 3], [4, 3, 2])])
def test_hidden_layers_may_be_none_or_a_number(sizes, layers):
    model = estimators.MLPClassifier(sizes, epochs=1).fit([[0.0], [1.0]], [0, 1]).model_

    assert [len(layer.neurons) for layer in model.layers] == layers
