"""Names and initials in the fonts of whatever machine this is."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pyegress.layouts.arrangement import Initials
from pyegress.layouts.geometry import Box, Rect
from pyegress.layouts.label import label_in
from pyegress.media import fonts
from pyegress.media.fonts import FontSet
from pyegress.media.lettering import fitted, initials_overlay, label_overlay, text_coverage

pytestmark = pytest.mark.media

TILE = Rect(0, 0, 640, 360)


@pytest.fixture
def no_system_fonts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fonts, "font_paths", lambda: ())


def test_text_has_ink_as_wide_as_it_says() -> None:
    short, long = text_coverage("ab", 20), text_coverage("abababab", 20)
    assert short.max() == 1.0
    assert 3.5 * short.shape[1] < long.shape[1] < 4.5 * short.shape[1]


def test_a_name_that_is_too_long_ends_with_an_ellipsis() -> None:
    name = "A person with quite a long name"
    assert fitted(name, 20, 1000) == name
    cut = fitted(name, 20, 120)
    assert cut.endswith("…")
    assert name.startswith(cut[:-1].rstrip())
    assert FontSet(20).width(cut) <= 120
    assert FontSet(20).width(cut) > 90


@pytest.mark.parametrize(
    "name", ["Ärzte & Łukasz", "Владимир", "Ελένη", "שלום", "محمد", "山田太郎", "김철수", "अमित", "🙂🙂", "​"]
)
def test_any_name_is_drawn_somehow(name: str) -> None:
    label = label_in(Box(0, 0, 640, 360), TILE, name)
    assert label is not None
    drawn = label_overlay(label, TILE)
    assert drawn is not None
    assert drawn.rect.x == label.area.x
    assert drawn.rect.right <= label.area.right
    assert drawn.blends[0].values.max() > 100 * 128


def test_characters_that_no_font_has_are_left_out() -> None:
    assert "".join(run for _, run in FontSet(20).runs("a\U000f1234b\uffffc")) == "abc"
    assert fitted("\U000f1234", 20, 500) == "?"


def test_each_script_is_drawn_by_a_font_that_has_it() -> None:
    runs = FontSet(20).runs("Anna Владимир")
    joined = "".join(run for _, run in runs)
    assert joined.startswith("Anna ")
    for font, run in runs:
        missing = bytes(font.getmask("\uffff"))
        assert all(bytes(font.getmask(one)) != missing for one in run if not one.isspace())


@pytest.mark.usefixtures("no_system_fonts")
def test_without_any_font_of_the_system_there_is_one() -> None:
    runs = FontSet(30).runs("Zoë")
    assert "".join(run for _, run in runs) == "Zoe"


def test_initials_are_centred_by_their_ink() -> None:
    drawn = initials_overlay(Initials("PQ", 120), (320.0, 180.0), TILE)
    assert drawn is not None
    rect = drawn.rect
    assert abs(rect.x + rect.width / 2 - 320) <= 2
    assert abs(rect.y + rect.height / 2 - 180) <= 2
    assert 0.6 * 120 < rect.height < 1.1 * 120


def test_labels_of_equal_text_are_drawn_once() -> None:
    label = label_in(Box(0, 0, 640, 360), TILE, "Anna")
    again = label_in(Box(0, 0, 640, 360), TILE, "Anna")
    assert label is not None
    assert again is not None
    assert label_overlay(label, TILE) is label_overlay(again, TILE)


def test_the_shade_is_half_opaque_black() -> None:
    label = label_in(Box(0, 0, 640, 360), TILE, "Anna")
    assert label is not None
    drawn = label_overlay(label, TILE)
    assert drawn is not None
    keep = drawn.blends[0].keep
    assert keep[0, 0] == 64
    assert np.count_nonzero(keep == 0) > 10, "the letters hide what is below"


def test_pillow_is_not_loaded_until_something_is_written() -> None:
    script = "import sys, pyegress.media.canvas, pyegress.media.video_track; sys.exit('PIL.ImageFont' in sys.modules)"
    root = Path(__file__).parents[2]
    subprocess.run([sys.executable, "-c", script], check=True, cwd=root, env={"PYTHONPATH": str(root / "src")})
