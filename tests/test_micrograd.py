"""micrograd's code runs unchanged: its README example, its demo's training loop, the code of the lecture."""

# ruff: noqa: B007, B905, RUF005, UP031, UP034  (the spelling is that of the lectures)

import math
import random

import pytest

from nodegrad import Value
from nodegrad.nn import MLP, Layer, Module, Neuron


def test_readme_example():
    a = Value(-4.0)
    b = Value(2.0)
    c = a + b
    d = a * b + b**3
    c += c + 1
    c += 1 + c + (-a)
    d += d * 2 + (b + a).relu()
    d += 3 * d + (b - a).relu()
    e = c - d
    f = e**2
    g = f / 2.0
    g += 10.0 / f
    g.backward()

    # micrograd's README prints these four decimals; the fractions are worked out by hand: e = -7
    assert f"{g.data:.4f}" == "24.7041"
    assert f"{a.grad:.4f}" == "138.8338"
    assert f"{b.grad:.4f}" == "645.5773"
    slope = -7.0 - 20.0 / (-7.0) ** 3  # dg/de = e - 20 / e³
    assert g.data == pytest.approx(24.5 + 10 / 49, rel=1e-15)
    assert (a.grad, b.grad) == pytest.approx((slope * -20.0, slope * -93.0), rel=1e-14)


def trace(root):
    """Collect nodes and edges as the lecture's drawing code does, through `_prev`."""
    nodes, edges = set(), set()

    def build(v):
        if v not in nodes:
            nodes.add(v)
            for child in v._prev:
                edges.add((child, v))
                build(child)

    build(root)
    return nodes, edges


def drawn(root):
    """Write what the lecture gives to Graphviz: a record for each node, an oval for each operation."""
    nodes, edges = trace(root)
    lines = []
    for n in nodes:
        uid = str(id(n))
        lines.append("{ %s | data %.4f | grad %.4f }" % (n.label, n.data, n.grad))
        if n._op:
            lines.append(f"{uid + n._op} -> {uid}")
    return lines + [f"{id(n1)} -> {str(id(n2)) + n2._op}" for n1, n2 in edges]


def lecture_neuron():
    x1 = Value(2.0, label="x1")
    x2 = Value(0.0, label="x2")
    w1 = Value(-3.0, label="w1")
    w2 = Value(1.0, label="w2")
    b = Value(6.8813735870195432, label="b")
    x1w1 = x1 * w1
    x1w1.label = "x1*w1"
    x2w2 = x2 * w2
    x2w2.label = "x2*w2"
    x1w1x2w2 = x1w1 + x2w2
    x1w1x2w2.label = "x1*w1 + x2*w2"
    n = x1w1x2w2 + b
    n.label = "n"
    return x1, x2, w1, w2, b, x1w1, x2w2, x1w1x2w2, n


LECTURE_GRADIENTS = [-1.5, 0.5, 1.0, 0.0, 0.5]  # of x1, x2, w1, w2 and b: the lecture's 1 - o² is 0.5


def test_neuron_of_the_lecture():
    *_, n = values = lecture_neuron()

    o = n.tanh()
    o.label = "o"
    o.backward()

    assert o.data == pytest.approx(math.sqrt(0.5), rel=1e-15)
    assert [v.grad for v in values[:5]] == pytest.approx(LECTURE_GRADIENTS, rel=1e-14)


def test_backward_by_hand_one_node_after_the_other():
    x1, x2, w1, w2, b, x1w1, x2w2, x1w1x2w2, n = lecture_neuron()
    o = n.tanh()

    o.grad = 1.0
    o._backward()
    n._backward()
    b._backward()
    x1w1x2w2._backward()
    x2w2._backward()
    x1w1._backward()

    assert [v.grad for v in (x1, x2, w1, w2, b)] == pytest.approx(LECTURE_GRADIENTS, rel=1e-14)


def test_tanh_written_with_exponentials():
    *_, n = values = lecture_neuron()

    e = (2 * n).exp()
    o = (e - 1) / (e + 1)
    o.backward()

    assert [v.grad for v in values[:5]] == pytest.approx(LECTURE_GRADIENTS, rel=1e-13)


def test_gradients_of_a_value_used_twice_add_up():
    a = Value(-2.0, label="a")
    b = Value(3.0, label="b")
    d = a * b
    e = a + b
    f = d * e
    f.backward()

    assert (a.grad, b.grad) == (-3.0, -8.0)


def test_drawing_code_of_the_lecture_reads_the_graph():
    *_, n = lecture_neuron()
    o = n.tanh()
    o.backward()

    nodes, edges = trace(o)
    lines = drawn(o)

    assert (len(nodes), len(edges)) == (10, 9)
    assert {n._op for n in nodes} == {"", "*", "+", "tanh"}
    assert "{ w1 | data -3.0000 | grad 1.0000 }" in lines
    assert "{ x1*w1 + x2*w2 | data -6.0000 | grad 0.5000 }" in lines
    assert len(lines) == 10 + 5 + 9


def test_operations_have_the_names_micrograd_gives_them():
    a = Value(2.0)

    assert [(a + 1)._op, (a * 2)._op, (a**3)._op, a.relu()._op, a.tanh()._op, a.exp()._op, a._op] == [
        "+",
        "*",
        "**3",
        "ReLU",
        "tanh",
        "exp",
        "",
    ]


def test_training_loop_of_the_lecture():
    random.seed(1337)
    x = [2.0, 3.0, -1.0]
    n = MLP(3, [4, 4, 1], "tanh", "tanh")
    assert abs(n(x).data) < 1.0
    xs = [
        [2.0, 3.0, -1.0],
        [3.0, -1.0, 0.5],
        [0.5, 1.0, 1.0],
        [1.0, 1.0, -1.0],
    ]
    ys = [1.0, -1.0, -1.0, 1.0]

    for k in range(100):
        ypred = [n(x) for x in xs]
        loss = sum((yout - ygt) ** 2 for ygt, yout in zip(ys, ypred))
        for p in n.parameters():
            p.grad = 0.0
        loss.backward()
        for p in n.parameters():
            p.data += -0.1 * p.grad

    assert len(n.parameters()) == 41
    assert loss.data < 0.05
    assert [round(yout.data) for yout in ypred] == ys


class LectureNeuron:
    """A neuron as the lecture writes it."""

    def __init__(self, nin):
        self.w = [Value(random.uniform(-1, 1)) for _ in range(nin)]
        self.b = Value(random.uniform(-1, 1))

    def __call__(self, x):
        act = sum((wi * xi for wi, xi in zip(self.w, x)), self.b)
        return act.tanh()

    def parameters(self):
        return self.w + [self.b]


def test_own_neuron_agrees_with_the_library():
    random.seed(5)
    own, theirs = LectureNeuron(3), Neuron(3, "tanh")
    for p, q in zip(theirs.parameters(), own.parameters(), strict=True):
        p.data = q.data
    x = [0.5, -1.0, 2.0]

    own(x).backward()
    theirs(x).backward()

    assert theirs(x).data == pytest.approx(own(x).data, rel=1e-14)
    assert [p.grad for p in theirs.parameters()] == pytest.approx(
        [p.grad for p in own.parameters()], rel=1e-13
    )


def test_demo_trains_moons_with_a_margin_loss():
    np = pytest.importorskip("numpy")
    from nodegrad.data import make_moons

    random.seed(1337)
    X, y = map(np.array, make_moons(n_samples=60, noise=0.1, seed=1337))
    y = y * 2 - 1  # make y be -1 or 1
    model = MLP(2, [16, 16, 1])
    assert str(model).startswith("MLP of [Layer of [ReLUNeuron(2), ReLUNeuron(2),")
    assert str(model).endswith("Layer of [LinearNeuron(16)]]")
    assert len(model.parameters()) == 337

    def loss(batch_size=None):
        if batch_size is None:
            Xb, yb = X, y
        else:
            ri = np.random.permutation(X.shape[0])[:batch_size]
            Xb, yb = X[ri], y[ri]
        inputs = [list(map(Value, xrow)) for xrow in Xb]

        scores = list(map(model, inputs))

        losses = [(1 + -yi * scorei).relu() for yi, scorei in zip(yb, scores)]
        data_loss = sum(losses) * (1.0 / len(losses))
        alpha = 1e-4
        reg_loss = alpha * sum((p * p for p in model.parameters()))
        total_loss = data_loss + reg_loss

        accuracy = [(yi > 0) == (scorei.data > 0) for yi, scorei in zip(yb, scores)]
        return total_loss, sum(accuracy) / len(accuracy)

    for k in range(40):
        total_loss, acc = loss()

        model.zero_grad()
        total_loss.backward()

        learning_rate = 1.0 - 0.9 * k / 100
        for p in model.parameters():
            p.data -= learning_rate * p.grad

    assert type(total_loss.data) is float
    assert total_loss.data < 0.15
    assert acc >= 0.95
    assert loss(10)[0].data > 0.0


def test_modules_are_made_and_called_as_in_micrograd():
    x = [Value(1.0), Value(-2.0)]

    y = Neuron(2)(x)
    y.backward()

    assert isinstance(Neuron(2), Module)
    assert isinstance(y, Value)
    assert str(Layer(2, 3)) == "Layer of [ReLUNeuron(2), ReLUNeuron(2), ReLUNeuron(2)]"
    assert len(Layer(2, 3)(x)) == 3
    assert len(MLP(2, [4, 4, 3])(x)) == 3
    assert Module.parameters(Module()) == []


def test_numbers_that_micrograd_checks_against_pytorch():
    """The values are those of z = 2x + 2 + x and of what follows, worked out for x = -4."""
    x = Value(-4.0)
    z = 2 * x + 2 + x
    q = z.relu() + z * x
    h = (z * z).relu()
    y = h + q + q * x
    y.backward()

    assert (y.data, x.grad) == (-20.0, 46.0)


# Every signature of micrograd's engine.py and nn.py.


@pytest.mark.parametrize(
    "make",
    [
        lambda: Value(3.0, (), ""),
        lambda: Value(data=3.0, _children=(), _op=""),
        lambda: Value(3.0, _children=()),
        lambda: Value(3.0, (), "", ""),
        lambda: Value(3.0, (), "+"),
        lambda: Value(3.0, _op="x"),
        lambda: Value(3.0, set(), "x", ""),
    ],
)
def test_values_are_made_by_micrograds_signature(make):
    v = make()

    assert (v.data, v.grad, v._prev, v._op, v.label) == (3.0, 0.0, set(), "", "")


def test_the_label_of_the_lectures_signature_is_kept():
    assert Value(3.0, (), "", "a").label == Value(3.0, (), "", label="a").label == "a"


def test_operands_given_by_hand_are_refused_with_the_remedy():
    with pytest.raises(TypeError, match="nodegrad.custom"):
        Value(3.0, (Value(1.0),), "+")


@pytest.mark.parametrize(
    ("neuron", "nonlin", "shown"),
    [
        (lambda: Neuron(2), True, "ReLUNeuron(2)"),
        (lambda: Neuron(2, True), True, "ReLUNeuron(2)"),
        (lambda: Neuron(2, nonlin=True), True, "ReLUNeuron(2)"),
        (lambda: Neuron(nin=2, nonlin=False), False, "LinearNeuron(2)"),
        (lambda: Neuron(2, False), False, "LinearNeuron(2)"),
        (lambda: Layer(2, 3, nonlin=False).neurons[0], False, "LinearNeuron(2)"),
        (lambda: Layer(nin=2, nout=3).neurons[2], True, "ReLUNeuron(2)"),
        (lambda: MLP(nin=2, nouts=[3, 1]).layers[0].neurons[0], True, "ReLUNeuron(2)"),
        (lambda: MLP(2, [3, 1]).layers[1].neurons[0], False, "LinearNeuron(3)"),
    ],
)
def test_layers_are_made_by_micrograds_signatures(neuron, nonlin, shown):
    made = neuron()

    assert (made.nonlin, repr(made)) == (nonlin, shown)
    assert made.parameters() == [*made.w, made.b]


def test_an_argument_given_by_both_names_is_refused():
    with pytest.raises(TypeError, match="got both nonlin and activation"):
        Neuron(2, activation="tanh", nonlin=True)


def test_methods_of_micrograd_are_there():
    x = Value(-2.0)
    results = [x + 1, 1 + x, x * 2, 2 * x, x - 1, 1 - x, x / 2, 2 / x, x**2, x**-1, -x, x.relu()]

    assert [y.data for y in results] == [-1, -1, -4, -4, -3, 3, -1, -1, 4, -0.5, 2, 0]
    assert repr(x) == "Value(data=-2.0, grad=0.0)"
