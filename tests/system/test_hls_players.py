"""Playlists in a real player: hls.js in Chromium plays them to the end, without a hole and without standing still."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from pyegress.clock import monotonic
from pyegress.plan.encodings import AudioCodec, VideoCodec
from pyegress.plan.recording_plan import SegmentFormat
from tests.outputs.hls.streams import FPS, SECONDS, encoded
from tests.support.hls import read_playlist
from tests.support.hls_player import Played, hls_players, why_unavailable
from tests.support.waiting import eventually
from tests.worker.segment_sinks import Playing, output

pytestmark = [pytest.mark.system, pytest.mark.skipif(bool(why_unavailable()), reason=why_unavailable())]


def assert_whole(played: Played, *, start: float = 0.0, share: float = 0.5, live: bool = False) -> None:
    """It was played from `start` to the end; a busy machine shows only a part of the pictures.

    `live`: what there is to play comes as it can, and a busy machine makes the player wait for it.
    """
    # Who joins late is at 0 before it is where the playlist begins for it, and hls.js may say so.
    errors = [error for error in played.errors if not (start and "seeking from 0 to" in error["reason"])]
    assert [error for error in errors if not (live and error["details"] == "bufferStalledError")] == []
    assert played.holes == []
    assert played.ended
    assert played.duration == pytest.approx(SECONDS, abs=0.1)
    assert played.ranges[0][1] == pytest.approx(SECONDS, abs=0.1)
    assert played.times == sorted(played.times)
    assert played.times[-1] == pytest.approx(SECONDS, abs=0.2)
    assert len(played.times) >= share * FPS * (SECONDS - start)


@pytest.mark.parametrize(
    ("format_", "seen", "said"),
    [
        (SegmentFormat.MPEG_TS, VideoCodec.H264, AudioCodec.AAC),
        (SegmentFormat.FMP4, VideoCodec.H264, AudioCodec.AAC),
        (SegmentFormat.FMP4, VideoCodec.AV1, AudioCodec.OPUS),
    ],
)
async def test_a_finished_playlist(tmp_path: Path, format_: SegmentFormat, seen: VideoCodec, said: AudioCodec) -> None:
    playing = Playing(tmp_path, output(format_), encoded(seen, said))
    playing.play()
    await playing.sink.finish()
    async with hls_players(tmp_path, tmp_path) as players:
        played = await players.play("show/all.m3u8")
    assert_whole(played)
    assert played.waits == []
    assert min(played.times) < 0.3


async def test_sound_alone(tmp_path: Path) -> None:
    playing = Playing(tmp_path, output(), encoded(None, AudioCodec.AAC))
    playing.play()
    await playing.sink.finish()
    async with hls_players(tmp_path, tmp_path) as players:
        played = await players.play("show/all.m3u8")
    assert (played.ended, played.errors, played.holes, played.waits) == (True, [], [], [])
    assert played.duration == pytest.approx(SECONDS, abs=0.1)


async def feed(playing: Playing, *, step: float = 0.1) -> None:
    """Packets as they come from encoders, in real time."""
    begun, at = monotonic(), 0.0
    while at < SECONDS:
        playing.play(at, at + step)
        at = round(at + step, 3)
        await asyncio.sleep(max(0.0, begun + at - monotonic()))
    await playing.sink.finish()


async def test_playlists_that_grow(tmp_path: Path) -> None:
    """Joined while they are written, a live playlist and one with parts, and played to the end."""
    plain = Playing(tmp_path / "plain", output())
    parts = Playing(tmp_path / "parts", output(SegmentFormat.FMP4, part=0.2))

    def begun(playing: Playing) -> bool:
        path = playing.folder / "live.m3u8"
        return path.exists() and len(read_playlist(path).segments) >= 2

    async with hls_players(tmp_path, tmp_path) as players, asyncio.TaskGroup() as group:
        # Browsers take their time to start, and the stream would be over.
        players.curtain.clear()
        watching = [
            group.create_task(players.play("plain/show/live.m3u8")),
            group.create_task(players.play("parts/show/live.m3u8", low=True)),
        ]
        await eventually(lambda: players.waiting == len(watching), "both browsers are there", 60)
        group.create_task(feed(plain))
        group.create_task(feed(parts))
        await eventually(lambda: begun(plain) and begun(parts), "two segments")
        players.curtain.set()
        live, low = await asyncio.gather(*watching)
    for played in (live, low):
        assert_whole(played, start=played.times[0], live=True)
    assert low.latency is not None
    assert low.latency < 4.0, "parts are asked for: three segments and one that is not whole yet would be more"
    missed = [path for path, status in players.requests if status != 200 and path.startswith("/media/")]
    assert missed == []
