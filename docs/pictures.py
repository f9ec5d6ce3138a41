"""The pictures of the README, made by the library itself: `python docs/pictures.py` writes them anew.

The picture of the player is a photograph of its page in Chromium, so that one takes selenium and Chromium.
"""

import shutil
import tempfile
from pathlib import Path

from nodegrad import Value, draw, player

PICTURES = Path(__file__).parent / "pictures"
WIDTH, HEIGHT = 1200, 760


def example():
    """Return the Value of the README's first lines, its gradients computed."""
    x, w, b = Value(2.0, label="x"), Value(-0.5, label="w"), Value(1.5, label="b")
    out = (w * x + b).tanh()
    out.label = "out"
    out.backward()
    return out


def graph():
    """Return the picture of the graph, laid out the same on every machine."""
    return draw(example(), engine="own").svg


def photograph(browser, path):
    """Take a picture of the player in the middle of its way back."""
    page = player(example()).save(Path(path).with_suffix(".html"))
    size = {"width": WIDTH, "height": HEIGHT, "deviceScaleFactor": 1, "mobile": False}
    scheme = [{"name": "prefers-color-scheme", "value": "light"}]
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": scheme})
    browser.get(page.resolve().as_uri())
    browser.execute_script("transport.go(7)")
    browser.save_screenshot(str(path))


def main():
    """Write both pictures."""
    from selenium import webdriver

    PICTURES.mkdir(exist_ok=True)
    (PICTURES / "graph.svg").write_text(graph(), encoding="utf-8")
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or shutil.which("chromium-browser")
    for flag in ("--headless=new", "--no-sandbox", "--disable-gpu"):
        options.add_argument(flag)
    browser = webdriver.Chrome(options=options, service=webdriver.ChromeService(shutil.which("chromedriver")))
    try:
        with tempfile.TemporaryDirectory() as directory:
            photograph(browser, Path(directory) / "player.png")
            shutil.copy(Path(directory) / "player.png", PICTURES / "player.png")
    finally:
        browser.quit()


if __name__ == "__main__":
    main()
