"""How the browser tests steer a page and read what it shows."""

KEYS = {"right": "\ue014", "left": "\ue012", "home": "\ue011", "end": "\ue010", "space": " "}
SET = """(([name, key, to, event]) => {
    const field = document.getElementById(name);
    field[key] = to;
    field.dispatchEvent(new Event(event));
})(arguments)"""
NUMBERS_IN_VIEW = """[...document.querySelectorAll('td')].every(cell =>
    cell.getBoundingClientRect().right <= cell.closest('.scroll').getBoundingClientRect().right + 1)"""
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


def texts(browser, outer, inner):
    """Return the texts of the `inner` elements in each `outer` one."""
    return run(browser, f"[...document.querySelectorAll(arguments[0])].map({TEXTS})", outer, inner)
