"""The README and the docs: every code block runs, every prompt shows what Python answers, the site builds."""

import importlib
import inspect
import re
import sys
import traceback
from pathlib import Path

import pytest

import nodegrad as ng
from nodegrad import ops

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
MADE = [  # the files that the code on a page saves and the site shows
    (page, name)
    for page in PAGES[1:]
    for name in re.findall(r"^```\{made\} (\S+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
]
sys.path.append(str(ROOT / "docs"))
from pages import code_blocks, run_page  # noqa: E402  # beside the pages: the site is built with it too

RUN_BY_THE_SITE = {page for page, _ in MADE}  # test_site_builds_without_warnings runs these, and shows errors


@pytest.mark.parametrize(
    "page",
    sorted(set(PAGES) - RUN_BY_THE_SITE),
    ids=lambda page: str(page.relative_to(ROOT)),
)
def test_code_on_the_page_runs(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run_page(page.read_text(encoding="utf-8"), str(page))


def test_readme_shows_the_listing_that_is_printed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    readme = (ROOT / "README.md").read_text(encoding="utf-8")

    assert f">>> print(step)\n{run_page(readme, 'README.md')['step']}\n```" in readme


def test_readme_shows_code():
    assert list(code_blocks((ROOT / "README.md").read_text(encoding="utf-8")))


def test_blocks_share_one_namespace():
    page = "```python\nx = 2\n```\n\n```pycon\n>>> y = x * x\n>>> y\n4\n```\n\n```python\nz = y + 1\n```\n"

    assert run_page(page, "page")["z"] == 5


@pytest.mark.parametrize(
    ("page", "caught"),
    [
        (
            "```pycon\n>>> 1 + 1\n3\n```\n",
            pytest.raises(AssertionError, match=r"Got:\s+2"),
        ),
        ("```python\n>>> 1 / 0\n```\n", pytest.raises(AssertionError, match="ZeroDivisionError")),
        ("```python\nx = 1\n\nx / 0\n```\n", pytest.raises(ZeroDivisionError)),
        ("```python\nimport warnings\nwarnings.warn('old')\n```\n", pytest.raises(UserWarning)),
    ],
)
def test_wrong_code_on_a_page_is_caught(page, caught):
    with caught:
        run_page(page, "page")


def test_errors_point_at_the_line_of_the_page():
    with pytest.raises(ZeroDivisionError) as caught:
        run_page("text\n\n```python\nx = 1\n\nx / 0\n```\n", "page.md")

    last = traceback.extract_tb(caught.tb)[-1]
    assert (last.filename, last.lineno) == ("page.md", 6)


def public_names():
    """Yield what users may use, without `nodegrad.`: names of every public module, and methods of classes."""
    sources = [page.read_text(encoding="utf-8") for page in (ROOT / "docs" / "reference").glob("*.md")]
    pages = {
        name for text in sources for name in re.findall(r"^```{public-names} (\S+)$", text, re.MULTILINE)
    }
    within = {it.__name__ for it in (getattr(ng, name) for name in ng.__all__) if inspect.ismodule(it)}
    for name in sorted(pages | within):
        module = importlib.import_module(name)
        assert module.__all__, f"nothing is public in {name}"
        for key in module.__all__:
            it = getattr(module, key)
            if inspect.ismodule(it) or isinstance(it, ops.Op):
                continue
            elsewhere = getattr(ng, key, None) is it
            found = key if elsewhere else f"{name}.{key}".removeprefix("nodegrad").strip(".")
            yield found
            if inspect.isclass(it):
                yield from [f"{found}.{each}" for each in methods(it)]


def methods(kind):
    """Return the documented methods and properties of a class: its own, and of bases that are not public."""
    bases = [base for base in kind.__mro__[1:] if base.__module__.startswith("nodegrad.")]
    hidden = [base for base in bases if base.__name__ not in importlib.import_module(base.__module__).__all__]
    members = {key: it for base in [kind, *hidden] for key, it in vars(base).items() if key[0] != "_"}
    return [key for key, it in members.items() if (callable(it) or isinstance(it, property)) and it.__doc__]


def test_site_builds_without_warnings(run_python, tmp_path):
    options = ["-W", "--keep-going", "--show-traceback", "-q", "-b", "html"]
    run_python("-m", "sphinx", *options, ROOT / "docs", tmp_path, timeout=600)

    pages = [page.read_text(encoding="utf-8") for page in sorted((tmp_path / "reference").glob("*.html"))]
    listed = {name for page in pages for name in re.findall(r'id="nodegrad\.([\w.]+)"', page)}
    text = "".join(pages)
    assert [name for name in public_names() if name not in listed and f">nodegrad.{name}<" not in text] == []
    table = re.sub("<.*?>", "", (tmp_path / "reference" / "operations.html").read_text(encoding="utf-8"))
    assert [name for name in ops.__all__ if f"\n{name}(" not in table] == []
    for page, name in MADE:
        place = page.relative_to(ROOT / "docs").with_suffix("")
        assert (tmp_path / "_made" / place / name).stat().st_size > 0
        shown = (tmp_path / place).with_suffix(".html").read_text(encoding="utf-8")
        made = f'src="{"../" * (len(place.parts) - 1)}_made/{place.as_posix()}/{name}"'
        assert name.endswith((".md", ".txt")) or made in shown


def test_pages_show_what_they_make():
    assert {name.rpartition(".")[2] for _, name in MADE} >= {"svg", "png", "md"}


@pytest.fixture
def build(run_python, tmp_path):
    """Return a function that builds a site of one page and returns its HTML."""

    def site(page):
        (tmp_path / "index.md").write_text(page, encoding="utf-8")
        (tmp_path / "conf.py").write_text(
            f"import sys\nsys.path.insert(0, {str(ROOT / 'docs')!r})\n"
            "extensions = ['myst_parser', 'directives']\nhtml_math_renderer = 'mathml'\n"
            "myst_enable_extensions = ['dollarmath']\nhtml_theme = 'basic'\n"
        )
        run_python("-m", "sphinx", "-W", "-T", "-q", "-b", "html", tmp_path, tmp_path / "site")
        return (tmp_path / "site" / "index.html").read_text(encoding="utf-8")

    return site


def test_site_shows_what_the_page_makes(build):
    code = "open('a.svg', 'w').write('<svg width=\"200\">'); open('b.txt', 'w').write('x < y')"

    html = build(
        f"# Page\n\n```python\n{code}\n```\n\n```{{made}} a.svg\nA <b>\n```\n\n```{{made}} b.txt\n```\n"
    )

    assert '<img src="_made/index/a.svg" alt="A &lt;b&gt;" style="min-width: 150px">' in html
    assert "x &lt; y" in html


def test_error_on_a_page_of_the_site_points_at_its_line(build):
    with pytest.raises(AssertionError, match=r'index.md", line 6, in <module>(.|\n)*ZeroDivisionError'):
        build("# Page\n\n```python\nx = 1\n\nx / 0\n```\n\n```{made} a.svg\n```\n")


def test_picture_that_the_page_does_not_make_is_an_error(build):
    with pytest.raises(AssertionError, match="the code on index saves no a.svg"):
        build("# Page\n\n```{made} a.svg\n```\n")


def test_formulas_need_no_script(build):
    html = build("# Page\n\n$x^2$\n\n$$\\frac{a}{b}$$\n")

    assert "<msup>" in html
    assert '<math display="block"' in html
    assert not re.search("<script[^>]*http", html)


def test_formula_that_is_not_understood_is_a_warning(build):
    with pytest.raises(AssertionError, match=r"nonsense"):
        build("# Page\n\n$\\nonsense{x}$\n")
