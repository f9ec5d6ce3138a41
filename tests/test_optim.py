"""Optimisers: every rule against its published formula, over floats, arrays and Values; schedules."""

import json
import math
import sys
from itertools import count

import pytest

import nodegrad as ng
from nodegrad import Value
from nodegrad.nn import MLP
from nodegrad.optim import (
    OPTIMIZERS,
    SGD,
    Adam,
    AdamW,
    Optimizer,
    RMSProp,
    adam,
    clip_grad_norm,
    clip_grad_value,
    constant,
    cosine,
    exponential,
    linear,
    rmsprop,
    sgd,
    step_decay,
    warmup,
)

GRADIENTS = [0.5, -2.0, 0.25, 1.0]  # of four steps, whatever the parameter
START, RATE = 3.0, 0.1


def steps_of_sgd(momentum=0.0, nesterov=False, weight_decay=0.0):
    """Follow Sutskever et al. 2013 in PyTorch's form, with the velocity written as the sum it stands for."""
    x, gathered = START, []
    for g in GRADIENTS:
        gathered.append(g + weight_decay * x)
        velocity = math.fsum(momentum**age * past for age, past in enumerate(reversed(gathered)))
        x -= RATE * (gathered[-1] + momentum * velocity if nesterov else velocity)
        yield x


def steps_of_adam(b1=0.9, b2=0.999, epsilon=1e-8, coupled=0.0, decoupled=0.0):
    """Follow Kingma & Ba 2015, with the fading means written as the weighted means they are."""
    x, seen = START, []
    for g in GRADIENTS:
        seen.append(g + coupled * x)
        first = [b1**age for age in range(len(seen))][::-1]
        second = [b2**age for age in range(len(seen))][::-1]
        mean = math.fsum(w * s for w, s in zip(first, seen, strict=True)) / math.fsum(first)
        square = math.fsum(w * s * s for w, s in zip(second, seen, strict=True)) / math.fsum(second)
        x = x - RATE * decoupled * x - RATE * mean / (math.sqrt(square) + epsilon)
        yield x


def steps_of_rmsprop(decay=0.99, epsilon=1e-8, momentum=0.0, weight_decay=0.0):
    x, seen, moves = START, [], []
    for g in GRADIENTS:
        seen.append(g + weight_decay * x)
        square = (1 - decay) * math.fsum(decay**age * s * s for age, s in enumerate(reversed(seen)))
        moves.append(seen[-1] / (math.sqrt(square) + epsilon))
        x -= RATE * math.fsum(momentum**age * move for age, move in enumerate(reversed(moves)))
        yield x


CASES = [
    (SGD, {}, steps_of_sgd()),
    (SGD, {"weight_decay": 0.3}, steps_of_sgd(weight_decay=0.3)),
    (SGD, {"momentum": 0.9}, steps_of_sgd(momentum=0.9)),
    (SGD, {"momentum": 0.8, "nesterov": True}, steps_of_sgd(momentum=0.8, nesterov=True)),
    (
        SGD,
        {"momentum": 0.8, "nesterov": True, "weight_decay": 0.1},
        steps_of_sgd(momentum=0.8, nesterov=True, weight_decay=0.1),
    ),
    (Adam, {}, steps_of_adam()),
    (Adam, {"betas": (0.8, 0.9), "epsilon": 0.1}, steps_of_adam(0.8, 0.9, 0.1)),
    (Adam, {"weight_decay": 0.2}, steps_of_adam(coupled=0.2)),
    (AdamW, {}, steps_of_adam(decoupled=0.01)),
    (AdamW, {"betas": (0.5, 0.9), "weight_decay": 0.2}, steps_of_adam(0.5, 0.9, decoupled=0.2)),
    (RMSProp, {}, steps_of_rmsprop()),
    (RMSProp, {"decay": 0.8, "epsilon": 0.1, "momentum": 0.7}, steps_of_rmsprop(0.8, 0.1, 0.7)),
    (RMSProp, {"weight_decay": 0.2}, steps_of_rmsprop(weight_decay=0.2)),
]
CASES = [(kind, settings, list(expected)) for kind, settings, expected in CASES]


@pytest.mark.parametrize(("kind", "settings", "expected"), CASES)
def test_steps_follow_the_published_formula(kind, settings, expected):
    x = Value(START)
    optimizer = kind([x], RATE, **settings)

    reached = []
    for gradient in GRADIENTS:
        x.grad = gradient
        optimizer.step()
        reached.append(x.data)

    assert reached == pytest.approx(expected, rel=1e-13)


@pytest.mark.parametrize(("kind", "settings", "expected"), CASES)
def test_rules_update_arrays(kind, settings, expected):
    np = pytest.importorskip("numpy")
    optimizer, x, state = kind([Value(0.0)], RATE, **settings), np.array([START, -START]), ()

    for gradient in GRADIENTS:
        x, state = optimizer.rule(x, np.array([gradient, -gradient]), state)

    assert x == pytest.approx([expected[-1], -expected[-1]], rel=1e-13)


@pytest.mark.parametrize(("kind", "settings", "expected"), CASES)
def test_rules_are_recorded_on_values(kind, settings, expected):
    optimizer, start, state = kind([Value(0.0)], RATE, **settings), Value(START), ()
    gradients = [Value(g) for g in GRADIENTS]

    x = start
    for gradient in gradients:
        x, state = optimizer.rule(x, gradient, state)
    x.backward()

    step = 1e-6
    moved, state = START, ()
    for index, gradient in enumerate(GRADIENTS):
        moved, state = optimizer.rule(moved, gradient + (step if index == 1 else 0.0), state)
    assert x.data == pytest.approx(expected[-1], rel=1e-13)
    assert gradients[1].grad == pytest.approx((moved - expected[-1]) / step, rel=1e-4, abs=1e-6)


@pytest.mark.parametrize(
    ("rule", "expected"), [(sgd, steps_of_sgd()), (adam, steps_of_adam()), (rmsprop, steps_of_rmsprop())]
)
def test_rules_have_the_settings_of_the_papers(rule, expected):
    x, state = START, ()

    for gradient, reached in zip(GRADIENTS, expected, strict=True):
        x, state = rule(x, gradient, state, RATE)
        assert x == pytest.approx(reached, rel=1e-13)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_minimises_a_quadratic(name):
    x, y = Value(3.0), Value(-2.0)
    optimizer = OPTIMIZERS[name]([x, y], learning_rate=linear(0.1, 300))

    for _ in range(300):
        optimizer.zero_grad()
        ((x - 1.0) ** 2 + 4.0 * (y + 0.5) ** 2).backward()
        optimizer.step()

    assert (x.data, y.data) == pytest.approx((1.0, -0.5), abs=0.02)


def test_zero_grad_sets_every_gradient_to_zero():
    model = MLP(2, [1], seed=1)
    model([1.0, 2.0]).backward()

    SGD(model.parameters()).zero_grad()

    assert [p.grad for p in model.parameters()] == [0.0, 0.0, 0.0]


def test_shared_parameter_is_updated_once():
    x = Value(1.0)
    x.grad = 1.0

    SGD([x, x], 0.5).step()

    assert x.data == 0.5


def test_parameters_may_be_a_generator():
    assert len(SGD(p for p in [Value(1.0), Value(2.0)]).parameters) == 2


def test_run_goes_on_from_its_saved_state():
    def run(optimizer, x, gradients):
        for x.grad in gradients:
            optimizer.step()
        return x.data

    x, y = Value(START), Value(START)
    whole = run(Adam([x], linear(0.1, 4)), x, GRADIENTS)
    first = Adam([y], linear(0.1, 4))
    run(first, y, GRADIENTS[:2])
    second = Adam([y], linear(0.1, 4))
    second.load_state_dict(json.loads(json.dumps(first.state_dict())))

    assert run(second, y, GRADIENTS[2:]) == whole


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({"optimizer": "SGD", "steps": 0, "states": [[]]}, "takes optimizer from Adam; got 'SGD'"),
        ({}, "takes optimizer from Adam; got None"),
        ({"optimizer": "Adam", "steps": 0, "states": [[], []]}, "takes 1 states, as this .* has; got 2"),
        ({"optimizer": "Adam", "steps": None, "states": [[]]}, "steps as a whole number .*; got None"),
        ({"optimizer": "Adam", "steps": "x", "states": [[]]}, "steps as a whole number .*; got 'x'"),
    ],
)
def test_state_of_another_run_is_refused(state, message):
    with pytest.raises(ValueError, match=message):
        Adam([Value(1.0)]).load_state_dict(state)


@pytest.mark.parametrize(
    ("state", "message"),
    [
        (3, r"takes what state_dict\(\) returned; got 3"),
        ({"optimizer": "Adam", "steps": 0}, "states as a list; got None"),
        ({"optimizer": "Adam", "states": [None], "steps": 3}, "a parameter as a list of numbers; got None"),
        ({"optimizer": "Adam", "states": [[1, "a", 3.0]], "steps": 3}, "a real number; got 'a'"),
    ],
)
def test_damaged_state_is_refused_and_nothing_has_changed(state, message):
    optimizer = Adam([Value(1.0)])

    with pytest.raises(TypeError, match=f"Adam.load_state_dict.*{message}"):
        optimizer.load_state_dict(state)

    assert (optimizer.states, optimizer.steps) == ([()], 0)


@pytest.mark.parametrize("kind", OPTIMIZERS.values())
@pytest.mark.parametrize("rate", [-0.1, math.nan, math.inf])
def test_rate_out_of_range_is_refused(kind, rate):
    with pytest.raises(ValueError, match=f"{kind.__name__} takes learning_rate as a finite number"):
        kind([Value(1.0)], learning_rate=rate)


def test_rate_that_is_not_a_number_is_refused():
    with pytest.raises(TypeError, match="learning_rate takes a real number; got 'fast'"):
        SGD([Value(1.0)], learning_rate="fast")


def test_rate_is_checked_when_assigned_too():
    optimizer = SGD([Value(1.0)], 0.1)

    with pytest.raises(ValueError, match="learning_rate"):
        optimizer.learning_rate = -1.0

    optimizer.learning_rate /= 2
    assert optimizer.rate == 0.05


def test_schedule_that_goes_below_zero_is_caught_at_that_step():
    x = Value(1.0)
    optimizer = SGD([x], lambda step: 0.1 - 0.1 * step)
    for _ in range(2):
        x.backward()
        optimizer.step()
    x.backward()

    with pytest.raises(ValueError, match="SGD, step 2 takes learning_rate"):
        optimizer.step()


@pytest.mark.parametrize(
    ("kind", "settings", "name"),
    [
        (SGD, {"momentum": 1.0}, "momentum"),
        (SGD, {"momentum": -0.1}, "momentum"),
        (SGD, {"nesterov": True}, "nesterov"),
        (SGD, {"weight_decay": -1.0}, "weight_decay"),
        (Adam, {"betas": (0.9, 1.0)}, "betas"),
        (Adam, {"betas": (0.9,)}, "betas"),
        (Adam, {"epsilon": 0.0}, "epsilon"),
        (AdamW, {"weight_decay": math.nan}, "weight_decay"),
        (RMSProp, {"decay": 1.5}, "decay"),
    ],
)
def test_settings_out_of_range_are_refused(kind, settings, name):
    with pytest.raises(ValueError, match=f"{kind.__name__}(:| takes) {name}"):
        kind([Value(1.0)], **settings)


@pytest.mark.parametrize(("kind", "settings"), [(Adam, {"betas": 0.9}), (RMSProp, {"momentum": "0.5"})])
def test_settings_of_another_type_are_refused(kind, settings):
    with pytest.raises(TypeError, match=f"{kind.__name__}.* {next(iter(settings))} "):
        kind([Value(1.0)], **settings)


@pytest.mark.parametrize(
    ("parameters", "error", "message"),
    [
        ([], ValueError, "got no parameters"),
        (MLP(1, [1]), TypeError, r"takes model\.parameters\(\); got MLP"),
        (Value(1.0), TypeError, "takes parameters as a list of Values or of groups; got Value"),
        ([1.0], TypeError, "updates Values made from numbers; got 1.0"),
        ([Value(1.0) * 2.0], TypeError, "updates Values made from numbers"),
    ],
)
def test_parameters_are_checked(parameters, error, message):
    with pytest.raises(error, match=message):
        SGD(parameters)


def test_repr_shows_the_settings():
    assert repr(SGD([Value(1.0)], 0.1, momentum=0.9)) == (
        "SGD(1 parameters, learning_rate=0.1, momentum=0.9, weight_decay=0.0, nesterov=False)"
    )
    assert "cosine" in repr(SGD([Value(1.0)], cosine(0.1, 5)))


def test_own_rule_makes_an_optimizer():
    class SignDescent(Optimizer):
        @staticmethod
        def update(parameter, gradient, state, learning_rate):
            return parameter - math.copysign(learning_rate, gradient), state

    x = Value(1.0)
    x.grad = 7.0
    SignDescent([x], 0.25).step()

    assert x.data == 0.75


def test_rule_that_fails_for_one_parameter_changes_none():
    class Inverse(Optimizer):
        @staticmethod
        def update(parameter, gradient, state, learning_rate):
            return parameter - learning_rate / gradient, (1.0,)

    x, y = with_gradients(2.0, 0.0)
    optimizer = Inverse([x, y], 0.5)

    with pytest.raises(ZeroDivisionError):
        optimizer.step()

    assert (x.data, optimizer.states, optimizer.steps) == (0.0, [(), ()], 0)


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        (constant(0.3), [0.3] * 6),
        (step_decay(1.0, every=2, factor=0.5), [1.0, 1.0, 0.5, 0.5, 0.25, 0.25]),
        (step_decay(1.0, every=3), [1.0, 1.0, 1.0, 0.1, 0.1, 0.1]),
        (exponential(2.0, 0.5), [2.0, 1.0, 0.5, 0.25, 0.125, 0.0625]),
        (linear(1.0, 4, final=0.2), [1.0, 0.8, 0.6, 0.4, 0.2, 0.2]),
        (cosine(1.0, 4, final=0.5), [1.0, 0.75 + 0.125 * 2**0.5, 0.75, 0.75 - 0.125 * 2**0.5, 0.5, 0.5]),
        (warmup(linear(1.0, 4), 2), [0.5, 1.0, 1.0, 0.75, 0.5, 0.25]),
        (warmup(0.8, 4), [0.2, 0.4, 0.6, 0.8, 0.8, 0.8]),
    ],
)
def test_schedules(schedule, expected):
    assert [schedule(step) for step in range(6)] == pytest.approx(expected, rel=1e-15)


def test_optimizer_follows_its_schedule():
    x = Value(1.0)
    optimizer = SGD([x], exponential(0.5, 0.5))

    for _ in range(2):
        optimizer.zero_grad()
        x.backward()
        optimizer.step()

    assert x.data == 0.25


def stepped(optimizer, count=1):
    for _ in range(count):
        optimizer.parameters[0].grad = float("1")  # a new object: a new gradient
        optimizer.step()


def test_a_schedule_is_read_where_a_step_is_taken():
    x, rates = Value(1.0), [0.1]
    optimizer = SGD([x], lambda step: rates[0])
    assert optimizer.rate == 0.1

    rates[0] = 0.5
    stepped(optimizer)

    assert (optimizer.rate, x.data) == (0.5, 0.5)


def test_an_old_state_goes_on_with_the_rates_that_a_schedule_gives_now():
    x, rates = Value(0.0), [0.1]
    optimizer = SGD([x], lambda step: rates[0])
    state = optimizer.state_dict()
    stepped(optimizer, 3)

    optimizer.load_state_dict(state)
    x.data, rates[0] = 0.0, 0.01
    stepped(optimizer, 3)

    assert x.data == pytest.approx(-0.03)


@pytest.mark.parametrize("compile", [False, True])
def test_a_callback_may_change_what_a_schedule_reads_and_go_back(compile):
    rates, start = [0.1], {}

    def callback(epoch, history):
        optimizer = history.optimizer
        start.setdefault("state", optimizer.state_dict() | {"steps": 0})
        assert optimizer.rate == rates[0]
        rates[0] /= 2.0
        if epoch == 3:
            optimizer.load_state_dict(start["state"])

    def trained(schedule, callback=None):
        model, X = MLP(1, [1], seed=1), [[0.1 * place] for place in range(100)]
        settings = {"epochs": 6, "batch_size": 10, "compile": compile, "callback": callback, "seed": 1}
        history = ng.fit(model, X, X, optimizer=SGD(model.parameters(), schedule), **settings)
        rates[0] = history.optimizer.rate / 2.0
        assert history.optimizer.rate == schedule(history.optimizer.steps)
        return history.losses

    assert trained(lambda step: rates[0], callback) == pytest.approx(
        trained(lambda step: 0.1 / 2 ** (step // 10)), rel=1e-9
    )


@pytest.mark.parametrize("schedule", [step_decay, linear, cosine, warmup])
@pytest.mark.parametrize("steps", [0, -1, 1.5])
def test_schedules_check_their_length(schedule, steps):
    with pytest.raises(ValueError, match=f"{schedule.__name__} takes .* as a whole number"):
        schedule(0.1, steps)


def with_gradients(*gradients):
    values = [Value(0.0) for _ in gradients]
    for value, gradient in zip(values, gradients, strict=True):
        value.grad = gradient
    return values


@pytest.mark.parametrize(
    ("gradients", "norm", "clipped"),
    [
        ((3.0, -4.0), 5.0, (1.2, -1.6)),
        ((0.3, -0.4), 0.5, (0.3, -0.4)),
        ((0.0, 0.0), 0.0, (0.0, 0.0)),
        ((1e200, 0.0), 1e200, (2.0, 0.0)),
        ((math.inf, 1.0), math.inf, (math.inf, 1.0)),
    ],
)
def test_clipping_by_norm(gradients, norm, clipped):
    values = with_gradients(*gradients)

    assert clip_grad_norm(iter(values), 2.0) == norm
    assert [value.grad for value in values] == pytest.approx(clipped, rel=1e-15)


def test_clipping_below_one():
    values = with_gradients(0.3, -0.4)

    assert clip_grad_norm(values, 0.25) == 0.5
    assert [value.grad for value in values] == pytest.approx([0.15, -0.2], rel=1e-15)


def test_clipping_by_value():
    values = with_gradients(3.0, -4.0, 0.5, math.inf)

    clip_grad_value(iter(values), 2.0)

    assert [value.grad for value in values] == [2.0, -2.0, 0.5, 2.0]


@pytest.mark.parametrize("clip", [clip_grad_norm, clip_grad_value])
@pytest.mark.parametrize("limit", [0.0, -1.0, math.nan])
def test_clipping_needs_a_positive_limit(clip, limit):
    with pytest.raises(ValueError, match=f"{clip.__name__} takes limit as a number above 0"):
        clip([], limit)


@pytest.mark.parametrize("reset", ["made", "zero_grad", "None"])
def test_a_step_without_any_gradient_says_so(reset):
    x = Value(1.0)
    optimizer = SGD([x], 0.1)
    if reset == "zero_grad":
        optimizer.zero_grad()
    if reset == "None":
        x.grad = None

    with pytest.warns(RuntimeWarning, match=r"SGD: no parameter got a gradient .*w\.data -= rate"):
        optimizer.step()


def test_a_second_step_without_a_new_gradient_says_so():
    x = Value(1.0)
    optimizer = SGD([x], 0.1)
    x.backward()
    optimizer.step()

    with pytest.warns(RuntimeWarning, match="since the last step"):
        optimizer.step()


def test_a_gradient_that_is_zero_is_a_gradient():
    x = Value(0.0)
    optimizer = SGD([x], 0.1)
    for _ in range(3):
        optimizer.zero_grad()
        (x * x).backward()
        optimizer.step()

    assert x.data == 0.0


# Gradients that are None, as PyTorch resets them; groups.


@pytest.mark.parametrize("kind", [SGD, Adam, AdamW, RMSProp])
def test_parameter_without_gradient_is_left_alone(kind):
    x, y = Value(1.0), Value(2.0)
    optimizer = kind([x, y], 0.1, weight_decay=0.5)
    x.grad, y.grad = 1.0, None

    optimizer.step()

    assert x.data != 1.0
    assert y.data == 2.0
    assert optimizer.states[1] == ()
    optimizer.zero_grad()
    assert y.grad == 0.0


def test_clipping_passes_over_gradients_that_are_none():
    x, y = Value(0.0), Value(0.0)
    x.grad, y.grad = 3.0, None

    assert clip_grad_norm([x, y], 1.0) == 3.0
    clip_grad_value([x, y], 0.5)

    assert (x.grad, y.grad) == (0.5, 0.0)


@pytest.mark.parametrize(
    ("groups", "error", "message"),
    [
        (lambda x: [{"parameters": [x]}, {"params": [x]}], ValueError, "is in two groups"),
        (lambda x: [{"weights": [x]}], TypeError, "a group of parameters has parameters, learning_rate, mom"),
        (lambda x: [{"parameters": [x], "beta": 1.0}], TypeError, "got parameters, beta"),
        (
            lambda x: [{"parameters": [x], "momentum": 2.0}],
            ValueError,
            "momentum as a number of at least 0 and below 1",
        ),
        (
            lambda x: [{"parameters": [x], "lr": -1.0}],
            ValueError,
            "learning_rate as a finite number",
        ),
        (lambda x: [{"parameters": []}], ValueError, "got no parameters"),
    ],
)
def test_invalid_groups_are_refused(groups, error, message):
    with pytest.raises(error, match=message):
        SGD(groups(Value(1.0)), 0.1)


def test_state_holds_the_learning_rates_of_groups():
    def make(rate):
        return SGD([{"parameters": [Value(1.0)], "lr": rate}, {"parameters": [Value(2.0)]}], lr=0.5)

    source, target = make(0.1), make(0.2)
    target.load_state_dict(source.state_dict())

    assert [group.learning_rate for group in target.groups] == [0.1, 0.5]
    with pytest.raises(ValueError, match="takes 2 groups, as this optimizer has; got 1"):
        target.load_state_dict(source.state_dict() | {"groups": [{"learning_rate": 0.1}]})


def test_a_number_in_a_state_takes_the_place_of_a_schedule_and_a_schedule_stays():
    target = SGD([Value(1.0)], lambda step: 0.1)

    target.load_state_dict(target.state_dict())
    assert callable(target.learning_rate)
    target.load_state_dict(SGD([Value(1.0)], 0.5).state_dict())

    assert target.learning_rate == 0.5


def test_state_holds_the_settings_of_groups():
    def make(**settings):
        groups = [{"parameters": [Value(1.0)], "betas": (0.5, 0.6)}, {"parameters": [Value(2.0)]}]
        return Adam(groups, **settings)

    source, target = make(weight_decay=0.1), make()
    source.groups[0].settings["epsilon"] = 1e-4
    target.load_state_dict(json.loads(json.dumps(source.state_dict())))

    assert [group.settings for group in target.groups] == [group.settings for group in source.groups]
    for wrong in ({"beta": 1.0}, {"betas": [0.5]}, 3, {"weight_decay": "a"}):
        with pytest.raises((TypeError, ValueError), match=r"Adam\.load_state_dict"):
            target.load_state_dict(source.state_dict() | {"groups": [{"epsilon": 1.0}, wrong]})
        assert target.groups[0].settings["epsilon"] == 1e-4


@pytest.mark.parametrize("moment", range(40))
def test_interruption_leaves_no_half_of_a_step(moment):
    def steps(interrupted):
        parameters = [Value(float(k)) for k in range(3)]
        optimizer = SGD(parameters, 0.1, momentum=0.9)
        for parameter in parameters:
            parameter.grad = 1.0
        lines = count()

        def trace(frame, event, argument):
            if frame.f_code.co_filename != ng.optim.__file__:
                return None
            if event == "line" and next(lines) == moment:
                raise KeyboardInterrupt
            return trace

        before = sys.gettrace()
        sys.settrace(trace if interrupted else None)
        try:
            optimizer.step()
        except KeyboardInterrupt:
            pass
        finally:
            sys.settrace(before)
        return [parameter.data for parameter in parameters], optimizer.states, optimizer.steps

    untouched = [0.0, 1.0, 2.0], [()] * 3, 0
    assert steps(interrupted=True) in (untouched, steps(interrupted=False))
