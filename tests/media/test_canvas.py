"""What is on the canvas, pixel by pixel."""

from __future__ import annotations

import dataclasses
import itertools

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from pyegress.codecs import Codec
from pyegress.demo.stamp import Stamp, read_stamp
from pyegress.layouts.arrangement import Arrangement, Tile
from pyegress.layouts.colour import BLACK, SPEAKING_BLUE, WHITE, Colour, personal_colour
from pyegress.layouts.geometry import Size
from pyegress.layouts.person_glyph import glyph_spans
from pyegress.media.canvas import Canvas
from pyegress.media.planes import planes_of
from pyegress.media.video_track import VideoTrack
from tests.layouts.scenes import HD, START, arrange, arranger, camera, cameras, person, scene, screen, tile
from tests.media.pictures import marked, pixel, pixel_of, same, snapshot, still
from tests.media.streams import FPS, stream

pytestmark = pytest.mark.media

SIZES = [Size(1280, 720), Size(1920, 1080), Size(720, 1280), Size(640, 360)]
COLOURS = [(30 + 7 * number % 180, 60 + 17 * number % 140, 200 - 13 * number % 140) for number in range(30)]


def compose(arrangement: Arrangement, pictures: dict[str, av.VideoFrame], now: float = 0.0) -> av.VideoFrame:
    return Canvas(arrangement.size).compose(arrangement, pictures, set(pictures), now)


def inside(one: Tile) -> dict[str, tuple[int, int]]:
    """The pixels at the corners and in the middle of what is seen of a tile."""
    rect = one.rect
    left, right, top, bottom = rect.x, rect.right - 1, rect.y, rect.bottom - 1
    middle = (rect.x + rect.width // 2, rect.y + rect.height // 2)
    return {"tl": (left, top), "tr": (right, top), "br": (right, bottom), "bl": (left, bottom), "middle": middle}


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 9, 10, 16, 25, 30])
def test_every_tile_of_a_grid_is_filled_to_its_edges_and_nothing_else_is(count: int, size: Size) -> None:
    arrangement = arrange("grid", *cameras(count), size=size)
    pictures = {f"C{number}": still(640, 360, COLOURS[number]) for number in range(count)}
    frame = compose(arrangement, pictures)
    covered = np.zeros((size.height, size.width), bool)
    luma, blue, red = planes_of(frame)
    for one in arrangement.tiles:
        number, rect = int(one.key[1:]), one.rect
        assert {name: pixel(frame, *at) for name, at in inside(one).items()} == dict.fromkeys(
            inside(one), COLOURS[number]
        )
        assert not covered[rect.y : rect.bottom, rect.x : rect.right].any(), "tiles overlap"
        covered[rect.y : rect.bottom, rect.x : rect.right] = True
        part = (slice(rect.y // 2, rect.bottom // 2), slice(rect.x // 2, rect.right // 2))
        assert np.all(luma[rect.y : rect.bottom, rect.x : rect.right] == COLOURS[number][0])
        assert np.all(blue[part] == COLOURS[number][1])
        assert np.all(red[part] == COLOURS[number][2])
    assert np.all(luma[~covered] == 16)
    assert np.all(blue[~covered[::2, ::2]] == 128)


@pytest.mark.parametrize("layout", ["grid", "speaker", "single-speaker"])
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_a_lone_landscape_picture_is_whole_or_cut_at_its_sides(layout: str, size: Size) -> None:
    picture = marked(640, 360, (120, 90, 160))
    frame = compose(arrange(layout, *cameras(1), size=size), {"C0": picture})
    corners = [pixel(frame, x, y)[0] for x, y in ((1, 1), (size.width - 2, 1), (size.width - 2, size.height - 2))]
    landscape = size.width > size.height
    assert corners == ([50, 90, 170] if landscape else [120, 120, 120])
    assert pixel(frame, size.width // 2, size.height // 2) == (120, 90, 160)


def test_cover_shows_the_middle_of_the_picture() -> None:
    # 640x360 into 640x720: scaled by two, a quarter cut at each side; the marks are an eighth wide.
    frame = compose(arrange("grid", *cameras(2)), {"C0": marked(640, 360, (120, 90, 160)), "C1": still(640, 360)})
    luma = planes_of(frame).luma
    assert np.all(luma[2:-2, 0:640] == 120)


def test_a_tile_that_cuts_most_of_a_picture_still_fills_its_edges() -> None:
    # A strip 40 times as wide as high: what is scaled is the middle alone.
    picture = marked(2560, 64, (120, 90, 160))
    frame = compose(arrange("grid", *cameras(2)), {"C0": picture, "C1": still(640, 360)})
    assert np.all(planes_of(frame).luma[:, :640] == 120)


@pytest.mark.parametrize("layout", ["grid", "grid-light"])
def test_contained_pictures_leave_the_background_at_their_sides(layout: str) -> None:
    arrangement = arrange(layout, person(0, camera("P", size=Size(360, 640))), *cameras(3)[1:])
    frame = compose(arrangement, {"P": marked(360, 640, (120, 90, 160)), "C1": still(640, 360), "C2": still(640, 360)})
    background = pixel_of(WHITE if "light" in layout else BLACK)
    one = tile(arrangement, "P")
    assert one.rect.width == 640
    # 360x640 in 640x360 is 202x360 at 219.
    assert [pixel(frame, x, 180) for x in (0, 217, 220, 320, 418, 422, 639)] == [
        *(background, background, (120, 90, 160), (120, 90, 160), (120, 90, 160), background, background)
    ]
    assert [pixel(frame, x, y)[0] for x, y in ((222, 2), (417, 2), (417, 357), (222, 357))] == [50, 90, 170, 210]


def test_a_screen_share_is_shown_whole() -> None:
    arrangement = arrange("single-speaker", person(0, screen("S")))
    frame = compose(arrangement, {"S": marked(1024, 768, (120, 90, 160))})
    assert [pixel(frame, x, 360)[0] for x in (0, 158, 161, 640, 1118, 1121)] == [16, 16, 120, 120, 120, 16]
    assert pixel(frame, 164, 4)[0] == 50


def test_a_picture_that_turns_is_placed_anew_and_leaves_nothing_behind() -> None:
    canvas, arrangement = Canvas(HD), arrange("single-speaker", person(0, screen("S")))
    canvas.compose(arrangement, {"S": still(1280, 720, (200, 90, 160))}, {"S"}, 0.0)
    turned = canvas.compose(arrangement, {"S": still(360, 640, (100, 160, 90))}, {"S"}, 0.1)
    assert [pixel(turned, x, 360) for x in (0, 430, 640, 850, 1279)] == [
        *((16, 128, 128), (16, 128, 128), (100, 160, 90), (16, 128, 128), (16, 128, 128))
    ]
    back = canvas.compose(arrangement, {"S": still(1280, 720, (200, 90, 160))}, {"S"}, 0.2)
    assert np.all(planes_of(back).luma == 200)


def test_nothing_is_left_of_tiles_that_went() -> None:
    canvas = Canvas(HD)
    pictures = {f"C{number}": still(640, 360, COLOURS[number]) for number in range(9)}
    arranging = arranger("grid")
    for count in (9, 4, 3, 1, 5, 0, 2):
        arrangement = arranging.arrange(scene(*cameras(count)), START)
        frame = canvas.compose(arrangement, pictures, set(), 0.0)
        fresh = compose(arrangement, pictures)
        assert same(frame, snapshot(fresh)), count


@pytest.mark.parametrize("layout", ["grid?gap=8", "grid-light?gap=8&radius=16", "speaker?gap=20"])
def test_gaps_show_the_background(layout: str) -> None:
    arrangement = arrange(layout, *cameras(4))
    frame = compose(arrangement, {f"C{number}": still(640, 360, (120, 90, 160)) for number in range(4)})
    background = pixel_of(WHITE if "light" in layout else BLACK)
    outside = np.ones((720, 1280), bool)
    for one in arrangement.tiles:
        rect = one.rect
        outside[rect.y : rect.bottom, rect.x : rect.right] = False
        assert pixel(frame, rect.x + rect.width // 2, rect.y) == (120, 90, 160)
    assert outside.any()
    assert np.all(planes_of(frame).luma[outside] == background[0])


def test_round_corners_show_the_background_and_keep_the_sides() -> None:
    arrangement = arrange("grid-light?gap=8&radius=32", *cameras(4))
    frame = compose(arrangement, {f"C{number}": still(640, 360, (120, 90, 160)) for number in range(4)})
    luma = planes_of(frame).luma
    for one in arrangement.tiles:
        rect = one.rect
        for corner in ("tl", "tr", "br", "bl"):
            assert pixel(frame, *inside(one)[corner])[0] == 235, corner
        part = luma[rect.y : rect.bottom, rect.x : rect.right].astype(float)
        # Four corners, each a square of 32 less a quarter of its circle.
        white = (part - 120).sum() / (235 - 120)
        assert white == pytest.approx(4 * 32 * 32 * (1 - np.pi / 4), rel=0.01)
        assert np.all(part[32:-32] == 120)
        assert np.all(part[:, 32:-32] == 120)


@pytest.mark.parametrize("radius", [0, 24])
def test_who_speaks_has_a_border_inside_of_the_tile(radius: int) -> None:
    arranging = arranger(f"grid?speaking=1&radius={radius}")
    pictures = {f"C{number}": still(640, 360, (120, 128, 128)) for number in range(4)}
    canvas, silent = Canvas(HD), arranging.arrange(scene(*cameras(4)), START)
    before = snapshot(canvas.compose(silent, pictures, set(pictures), 0.0))
    drawn = canvas.drawn
    speaking = arranging.arrange(scene(*cameras(4), speaking={"P1": 0.5}), START)
    frame = canvas.compose(speaking, pictures, set(), 0.1)
    assert canvas.drawn == drawn + 1, "only the tile that has the border is drawn again"
    rect = tile(speaking, "C1").rect
    blue = pixel_of(SPEAKING_BLUE)
    for x, y in ((rect.x + 320, rect.y), (rect.x + 320, rect.y + 3), (rect.right - 1, 180), (rect.x + 3, 180)):
        assert pixel(frame, x, y) == blue
    assert pixel(frame, rect.x + 320, rect.y + 4) == (120, 128, 128)
    assert pixel(frame, rect.x + 4, 180) == (120, 128, 128)
    assert pixel(frame, rect.x, rect.y)[0] == (blue[0] if radius == 0 else 16)
    after = canvas.compose(arranging.arrange(scene(*cameras(4)), START), pictures, set(), 0.2)
    assert same(after, before)


def drawn_glyph(size: int) -> NDArray[np.float64]:
    """The person, by asking for each of 4x4 points of each pixel whether it is inside."""
    points = np.zeros((size * 4, size * 4))
    at = (np.arange(size * 4) + 0.5) * 320 / (size * 4)
    for row, y in enumerate(at):
        for left, right in glyph_spans(float(y)):
            points[row] = np.maximum(points[row], (at >= left) & (at < right))
    covered: NDArray[np.float64] = points.reshape(size, 4, size, 4).mean(axis=(1, 3))
    return covered


@pytest.mark.parametrize("layout", ["grid", "grid-light"])
def test_a_muted_camera_is_black_with_a_person(layout: str) -> None:
    arrangement = arrange(layout, person(0, camera("C0", muted=True)), *cameras(4)[1:])
    frame = compose(arrangement, {f"C{number}": still(640, 360) for number in range(4)})
    rect = tile(arrangement, "C0").rect
    luma = planes_of(frame).luma[rect.y : rect.bottom, rect.x : rect.right].astype(float)
    expected = np.full((360, 640), 16.0)
    expected[:, 140:500] += drawn_glyph(360) * (235 - 16) * 64 / 255
    assert np.abs(luma - expected).max() < 12, "an edge is elsewhere"
    assert np.abs(luma - expected).mean() < 0.3
    assert pixel(frame, rect.x + 320, rect.y + 110) == pixel_of(Colour(0x40, 0x40, 0x40))
    assert np.all(planes_of(frame).blue == 128)


def test_the_person_fades_in_and_out_in_a_fifth_of_a_second() -> None:
    canvas, arranging = Canvas(HD), arranger("grid")
    pictures = {f"C{number}": still(640, 360, (120, 128, 128)) for number in range(4)}
    shown = arranging.arrange(scene(*cameras(4)), START)
    muted = arranging.arrange(scene(person(0, camera("C0", muted=True)), *cameras(4)[1:]), START)
    canvas.compose(shown, pictures, set(pictures), 0.9)
    rising = [pixel(canvas.compose(muted, pictures, set(), 1 + at), 320, 110)[0] for at in (0, 0.05, 0.1, 0.15, 0.2)]
    assert rising[0] == 16
    assert rising[-1] == 71
    assert rising[2] == pytest.approx((16 + 71) / 2, abs=1.5)
    assert rising[1] - 16 < (71 - 16) / 4, "it eases in"
    assert rising == sorted(rising)
    settled = canvas.compose(muted, pictures, set(), 1.3)
    drawn = canvas.drawn
    assert canvas.compose(muted, pictures, set(), 1.4) is settled
    assert canvas.drawn == drawn
    falling = [pixel(canvas.compose(shown, pictures, set(), 2 + at), 320, 110)[0] for at in (0, 0.1, 0.2, 0.3)]
    assert falling[0] == pytest.approx(120 + (235 - 120) / 4, abs=1)
    assert falling[0] > falling[1] > falling[2] == falling[3] == 120


def test_a_lone_muted_camera_has_no_person() -> None:
    frame = compose(arrange("speaker", person(0, camera("C0", muted=True))), {"C0": still(640, 360)})
    assert np.all(planes_of(frame).luma == 16)


def test_a_track_without_a_picture_shows_its_background_until_it_has_one() -> None:
    canvas, arrangement = Canvas(HD), arrange("grid-light", *cameras(3))
    frame = canvas.compose(arrangement, {"C1": None, "C2": still(640, 360, (120, 90, 160))}, {"C2"}, 0.0)
    assert [pixel(frame, *at) for at in ((320, 180), (960, 180), (320, 540), (960, 540))] == [
        *((16, 128, 128), (16, 128, 128), (120, 90, 160), pixel_of(WHITE))
    ]
    frame = canvas.compose(arrangement, {"C0": still(640, 360, (90, 90, 90)), "C2": None}, {"C0"}, 0.1)
    assert [pixel(frame, *at)[0] for at in ((320, 180), (960, 180), (320, 540))] == [90, 16, 16]


def test_people_without_video_have_their_initials_on_their_colour() -> None:
    arrangement = arrange("grid?placeholders=1", person(7), person(8))
    frame = compose(arrangement, {})
    luma = planes_of(frame).luma
    for one in arrangement.tiles:
        rect, colour = one.rect, pixel_of(personal_colour(one.identity))
        assert pixel(frame, rect.x, rect.y) == colour
        part = luma[rect.y : rect.bottom, rect.x : rect.right]
        rows, columns = np.nonzero(part > 200)
        assert abs((rows.min() + rows.max()) / 2 - rect.height / 2) <= 2
        assert abs((columns.min() + columns.max()) / 2 - rect.width / 2) <= 2
        assert part.max() == 235
        assert 0.6 * 0.35 * 640 < rows.max() - rows.min() < 0.9 * 0.35 * 640


def test_names_are_written_on_a_shade_and_drawn_again_with_each_picture() -> None:
    canvas, arrangement = Canvas(HD), arrange("grid?names=1", *cameras(4))
    label = tile(arrangement, "C0").label
    assert label is not None
    area = label.area
    for number, luma in enumerate((200, 60, 200)):
        pictures = {f"C{other}": still(640, 360, (luma, 90, 160)) for other in range(4)}
        frame = canvas.compose(arrangement, pictures, set(pictures), float(number))
        part = planes_of(frame).luma[area.y : area.bottom, area.x : area.right]
        assert part[2, 2] == pytest.approx((luma + 16) / 2, abs=1)
        assert part.max() >= 225
        assert pixel(frame, area.x + 2, area.y - 2) == (luma, 90, 160)
        assert np.all(part[:, -20:] == luma), "the shade is as wide as the name"


def test_only_what_changed_is_drawn_and_an_unchanged_canvas_is_the_same_frame() -> None:
    canvas, arrangement = Canvas(HD), arrange("grid", *cameras(4))
    pictures = {f"C{number}": still(640, 360, COLOURS[number]) for number in range(4)}
    first = canvas.compose(arrangement, pictures, set(pictures), 0.0)
    assert canvas.drawn == 4
    assert canvas.compose(arrangement, pictures, set(), 0.1) is first
    pictures["C2"] = still(640, 360, (222, 128, 128))
    second = canvas.compose(arrangement, pictures, {"C2"}, 0.2)
    assert canvas.drawn == 5
    assert second is not first
    assert pixel(second, 320, 540)[0] == 222
    assert pixel(first, 320, 540) == COLOURS[2]
    assert pixel(second, 960, 180) == COLOURS[1]


def test_frames_that_somebody_holds_never_change() -> None:
    canvas, arrangement = Canvas(Size(320, 180), pooled=3), arrange("grid", *cameras(1), size=Size(320, 180))
    held = []
    for number in range(20):
        frame = canvas.compose(arrangement, {"C0": still(320, 180, (20 + number, 128, 128))}, {"C0"}, float(number))
        if number % 2:
            held.append((number, frame))
        del frame
    assert [pixel(frame, 10, 10)[0] - 20 for _, frame in held] == [number for number, _ in held]


def test_frames_are_tagged_and_used_again() -> None:
    canvas, arrangement = Canvas(HD), arrange("grid", *cameras(1))
    seen = set()
    for number in range(20):
        frame = canvas.compose(arrangement, {"C0": still(640, 360)}, {"C0"}, float(number))
        assert (int(frame.colorspace), int(frame.color_range)) == (1, 1)
        assert (frame.format.name, frame.width, frame.height) == ("yuv420p", 1280, 720)
        seen.add(frame.planes[0].buffer_ptr)
    assert len(seen) <= 3


def test_tiles_that_overlap_are_drawn_in_order() -> None:
    arrangement = arrange("grid", *cameras(1))
    below, above = arrangement.tiles[0], dataclasses.replace(arrange("grid", *cameras(2)).tiles[1], key="above")
    arrangement = dataclasses.replace(arrangement, tiles=(below, above))
    canvas, pictures = Canvas(HD), {"C0": still(640, 360, (50, 128, 128)), "C1": still(640, 360, (200, 128, 128))}
    canvas.compose(arrangement, pictures, set(pictures), 0.0)
    pictures["C0"] = still(640, 360, (80, 128, 128))
    frame = canvas.compose(arrangement, pictures, {"C0"}, 0.1)
    assert (pixel(frame, 100, 100)[0], pixel(frame, 1000, 100)[0]) == (80, 200)


@pytest.mark.parametrize("source", [(1, 1), (51, 35), (1279, 719), (9, 1), (3, 400)], ids=str)
@pytest.mark.parametrize("layout", ["grid", "speaker", "single-speaker"])
def test_pictures_of_odd_sizes_and_colours_are_drawn(source: tuple[int, int], layout: str) -> None:
    picture = still(*source, (120, 128, 128))
    picture.colorspace = 2
    for track in (camera("C0"), camera("C0", size=Size(360, 640)), screen("C0")):
        for count in (1, 2):
            arrangement = arrange(layout, person(0, track), *cameras(count)[1:])
            frame = compose(arrangement, {"C0": picture, "C1": still(64, 48, (20, 128, 128))})
            rect = tile(arrangement, "C0").rect
            middle = pixel(frame, rect.x + rect.width // 2, rect.y + rect.height // 2)
            assert abs(middle[0] - 120) <= 1


def test_a_canvas_is_even_and_takes_arrangements_of_its_size() -> None:
    with pytest.raises(ValueError, match="not even"):
        Canvas(Size(1279, 719))
    with pytest.raises(ValueError, match="does not fit"):
        Canvas(Size(640, 360)).compose(arrange("grid"), {}, set(), 0.0)


def test_a_tiny_canvas_is_drawn_too() -> None:
    for width, height in itertools.product((2, 16, 50), repeat=2):
        size = Size(width, height)
        arrangement = arrange(
            "grid?names=1&gap=9&radius=20&placeholders=1&speaking=1", *cameras(3), person(9), size=size
        )
        frame = compose(arrangement, {"C0": still(640, 360)})
        assert (frame.width, frame.height) == (width, height)


@pytest.mark.parametrize("codec", [Codec.VP8, Codec.H264, Codec.AV1], ids=lambda codec: codec.name)
def test_streams_come_through_with_every_frame_in_its_tile(codec: Codec) -> None:
    size, people = Size(640, 360), (1, 2, 3)
    arrangement, canvas = arrange("grid", *cameras(3), size=size), Canvas(size)
    tracks = {f"C{number}": VideoTrack(1 / FPS) for number in range(3)}
    for index, track in enumerate(tracks.values()):
        for number, frame in enumerate(stream(codec, size=(320, 180), participant=people[index])):
            track.push(frame, number / FPS + 0.004 * index)
    for tick in range(FPS):
        changed = {sid for sid, track in tracks.items() if track.advance(tick / FPS)}
        assert len(changed) == 3
        pictures = {sid: track.picture for sid, track in tracks.items()}
        luma = planes_of(canvas.compose(arrangement, pictures, changed, tick / FPS)).luma
        for index, one in enumerate(arrangement.tiles):
            rect = one.rect
            stamp = read_stamp(luma, (rect.x, rect.y, rect.width, rect.height))
            assert stamp == Stamp(tick, people[index])


def test_a_lone_picture_that_fills_the_canvas_is_given_as_it_was_scaled_and_stays() -> None:
    canvas, arrangement = Canvas(HD), arrange("single-speaker", *cameras(1))
    first = canvas.compose(arrangement, {"C0": marked(640, 360, (120, 90, 160))}, {"C0"}, 0.0)
    assert (first.width, first.height, first.format.name) == (1280, 720, "yuv420p")
    assert (first.colorspace, first.color_range, first.color_primaries, first.color_trc) == (1, 1, 1, 1)
    before = snapshot(first)
    second = canvas.compose(arrangement, {"C0": still(640, 360, (200, 90, 160))}, {"C0"}, 0.1)
    assert pixel(second, 640, 360)[0] != pixel(first, 640, 360)[0]
    assert same(first, before)
    # What is drawn beside it is drawn on a copy, and it is whole again when it is alone.
    muted = arrange("single-speaker", person(0, camera("C0", muted=True)))
    assert pixel(canvas.compose(muted, {}, set(), 0.2), 640, 360) == (16, 128, 128)
    back = canvas.compose(arrangement, {"C0": still(640, 360, (200, 90, 160))}, {"C0"}, 0.3)
    assert same(back, snapshot(second))


def test_tiles_that_stand_still_are_taken_over_from_picture_to_picture() -> None:
    canvas, arrangement = Canvas(HD), arrange("grid", *cameras(3))
    moving = [still(640, 360, (60 + 20 * number, 90, 160)) for number in range(4)]
    pictures = {"C0": moving[0], "C1": marked(640, 360, (120, 100, 140)), "C2": still(640, 360, (180, 128, 128))}
    frames = []
    for picture in moving:
        frames.append(canvas.compose(arrangement, pictures | {"C0": picture}, {"C0"}, 0.0))
    assert canvas.drawn == 3 + 3
    for number, frame in enumerate(frames):
        assert pixel(frame, 320, 180) == (60 + 20 * number, 90, 160)
        assert (pixel(frame, 960, 180), pixel(frame, 320, 540)) == ((120, 100, 140), (180, 128, 128))
        assert pixel(frame, 960, 540) == (16, 128, 128)
