"""Layout names and their options."""

from __future__ import annotations

import pytest

from pyegress.errors import InvalidRequest
from pyegress.layouts.layout import MAX_PIXELS, Arranging, Layout, Options, layout_in_metadata

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("name", "arranging", "light"),
    [
        ("grid", Arranging.GRID, False),
        ("grid-light", Arranging.GRID, True),
        ("speaker", Arranging.SPEAKER, False),
        ("speaker-light", Arranging.SPEAKER, True),
        ("single-speaker", Arranging.SINGLE_SPEAKER, False),
        ("single-speaker-light", Arranging.SINGLE_SPEAKER, True),
        ("speaker-of-mine", Arranging.SPEAKER, False),
        ("", Arranging.GRID, False),
        ("my-own", Arranging.GRID, False),
        ("my-own-light", Arranging.GRID, True),
        ("Speaker", Arranging.GRID, False),
    ],
)
def test_names(name: str, arranging: Arranging, light: bool) -> None:
    layout = Layout.parse(name)
    assert (layout.name, layout.arranging, layout.light) == (name, arranging, light)
    assert layout.options == Options()
    assert Layout.parse(name + "?gap=8").arranging is arranging
    assert Layout.parse(name + "?gap=8").light is light


@pytest.mark.parametrize(
    ("name", "arranging"),
    [
        ("grid", Arranging.SPEAKER),
        ("grid-light", Arranging.SPEAKER),
        ("speaker", Arranging.SPEAKER),
        ("single-speaker", Arranging.SINGLE_SPEAKER),
        ("", Arranging.GRID),
        ("my-own", Arranging.GRID),
    ],
)
def test_a_screen_share_turns_what_is_called_grid_into_speaker(name: str, arranging: Arranging) -> None:
    assert Layout.parse(name).arranging_with(screen_share=True) is arranging
    assert Layout.parse(name).arranging_with(screen_share=False) is Layout.parse(name).arranging


def test_all_options() -> None:
    layout = Layout.parse("grid-light?names=1&gap=8&radius=12&speaking=true&placeholders=1")
    assert layout.options == Options(names=True, gap=8, radius=12, speaking=True, placeholders=True)
    assert str(layout) == "grid-light?names=1&gap=8&radius=12&speaking=1&placeholders=1"
    assert Layout.parse(str(layout)) == layout


def test_what_is_off_is_not_written() -> None:
    assert str(Layout.parse("speaker?names=0&gap=0&speaking=false")) == "speaker"
    assert Layout.parse("speaker?") == Layout.parse("speaker")


@pytest.mark.parametrize(
    ("text", "message", "remedy"),
    [
        ("grid?name=1", "'name' does not exist", "names, gap, radius, speaking, placeholders"),
        ("grid?gap=-1", "'gap' is '-1', which is not a whole number of pixels from 0 to 200", "gap=8"),
        ("grid?gap=8px", "'gap' is '8px'", "gap=8"),
        ("grid?gap=", "'gap' is ''", "gap=8"),
        (f"grid?radius={MAX_PIXELS + 1}", "'radius' is '201'", "radius=8"),
        ("grid?radius=٨", "'radius' is '٨'", "radius=8"),
        ("grid?radius=" + "9" * 5000, "'radius' is '9999", "radius=8"),
        ("grid?names", "'names' is ''", "names=1"),
        ("grid?names=yes", "'names' is 'yes', which is not 0 or 1", "names=1"),
        ("grid?gap=8&gap=9", "'gap' is given twice", "once"),
        ("grid?GAP=8", "'GAP' does not exist", "gap"),
    ],
)
def test_wrong_options_are_refused_with_the_remedy(text: str, message: str, remedy: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        Layout.parse(text)
    assert caught.value.field == "layout"
    assert message in caught.value.message
    assert remedy in caught.value.remedy
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    ("metadata", "layout"),
    [
        ('{"layout":"speaker-light?names=1"}', "speaker-light?names=1"),
        ('{"layout":""}', None),
        ('{"layout":7}', None),
        ('{"other":"grid"}', None),
        ('["layout"]', None),
        ("", None),
        ("not json", None),
        ("[" * 100_000, None),
    ],
)
def test_the_layout_of_our_own_metadata(metadata: str, layout: str | None) -> None:
    assert layout_in_metadata(metadata) == layout
