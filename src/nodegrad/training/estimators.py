"""Estimators for scikit-learn: models of this library in pipelines, cross-validation and grid searches."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.preprocessing import LabelEncoder
from sklearn.utils import check_random_state
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from nodegrad.inputs import described
from nodegrad.nn import MLP, Module
from nodegrad.training.loop import fit
from nodegrad.training.solvers import SOLVERS

__all__ = ["MLPClassifier", "MLPRegressor"]

Build = Callable[[int, int, int], Module]
_SETTINGS = ("optimizer", "learning_rate", "epochs", "batch_size", "tolerance", "patience")  # as in `fit`


@dataclass(eq=False, repr=False)
class _Estimator(BaseEstimator):  # type: ignore[misc]
    """The common part of classifiers and regressors: make a model, train it, keep its History."""

    hidden_layer_sizes: Sequence[int] | int = (16,)
    activation: str = "tanh"
    optimizer: str = "adam"
    learning_rate: float | None = 0.01
    epochs: int = 200
    batch_size: int | None = 200
    tolerance: float = 1e-6
    patience: int | None = 10
    build: Build | None = None
    loss: Any = None
    random_state: Any = None

    def _train(self, X: Any, y: Any, outputs: int, loss: str, weights: Any) -> Self:
        seed = int(check_random_state(self.random_state).randint(2**31))
        build = self._mlp if self.build is None else self.build
        self.model_ = made = build(X.shape[1], outputs, seed) if callable(build) else build
        if not isinstance(made, Module):
            wanted = f"{type(self).__name__} takes build as a function that returns a Module"
            raise TypeError(f"{wanted}; got {described(made)}.")
        settings = {name: getattr(self, name) for name in _SETTINGS}
        if isinstance(self.optimizer, str) and self.optimizer in SOLVERS:
            settings |= {"batch_size": None, "learning_rate": None}
        settings |= {"loss": loss if self.loss is None else self.loss, "seed": seed, "progress": False}
        if weights is not None:
            weights = _check_sample_weight(weights, X, dtype=float)
        self.history_ = fit(self.model_, X, y, sample_weight=weights, **settings)
        self.history_.model = self.history_.optimizer = None  # so that pickles hold the model once
        self.loss_curve_, self.n_iter_ = self.history_.losses, self.history_.epochs
        return self

    def _mlp(self, inputs: int, outputs: int, seed: int) -> Module:
        sizes = np.ravel(self.hidden_layer_sizes).tolist()  # a number is one layer
        return MLP(inputs, [*sizes, outputs], self.activation, seed=seed)

    def _outputs(self, X: Any) -> Any:
        check_is_fitted(self)
        X = validate_data(self, X, reset=False, dtype=float)
        return np.asarray(self.model_.predict(X)).reshape(len(X), -1)


@dataclass(eq=False, repr=False)
class MLPClassifier(ClassifierMixin, _Estimator):  # type: ignore[misc]
    """A multi-layer perceptron for classes, trained by the cross-entropy.

    >>> import nodegrad as ng
    >>> from nodegrad.training.estimators import MLPClassifier
    >>> X, y = ng.data.make_moons(60, seed=1)
    >>> MLPClassifier(optimizer="lbfgs", random_state=1).fit(X, y).score(X, y) > 0.9
    True

    Args:
        hidden_layer_sizes: the number of neurons in each hidden layer; a number means one layer.
        activation: that of the hidden layers.
        optimizer: adam, adamw, rmsprop or sgd; or lbfgs, over all rows at once, which is best for few rows.
        learning_rate: that of the optimizer; None for its own.
        epochs: how many epochs, or iterations of lbfgs, at most.
        batch_size: how many rows make a step; None for all.
        tolerance: the relative improvement that counts as none.
        patience: how many epochs without improvement end the training.
        build: a function of the numbers of inputs and outputs and a seed that returns a Module, instead of
            the perceptron.
        loss: a loss of `nodegrad.nn` by name, or a function of outputs and target.
        random_state: what the weights and the batches are drawn with.
        class_weight: a weight for each class by its label, or "balanced" for equal weights of all.
    """

    class_weight: Any = None

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Train on rows and their classes, which may be numbers or text."""
        X, y = validate_data(self, X, y, dtype=float)
        check_classification_targets(y)
        encoder = LabelEncoder().fit(y)
        self.classes_ = encoder.classes_
        if len(self.classes_) < 2:
            raise ValueError(
                f"MLPClassifier takes at least two classes; y has one class, {y[:1].tolist()[0]!r}."
            )
        if self.class_weight is not None:
            given = _check_sample_weight(sample_weight, X, dtype=float)
            sample_weight = given * compute_sample_weight(self.class_weight, y)
        return self._train(X, encoder.transform(y), len(self.classes_), "cross_entropy", sample_weight)

    def predict_proba(self, X: Any) -> Any:
        """Return the probability of each class for each row."""
        logits = self._outputs(X)
        shares = np.exp(logits - logits.max(axis=1, keepdims=True))
        return shares / shares.sum(axis=1, keepdims=True)

    def predict(self, X: Any) -> Any:
        """Return the class of each row."""
        best = self._outputs(X).argmax(axis=1)
        return self.classes_[best]


class MLPRegressor(RegressorMixin, _Estimator):  # type: ignore[misc]
    """A multi-layer perceptron for numbers, trained by the mean squared error.

    >>> import nodegrad as ng
    >>> from nodegrad.training.estimators import MLPRegressor
    >>> X, y = ng.data.make_line(20, noise=0.0)
    >>> MLPRegressor(optimizer="lbfgs", random_state=1).fit(X, y).score(X, y) > 0.9
    True

    With `build` it trains any model: `MLPRegressor(build=lambda inputs, outputs, seed: MyModel(inputs))`.
    The arguments are those of `MLPClassifier`; for a single target, optimizer may be lm, too.
    """

    def __sklearn_tags__(self) -> Any:
        """Say that targets may be several numbers a row."""
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Train on rows and their targets: a number for each, or several."""
        X, y = validate_data(self, X, y, dtype=float, multi_output=True, y_numeric=True)
        self._flat = y.ndim == 1
        return self._train(X, y, 1 if self._flat else y.shape[1], "mean_squared_error", sample_weight)

    def predict(self, X: Any) -> Any:
        """Return the outputs for each row."""
        found = self._outputs(X)
        return found[:, 0] if self._flat else found
