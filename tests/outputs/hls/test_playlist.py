from __future__ import annotations

import pytest

from pyegress.clock import Wall
from pyegress.outputs.hls.playlist import (
    EventPlaylist,
    LivePlaylist,
    Part,
    PlaylistSettings,
    Segment,
    relative_uri,
)
from tests.support.hls import parse_playlist

pytestmark = pytest.mark.unit

AT = Wall(1_795_000_000.0)


def segment(number: int, duration: float = 4.0, *, discontinuity: bool = False, parts: int = 0) -> Segment:
    pieces = tuple(Part(0.5, index * 100, 100, index == 0) for index in range(parts))
    return Segment(f"s_{number:05d}.ts", duration, Wall(AT + number * 4), discontinuity, pieces)


def test_an_event_playlist_as_text() -> None:
    playlist = EventPlaylist(PlaylistSettings(4))
    playlist.add(segment(0))
    playlist.add(segment(1, 3.9666666))
    text = playlist.render(ended=False).decode()
    assert text == (
        "#EXTM3U\n"
        "#EXT-X-VERSION:3\n"
        "#EXT-X-TARGETDURATION:4\n"
        "#EXT-X-PLAYLIST-TYPE:EVENT\n"
        "#EXT-X-MEDIA-SEQUENCE:0\n"
        "#EXT-X-INDEPENDENT-SEGMENTS\n"
        "#EXT-X-PROGRAM-DATE-TIME:2026-11-18T11:06:40.000Z\n"
        "#EXTINF:4.000000,\n"
        "s_00000.ts\n"
        "#EXT-X-PROGRAM-DATE-TIME:2026-11-18T11:06:44.000Z\n"
        "#EXTINF:3.966667,\n"
        "s_00001.ts\n"
    )
    assert playlist.render(ended=True).decode() == text + "#EXT-X-ENDLIST\n"


@pytest.mark.parametrize("kind", [EventPlaylist, LivePlaylist])
def test_the_target_duration_is_the_longest_rounded(kind: type[EventPlaylist | LivePlaylist]) -> None:
    playlist = kind(PlaylistSettings(4))
    playlist.add(segment(0, 2.2))
    # While it grows it is what is planned: it must not change then.
    assert parse_playlist(playlist.render(ended=False).decode()).target == 4
    assert parse_playlist(playlist.render(ended=True).decode()).target == 2
    playlist.add(segment(1, 4.49))
    assert parse_playlist(playlist.render(ended=True).decode()).target == 4
    playlist.add(segment(2, 6.5))
    for ended in (False, True):
        assert parse_playlist(playlist.render(ended=ended).decode()).target == 7


def test_a_live_playlist_slides() -> None:
    playlist = LivePlaylist(PlaylistSettings(4))
    for number in range(9):
        playlist.add(segment(number, discontinuity=number in (2, 6)))
        found = parse_playlist(playlist.render(ended=False).decode())
        assert found.first == max(0, number - 4)
        assert [s.uri for s in found.segments] == [f"s_{n:05d}.ts" for n in range(found.first, number + 1)]
        gone = sum(n < found.first for n in (2, 6))
        assert int(found.tags.get("EXT-X-DISCONTINUITY-SEQUENCE", "0")) == gone
    assert [s.discontinuity for s in found.segments] == [False, False, True, False, False]


def test_a_header_takes_another_version() -> None:
    playlist = EventPlaylist(PlaylistSettings(4, map_uri="s_init.mp4"))
    playlist.add(segment(0))
    found = parse_playlist(playlist.render(ended=False).decode())
    assert (found.tags["EXT-X-VERSION"], found.map_uri) == ("6", "s_init.mp4")


@pytest.mark.parametrize("kind", [EventPlaylist, LivePlaylist])
def test_parts_near_the_end(kind: type[EventPlaylist | LivePlaylist]) -> None:
    playlist = kind(PlaylistSettings(4, map_uri="i.mp4", part=0.5))
    for number in range(6):
        playlist.add(segment(number, parts=8))
    text = playlist.render(ended=False).decode()
    found = parse_playlist(text)
    assert [len(s.parts) for s in found.segments][-5:] == [0, 0, 8, 8, 8]
    assert text.endswith("#EXT-X-PROGRAM-DATE-TIME:2026-11-18T11:07:04.000Z\n")
    playlist.grow(segment(6, 1.0, parts=2))
    found = parse_playlist(playlist.render(ended=False).decode())
    assert [part.uri for part in found.open_parts] == ["s_00006.ts"] * 2
    playlist.add(segment(6, parts=8))
    found = parse_playlist(playlist.render(ended=False).decode())
    assert [len(s.parts) for s in found.segments][-4:] == [0, 8, 8, 8]
    found = parse_playlist(playlist.render(ended=True).decode())
    assert "EXT-X-PART-INF" not in found.tags
    assert len(found.segments) == (7 if kind is EventPlaylist else 5)


def test_a_long_event_costs_as_much_as_a_short_one() -> None:
    playlist = EventPlaylist(PlaylistSettings(1))
    for number in range(5_000):
        playlist.add(segment(number, 1.0))
    found = parse_playlist(playlist.render(ended=True).decode())
    assert len(found.segments) == 5_000
    assert found.segments[4_999].uri == "s_04999.ts"


@pytest.mark.parametrize(
    ("name", "playlist", "uri"),
    [
        ("a/b_00000.ts", "a/b.m3u8", "b_00000.ts"),
        ("a/c/b_00000.ts", "a/b.m3u8", "c/b_00000.ts"),
        ("b.ts", "b.m3u8", "b.ts"),
        ("/srv/x y#1?.ts", "/srv/b.m3u8", "x%20y%231%3F.ts"),
        ("12:30.ts", "b.m3u8", "12%3A30.ts"),
    ],
)
def test_uris_are_relative_and_quoted(name: str, playlist: str, uri: str) -> None:
    assert relative_uri(name, playlist) == uri


def test_an_initialization_segment_is_named_where_it_begins() -> None:
    event = EventPlaylist(PlaylistSettings(4, map_uri="s_init.mp4"))
    live = LivePlaylist(PlaylistSettings(4, map_uri="s_init.mp4"), window=2)
    for number in range(4):
        renewed = Segment(
            f"s_{number}.m4s", 4.0, AT, discontinuity=number == 1, map_uri="s_init-2.mp4" if number == 1 else ""
        )
        event.add(renewed)
        live.add(renewed)
    read = parse_playlist(event.render(ended=True).decode())
    assert read.map_uri == "s_init.mp4"
    assert [segment.map_uri for segment in read.segments] == ["", "s_init-2.mp4", "", ""]
    assert [segment.discontinuity for segment in read.segments] == [False, True, False, False]
    # The one that is in force is named where the window begins.
    read = parse_playlist(live.render(ended=True).decode())
    assert (read.map_uri, read.tags["EXT-X-DISCONTINUITY-SEQUENCE"]) == ("s_init-2.mp4", "1")
    assert [segment.map_uri for segment in read.segments] == ["", ""]
