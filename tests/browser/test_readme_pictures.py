"""The pictures of the README are what the code makes: `python docs/pictures.py` writes them anew."""

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[2] / "docs"))
from pictures import PICTURES, graph, photograph  # beside the pages


def test_picture_of_the_graph_is_what_draw_makes():
    assert (PICTURES / "graph.svg").read_text(encoding="utf-8") == graph(), "run python docs/pictures.py"


def test_picture_of_the_player_is_what_its_page_looks_like(chromium, tmp_path):
    numpy = pytest.importorskip("numpy")
    image = pytest.importorskip("PIL.Image")
    photograph(chromium, tmp_path / "player.png")

    now, then = (
        numpy.asarray(image.open(path / "player.png").convert("L"), float) for path in (tmp_path, PICTURES)
    )

    assert now.shape == then.shape
    assert (numpy.abs(now - then) > 64).mean() < 0.02, "run python docs/pictures.py"  # fonts differ a little
