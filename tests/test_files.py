"""Files: whole or not at all, whoever writes at the same time, and whatever dies."""

import json
import math
import os
import stat
import sys
import threading

import pytest

from nodegrad.files import load_json, read, replace_file, save_json, written
from nodegrad.nn import MLP


def test_threads_that_save_to_one_path_leave_a_whole_file(tmp_path):
    path = tmp_path / "model.json"
    models = [MLP(2, [4, 1], seed=seed) for seed in range(3)]
    states = [model.state_dict() for model in models]
    errors = []

    def work(model):
        reader = MLP(2, [4, 1], seed=9)
        try:
            for _ in range(40):
                model.save(path)
                reader.load(path)
                assert reader.state_dict() in states
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(model,)) for model in models]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert errors == []
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(sys.platform == "win32", reason="this platform has no such permissions")
def test_permissions_of_the_file_stay(tmp_path):
    path = tmp_path / "file"
    replace_file(path, "one")
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~current_umask()
    path.chmod(0o640)

    replace_file(path, "two")

    assert (path.read_text(), stat.S_IMODE(path.stat().st_mode)) == ("two", 0o640)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this platform has no named pipes")
def test_a_pipe_is_written_to_and_not_replaced(tmp_path):
    pipe, found, model = tmp_path / "pipe", [], MLP(1, [1], seed=0)
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: found.append(pipe.read_text()))
    reader.start()

    model.save(pipe)

    reader.join()
    model.save(tmp_path / "model.json")
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    assert found == [(tmp_path / "model.json").read_text()]


def current_umask():
    umask = os.umask(0)
    os.umask(umask)
    return umask


def test_what_killed_processes_left_is_removed(tmp_path):
    path = tmp_path / "file"
    for name, age in ((".file.0123.part", 900), (".file.4567.part", 300), (".other.89.part", 900)):
        (tmp_path / name).write_text("half")
        make_older(tmp_path / name, age)

    replace_file(path, "whole")

    assert names_in(tmp_path) == [".file.4567.part", ".other.89.part", "file"]


def make_older(path, seconds):
    then = path.stat().st_mtime - seconds
    os.utime(path, (then, then))


def names_in(folder):
    return sorted(found.name for found in folder.iterdir())


def test_json_comes_back(tmp_path):
    content = {"numbers": [0.1, -0.0, 5e-324, 10**30], "text": "é"}

    save_json(tmp_path / "file", "some kind", 1, content)

    assert load_json(tmp_path / "file", "load", "some kind", 1) == content
    with pytest.raises(ValueError, match="is not a other kind file: its format is not 'other kind'"):
        load_json(tmp_path / "file", "load", "other kind", 1)


def test_long_lists_of_floats_are_packed_and_come_back_to_the_bit():
    numbers = [0.1 * k for k in range(1_000)] + [-0.0, math.inf, -math.inf, 5e-324]

    content = written({"long": numbers, "mixed": [1, *numbers], "short": numbers[:9]})

    assert content["long"].keys() == {"float64"}
    assert content["mixed"][-3:-1] == ["inf", "-inf"]
    assert content["short"] == numbers[:9]
    found = read(json.loads(json.dumps(content, allow_nan=False)))
    assert [*map(repr, found["long"])] == [*map(repr, numbers)]
    assert found["mixed"] == [1, *numbers]
