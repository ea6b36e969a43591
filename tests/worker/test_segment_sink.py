"""HLS as it is delivered: what playlists name and when."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from pyegress.codecs import Codec, Kind
from pyegress.errors import OutputFailed
from pyegress.outputs.disk import GrowingFile
from pyegress.plan.recording_plan import NameSuffix, SegmentFormat
from pyegress.rtp.frame import EncodedFrame
from pyegress.worker.progress import Recorded
from tests.media.encoding import clicks, stamps
from tests.outputs.hls.streams import CLICKS, FPS, SECONDS
from tests.outputs.media import FPS as COPIED_FPS
from tests.outputs.media import decode_video, opus, read_back, spec_of, video
from tests.support.hls import read_playlist, stretches, whole
from tests.support.waiting import eventually
from tests.worker.segment_sinks import FMP4, STARTED, TS, Playing, Slow, files, output

pytestmark = pytest.mark.media


@pytest.mark.parametrize("format_", [TS, FMP4])
async def test_everything_is_in_the_segments_and_both_playlists_are_right(
    tmp_path: Path, format_: SegmentFormat
) -> None:
    playing = Playing(tmp_path, output(format_))
    playing.play()
    recorded = await playing.sink.finish()
    event = read_playlist(playing.folder / "all.m3u8")
    assert event.ended
    assert event.tags["EXT-X-PLAYLIST-TYPE"] == "EVENT"
    assert event.target == 1
    assert event.durations == [1.0] * SECONDS
    extension = ".ts" if format_ is TS else ".m4s"
    assert [s.uri for s in event.segments] == [f"parts%20of%20it/s%231_{n:05d}{extension}" for n in range(SECONDS)]
    assert [s.at for s in event.segments] == [STARTED + n for n in range(SECONDS)]
    assert not any(segment.discontinuity for segment in event.segments)
    live = read_playlist(playing.folder / "live.m3u8")
    assert live.ended
    assert "EXT-X-PLAYLIST-TYPE" not in live.tags
    assert [s.uri for s in live.segments] == [s.uri for s in event.segments[-5:]]
    joined = whole(playing.folder / "all.m3u8", tmp_path / "whole")
    zero = 10.0 if format_ is TS else 0.0
    assert [number for _, number in stamps(joined)] == list(range(SECONDS * FPS))
    assert all(abs(delay) < 1.0 for delay in clicks(joined, [zero + at for at in CLICKS]))
    segments = sorted((playing.folder / "parts of it").glob(f"*{extension}"))
    size = sum(path.stat().st_size for path in segments)
    [made] = recorded.segments
    assert (made.playlist_name, made.live_playlist_name) == ("show/all.m3u8", "show/live.m3u8")
    assert made.playlist_location == str(playing.folder / "all.m3u8")
    assert made.live_playlist_location == str(playing.folder / "live.m3u8")
    assert (made.segment_count, made.size, made.started_at, made.duration) == (SECONDS, size, STARTED, SECONDS)
    assert recorded == Recorded(segments=(made,))
    assert playing.sink.bytes_written == size
    assert {path.suffix for path in files(playing.folder)} <= {extension, ".m3u8", ".mp4"}


async def test_segments_named_by_time(tmp_path: Path) -> None:
    playing = Playing(tmp_path, output(suffix=NameSuffix.TIMESTAMP))
    playing.play(end=2.5)
    await playing.sink.finish()
    uris = [s.uri for s in read_playlist(playing.folder / "all.m3u8").segments]
    assert [uri[-6:] for uri in uris] == ["250.ts"] * 3
    assert len(set(uris)) == 3
    assert all(len(uri) == len("parts%20of%20it/s%231_20261118010640250.ts") for uri in uris)


async def test_playlists_name_what_is_delivered_and_nothing_behind_a_hole(tmp_path: Path) -> None:
    playing = Playing(tmp_path, output(FMP4), slow=True)
    delivery = playing.delivery
    assert isinstance(delivery, Slow)
    playing.play(end=3.1)
    await eventually(lambda: len(delivery.segments) == 4, "the header and three segments")
    path = playing.folder / "all.m3u8"
    for number in (3, 2, 1):
        delivery.arrive(number)
        await asyncio.sleep(0)
    assert not path.exists(), "named before the initialization segment is there"
    delivery.arrive(0)
    await eventually(lambda: path.exists() and len(read_playlist(path).segments) == 3, "three segments named")
    assert not read_playlist(path).ended
    await eventually(lambda: delivery.playlists[:2] == ["all.m3u8", "live.m3u8"], "both playlists delivered")
    finishing = asyncio.create_task(playing.sink.finish())
    await eventually(lambda: len(delivery.segments) == 5, "the last segment")
    delivery.arrive(4)
    recorded = await finishing
    assert recorded.segments[0].segment_count == 4
    playlist = read_playlist(path)
    assert playlist.ended
    assert playlist.durations == pytest.approx([1, 1, 1, 0.1], abs=1e-6)


async def test_an_undelivered_segment_ends_the_playlist_before_it(tmp_path: Path) -> None:
    playing = Playing(tmp_path, output(), slow=True)
    delivery = playing.delivery
    assert isinstance(delivery, Slow)
    playing.play(end=3.1)
    await eventually(lambda: len(delivery.segments) == 3, "three segments")
    delivery.arrive(0)
    delivery.segments[1][1].set_exception(OutputFailed("the bucket is gone"))
    delivery.arrive(2)
    await eventually(lambda: bool(playing.errors), "the error")
    finishing = asyncio.create_task(playing.sink.finish())
    await eventually(lambda: len(delivery.segments) == 4, "the last segment")
    delivery.arrive(3)
    recorded = await finishing
    assert [error.message for error in recorded.errors] == ["the bucket is gone"]
    assert recorded.segments[0].segment_count == 1
    playlist = read_playlist(playing.folder / "all.m3u8")
    assert playlist.ended
    assert len(playlist.segments) == 1


async def test_a_full_disk_ends_the_playlist_with_what_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    playing = Playing(tmp_path, output())
    original = GrowingFile.append
    left = [200_000]

    def append(file: GrowingFile, data: bytes) -> int:
        left[0] -= len(data)
        if left[0] < 0:
            raise OSError(28, "No space left on device")
        return original(file, data)

    monkeypatch.setattr(GrowingFile, "append", append)
    playing.play()
    recorded = await playing.sink.finish()
    [error] = recorded.errors
    assert error.message.startswith("Cannot write segments into ")
    assert error.remedy == "Free space there or choose another disk"
    playlist = read_playlist(playing.folder / "all.m3u8")
    assert playlist.ended
    assert 0 < len(playlist.segments) < SECONDS
    joined = whole(playing.folder / "all.m3u8", tmp_path / "whole")
    numbers = [number for _, number in stamps(joined)]
    assert numbers == list(range(len(numbers)))
    assert len(numbers) == round(sum(playlist.durations) * FPS)


async def test_nothing_comes(tmp_path: Path) -> None:
    playing = Playing(tmp_path, output())
    assert await playing.sink.finish() == Recorded()
    assert playing.sink.paths == []
    assert files(tmp_path) == []


async def test_parts_are_named_as_they_are_written(tmp_path: Path) -> None:
    playing = Playing(tmp_path, output(FMP4, part=0.2))
    path = playing.folder / "live.m3u8"
    playing.play(end=1.7)
    await eventually(path.exists, "the first segment")
    await eventually(lambda: len(read_playlist(path).open_parts) == 3, "three parts of the second segment")
    assert [part.duration for part in read_playlist(path).open_parts] == pytest.approx([0.2] * 3, abs=1e-5)
    playing.play(1.7, 3.5)
    await eventually(lambda: len(read_playlist(path).open_parts) == 2, "two parts of the fourth segment")
    playlist = read_playlist(path)
    assert [len(segment.parts) for segment in playlist.segments] == [5, 5, 5]
    first = playlist.segments[0]
    assert [part.independent for part in first.parts] == [True] + [False] * 4
    # Parts are the bytes of their segment, one behind the other.
    at = 0
    for part in first.parts:
        assert (part.uri, part.offset) == (first.uri, at)
        at += part.size
    playing.play(3.5)
    await playing.sink.finish()
    playlist = read_playlist(path)
    assert playlist.ended
    assert "EXT-X-PART-INF" not in playlist.tags
    assert len(playlist.segments) == SECONDS


def copied(tmp_path: Path, format_: SegmentFormat, codec: Codec) -> Playing:
    """Copies to segments of a second: pictures with a key frame every 1.2 s, and Opus."""
    pictures, sound = video(codec, 30, gop=30), opus(50)
    streams = ((spec_of(pictures), spec_of(sound)), (pictures, sound))
    return Playing(tmp_path, replace(output(format_), duration=1), streams, copied=True)


def show(playing: Playing, frames: Sequence[EncodedFrame], start: float) -> float:
    """Give pictures and as much sound from a second on; the second behind them."""
    seconds = len(frames) / COPIED_FPS
    said = [replace(packet, timestamp=packet.timestamp + round(start * 48_000)) for packet in opus(round(seconds * 50))]
    shown = [replace(frame, timestamp=frame.timestamp + round(start * 90_000)) for frame in frames]
    for packet in sorted((*shown, *said), key=lambda one: one.timestamp / one.codec.clock_rate):
        playing.sink.packet(packet.codec.kind, packet)
    return start + seconds


@pytest.mark.parametrize("codec", [Codec.H264, Codec.VP9])
async def test_copies_of_another_size_have_another_initialization_segment(tmp_path: Path, codec: Codec) -> None:
    playing = copied(tmp_path, FMP4, codec)
    small, large = video(codec, 60, gop=30), video(codec, 60, (320, 180), gop=30)
    at = show(playing, small, 0.0)
    at = show(playing, large, at)
    show(playing, small, at)
    recorded = await playing.sink.finish()
    assert not recorded.errors
    playlist = read_playlist(playing.folder / "all.m3u8")
    assert playlist.durations == pytest.approx([1.2] * 6)
    assert playlist.target == 1, "the true maximum, rounded"
    assert [segment.discontinuity for segment in playlist.segments] == [False, False, True, False, True, False]
    maps = [segment.map_uri.rpartition("_")[2] for segment in playlist.segments]
    assert maps == ["", "", "init-2.mp4", "", "init-3.mp4", ""]
    assert [s.at - STARTED for s in playlist.segments] == pytest.approx([1.2 * n for n in range(6)], abs=0.001)
    parts = stretches(playing.folder / "all.m3u8", tmp_path, "part.mp4")
    shown = [decode_video(part) for part in parts]
    assert [{size for _, size in part} for part in shown] == [{(160, 96)}, {(320, 180)}, {(160, 96)}]
    times = [time for part in shown for time, _ in part]
    assert times == pytest.approx([number / COPIED_FPS for number in range(180)], abs=1e-4)
    live = read_playlist(playing.folder / "live.m3u8")
    assert live.map_uri.endswith("_init.mp4")
    assert [segment.uri for segment in live.segments] == [segment.uri for segment in playlist.segments[-5:]]


async def test_a_transport_stream_goes_on_with_another_size(tmp_path: Path) -> None:
    pictures = video(Codec.H264, 30, gop=30)
    playing = Playing(tmp_path, output(TS), ((spec_of(pictures),), (pictures,)), copied=True)
    for frame in pictures:
        playing.sink.packet(Kind.VIDEO, frame)
    for frame in video(Codec.H264, 30, (320, 180), gop=30):
        playing.sink.packet(Kind.VIDEO, replace(frame, timestamp=frame.timestamp + 108_000))
    await playing.sink.finish()
    playlist = read_playlist(playing.folder / "all.m3u8")
    assert playlist.durations == pytest.approx([1.2, 1.2])
    assert [segment.discontinuity for segment in playlist.segments] == [False, True]
    shown = decode_video(whole(playing.folder / "all.m3u8", tmp_path / "whole.ts"))
    assert [size for _, size in shown] == [(160, 96)] * 30 + [(320, 180)] * 30


async def test_copies_whose_pictures_come_late(tmp_path: Path) -> None:
    """Sound alone is begun with after some seconds; the first picture begins another stretch, with both."""
    playing = copied(tmp_path, FMP4, Codec.H264)
    for packet in opus(350):
        playing.sink.packet(Kind.AUDIO, packet)
        if packet.timestamp % 48_000 == 0:
            await asyncio.sleep(0)
    path = playing.folder / "all.m3u8"
    await eventually(path.exists, "sound alone is recorded")
    show(playing, video(Codec.H264, 60, gop=30), 7.0)
    recorded = await playing.sink.finish()
    assert not recorded.errors
    playlist = read_playlist(path)
    assert [segment.discontinuity for segment in playlist.segments] == [*[False] * 7, True, False]
    assert sum(playlist.durations) == pytest.approx(9.4, abs=0.05)
    alone, both = (read_back(part) for part in stretches(path, tmp_path, "part.mp4"))
    assert [track.codec for track in alone.tracks] == ["opus"]
    assert sorted(track.codec for track in both.tracks) == ["h264", "opus"]
    assert [len(track.payloads) for track in alone.tracks] == [350]
    assert sorted(len(track.payloads) for track in both.tracks) == [60, 120]
