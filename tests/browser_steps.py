"""How the browser tests steer a page and read what it shows."""

KEYS = {"right": "\ue014", "left": "\ue012", "home": "\ue011", "end": "\ue010", "space": " "}
KEYS |= {"up": "\ue013", "down": "\ue015", "enter": "\ue007"}
SET = """(([name, key, to, event]) => {
    const field = document.getElementById(name);
    field[key] = to;
    field.dispatchEvent(new Event(event));
})(arguments)"""
NUMBERS_IN_VIEW = """[...document.querySelectorAll('td')].every(cell =>
    cell.getBoundingClientRect().right <= cell.closest('.scroll').getBoundingClientRect().right + 1)"""
ROOM = """(select => {
    const pen = document.createElement('canvas').getContext('2d');
    pen.font = getComputedStyle(select).font;
    return select.clientWidth - pen.measureText(select.selectedOptions[0].text).width;
})(document.getElementById(arguments[0]))"""
BOX = """(name => [...document.querySelectorAll('#graph .node')].find(
    node => node.querySelector('tspan')?.textContent === name))(arguments[0])"""
TYPE = """(([name, to]) => {
    const row = [...document.querySelectorAll('#gradients tbody tr')].find(
        row => row.querySelector('.name').textContent === name);
    const field = row.querySelector('input');
    field.focus();
    field.value = to;
    field.dispatchEvent(new Event('input'));
    const refused = field.getAttribute('aria-invalid') === 'true';
    field.blur();
    return refused;
})(arguments)"""
TEXTS = "n => [...n.querySelectorAll(arguments[1])].map(cell => cell.textContent)"


def press(browser, key):
    from selenium.webdriver import ActionChains

    ActionChains(browser).send_keys(KEYS[key]).perform()


def run(browser, script, *arguments):
    return browser.execute_script(f"return {script}", *arguments)


def step(browser):
    return int(run(browser, "document.getElementById('slider').value"))


def count(browser):
    return int(run(browser, "document.getElementById('slider').max"))


def text(browser, name):
    return run(browser, "document.getElementById(arguments[0]).innerText", name)


def scrub(browser, to):
    run(browser, SET, "slider", "value", to, "input")


def choose(browser, mode):
    run(browser, SET, "mode", "selectedIndex", mode, "change")


def wait_for_picture(browser):
    """Wait until a page that unpacks its picture shows it."""
    from selenium.webdriver.support.ui import WebDriverWait

    WebDriverWait(browser, 20).until(
        lambda browser: run(browser, "document.querySelector('#graph svg') && byId('slider').max > 0")
    )


def set_field(browser, name, to):
    """Type a number into the field of a leaf in the player's table."""
    return run(browser, TYPE, name, to)


def drag(browser, name, across):
    """Drag the box of a leaf sideways, as a mouse does."""
    from selenium.webdriver import ActionChains

    box = run(browser, BOX, name)
    ActionChains(browser).move_to_element(box).click_and_hold().move_by_offset(across, 0).release().perform()


def click_box(browser, name):
    run(browser, f"{BOX}.dispatchEvent(new MouseEvent('click', {{bubbles: true}}))", name)


def texts(browser, outer, inner):
    """Return the texts of the `inner` elements in each `outer` one."""
    return run(browser, f"[...document.querySelectorAll(arguments[0])].map({TEXTS})", outer, inner)
