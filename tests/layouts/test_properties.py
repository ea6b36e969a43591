"""What holds for every room: tiles inside the canvas, on even pixels, apart from each other, everybody shown."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyegress.layouts.arrangement import Arrangement, MutedPicture
from pyegress.layouts.geometry import Rect, Size
from pyegress.layouts.grid import grid_shape
from pyegress.layouts.scene import Participant, VideoSource, VideoTrack
from tests.layouts.scenes import arrange, arranger, at, cameras, keys, person, scene

pytestmark = pytest.mark.unit

SIZES = (Size(1280, 720), Size(1920, 1080), Size(720, 1280), Size(640, 360))
LAYOUTS = ("grid", "speaker", "single-speaker")


def check_drawable(arrangement: Arrangement) -> None:
    canvas = Rect(0, 0, arrangement.size.width, arrangement.size.height)
    for one in arrangement.tiles:
        assert not one.rect.empty
        assert one.rect.cut(canvas) == one.rect
        assert not any(side % 2 for side in (one.rect.x, one.rect.y, one.rect.width, one.rect.height))
        assert abs(one.rect.x - one.box.x) <= 1.001
        assert abs(one.rect.y - one.box.y) <= 1.001
        assert one.rect.right - one.box.right <= 1.001
        if isinstance(one.content, MutedPicture) and one.content.glyph is not None:
            glyph = one.content.glyph.rect
            assert not glyph.x % 2
            assert not glyph.width % 2
        if one.label is not None:
            assert one.label.area.cut(one.rect) == one.label.area
    for index, one in enumerate(arrangement.tiles):
        for other in arrangement.tiles[:index]:
            assert one.rect.cut(other.rect).empty, (one, other)
    assert len({one.key for one in arrangement.tiles}) == len(arrangement.tiles)


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size.width}x{size.height}")
@pytest.mark.parametrize("count", range(1, 31))
def test_every_layout_of_1_to_30_people(size: Size, count: int) -> None:
    for layout in LAYOUTS:
        arrangement = arrange(layout, *cameras(count), size=size)
        check_drawable(arrangement)
        assert keys(arrangement) == [f"C{number}" for number in range(len(arrangement.tiles))]
        shown = set(keys(arrangement)) | set(arrangement.off_page)
        assert shown == {f"C{number}" for number in range(count)}
    grid = arrange("grid", *cameras(count), size=size)
    assert len(grid.tiles) == min(count, grid_shape(count, size.width, size.height).capacity)


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size.width}x{size.height}")
@pytest.mark.parametrize("count", range(1, 26))
def test_full_rows_of_a_grid_leave_no_pixel_uncovered(size: Size, count: int) -> None:
    arrangement = arrange("grid", *cameras(count), size=size)
    shape = grid_shape(count, size.width, size.height)
    missing = -len(arrangement.tiles) % shape.columns
    covered = sum(one.rect.width * one.rect.height for one in arrangement.tiles)
    rows = (len(arrangement.tiles) + missing) // shape.columns
    hole = missing * size.width / shape.columns * size.height / rows
    assert size.width * size.height - covered == pytest.approx(hole, abs=2 * max(size.width, size.height))


TRACKS = st.builds(
    lambda source, muted, size: (source, muted, Size(*size)),
    st.sampled_from(VideoSource),
    st.booleans(),
    st.sampled_from([(640, 360), (360, 640), (480, 480), (0, 0)]),
)
PEOPLE = st.lists(
    st.tuples(st.lists(TRACKS, max_size=2), st.sampled_from(["standard", "agent", "sip"]), st.booleans()), max_size=8
)
LAYOUT_TEXTS = st.builds(
    lambda name, names, gap, radius, speaking, placeholders: (
        f"{name}?names={names}&gap={gap}&radius={radius}&speaking={speaking}&placeholders={placeholders}"
    ),
    st.sampled_from([*LAYOUTS, "grid-light", "other"]),
    *(st.integers(0, 1), st.integers(0, 200), st.integers(0, 200), st.integers(0, 1), st.integers(0, 1)),
)


def _room(people: list[tuple[list[tuple[VideoSource, bool, Size]], str, bool]]) -> tuple[Participant, ...]:
    return tuple(
        person(n, *(VideoTrack(f"T{n}.{m}", *track) for m, track in enumerate(tracks)), kind=kind, hidden=hidden)
        for n, (tracks, kind, hidden) in enumerate(people)
    )


@settings(max_examples=150, derandomize=True, deadline=None)
@given(
    people=PEOPLE,
    layout=LAYOUT_TEXTS,
    width=st.integers(64, 2000),
    height=st.integers(64, 2000),
    speaking=st.sets(st.integers(0, 7)),
)
def test_any_room_can_be_drawn(
    people: list[tuple[list[tuple[VideoSource, bool, Size]], str, bool]],
    layout: str,
    width: int,
    height: int,
    speaking: set[int],
) -> None:
    room = _room(people)
    arranging = arranger(layout, Size(width, height))
    for moment in (0, 1):
        arrangement = arranging.arrange(scene(*room, speaking={f"P{n}": n / 8 for n in speaking}), at(moment))
        check_drawable(arrangement)
        visible = {track.sid for one in room if not one.hidden for track in one.tracks}
        drawn = {key for key in (*keys(arrangement), *arrangement.off_page) if not key.startswith("participant/")}
        assert drawn == visible
        for one in arrangement.tiles:
            placement = one.place(Size(640, 360))
            assert placement is None or placement.target.cut(one.rect) == placement.target


@settings(max_examples=100, derandomize=True, deadline=None)
@given(
    count=st.integers(1, 12),
    layout=st.sampled_from(["grid", "speaker"]),
    steps=st.lists(st.sampled_from(["speak", "mute", "size", "silent"]), max_size=8),
    seed=st.integers(0, 1000),
)
def test_unrelated_changes_move_nobody(count: int, layout: str, steps: list[str], seed: int) -> None:
    """Up to 12 in the grid, one page: speech and mutes move nobody. Speaker: what the loudest main outshouts."""
    arranging = arranger(layout)
    levels = {"P0": 1.0}
    people = list(cameras(count))
    first = [(one.key, one.rect) for one in arranging.arrange(scene(*people, speaking=levels), at(0)).tiles]
    for index, step in enumerate(steps, 1):
        who = (seed + 7 * index) % count
        if layout == "speaker" and (step in {"speak", "mute"}) and count > 4:
            continue  # may bring somebody up from a lower block
        if step == "speak":
            levels = {"P0": 1.0, f"P{who}": 1.0 if who == 0 else 0.5}
        elif step == "silent":
            levels = {"P0": 1.0}
        else:
            muted = step == "mute"
            size = Size(360, 640) if step == "size" else Size(640, 360)
            people[who] = person(who, VideoTrack(f"C{who}", VideoSource.CAMERA, muted, size))
        arrangement = arranging.arrange(scene(*people, speaking=levels), at(index))
        assert [(one.key, one.rect) for one in arrangement.tiles] == first
