"""The playground in a real browser: it trains as fit does, quickly, and its reader can take a hand in it."""

import pytest

import nodegrad as ng
from browser_steps import press, run, text, texts
from nodegrad import playground
from test_dot import HOSTILE

TRAIN = """(steps => {
    for (let i = 0; i < steps; i++) trainer.step();
    draw();
    return trainer.losses;
})(arguments[0])"""
TYPE = """(([name, value]) => {
    const field = document.getElementById(name);
    field.value = value;
    field.dispatchEvent(new Event(field.tagName === 'SELECT' ? 'change' : 'input'));
})(arguments)"""

# Where a line of the network is after a quarter of its length, on the screen.
QUARTER = """(path => {
    const { x, y } = path.getPointAtLength(path.getTotalLength() / 4).matrixTransform(path.getScreenCTM());
    return [x, y];
})(wires[4].hit)"""

# The pixels at (0, 0) and (1, 0), on a canvas that shows the unit square with a margin of 15 %.
CORNERS = """(canvas => {
    const { data, width } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
    const at = part => Math.round(width * part / 1.3);
    return [0.15, 1.15].map(x => [...data.slice(4 * (at(1.15) * width + at(x)))].slice(0, 3));
})(document.getElementById('output') ?? document.querySelector('#view canvas'))"""


def moons(count=96):
    X, y = ng.data.make_moons(count, noise=0.1, seed=1)
    return X, [2.0 * label - 1.0 for label in y]


def network(activation="tanh", columns=2, hidden=(8, 8)):
    return ng.nn.MLP(columns, [*hidden, 1], activation=activation, seed=1)


def optimizers(model):
    parameters = model.parameters()
    return {
        "sgd": ng.optim.SGD(parameters, learning_rate=0.05),
        "momentum": ng.optim.SGD(parameters, learning_rate=0.02, momentum=0.9, weight_decay=0.001),
        "adam": ng.optim.Adam(parameters, learning_rate=0.03),
        "rmsprop": ng.optim.RMSProp(parameters, learning_rate=0.01),
    }


def branching(prediction, target):
    return (prediction - 1.0) ** 2 if target > 0 else (prediction + 0.5) ** 2


@pytest.mark.parametrize(
    ("activation", "loss", "optimizer"),
    [
        ("tanh", branching, "sgd"),
        ("tanh", "mean_squared_error", "adam"),
        ("relu", "mean_squared_error", "sgd"),
        ("sigmoid", "huber", "momentum"),
        ("silu", "mean_absolute_error", "rmsprop"),
    ],
)
def test_losses_are_those_of_eager_fit(open_page, activation, loss, optimizer):
    X, y = moons(40)
    model = network(activation, hidden=(6, 5))
    browser = open_page(playground(model, X, y, loss=loss, optimizer=optimizers(model)[optimizer]))
    losses = run(browser, TRAIN, 100)
    rule = optimizers(model)[optimizer]
    history = ng.fit(
        model, X, y, loss=loss, optimizer=rule, epochs=100, compile=False, patience=None, progress=False
    )

    assert losses == pytest.approx(history.losses[:100], rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "adam", "rmsprop"])
def test_an_optimizer_that_has_taken_steps_goes_on_from_its_state(open_page, optimizer):
    (X, y), model = moons(40), network(hidden=(6,))
    kind = optimizers(model)[optimizer]
    backwards = type(kind)(model.parameters()[::-1], lambda step: 0.02 / (1 + step // 5), **kind.settings)
    settings = {"optimizer": backwards, "compile": False, "patience": None}
    ng.fit(model, X, y, epochs=5, **settings)
    browser = open_page(playground(model, X, y, optimizer=backwards))
    losses = list(run(browser, TRAIN, 30))
    run(browser, "trainer.reset()")
    again = list(run(browser, TRAIN, 30))
    backwards.learning_rate = 0.01

    assert losses == again == pytest.approx(ng.fit(model, X, y, epochs=30, **settings).losses, rel=1e-9)


def test_at_least_300_steps_a_second(open_page):
    browser = open_page(playground(network(), *moons()))
    run(browser, TRAIN, 100)

    seconds = min(
        run(browser, "(() => { const t = performance.now(); for (let i = 0; i < 300; i++) trainer.step();"
                     " return (performance.now() - t) / 1000; })()")
        for _ in range(3)
    )  # fmt: skip

    assert seconds < 1.0


def test_running_stepping_and_reset(open_page):
    browser = open_page(playground(network(hidden=(3,)), *moons(20)))
    press(browser, "right")
    assert text(browser, "clock") == "step 1, paused"
    run(browser, TYPE, "speed", "Infinity")
    press(browser, "space")
    for _ in range(100):
        if run(browser, "trainer.losses.length") > 50:
            break
    press(browser, "space")

    assert text(browser, "clock").endswith("paused")
    assert run(browser, "trainer.losses.length") > 50
    run(browser, "document.getElementById('reset').click()")
    assert text(browser, "clock") == "step 0, paused"
    assert run(browser, "trainer.losses.length") == 0
    assert run(browser, "trainer.parameters[0] === setup.parameters[0]")


def test_a_weight_can_be_clicked_and_changed(open_page):
    model = network(hidden=(3,))
    browser = open_page(playground(model, *moons(20)))
    before = run(browser, "document.getElementById('output').toDataURL()")
    run(browser, "document.querySelectorAll('#network .hit')[4].dispatchEvent(new MouseEvent('click'))")
    place = int(run(browser, "document.getElementById('weight').value"))
    run(browser, TYPE, "value", "7.5")

    assert model.parameters()[place].label == "w[0][2][0]"
    assert run(browser, "trainer.parameters[chosen]") == 7.5
    assert run(browser, "document.getElementById('output').toDataURL()") != before


def test_controls_change_what_is_trained(open_page):
    browser = open_page(playground(network(hidden=(3,)), *moons(40)))
    run(browser, TYPE, "rate", "0.25")
    run(browser, TYPE, "batch", "8")
    run(browser, TYPE, "activation", "1")
    run(browser, TYPE, "set", "circles")
    run(browser, TYPE, "noise", "0.2")

    assert run(browser, "[trainer.rate, trainer.batch, trainer.program, trainer.rows.length]") == [
        0.25,
        8,
        1,
        40,
    ]
    assert run(browser, "trainer.targets.every(x => x === -1 || x === 1)")
    assert run(browser, TRAIN, 10)[-1] > 0.0


def click_a_line(browser):
    """Click a line of the network where it is now: another set of data may just have moved it."""
    from selenium.webdriver.common.actions.action_builder import ActionBuilder

    actions = ActionBuilder(browser)
    actions.pointer_action.move_to_location(*map(round, run(browser, QUARTER))).click()
    actions.perform()
    return run(browser, "chosen") == 4


def test_everything_is_live_by_mouse_and_keyboard_while_the_page_trains(open_page):
    from selenium.webdriver import Keys
    from selenium.webdriver.support.ui import Select, WebDriverWait

    browser = open_page(playground(network(hidden=(3,)), *moons(40)))
    rows = run(browser, "trainer.rows")
    browser.find_element("id", "run").click()
    browser.find_element("id", "rate").send_keys(Keys.CONTROL + "a")
    browser.find_element("id", "rate").send_keys("0.02")
    for name, option in (("batch", "8"), ("activation", "1"), ("set", "circles")):
        Select(browser.find_element("id", name)).select_by_value(option)
    browser.find_element("id", "noise").send_keys(Keys.ARROW_RIGHT * 5)
    WebDriverWait(browser, 20).until(click_a_line)
    steps = run(browser, "trainer.losses.length")

    WebDriverWait(browser, 20).until(lambda _: run(browser, "trainer.losses.length") > steps + 2)
    assert run(browser, "[running, trainer.rate, trainer.batch, trainer.program]") == [True, 0.02, 8, 1]
    assert run(browser, "trainer.rows") != rows
    assert run(browser, "[chosen, byId('trouble').textContent]") == [4, ""]


@pytest.mark.parametrize("columns", [1, 2, 3])
def test_rows_with_noise_stay_in_view(open_page, columns):
    X, y = moons(40)
    rows = [[*row, 0.5][:columns] for row in X]
    browser = open_page(playground(network(columns=columns, hidden=(4,)), rows, y))
    before = run(browser, "[...spans]")
    ends = run(browser, "document.getElementById('across').textContent")
    inside = (
        "trainer.rows.every(row => shown.every((at, k) => spans[k][0] < row[at] && row[at] < spans[k][1]))"
    )

    for name in run(browser, "['', ...Object.keys(setup.sets)]"):
        run(browser, TYPE, "set", name)
        run(browser, TYPE, "noise", "0.5")
        assert run(browser, inside), name
        assert 0 < run(browser, "across(trainer.rows[0][shown[0]])") < run(browser, "SIZE")
        assert run(browser, "document.getElementById('across').textContent") != ends
        run(browser, TYPE, "noise", "0")
        assert run(browser, "spans") == before


def trained_in_python(model, X, y, held, l1, l2, steps):
    """Train as the page does, by SGD with penalties; return the losses and that of the rows held out."""
    weights = {w for layer in model.layers for neuron in layer.neurons for w in neuron.w}
    rate = optimizers(model)["sgd"].rate
    used = [at for at in range(len(X)) if at not in held]

    def loss(rows):
        return ng.mean([ng.nn.mean_squared_error(model(X[at]), y[at]) for at in rows])

    losses = []
    for _ in range(steps):
        model.zero_grad()
        now = loss(used)
        now.backward()
        losses.append(now.data)
        for p in model.parameters():
            before = p.data
            l1_pull = l1 * ((before > 0.0) - (before < 0.0)) if before else min(l1, max(-l1, -p.grad))
            p.data -= rate * (p.grad + (l1_pull + l2 * before) * (p in weights))
            if l1 and p in weights and p.data * before < 0.0:
                p.data = 0.0
    return losses, loss(held).data if held else None


@pytest.mark.parametrize(("l1", "l2"), [(0.0, 0.0), (0.0, 0.03), (0.3, 0.0)])
@pytest.mark.parametrize("share", ["0", "0.2"])
def test_rows_held_out_are_not_trained_on_and_a_penalty_pulls_the_weights(open_page, share, l1, l2):
    X, y = moons(40)
    model = network(hidden=(4,))
    browser = open_page(playground(model, X, y, optimizer=optimizers(model)["sgd"]))
    run(browser, TYPE, "share", share)
    run(browser, TYPE, "l1", str(l1))
    run(browser, TYPE, "l2", str(l2))
    held = run(browser, "trainer.held")
    losses = run(browser, TRAIN, 50)
    expected, held_loss = trained_in_python(model, X, y, held, l1, l2, 50)
    numbers = [p.data for p in model.parameters()]

    assert run(browser, "[...trainer.parameters]") == pytest.approx(numbers, rel=1e-9, abs=1e-12)
    assert (0.0 in [w.data for layer in model.layers for n in layer.neurons for w in n.w]) == (l1 > 0.0)

    assert len(set(held)) == round(40 * float(share))
    assert losses == pytest.approx(expected, rel=1e-9)
    assert run(browser, "byId('light').hidden") == (not held)
    assert run(browser, "trainer.heldLosses.slice(-1)") == ([pytest.approx([50, held_loss])] if held else [])
    assert text(browser, "held-now") == (f"held out {held_loss:.5}" if held else "")


@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "adam", "rmsprop"])
def test_a_large_l1_penalty_brings_every_weight_to_0_and_keeps_it_there(open_page, optimizer):
    X, y = moons(20)
    model = network(hidden=(3,))
    browser = open_page(playground(model, X, y, optimizer=optimizers(model)[optimizer]))
    run(browser, TYPE, "l1", "5")
    run(browser, TRAIN, 200)

    for _ in range(3):
        run(browser, TRAIN, 1)
        assert run(
            browser, "places.flat().flatMap(([weights]) => weights).every(i => trainer.parameters[i] === 0)"
        )


def test_batches_leave_out_the_rows_held_out(open_page):
    browser = open_page(playground(network(hidden=(2,)), *moons(40)))
    run(browser, TYPE, "share", "0.5")
    run(browser, TYPE, "batch", "8")
    run(browser, TRAIN, 1)
    order = run(browser, "trainer.order")

    assert sorted([*order, *run(browser, "trainer.held")]) == list(range(40))


def test_a_neuron_plays_its_graph_with_its_numbers(open_page):
    browser = open_page(playground(network(hidden=(3,)), *moons(20)))
    run(browser, TRAIN, 5)
    run(browser, "document.querySelectorAll('#network button')[1].click()")
    browser.execute_async_script("""const [done] = arguments;
        const look = () => (document.getElementById('neuron-card').hidden ? setTimeout(look, 20) : done());
        look();""")
    weight = run(browser, "trainer.parameters[places[0][1][0][0]]")
    frame = browser.find_element("id", "neuron")
    browser.switch_to.frame(frame)
    try:
        for _ in range(100):
            if run(browser, "document.querySelectorAll('#graph .node').length"):
                break
        shown = run(browser, "graph.data[page.names.indexOf('w[0]')]")
    finally:
        browser.switch_to.default_content()

    assert shown == weight


def test_one_input_shows_the_curve_and_its_squares(open_page):
    X = [[x / 10.0 - 1.0] for x in range(21)]
    browser = open_page(playground(network(columns=1, hidden=(4,)), X, [x[0] ** 2 for x in X]))
    before = run(browser, "document.getElementById('output').toDataURL()")
    losses = run(browser, TRAIN, 50)

    assert losses[-1] < losses[0]
    assert text(browser, "output-head") == "The curve, and the squares of its errors"
    assert run(browser, "document.getElementById('output').toDataURL()") != before


def test_of_many_inputs_those_of_the_plane_are_drawn(open_page):
    X = [[(7 * row + 3 * column) % 11 / 5.0 - 1.0 for column in range(20)] for row in range(30)]
    model = network(columns=20, hidden=(2,))
    browser = open_page(playground(model, X, [row[1] for row in X], inputs=(17, 3)))
    names = run(browser, "[...document.querySelectorAll('.input')].map(it => it.textContent)")
    weights = model.layers[0].neurons[0].w
    drawn = run(browser, "names.filter((_, at) => wires[at])")

    assert names == [f"x[{at}]" for at in (*range(11), 17)]
    assert text(browser, "network-head") == "Network, with 12 of its 20 inputs"
    assert [w.label in drawn for w in weights] == [at in (*range(11), 17) for at in range(20)]


SQUARES = """(drawn => {
    const { fillRect } = CanvasRenderingContext2D.prototype;
    CanvasRenderingContext2D.prototype.fillRect = function (...square) { drawn.push(square); };
    drawOutput();
    CanvasRenderingContext2D.prototype.fillRect = fillRect;
    return drawn;
})([])"""


@pytest.mark.parametrize("target", [lambda x: 2.0 * x + 0.5, lambda x: 4.0 * x**2, lambda x: -3.0 * x])
def test_the_squares_of_errors_are_not_cut(open_page, target):
    X = [[x / 10.0 - 1.0] for x in range(21)]
    browser = open_page(playground(network(columns=1, hidden=(4,)), X, [target(x[0]) for x in X]))
    for _ in range(3):
        squares = run(browser, SQUARES)
        assert len(squares) == len(X)
        assert all(wide == high for _, _, wide, high in squares)
        assert all(left >= 0.0 and left + wide <= 840.0 for left, _, wide, _ in squares)
        run(browser, TRAIN, 60)


def test_axes_have_names_and_ends(open_page):
    browser = open_page(line_fit())

    assert texts(browser, "#across", "span") == [["-1.3", "x", "1.3"]]
    low, name, high = texts(browser, "#up", "span")[0]
    assert name == "y"
    assert [float(low), float(high)] == pytest.approx(run(browser, "heights"), rel=0.01)


def test_four_inputs_show_two_of_them(open_page):
    X = [[(7 * row + 3 * column) % 11 / 5.0 - 1.0 for column in range(4)] for row in range(30)]
    page = playground(network(columns=4, hidden=(4,)), X, [row[1] for row in X], inputs=(1, 3))
    browser = open_page(page)
    losses = run(browser, TRAIN, 30)

    assert losses[-1] < losses[0]
    assert run(browser, "setup.shown") == [1, 3]
    assert texts(browser, "#up, #across", "span") == [["-1.3", name, "1.3"] for name in ("x[3]", "x[1]")]
    assert text(browser, "output-head") == "Output, the other inputs at their mean"


def test_a_class_has_one_colour_in_the_playground_the_training_player_and_the_plots(open_page):
    X, y = [[0.0, 0.0], [1.0, 1.0], [0.0, 1.0], [1.0, 0.0]], [0.0, 0.0, 1.0, 1.0]
    model = network(hidden=(2,))
    colours = [f"#{bytes(pixel).hex()}".upper() for page in (
        playground(model, X, y), ng.training_player(ng.show.Recorder(model, X, y))
    ) for pixel in run(open_page(page), CORNERS)]  # fmt: skip
    lines = ng.plots.decision_boundary(model, X, y).lines

    assert colours == 2 * [lines[int(label)].get_color() for label in (0, 1)]


def test_the_loss_and_the_weight_are_written_before_the_first_step(open_page):
    model = network(hidden=(3,))
    X, y = moons(20)
    loss = ng.mean([ng.nn.mean_squared_error(model(row), label) for row, label in zip(X, y, strict=True)])
    browser = open_page(playground(model, X, y))

    assert float(text(browser, "loss-now")) == pytest.approx(loss.data, rel=1e-4)
    assert run(browser, "byId('value').value") == f"{model.parameters()[0].data:.6g}"
    assert run(browser, "byId('value').scrollWidth <= byId('value').clientWidth")


def test_dashes_mean_negative_as_they_do_in_draw(open_page):
    model = network(hidden=(3,))
    browser = open_page(playground(model, *moons(20)))
    dashed = run(browser, "wires.map(({ wire }) => getComputedStyle(wire).strokeDasharray !== 'none')")
    weights = [w.data for layer in model.layers for neuron in layer.neurons for w in neuron.w]

    assert [dash for dash in dashed if dash is not None] == [w < 0.0 for w in weights]


@pytest.mark.parametrize("hidden", [(4, 3), (8, 8)])
@pytest.mark.parametrize(("width", "height"), [(1280, 800), (735, 640), (700, 720)])
def test_network_and_output_are_in_view_together(open_page, hidden, width, height):
    browser = open_page(playground(network(hidden=hidden), *moons(20)), width, height)
    bottom = run(browser, "byId('output').getBoundingClientRect().bottom")
    left, top = run(browser, "(({ left, top }) => [left, top])(byId('network').getBoundingClientRect())")

    assert bottom <= height
    assert left >= 0
    assert top < bottom


def line_fit(rate=0.1):
    X = [[x / 10.0 - 1.0] for x in range(21)]
    model = network(columns=1, hidden=())
    rule = ng.optim.SGD(model.parameters(), learning_rate=rate)
    return playground(model, X, [2.0 * x[0] + 0.5 for x in X], optimizer=rule)


FRAMES = """(async (count, done) => {
    toggle(true);
    for (let at = 0; at < count; at++) await new Promise(requestAnimationFrame);
    toggle(false);
    done(trainer.losses.length);
})(...arguments)"""


@pytest.mark.parametrize(
    ("speed", "least", "most"), [(0.1, 1, 6), (1, 25, 45), (10, 250, 450), ("Infinity", 500, 1e9)]
)
def test_the_speed_is_so_many_steps_a_frame(open_page, speed, least, most):
    browser = open_page(line_fit())
    assert run(browser, "byId('speed').value") == "1"
    run(browser, TYPE, "speed", str(speed))

    assert least <= browser.execute_async_script(FRAMES, 40) <= most


@pytest.mark.parametrize("again", ["byId('reset').click()", "TYPE"])
def test_a_training_that_diverges_stops_and_says_so(open_page, again):
    browser = open_page(line_fit(rate=1000.0))
    assert text(browser, "trouble") == ""
    run(browser, TYPE, "speed", "Infinity")
    browser.execute_async_script(FRAMES, 30)
    steps = run(browser, "trainer.losses.length")

    assert "diverged" in text(browser, "trouble")
    assert "smaller learning rate" in text(browser, "trouble")
    press(browser, "right")
    browser.execute_async_script(FRAMES, 3)
    assert run(browser, "trainer.losses.length") == steps
    run(browser, TYPE, "rate", "0.1")
    run(browser, TYPE, "set", "wave") if again == "TYPE" else run(browser, again)
    assert text(browser, "trouble") == ""
    losses = run(browser, TRAIN, 20)
    assert losses[-1] < losses[0]


@pytest.mark.parametrize(
    ("field", "wrong", "told"),
    [
        ("rate", "-1", "Learning rate takes a number of at least 0; {} is still in use."),
        ("rate", "abc", "Learning rate takes a number of at least 0; {} is still in use."),
        ("rate", "", "Learning rate takes a number of at least 0; {} is still in use."),
        ("l1", "-1", "L1 penalty takes a number of at least 0; {} is still in use."),
        ("value", "abc", "A weight is a number; {} is still in use."),
        ("value", "", "A weight is a number; {} is still in use."),
    ],
)
def test_a_number_that_is_refused_is_put_back_and_the_page_says_so(open_page, field, wrong, told):
    from selenium.webdriver.common.keys import Keys

    browser = open_page(line_fit())
    box = browser.find_element("id", field)
    before = box.get_attribute("value")
    box.send_keys(Keys.CONTROL, "a")
    box.send_keys(Keys.NULL, Keys.BACKSPACE, wrong)
    assert box.get_attribute("aria-invalid") == "true"
    assert text(browser, "wrong") == told.format(before)
    assert browser.find_element("id", "wrong").get_attribute("role") == "alert"
    assert box.get_attribute("aria-describedby") == "wrong"
    box.send_keys(Keys.ENTER)

    assert box.get_attribute("value") == before
    assert box.get_attribute("aria-invalid") == "false"
    assert text(browser, "wrong") == ""
    assert run(browser, "[trainer.rate, trainer.parameters[chosen]]") == run(
        browser, "[setup.rate, setup.parameters[0]]"
    )


def test_the_page_scrolls_to_the_neuron_that_is_played(open_page):
    from selenium.webdriver.support.ui import WebDriverWait

    browser = open_page(playground(network(), *moons(20)))
    run(browser, "document.querySelectorAll('#network button')[1].click()")

    top = "document.getElementById('neuron-card').getBoundingClientRect().top"
    WebDriverWait(browser, 10).until(lambda browser: 0 <= run(browser, top) < 160)


@pytest.mark.parametrize("hidden", [(8, 8), (4,), ()])
@pytest.mark.parametrize("batch", ["0", "8"])
def test_all_of_the_page_is_in_view_and_nothing_jumps(open_page, hidden, batch):
    browser = open_page(playground(network(hidden=hidden), *moons()))
    top = run(browser, "byId('network').getBoundingClientRect().top")
    run(browser, TYPE, "batch", batch)
    run(browser, TRAIN, 200)

    assert run(browser, "document.documentElement.scrollHeight") <= 800
    assert run(browser, "byId('network').getBoundingClientRect().top") == top


@pytest.mark.parametrize("width", [1280, 800, 400])
@pytest.mark.parametrize("dark", [False, True])
def test_nothing_is_wider_than_the_window(open_page, width, dark):
    browser = open_page(playground(network(), *moons(20)), width, 900, dark)

    assert run(browser, "document.documentElement.scrollWidth") <= width
    sizes = run(
        browser, "[...document.querySelectorAll('main .card:not([hidden])')].map(it => it.offsetWidth)"
    )
    assert all(size > 0.35 * width for size in sizes)


@pytest.mark.parametrize("hostile", HOSTILE)
def test_labels_and_titles_stay_text(open_page, hostile):
    model = network(hidden=(2,))
    for parameter in model.parameters():
        parameter.label = hostile
    browser = open_page(playground(model, *moons(10), title=hostile))
    run(browser, TRAIN, 2)

    assert run(browser, "typeof window.hacked") == "undefined"
    assert run(browser, "document.querySelectorAll('script').length") == 2


def test_a_small_network_leaves_its_output_the_room(open_page):
    browser = open_page(line_fit())
    card = "document.getElementById('output-card')"

    assert run(browser, "document.documentElement.scrollHeight") <= 800
    unused = f"{card}.getBoundingClientRect().bottom - byId('across').getBoundingClientRect().bottom"
    assert run(browser, unused) < 60
    assert run(browser, f"{card}.clientWidth - output.clientWidth") < 100
