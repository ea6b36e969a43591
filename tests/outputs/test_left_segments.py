"""HLS that was left: segments are cut to what is whole, playlists name what is there and end."""

from __future__ import annotations

from pathlib import Path

import av
import pytest

from pyegress.clock import Wall
from pyegress.codecs import Codec
from pyegress.outputs.hls.playlist import EventPlaylist, LivePlaylist, Part, PlaylistSettings, Segment
from pyegress.outputs.hls.segment_muxer import segment_muxer, segment_streams
from pyegress.outputs.left_segments import (
    ListedSegment,
    end_playlist,
    finish_playlist,
    finish_segment,
    playlist_seconds,
)
from pyegress.outputs.muxer import Sample
from pyegress.plan.recording_plan import SegmentFormat
from tests.outputs.media import spec_of, video

pytestmark = pytest.mark.media

COUNT, FPS = 50, 25


def segment(folder: Path, kind: SegmentFormat) -> tuple[Path, Path | None]:
    """Two seconds of pictures in one segment of pieces of half a second."""
    frames = video(Codec.H264, COUNT)
    muxer = segment_muxer(kind, segment_streams([spec_of(frames)]), Wall(1.7e9))
    header = None
    if muxer.header:
        header = folder / "init.mp4"
        header.write_bytes(muxer.header)
    path = folder / ("a.ts" if kind is SegmentFormat.MPEG_TS else "a.m4s")
    data = muxer.begin_segment()
    for start in range(0, COUNT, 10):
        samples = [
            Sample(frame.timestamp, 90_000 // FPS, frame.payload, frame.keyframe)
            for frame in frames[start : start + 10]
        ]
        data += muxer.piece([samples])
    path.write_bytes(data)
    return path, header


def pictures(path: Path, header: Path | None) -> int:
    whole = path.with_name("joined.mp4" if header else "joined.ts")
    whole.write_bytes((header.read_bytes() if header else b"") + path.read_bytes())
    with av.open(str(whole)) as opened:
        return sum(1 for _ in opened.decode(video=0))


@pytest.mark.parametrize("kind", list(SegmentFormat), ids=lambda kind: kind.name)
def test_a_segment_is_cut_to_what_plays(tmp_path: Path, kind: SegmentFormat) -> None:
    path, header = segment(tmp_path, kind)
    whole = path.read_bytes()
    left = finish_segment(path, header)
    assert left is not None
    assert (left.size, path.read_bytes()) == (len(whole), whole)
    assert left.duration == pytest.approx(COUNT / FPS, abs=0.001)
    assert pictures(path, header) == COUNT
    for share in (0.5, 0.8, 0.99):
        path.write_bytes(whole[: int(len(whole) * share)])
        torn = finish_segment(path, header)
        assert torn is not None
        assert torn.size == path.stat().st_size <= len(whole) * share
        assert 0.3 < torn.duration <= COUNT / FPS * share + 0.3
        assert finish_segment(path, header) == torn, "once more"
        assert abs(pictures(path, header) / FPS - torn.duration) < 0.1


@pytest.mark.parametrize("kind", list(SegmentFormat), ids=lambda kind: kind.name)
def test_a_segment_without_anything(tmp_path: Path, kind: SegmentFormat) -> None:
    path, header = segment(tmp_path, kind)
    assert finish_segment(tmp_path / "none.ts", header) is None
    for content in (b"", bytes(500), path.read_bytes()[:100]):
        path.write_bytes(content)
        assert finish_segment(path, header) is None


SETTINGS = PlaylistSettings(2)
NAMES = [f"hls/talk_{number:05d}.ts" for number in range(9)]


def listed(count: int, seconds: float = 2.0) -> list[ListedSegment]:
    return [ListedSegment(name, seconds) for name in NAMES[:count]]


def written(count: int, *, live: bool = False, ended: bool = False) -> str:
    playlist = LivePlaylist(SETTINGS) if live else EventPlaylist(SETTINGS)
    for number, name in enumerate(NAMES[:count]):
        playlist.add(Segment(name.removeprefix("hls/"), 2.0, Wall(1.7e9 + 2 * number)))
    return playlist.render(ended=ended).decode()


@pytest.mark.parametrize("live", [False, True])
def test_the_playlist_becomes_what_it_would_have_been(live: bool) -> None:
    """Whatever was listed before the kill, what was not is added, and nothing twice."""
    for count in range(1, 6):
        for missing in (0, 1, 2):
            if live and missing:
                continue
            text = written(count - missing, live=live) if count > missing else ""
            ended = end_playlist(text, "hls/talk.m3u8", listed(count))
            if text:
                assert ended == written(count, live=live, ended=True)
            assert ended.count("#EXTINF") == count
            assert ended.endswith("#EXT-X-ENDLIST\n")
            assert end_playlist(ended, "hls/talk.m3u8", listed(count)) == ended, "once more"
    assert end_playlist("", "hls/talk.m3u8", []) == ""


def test_a_live_playlist_grows_at_its_end_only() -> None:
    ended = end_playlist(written(7, live=True), "hls/live.m3u8", listed(8))
    assert ended.count("#EXTINF") == 6
    assert "talk_00007.ts" in ended
    assert "talk_00001.ts" not in ended
    assert "#EXT-X-MEDIA-SEQUENCE:2" in ended


def test_parts_and_what_was_open_are_left_out() -> None:
    playlist = EventPlaylist(PlaylistSettings(2, part=0.5))
    parts = (Part(0.5, 0, 1000, True), Part(0.5, 1000, 900, False))
    playlist.add(Segment("talk_00000.ts", 2.0, Wall(1.7e9), parts=parts))
    playlist.grow(Segment("talk_00001.ts", 0.5, Wall(1.7e9 + 2), parts=parts[:1]))
    ended = end_playlist(playlist.render(ended=False).decode(), "hls/talk.m3u8", listed(1))
    assert "PART" not in ended
    assert "talk_00001" not in ended
    assert playlist_seconds(ended) == 2.0
    longer = end_playlist(
        playlist.render(ended=False).decode(), "hls/talk.m3u8", [*listed(1), ListedSegment(NAMES[1], 3.4)]
    )
    assert "#EXT-X-TARGETDURATION:3\n" in longer
    assert playlist_seconds(longer) == pytest.approx(5.4)


def test_the_file(tmp_path: Path) -> None:
    path = tmp_path / "talk.m3u8"
    assert finish_playlist(path, "hls/talk.m3u8", []) is None
    made = finish_playlist(path, "hls/talk.m3u8", listed(2), header="hls/talk_init.mp4")
    assert made is not None
    text = path.read_text()
    assert '#EXT-X-MAP:URI="talk_init.mp4"' in text
    assert made.duration == 4.0
    assert made.size == path.stat().st_size
    before = path.stat().st_mtime_ns
    assert finish_playlist(path, "hls/talk.m3u8", listed(2), header="hls/talk_init.mp4") == made
    assert path.stat().st_mtime_ns == before
    assert [one.name for one in tmp_path.iterdir()] == ["talk.m3u8"]


def test_another_initialization_segment_is_named_where_it_begins() -> None:
    headers = ["hls/talk_init.mp4", "hls/talk_init.mp4", "hls/talk_init-2.mp4", "hls/talk_init-2.mp4"]
    segments = [ListedSegment(name, 2.0, header) for name, header in zip(NAMES, headers, strict=False)]
    ended = end_playlist("", "hls/talk.m3u8", segments, headers[0])
    assert ended.count("#EXT-X-MAP") == 2
    after = ended.partition("#EXT-X-DISCONTINUITY\n")[2].splitlines()
    assert after[0] == '#EXT-X-MAP:URI="talk_init-2.mp4"'
    assert "talk_00002.ts" in after
    # Those that are named already know it.
    assert end_playlist(ended, "hls/talk.m3u8", segments, headers[0]) == ended
    part = end_playlist("", "hls/talk.m3u8", segments[:3], headers[0])
    assert end_playlist(part, "hls/talk.m3u8", segments, headers[0]).count("#EXT-X-MAP") == 2
