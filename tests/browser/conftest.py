"""A real headless Chromium for the pages; the tests are skipped where there is none."""

import json

import pytest

import needs
from browser_steps import run, wait_for_picture

FLAGS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
LOGS = {"browser": "ALL", "performance": "ALL"}


@pytest.fixture(scope="session")
def chromium(tmp_path_factory):
    """Start Chromium once, with a profile of its own and its logs on."""
    program, driver = needs.program("chromium"), needs.program("chromedriver")
    webdriver = pytest.importorskip("selenium.webdriver")
    options = webdriver.ChromeOptions()
    options.binary_location = program
    for flag in [*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"]:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", LOGS)
    browser = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    yield browser
    browser.quit()


@pytest.fixture
def open_page(chromium, tmp_path):
    """Return a function that opens a page from disk; afterwards look for errors, dialogs and requests."""
    opened = []

    def open_page(page, width=1280, height=800, dark=False):
        path = page.save(tmp_path / f"page{len(opened)}.html")
        for log in LOGS:
            chromium.get_log(log)
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
        scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        chromium.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        chromium.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": scheme})
        chromium.get(path.as_uri())
        opened.append(path.as_uri())
        if run(chromium, "document.getElementById('mode') !== null"):
            wait_for_picture(chromium)
        return chromium

    yield open_page
    assert chromium.get_log("browser") == []
    assert requests(chromium) <= set(opened)


def requests(browser):
    """Return what pages, not the browser itself, have asked for since the log was last read."""
    messages = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    sent = [message for message in messages if message["method"] == "Network.requestWillBeSent"]
    addresses = {message["params"]["request"]["url"] for message in sent}
    return {address for address in addresses if not address.startswith(("chrome://", "data:"))}
