"""HLS and images of real rooms: everything in a file is in the segments too, and playlists are right at any moment."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from livekit.protocol import egress as pb
from PIL import Image

import pyegress
from pyegress.clock import wall
from pyegress.demo.stamp import read_stamp
from pyegress.lifecycle.egress import EgressStatus, status_of
from pyegress.outputs.hls.mpeg_ts import CLOCK, ORIGIN
from pyegress.service.config import ServiceConfig
from pyegress.service.egress_service import EgressStart
from pyegress.service.supervisor import Supervisor
from tests.support.analysis import read_packets, read_pictures
from tests.support.hls import Playlist, read_playlist, whole
from tests.support.livekit_server import LiveKitServer
from tests.support.waiting import eventually
from tests.system.compositions import beeps, participant, room
from tests.system.scenes import access, clip, prepare, publishing, recorded, told_off

pytestmark = pytest.mark.system

#: Where second 0 lies on the clock of a transport stream.
ZERO = ORIGIN / CLOCK


@asynccontextmanager
async def watched(*paths: Path) -> AsyncIterator[dict[Path, list[Playlist]]]:
    """Every state of playlists that was seen: each was whole, and all that it named was there."""
    seen: dict[Path, list[Playlist]] = {path: [] for path in paths}

    async def watch() -> None:
        before = dict.fromkeys(paths, 0)
        while True:
            for path in paths:
                if path.exists() and (changed := path.stat().st_ino) != before[path]:
                    before[path] = changed
                    seen[path].append(read_playlist(path))
            await asyncio.sleep(0.02)

    task = asyncio.create_task(watch())
    try:
        yield seen
        assert not task.done(), f"a playlist was wrong: {task.exception()!r}"
    finally:
        task.cancel()
        await asyncio.wait({task})


def image_number(path: Path) -> int | None:
    """The frame number in an image."""
    stamp = read_stamp(np.asarray(Image.open(path).convert("L"), np.uint8))
    return stamp.number if stamp else None


async def test_a_file_segments_and_images_of_one_encoding(livekit_server: LiveKitServer, tmp_path: Path) -> None:
    name, www = "hls-together", tmp_path / "www"
    prepare("ada", clip())
    outputs: list[Path | str] = [
        tmp_path / "all.mp4",
        f"hls:{www}/all.m3u8?duration=1&live=live",
        f"images:{www}/shot@1s?size=320x0",
        f"images:{www}/still.png@2s?suffix=none",
    ]
    paths = (www / "all.m3u8", www / "live.m3u8")
    begun = wall()
    async with (
        publishing(livekit_server, name),
        watched(*paths) as seen,
        room(livekit_server, name, outputs) as recording,
    ):
        await recorded(recording, 8.2)
    result = recording.result
    result.check()
    assert told_off(result) == []

    # The playlists, at the end and at every moment before.
    event, live = (read_playlist(path) for path in paths)
    count = len(event.segments)
    assert count >= 8
    assert event.durations[:-1] == [1.0] * (count - 1)
    assert (event.target, live.target) == (1, 1)
    assert event.ended
    assert live.ended
    assert (live.first, [s.uri for s in live.segments]) == (count - 5, [s.uri for s in event.segments[-5:]])
    grown = [len(playlist.segments) for playlist in seen[paths[0]]]
    assert grown == sorted(grown)
    assert len(set(grown)) >= 4, "it grows while it is recorded"
    assert [playlist.ended for playlist in seen[paths[0]]][:-1] == [False] * (len(grown) - 1)
    starts = [segment.at for segment in event.segments]
    assert [after - before for before, after in pairwise(starts)] == pytest.approx([1.0] * (count - 1), abs=0.0015)
    assert begun - 0.5 < starts[0] < begun + 30
    [made] = result.segments
    assert starts[0] == pytest.approx(made.started_at, abs=0.001)

    # The segments hold what the file holds.
    joined = whole(paths[0], tmp_path / "joined.ts")
    file = read_packets(tmp_path / "all.mp4", "video")
    segments = read_packets(joined, "video")
    assert len(segments) == len(file)
    assert [packet.keyframe for packet in segments] == [packet.keyframe for packet in file]
    numbers = [picture.number for picture in read_pictures(tmp_path / "all.mp4")]
    assert [picture.number for picture in read_pictures(joined)] == numbers
    shown = [packet.pts for packet in segments if packet.pts is not None]
    assert [at - ZERO for at in shown] == pytest.approx([packet.pts for packet in file], abs=1e-4)
    # One that the recording begins in has no onset: decoders begin in their own way.
    heard, filed = (
        [at for at in ats if at > 0.05] for ats in ([at - ZERO for at in beeps(joined)], beeps(tmp_path / "all.mp4"))
    )
    assert heard == pytest.approx(filed, abs=0.002)
    for index, segment in enumerate(event.segments):
        packets = read_packets(www / segment.uri, "video")
        assert packets[0].keyframe
        assert packets[0].pts == pytest.approx(ZERO + index, abs=1e-4)

    # What is told of them.
    assert made.segment_count == count
    assert made.size == sum((www / segment.uri).stat().st_size for segment in event.segments)
    assert made.duration == pytest.approx(sum(event.durations), abs=1e-6)
    assert made.duration == pytest.approx(result.files[0].duration, abs=0.1)
    assert (made.playlist_location, made.live_playlist_location) == tuple(map(str, paths))

    # The images are pictures of the video at their times.
    shots, stills = result.images
    files = sorted(www.glob("shot_*"))
    assert [path.name for path in files] == [f"shot_{n:05d}.jpeg" for n in range(shots.image_count)]
    assert shots.image_count == -(-len(numbers) // 30)
    for second, path in enumerate(files):
        with Image.open(path) as image:
            assert (image.format, image.size) == ("JPEG", (320, 180))
        # What shows nobody yet is no image.
        assert image_number(path) == next(number for number in numbers[second * 30 :] if number is not None)
    assert stills.image_count == -(-len(numbers) // 60)
    with Image.open(www / "still.png") as image:
        assert (image.format, image.size) == ("PNG", (640, 360))
    assert image_number(www / "still.png") == numbers[(stills.image_count - 1) * 60]
    assert shots.image_count - 2 < shots.ended_at - shots.started_at <= shots.image_count - 1
    assert shots.started_at >= made.started_at


async def test_sound_alone_and_low_latency(livekit_server: LiveKitServer, tmp_path: Path) -> None:
    name = "hls-two"
    prepare("ada", clip())
    sound, parts = tmp_path / "sound.m3u8", tmp_path / "parts.m3u8"
    shots = tmp_path / "shots"
    outputs = [f"hls:{parts}?duration=2&part=0.5", f"images:{shots}/ada.png@2s"]
    async with publishing(livekit_server, name), watched(sound, parts) as seen:
        listening = pyegress.record_room(
            room=name, output=f"hls:{sound}?duration=2", audio_only=True, **access(livekit_server)
        )
        async with listening, participant(livekit_server, name, outputs, height=480) as watching:
            await recorded(watching, 6.3)
            await recorded(listening, 6.3)
    listening.result.check()
    watching.result.check()
    playlist = read_playlist(sound)
    assert playlist.durations[:2] == pytest.approx([2.0, 2.0], abs=1024 / 48_000)
    assert playlist.ended
    joined = whole(sound, tmp_path / "joined.ts")
    heard = beeps(joined)
    assert [after - before for before, after in pairwise(heard)] == pytest.approx([1.0] * (len(heard) - 1), abs=0.05)
    assert len(heard) >= 5
    playlist = read_playlist(parts)
    assert playlist.durations[:2] == [2.0, 2.0]
    growing = [len(state.open_parts) for state in seen[parts]]
    assert set(growing) >= {1, 2, 3}, growing
    film = whole(parts, tmp_path / "joined.mp4")
    pictures = read_pictures(film)
    assert [picture.at for picture in pictures] == pytest.approx([n / 30 for n in range(len(pictures))], abs=1e-3)
    assert sum(playlist.durations) == pytest.approx(len(pictures) / 30, abs=1e-3)
    # Of one participant, images are what is published: not the 640x480 of the output, with bars above and below.
    images = sorted(shots.iterdir())
    assert len(images) >= 3
    for path in images:
        with Image.open(path) as image:
            assert image.size == (320, 180)
    assert image_number(images[-1]) is not None


@pytest.fixture
def children() -> Iterator[list[subprocess.Popen[bytes]]]:
    started: list[subprocess.Popen[bytes]] = []
    yield started
    for child in started:
        child.kill()
        child.wait(10)


def start(command: Sequence[str], environment: Mapping[str, str], log: Path) -> subprocess.Popen[bytes]:
    with log.open("wb") as errors:
        return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=errors)


async def test_killed_while_it_is_watched(
    livekit_server: LiveKitServer, tmp_path: Path, children: list[subprocess.Popen[bytes]]
) -> None:
    """The playlist is whole, and so is everything that it names."""
    name, path = "hls-killed", tmp_path / "x.m3u8"
    prepare("ada", clip())
    credentials = {
        "LIVEKIT_URL": livekit_server.url,
        "LIVEKIT_API_KEY": livekit_server.api_key,
        "LIVEKIT_API_SECRET": livekit_server.api_secret,
    }
    words = ["record", "room", "--room", name, "--width", "640", "--height", "360"]
    words += ["-o", f"hls:{path}?duration=1&format=fmp4"]
    async with publishing(livekit_server, name):
        child = start([sys.executable, "-m", "pyegress", *words], os.environ | credentials, tmp_path / "log")
        children.append(child)
        await eventually(lambda: path.exists() and len(read_playlist(path).segments) >= 3, "three segments", 60)
        child.kill()
        child.wait(10)
    playlist = read_playlist(path)
    assert not playlist.ended
    assert playlist.durations == [1.0] * len(playlist.segments)
    pictures = read_pictures(whole(path, tmp_path / "joined.mp4"))
    assert len(pictures) == 30 * len(playlist.segments)


async def test_what_the_service_tells_of_segments_and_images(livekit_server: LiveKitServer, tmp_path: Path) -> None:
    name = "hls-service"
    prepare("ada", clip())
    request = pb.RoomCompositeEgressRequest(
        room_name=name,
        advanced=pb.EncodingOptions(width=320, height=180, framerate=30),
        segment_outputs=[
            pb.SegmentedFileOutput(
                filename_prefix="hls/s",
                playlist_name="hls/all",
                live_playlist_name="live",
                segment_duration=1,
                disable_manifest=True,
            )
        ],
        image_outputs=[pb.ImageOutput(filename_prefix="shots/x", capture_interval=1, disable_manifest=True)],
    )
    config = ServiceConfig(
        api_key=livekit_server.api_key,
        api_secret=livekit_server.api_secret,
        ws_url=livekit_server.url,
        local_directory=str(tmp_path / "files"),
        state_directory=str(tmp_path / "state"),
        spare_workers=0,
    )
    told: list[pb.EgressInfo] = []
    folder = tmp_path / "files" / "hls"
    async with publishing(livekit_server, name), Supervisor(config) as supervisor:
        supervisor.listen(told.append)
        await supervisor.start(EgressStart("EG_hls", request))
        await eventually(
            lambda: (folder / "all.m3u8").exists() and len(read_playlist(folder / "all.m3u8").segments) >= 3,
            "three segments",
            60,
        )
        await supervisor.stop("EG_hls")
        await eventually(lambda: told and status_of(told[-1]).final, "the end", 30)
    info = told[-1]
    assert status_of(info) is EgressStatus.COMPLETE, info.error
    playlist = read_playlist(folder / "all.m3u8")
    assert playlist.ended
    [made] = info.segment_results
    assert (made.playlist_name, made.live_playlist_name) == ("hls/all.m3u8", "hls/live.m3u8")
    assert made.playlist_location == str(folder / "all.m3u8")
    assert made.live_playlist_location == str(folder / "live.m3u8")
    assert made.segment_count == len(playlist.segments) == len(list(folder.glob("s_*.ts")))
    assert made.size == sum(path.stat().st_size for path in folder.glob("s_*.ts"))
    assert made.duration == pytest.approx(sum(playlist.durations) * 1e9, abs=1e4)
    assert made.started_at == pytest.approx(playlist.segments[0].at * 1e9, abs=1e6)
    assert made.ended_at == made.started_at + made.duration
    [shots] = info.image_results
    assert shots.filename_prefix == "shots/x"
    assert shots.image_count == len(list((tmp_path / "files" / "shots").iterdir())) >= 3
    assert made.started_at <= shots.started_at < shots.ended_at <= made.ended_at
    assert not info.file_results
