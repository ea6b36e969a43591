"""Scenes in, arrangements out."""

from __future__ import annotations

import pytest

from pyegress.layouts.arrangement import Border, Initials, MutedPicture, Picture
from pyegress.layouts.arranger import Arranger
from pyegress.layouts.colour import BLACK, SPEAKING_BLUE, WHITE, personal_colour
from pyegress.layouts.geometry import Rect, Size
from pyegress.layouts.layout import Layout
from pyegress.layouts.placement import Fit
from pyegress.layouts.scene import Scene, VideoSource, VideoTrack
from tests.layouts.scenes import HD, arrange, arranger, at, camera, cameras, corners, keys, person, scene, screen, tile

pytestmark = pytest.mark.unit

PORTRAIT = Size(360, 640)


def test_nobody_leaves_the_background() -> None:
    for layout in ("grid", "speaker", "single-speaker"):
        assert arrange(layout).tiles == ()
        assert arrange(layout).background == BLACK
        assert arrange(layout + "-light", person(0)).tiles == ()
        assert arrange(layout + "-light").background == WHITE


def test_a_grid_of_five() -> None:
    arrangement = arrange("grid", *cameras(5))
    assert [corners(one) for one in arrangement.tiles] == [
        (0, 0, 426, 360),
        (426, 0, 428, 360),
        (854, 0, 426, 360),
        (0, 360, 426, 360),
        (426, 360, 428, 360),
    ]
    assert keys(arrangement) == ["C0", "C1", "C2", "C3", "C4"]


def test_a_full_hd_speaker() -> None:
    arrangement = arrange("speaker", *cameras(4), size=Size(1920, 1080))
    assert [(one.key, *corners(one)) for one in arrangement.tiles] == [
        ("C0", 320, 0, 1600, 1080),
        ("C1", 0, 0, 320, 200),
        ("C2", 0, 200, 320, 200),
        ("C3", 0, 400, 320, 200),
    ]


def test_a_strip_with_too_many_is_cut_at_the_bottom() -> None:
    arrangement = arrange("speaker", *cameras(9))
    strip = [one for one in arrangement.tiles if one.key != "C0"]
    assert [one.key for one in strip] == ["C1", "C2", "C3", "C4", "C5", "C6"]
    assert arrangement.off_page == ("C7", "C8")
    assert {one.rect.width for one in strip} == {198}
    assert corners(strip[-1]) == (0, 620, 198, 100)
    assert strip[-1].box.bottom > 720


def test_a_stacked_speaker_shows_the_top_of_one_tile() -> None:
    arrangement = arrange("speaker", *cameras(3), size=Size(480, 960))
    assert [(one.key, *corners(one)) for one in arrangement.tiles] == [("C0", 0, 0, 480, 800), ("C1", 0, 800, 480, 160)]


def test_a_lone_speaker_fills_the_frame_without_glyph() -> None:
    one = arrange("speaker", person(0, camera("C0", muted=True))).tiles[0]
    assert (one.rect, one.content, one.background) == (Rect(0, 0, 1280, 720), MutedPicture("C0", None), BLACK)
    two = arrange("speaker", person(0, camera("C0", muted=True)), person(1, camera("C1", muted=True)))
    assert all(isinstance(each.content, MutedPicture) and each.content.glyph is not None for each in two.tiles)
    single = arrange("single-speaker", person(0, camera("C0", muted=True)), person(1, camera("C1", muted=True)))
    assert [each.content for each in single.tiles] == [MutedPicture("C0", None)]


def test_a_muted_camera_in_a_grid_of_one_has_a_glyph() -> None:
    content = arrange("grid", person(0, camera("C0", muted=True))).tiles[0].content
    assert isinstance(content, MutedPicture)
    assert content.glyph is not None
    assert content.glyph.rect == Rect(280, 0, 720, 720)


@pytest.mark.parametrize("layout", ["grid", "grid-light"])
def test_fit_and_background_by_source_and_shape(layout: str) -> None:
    arrangement = arrange(
        layout.replace("grid", "rows"),  # a grid that a screen share does not turn into speaker
        person(0, camera("landscape")),
        person(1, camera("portrait", size=PORTRAIT)),
        person(2, camera("square", size=Size(480, 480))),
        person(3, camera("unsized", size=Size(0, 0))),
        person(4, screen("share")),
        person(5, VideoTrack("unknown", VideoSource.UNKNOWN, size=Size(640, 360))),
    )
    assert {one.key: (one.content, one.background) for one in arrangement.tiles} == {
        "landscape": (Picture("landscape", Fit.COVER), BLACK),
        "portrait": (Picture("portrait", Fit.CONTAIN), None),
        "square": (Picture("square", Fit.CONTAIN), None),
        "unsized": (Picture("unsized", Fit.COVER), BLACK),
        "share": (Picture("share", Fit.CONTAIN), None),
        "unknown": (Picture("unknown", Fit.WIDTH), None),
    }


def test_a_lone_unknown_video_keeps_its_size() -> None:
    unknown = person(0, VideoTrack("U0", VideoSource.UNKNOWN))
    assert arrange("speaker", unknown).tiles[0].content == Picture("U0", Fit.NATURAL)
    assert arrange("grid", unknown).tiles[0].content == Picture("U0", Fit.WIDTH)


def test_muted_screen_shares_and_unknown_videos_have_no_glyph() -> None:
    muted = VideoTrack("U1", VideoSource.UNKNOWN, muted=True)
    arrangement = arrange("speaker", person(0, screen("S0", muted=True)), person(1, muted))
    assert [one.content for one in arrangement.tiles] == [MutedPicture("S0", None), MutedPicture("U1", None)]


def test_a_publisher_who_turns_keeps_the_fit() -> None:
    room = arranger("grid")
    room.arrange(scene(person(0, camera("C0", size=Size(0, 0)))), at(0))
    first = room.arrange(scene(person(0, camera("C0"))), at(1))
    turned = room.arrange(scene(person(0, camera("C0", size=PORTRAIT))), at(2))
    assert turned == first
    republished = room.arrange(scene(person(0, camera("C9", size=PORTRAIT))), at(3))
    assert republished.tiles[0].content == Picture("C9", Fit.CONTAIN)


def test_a_screen_share_makes_a_grid_a_speaker_layout_and_back() -> None:
    room, people = arranger("grid-light"), cameras(3)
    assert tile(room.arrange(scene(*people), at(0)), "C0").rect.width == 640
    sharing = (*people[:2], person(2, camera("C2"), screen("S2")))
    shared = room.arrange(scene(*sharing, speaking={"P1": 0.9}), at(1))
    assert keys(shared) == ["S2", "C0", "C1", "C2"]
    assert shared.tiles[0].rect == Rect(214, 0, 1066, 720)
    assert shared.background == WHITE
    talked = room.arrange(scene(*sharing, speaking={"P1": 0.9}), at(5))
    assert talked.tiles[0].key == "S2", "speech does not move a screen share"
    back = room.arrange(scene(*people, speaking={"P1": 0.9}), at(6))
    assert keys(back) == ["C1", "C0", "C2"], "a new grid is in the sort order"


def test_the_earliest_sharer_is_main() -> None:
    arrangement = arrange("speaker", person(2, screen("S2")), person(1, screen("S1")))
    assert keys(arrangement) == ["S1", "S2"]


def test_after_a_screen_share_the_speaker_of_the_meantime_is_main_at_once() -> None:
    room, people = arranger("speaker"), cameras(3)
    room.arrange(scene(*people), at(0))
    for moment in (1, 2):
        room.arrange(scene(*people, person(9, screen("S9")), speaking={"P2": 0.5}), at(moment))
    assert room.arrange(scene(*people), at(3)).tiles[0].key == "C2"


def test_the_main_tile_follows_a_speaker_after_the_hold() -> None:
    room, people = arranger("speaker"), cameras(4)
    assert keys(room.arrange(scene(*people), at(0))) == ["C0", "C1", "C2", "C3"]
    talking = scene(*people, speaking={"P2": 0.5})
    assert room.arrange(talking, at(1)).tiles[0].key == "C0"
    assert room.next_change(at(1)) == at(1.6)
    moved = room.arrange(talking, at(1.6))
    assert keys(moved) == ["C2", "C0", "C1", "C3"]
    assert room.next_change(at(1.6)) is None
    assert room.arrange(scene(*people), at(30)) == moved


def test_single_speaker_follows_too() -> None:
    room, people = arranger("single-speaker"), cameras(2)
    talking = scene(*people, speaking={"P1": 0.5})
    shown = [room.arrange(scene(*people), at(0)), room.arrange(talking, at(1)), room.arrange(talking, at(2))]
    assert [keys(each) for each in shown] == [["C0"], ["C0"], ["C1"]]


def test_who_speaks_within_the_strip_does_not_move() -> None:
    room, people = arranger("speaker"), cameras(4)
    room.arrange(scene(*people, speaking={"P0": 0.9}), at(0))
    before = room.arrange(scene(*people, speaking={"P0": 0.9}), at(5))
    after = [room.arrange(scene(*people, speaking={"P0": 0.9, "P3": 0.1}), at(moment)) for moment in (6, 7, 8)]
    assert after == [before] * 3


def test_a_speaker_from_below_comes_up_in_the_strip_and_only_two_tiles_move() -> None:
    room, people = arranger("speaker"), cameras(12)
    before = keys(room.arrange(scene(*people, speaking={"P0": 0.9}), at(0)))
    both = scene(*people, speaking={"P0": 0.9, "P11": 0.1})
    room.arrange(both, at(1))
    after = keys(room.arrange(both, at(2)))
    assert "C11" in after
    assert "C11" not in before
    assert sum(a != b for a, b in zip(before, after, strict=True)) <= 2


def test_a_speaker_from_page_two_of_the_grid_takes_the_place_of_one() -> None:
    room, people = arranger("grid", Size(640, 360)), cameras(6)
    assert keys(room.arrange(scene(*people), at(0))) == ["C0", "C1", "C2", "C3"]
    talking = scene(*people, speaking={"P5": 0.5})
    assert keys(room.arrange(talking, at(1))) == ["C0", "C1", "C2", "C3"]
    assert room.next_change(at(1)) == at(1.6)
    arrangement = room.arrange(talking, at(1.6))
    assert keys(arrangement) == ["C0", "C1", "C2", "C5"]
    assert arrangement.off_page == ("C3", "C4")


def test_joining_and_leaving_a_grid_moves_nobody_else_while_the_capacity_stays() -> None:
    room, people = arranger("grid"), cameras(9)
    room.arrange(scene(*people[5:9], *people[1:2]), at(0))
    assert keys(room.arrange(scene(*people[5:9], *people[0:2]), at(1))) == ["C1", "C5", "C6", "C7", "C8", "C0"]
    assert keys(room.arrange(scene(*people[6:9], *people[0:2]), at(2))) == ["C1", "C6", "C7", "C8", "C0"]
    assert keys(room.arrange(scene(*people[6:9], *people[0:1]), at(3))) == ["C0", "C6", "C7", "C8"]


def test_another_layout_takes_over_without_forgetting_the_speaker() -> None:
    room, people = arranger("speaker"), cameras(3)
    for moment in (0, 1):
        room.arrange(scene(*people, speaking={"P2": 0.5}), at(moment))
    room.change_layout(Layout.parse("grid-light"))
    grid = room.arrange(scene(*people), at(2))
    assert (grid.background, len(grid.tiles)) == (WHITE, 3)
    room.change_layout(Layout.parse("single-speaker"))
    assert room.layout.name == "single-speaker"
    assert keys(room.arrange(scene(*people), at(3))) == ["C2"]


def test_names() -> None:
    arrangement = arrange("speaker?names=1", person(0, camera("C0"), screen("S0")), person(1, camera("C1")))
    assert {one.key: one.label and one.label.text for one in arrangement.tiles} == {
        "S0": "Person 0's screen",
        "C0": "Person 0",
        "C1": "Person 1",
    }
    assert all(one.label is None for one in arrange("grid", *cameras(3)).tiles)


def test_gap_and_radius() -> None:
    arrangement = arrange("grid?gap=8&radius=200", *cameras(4))
    assert [corners(one) for one in arrangement.tiles][:2] == [(8, 8, 628, 348), (644, 8, 628, 348)]
    assert {one.radius for one in arrangement.tiles} == {174}, "at most half of the shorter side"
    lone = arrange("speaker?gap=8&radius=8", *cameras(1)).tiles[0]
    assert (lone.rect, lone.radius) == (Rect(0, 0, 1280, 720), 0)


def test_a_border_around_who_speaks_now() -> None:
    room = arranger("grid?speaking=1")
    arrangement = room.arrange(scene(*cameras(2), speaking={"P1": 0.5}), at(0))
    assert [one.border for one in arrangement.tiles] == [None, Border(4, SPEAKING_BLUE)]
    assert [one.border for one in room.arrange(scene(*cameras(2)), at(1)).tiles] == [None, None]


def test_placeholders_for_people_without_video() -> None:
    people = (person(0), person(1, camera("C1")), person(2, kind="agent"), person(3, hidden=True))
    arrangement = arrange("grid?placeholders=1", *people)
    assert keys(arrangement) == ["C1", "participant/P0"]
    shown = tile(arrangement, "participant/P0")
    assert shown.background == personal_colour("P0")
    assert isinstance(shown.content, Initials)
    assert shown.content.text == "P0"
    assert shown.content.size == 224
    assert shown.picture_sid is None
    assert keys(arrange("grid", *people)) == ["C1"]


def test_a_person_without_video_can_be_the_main_speaker_when_placeholders_are_on() -> None:
    room = arranger("speaker?placeholders=1")
    talking = scene(person(0, camera("C0")), person(1), speaking={"P1": 0.5})
    room.arrange(scene(*talking.participants), at(0))
    room.arrange(talking, at(1))
    assert keys(room.arrange(talking, at(2))) == ["participant/P1", "C0"]


def test_what_hidden_participants_say_and_show_does_not_count() -> None:
    room = arranger("speaker")
    hidden = scene(person(0, screen("S0"), hidden=True), person(1, camera("C1")), speaking={"P0": 1.0})
    assert keys(room.arrange(hidden, at(0))) == ["C1"]
    assert room.next_change(at(0)) is None


def test_an_odd_canvas_has_tiles_on_even_pixels_only() -> None:
    arrangement = arrange("grid", *cameras(2), size=Size(641, 361))
    assert arrangement.size == Size(641, 361)
    assert [corners(one) for one in arrangement.tiles] == [(0, 0, 320, 360), (320, 0, 320, 360)]


def test_a_canvas_without_room_is_refused() -> None:
    with pytest.raises(ValueError, match="1x720"):
        Arranger(Layout.parse("grid"), Size(1, 720))
    assert Arranger(Layout.parse("grid"), Size(2, 2)).arrange(Scene(), at(0)).size == Size(2, 2)
    assert arrange("grid", *cameras(1), size=HD).size == HD
