"""Native code is kept for this user and this machine, and trusted only if nobody changed it."""

import gc
import json
import os

import numpy as np
import pytest

import nodegrad as ng

pytest.importorskip("llvmlite")

from nodegrad.compiler.backends.llvm import kept, native

WEIGHT = ng.Value(2.0)


def branches(x):
    return ng.sin(x) * WEIGHT if x > 0 else -ng.exp(x)


def looped(x):
    return ng.while_loop(lambda s: s > 1.0, lambda s: s * 0.5 + 0.1 * ng.sqrt(x), x)


NETWORK = ng.nn.MLP(2, [16, 16, 1], seed=0)
CASES = {
    "branches": (branches, np.array([2.0, -1.0, 3.0])),
    "loops": (ng.value_and_grad(looped), np.array([9.0, 0.1, 4.0])),
    "networks": (ng.value_and_grad(lambda x: NETWORK(x) ** 2, wrt=NETWORK.parameters()), np.eye(3, 2)),
    "many operations": (lambda x: ng.sum([ng.sin(k * x) * x**k for k in range(300)]), np.array([0.5, 1.0])),
}


@pytest.fixture
def cache(tmp_path, monkeypatch):
    for name in ("XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.setenv(name, str(tmp_path / "cache"))
    return tmp_path / "cache" / "nodegrad"


@pytest.fixture
def compiling(monkeypatch):
    """Count how often LLVM compiles."""
    calls = []
    assembled = native._assembled
    monkeypatch.setattr(native, "_assembled", lambda text, lean: calls.append(text) or assembled(text, lean))
    return calls


def results(compiled, rows):
    plain = [compiled(*[row.tolist()]) for row in rows]
    return plain, compiled.map(rows), compiled.map(rows, reduce="sum")


def saved(path, f=branches, rows=CASES["branches"][1], **options):
    compiled = ng.compile(f, backend="llvm", **options)
    found = results(compiled, rows)
    compiled.save(path)
    return found


@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize("case", CASES)
def test_a_loaded_function_compiles_nothing_and_gives_the_same(case, exact, cache, compiling, tmp_path):
    f, rows = CASES[case]
    expected = saved(tmp_path / "f.json", f, rows, exact=exact)
    compiling.clear()

    found = results(ng.load_compiled(tmp_path / "f.json"), rows)

    assert not compiling
    np.testing.assert_equal(found, expected)


def test_what_was_not_compiled_when_it_was_saved_is_kept_by_the_first_who_loads_it(
    cache, compiling, tmp_path
):
    compiled = ng.compile(branches)
    compiled(2.0)
    compiled.save(tmp_path / "f.json")
    expected = ng.load_compiled(tmp_path / "f.json").map([1.0, 2.0]).tolist()
    assert compiling
    compiling.clear()

    assert ng.load_compiled(tmp_path / "f.json").map([1.0, 2.0]).tolist() == expected
    assert not compiling


def test_the_saved_file_holds_no_machine_code(cache, tmp_path):
    saved(tmp_path / "f.json")

    assert {*json.loads((tmp_path / "f.json").read_text())} == {
        *("format", "version", "checksum", "name", "options", "ways"),
    }
    assert {path.name for path in tmp_path.iterdir()} == {"f.json", "cache"}


def anew(path, compiling, monkeypatch, folder):
    """Return how often LLVM compiles for a saved function of which nothing is kept, and what is kept then."""
    with monkeypatch.context() as elsewhere:
        for name in ("XDG_CACHE_HOME", "LOCALAPPDATA"):
            elsewhere.setenv(name, str(folder / "empty"))
        compiling.clear()
        results(ng.load_compiled(path), CASES["branches"][1])
    count = len(compiling)
    compiling.clear()
    return count, {path.name for path in (folder / "empty" / "nodegrad").iterdir()}


def flip(place):
    def change(path):
        content = bytearray(path.read_bytes())
        content[min(place, len(content) - 1)] ^= 1
        path.write_bytes(content)

    return change


def shorten(path):
    path.write_bytes(path.read_bytes()[:-8])


def empty(path):
    path.write_bytes(b"")


def let_the_group_write(path):
    path.chmod(0o660)


def let_all_write_to_the_folder(path):
    path.parent.chmod(0o777)


def give_away(path):
    os.chown(path, 12345, -1)


CHANGES = [flip(0), flip(40), flip(2000), flip(-1), shorten, empty]
if hasattr(os, "getuid"):
    CHANGES += [let_the_group_write, let_all_write_to_the_folder]
    CHANGES += [give_away] if os.getuid() == 0 else []


@pytest.mark.parametrize("change", CHANGES)
def test_what_somebody_may_have_changed_is_compiled_anew(change, cache, compiling, tmp_path, monkeypatch):
    expected = saved(tmp_path / "f.json")
    count, _ = anew(tmp_path / "f.json", compiling, monkeypatch, tmp_path)
    for path in cache.iterdir():
        change(path)

    found = results(ng.load_compiled(tmp_path / "f.json"), CASES["branches"][1])

    assert len(compiling) >= count > 0
    np.testing.assert_equal(found, expected)


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="this platform has no pipes")
@pytest.mark.parametrize("make", ["pipe", "folder", "link", "link to the code", "link to nothing"])
def test_only_plain_files_are_read_and_replaced(make, cache, compiling, tmp_path, monkeypatch):
    expected = saved(tmp_path / "f.json")
    count, needed = anew(tmp_path / "f.json", compiling, monkeypatch, tmp_path)
    files = {path: path.read_bytes() for path in cache.iterdir()}
    target = tmp_path / "target"
    for path, content in files.items():
        path.unlink()
        if make == "pipe":
            os.mkfifo(path)
        elif make == "folder":
            path.mkdir()
        else:
            path.symlink_to(target)
            if make != "link to nothing":
                target.write_bytes(content if make == "link to the code" else b"another file")
    before = target.read_bytes() if target.exists() else None

    found = results(ng.load_compiled(tmp_path / "f.json"), CASES["branches"][1])

    assert len(compiling) >= count > 0
    np.testing.assert_equal(found, expected)
    assert (target.read_bytes() if target.exists() else None) == before
    for path in [path for path in files if path.name in needed]:
        assert path.is_dir() if make == "folder" else path.is_file() and not path.is_symlink()
        assert make == "folder" or path.stat().st_mode & 0o777 == 0o600


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="this platform has no users of files")
def test_nothing_is_written_where_others_may_write(cache, tmp_path):
    cache.mkdir(parents=True)
    cache.chmod(0o777)

    saved(tmp_path / "f.json")

    assert not [*cache.iterdir()]


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="this platform has another variable for the home")
@pytest.mark.parametrize("home", ["home", "relative"])
def test_a_relative_folder_is_ignored(home, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", "some/folder")
    monkeypatch.setenv("HOME", str(tmp_path / home) if home == "home" else home)

    saved(tmp_path / "f.json")

    assert {path.name for path in tmp_path.iterdir()} == {"f.json", *(["home"] if home == "home" else [])}


def test_code_of_another_program_is_not_taken(cache, compiling, tmp_path, monkeypatch):
    expected = saved(tmp_path / "f.json")
    count, _ = anew(tmp_path / "f.json", compiling, monkeypatch, tmp_path)
    own = {*cache.iterdir()}
    saved(tmp_path / "g.json", lambda x: x * 3.0)
    (other, *_) = {*cache.iterdir()} - own
    for path in own:
        path.write_bytes(other.read_bytes())
    compiling.clear()

    found = results(ng.load_compiled(tmp_path / "f.json"), CASES["branches"][1])

    assert len(compiling) >= count > 0
    np.testing.assert_equal(found, expected)


@pytest.mark.parametrize(("module", "name"), [(kept, "_library"), (native, "machine")])
def test_another_library_or_machine_compiles_its_own(module, name, cache, compiling, tmp_path, monkeypatch):
    expected = saved(tmp_path / "f.json")
    compiling.clear()
    monkeypatch.setattr(module, name, lambda: "another")

    np.testing.assert_equal(results(ng.load_compiled(tmp_path / "f.json"), CASES["branches"][1]), expected)
    assert compiling


def test_nothing_is_kept_where_no_folder_can_be(cache, tmp_path):
    cache.parent.write_text("a file")

    expected = saved(tmp_path / "f.json")

    np.testing.assert_equal(results(ng.load_compiled(tmp_path / "f.json"), CASES["branches"][1]), expected)


def test_what_was_not_used_for_longest_goes_first(cache, tmp_path, monkeypatch):
    monkeypatch.setattr(kept, "_MOST", 3)
    saved(tmp_path / "f.json")
    old = [*cache.iterdir()]
    for path in old:
        os.utime(path, (0, 0))
    saved(tmp_path / "g.json", lambda x: x * 3.0)

    assert len([*cache.iterdir()]) == 3
    assert not {*cache.iterdir()} & {*old}


def test_code_from_the_cache_is_freed_with_its_last_user(cache, tmp_path):
    saved(tmp_path / "f.json")
    gc.collect()
    before = len(native._engines)

    loaded = ng.load_compiled(tmp_path / "f.json")
    results(loaded, CASES["branches"][1])
    assert len(native._engines) > before
    del loaded
    gc.collect()

    assert len(native._engines) == before


AGAIN = """
import sys
import numpy as np
import nodegrad as ng
from nodegrad.compiler.backends.llvm import native
if sys.argv[1] == "again":
    native._assembled = None
model = ng.nn.MLP(2, [4, 1], seed=0)
ng.fit(model, np.ones((9, 2)), np.arange(9.0), epochs=3, batch_size=4, seed=0, compile=True, progress=False)
loop = lambda x: ng.while_loop(lambda s: s < 9.0, lambda s: s * x, x)
slope = ng.compile(ng.value_and_grad(loop), exact=True)
print(slope(1.25), slope.map(np.linspace(1.5, 2.0, 9)), model.state_dict())
"""


def test_the_next_process_compiles_nothing_and_finds_the_same(cache, run_python, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(AGAIN)

    printed = run_python(script, "first")

    assert run_python(script, "again") == printed


def test_code_that_calls_functions_of_this_process_is_not_kept(cache, compiling):
    double = ng.custom("double", lambda x: float(str(2.0 * x)), lambda x, out: 2.0)

    found = ng.compile(lambda x: ng.sin(double(x)), backend="llvm").map([1.0, 2.0])

    np.testing.assert_allclose(found, np.sin([2.0, 4.0]), rtol=1e-15)
    assert len([*cache.glob("*")]) < len(compiling)


def test_two_functions_of_one_shape_share_code_and_nothing_else(cache, compiling):
    found = [ng.compile(lambda x, k=k: ng.exp(k * x), backend="llvm").map([1.0, 2.0]) for k in (0.5, 0.25)]

    np.testing.assert_allclose(found, np.exp(np.outer([0.5, 0.25], [1.0, 2.0])), rtol=1e-15)
    assert len(compiling) <= 2  # the driver and a loop


ENDLESS = """
import sys
import nodegrad as ng
from nodegrad.compiler.backends.llvm import native
f = ng.compile(lambda x: ng.while_loop(lambda s: s > 0.0, lambda s: ng.cos(s) + s, x, limit=1000))
if sys.argv[1] == "save":
    f(-1.0)
    f.save(sys.argv[2])
else:
    native._assembled = None
    f = ng.load_compiled(sys.argv[2])
    print(f(-1.0))
    try:
        f(1.0)
    except RuntimeError as error:
        print(error)
"""


def test_another_process_runs_kept_code_errors_of_loops_included(cache, run_python, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(ENDLESS)
    run_python(script, "save", tmp_path / "f.json")

    printed = run_python(script, "load", tmp_path / "f.json")

    assert printed.startswith("-1.0\n")
    assert "did not end within 1,000 turns" in printed
