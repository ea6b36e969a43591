"""Pictures of any size in boxes of any size."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyegress.layouts.geometry import Box, Rect, Size
from pyegress.layouts.placement import Fit, Placement, place

pytestmark = pytest.mark.unit

SIDES = st.integers(1, 4096)


def put(source: Size, box: Box, fit: Fit, visible: Rect | None = None) -> Placement:
    placement = place(source, box, visible or box.snapped(), fit)
    assert placement is not None
    return placement


def test_a_picture_of_the_tiles_size_is_copied_as_it_is() -> None:
    placement = put(Size(640, 360), Box(640, 360, 640, 360), Fit.COVER)
    assert placement == Placement(Rect(640, 360, 640, 360), Size(640, 360), (0, 0), Rect(0, 0, 640, 360))
    assert placement.whole


def test_cover_cuts_both_sides_alike() -> None:
    placement = put(Size(640, 360), Box(640, 0, 640, 720), Fit.COVER)
    assert placement == Placement(Rect(640, 0, 640, 720), Size(1280, 720), (320, 0), Rect(160, 0, 320, 360))
    assert not placement.whole


def test_cover_cuts_above_and_below_alike() -> None:
    placement = put(Size(360, 640), Box(0, 0, 640, 360), Fit.COVER)
    assert placement.scaled == Size(640, 1138)
    assert placement.offset in {(0, 388), (0, 390)}  # (1138 - 360) / 2 = 389
    assert placement.target == Rect(0, 0, 640, 360)


def test_the_main_tile_of_the_speaker_layout_is_centred_on_its_fractional_box() -> None:
    box = Box(1280 / 6, 0, 1280 * 5 / 6, 720)
    placement = put(Size(640, 360), box, Fit.COVER)
    assert placement.target == Rect(214, 0, 1066, 720)
    assert placement.scaled == Size(1280, 720)
    # The centre of the picture is that of the box, 746.67, to the nearest even pixel.
    assert placement.target.x - placement.offset[0] + 640 == pytest.approx(746.67, abs=1)


def test_contain_shows_all_and_is_centred() -> None:
    placement = put(Size(360, 640), Box(640, 0, 640, 360), Fit.CONTAIN)
    assert placement.target == Rect(860, 0, 202, 360)  # 202.5 wide, from 858.75 on
    assert placement.whole
    assert placement.source == Rect(0, 0, 360, 640)


def test_contain_scales_up_as_well_as_down() -> None:
    assert put(Size(8, 8), Box(0, 0, 1280, 720), Fit.CONTAIN).target == Rect(280, 0, 720, 720)
    assert put(Size(3840, 2160), Box(0, 0, 640, 640), Fit.CONTAIN).target == Rect(0, 140, 640, 360)


def test_width_is_top_aligned_and_cut_at_the_bottom() -> None:
    placement = put(Size(360, 640), Box(0, 0, 640, 360), Fit.WIDTH)
    assert placement == Placement(Rect(0, 0, 640, 360), Size(640, 1138), (0, 0), Rect(0, 0, 360, 202))


def test_width_leaves_the_rest_of_a_high_tile_alone() -> None:
    assert put(Size(640, 360), Box(0, 0, 640, 720), Fit.WIDTH).target == Rect(0, 0, 640, 360)


def test_natural_is_unscaled_at_the_top_left() -> None:
    canvas = Box(0, 0, 1280, 720)
    assert put(Size(640, 360), canvas, Fit.NATURAL).target == Rect(0, 0, 640, 360)
    large = put(Size(1920, 1080), canvas, Fit.NATURAL)
    assert large == Placement(Rect(0, 0, 1280, 720), Size(1920, 1080), (0, 0), Rect(0, 0, 1280, 720))


def test_a_tile_that_the_edge_cuts_keeps_the_scale_of_the_whole() -> None:
    box = Box(0, 666.67, 213.33, 133.33)
    placement = put(Size(640, 360), box, Fit.COVER, Rect(0, 666, 214, 54))
    assert placement.target == Rect(0, 666, 214, 54)
    assert placement.scaled.height == 134
    assert placement.offset[1] == 0
    assert placement.source.height == pytest.approx(360 * 54 / 134, abs=2)


@pytest.mark.parametrize("fit", Fit)
def test_nothing_to_see_gives_nothing(fit: Fit) -> None:
    assert place(Size(0, 0), Box(0, 0, 640, 360), Rect(0, 0, 640, 360), fit) is None
    assert place(Size(640, 360), Box(0, 800, 640, 360), Rect(0, 720, 640, 0), fit) is None


def test_a_picture_outside_of_the_visible_part_gives_nothing() -> None:
    assert place(Size(640, 10), Box(0, 0, 640, 360), Rect(0, 300, 640, 60), Fit.WIDTH) is None


@settings(max_examples=200, derandomize=True, deadline=None)
@given(
    source=st.builds(Size, SIDES, SIDES),
    x=st.floats(0, 1000),
    y=st.floats(0, 1000),
    width=st.floats(4, 2000),
    height=st.floats(4, 2000),
    fit=st.sampled_from(Fit),
)
def test_every_placement_can_be_drawn(source: Size, x: float, y: float, width: float, height: float, fit: Fit) -> None:
    box = Box(x, y, width, height)
    visible = box.snapped()
    placement = place(source, box, visible, fit)
    assert placement is not None
    target, scaled, (left, top), cut = placement.target, placement.scaled, placement.offset, placement.source
    assert target.cut(visible) == target
    assert not target.empty
    assert not any(n % 2 for n in (target.x, target.y, target.width, target.height, scaled.width, scaled.height))
    assert left >= 0
    assert top >= 0
    assert not left % 2
    assert not top % 2
    assert left + target.width <= scaled.width
    assert top + target.height <= scaled.height
    assert cut.x % 2 == cut.y % 2 == 0
    assert cut.width > 0
    assert cut.height > 0
    assert cut.right <= source.width
    assert cut.bottom <= source.height
    if fit is Fit.COVER:
        assert target == visible
    if fit is Fit.CONTAIN:
        assert placement.whole
        assert cut == Rect(0, 0, source.width, source.height)
        assert abs((target.x + target.right) / 2 - (x + width / 2)) <= 2
        assert abs((target.y + target.bottom) / 2 - (y + height / 2)) <= 2


@settings(max_examples=100, derandomize=True, deadline=None)
@given(source=st.builds(Size, st.integers(64, 4096), st.integers(64, 4096)), fit=st.sampled_from(Fit))
def test_both_ways_to_draw_show_the_same_part(source: Size, fit: Fit) -> None:
    box = Box(0, 0, 640, 360)
    placement = put(source, box, fit)
    across, down = source.width / placement.scaled.width, source.height / placement.scaled.height
    assert abs(placement.source.x - placement.offset[0] * across) <= 2
    assert abs(placement.source.y - placement.offset[1] * down) <= 2
    assert abs(placement.source.width - placement.target.width * across) <= 3
    assert abs(placement.source.height - placement.target.height * down) <= 3
