"""Compositions over bad networks: loss and jitter, a network that stands still, a server that is killed."""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

from pyegress.plan.recording_plan import RecordingPlan
from pyegress.worker.composition import Composition
from pyegress.worker.record import Recording
from pyegress.worker.session import RecordingSession
from tests.support.analysis import av_offsets, flash_onsets, read_sound
from tests.support.composed import BLACK, pictures_of, read_looks
from tests.support.impairment import Impairment, SeededImpairment
from tests.support.livekit_server import LiveKitServer
from tests.support.waiting import eventually
from tests.system.compositions import WHOLE, assert_in_step, beeps, capture_offsets, mostly, participant, room, stretch
from tests.system.scenes import CLIP, FPS, clip, counted, prepare, publishing, recorded, the_file

pytestmark = pytest.mark.system


class StandingStill:
    """A `DatagramSeam` that can hold what comes in, and lets it go all at once."""

    def __init__(self) -> None:
        self._held: list[tuple[bytes, Callable[[bytes], None]]] | None = None

    def stop(self) -> None:
        self._held = []

    def go_on(self) -> None:
        held, self._held = self._held or [], None
        for data, deliver in held:
            deliver(data)

    def inbound(self, data: bytes, deliver: Callable[[bytes], None]) -> None:
        if self._held is None:
            deliver(data)
        else:
            self._held.append((data, deliver))

    def outbound(self, data: bytes, deliver: Callable[[bytes], None]) -> None:
        deliver(data)


def session_of(recording: Recording, seam: StandingStill | SeededImpairment) -> RecordingSession:
    """The session of a recording, over a network of its own."""
    plan = recording.plan
    assert isinstance(plan, RecordingPlan)
    return RecordingSession(plan, make_recorder=lambda failed: Composition(plan, on_over=failed), seam=seam)


async def test_loss_and_jitter(livekit_server: LiveKitServer, tmp_path: Path) -> None:
    """5 % of the packets lost, others up to 60 ms late: what is seen and heard goes on, and belongs together."""
    name, path = "composed-lossy", tmp_path / "ada.mp4"
    network = SeededImpairment(7, Impairment(loss=0.05, delay=0.01, jitter=0.06))
    prepare("ada", clip())
    async with publishing(livekit_server, name):
        result = await session_of(participant(livekit_server, name, path, duration=9.0), network).run()
    path = the_file(result)
    assert network.inbound_tally.dropped > 20
    pictures = stretch(read_looks(path, {"all": WHOLE}), 1.5, 9.0)
    assert mostly([look.shows("all") == 3 for look in pictures])
    assert len({look.stamps["all"] for look in pictures}) >= 0.85 * len(pictures), "pictures stand still"
    sound = read_sound(path)
    assert sound.gaps == ()
    heard = beeps(path)
    assert len(heard) >= 8, heard
    offsets = av_offsets(flash_onsets(pictures_of(pictures, "all")), heard)
    assert_in_step(offsets, "sound after picture")
    assert sum(abs(offset) <= 0.1 for offset in offsets) >= 0.8 * len(offsets), offsets


async def test_the_network_stands_still_for_two_seconds(livekit_server: LiveKitServer, tmp_path: Path) -> None:
    """What comes late, all at once, is in the file, each picture and each beep at its own time."""
    name, path = "composed-stall", tmp_path / "ada.mp4"
    network = StandingStill()
    prepare("ada", clip())
    async with publishing(livekit_server, name) as ada:
        session = session_of(participant(livekit_server, name, path), network)
        running = asyncio.create_task(session.run())
        await eventually(lambda: session.progress().elapsed >= 7.0, "7 s recorded", 30)
        network.stop()
        await eventually(lambda: session.progress().elapsed >= 9.0, "2 s of nothing", 30)
        network.go_on()
        await eventually(lambda: session.progress().elapsed >= 12.0, "12 s recorded", 30)
        session.stop()
        path = the_file(await running)
    looks = stretch(read_looks(path, {"all": WHOLE}), 2.0, 11.5)
    pictures = [picture for picture in pictures_of(looks, "all") if picture.number is not None]
    numbers = counted(pictures)
    seen = set(numbers)
    missing = [number for number in range(numbers[0], numbers[-1]) if number not in seen]
    assert len(missing) <= 8, missing
    offsets = capture_offsets(looks, "all", ada)
    assert max(offsets) - min(offsets) <= 0.2, (min(offsets), max(offsets))
    heard = beeps(path)
    assert len(heard) >= 11, heard
    assert max(after - before for before, after in pairwise(heard)) <= 1.1, heard


async def test_the_server_is_killed(own_livekit_server: LiveKitServer, tmp_path: Path) -> None:
    """The recording goes on in the same file when the server is back; the time between is as long as it was."""
    server, name = own_livekit_server, "composed-restart"
    # Of VP8: an SDK that comes back publishes by its own choice of a codec, for which it has no frames of another one.
    prepare("ada", clip())
    async with (
        publishing(server, name, content=clip()) as ada,
        room(server, name, tmp_path / "room.mp4") as recording,
    ):
        await recorded(recording, 4.0)
        cut = recording.now.elapsed
        await asyncio.to_thread(server.restart, hard=True)
        await eventually(
            lambda: (
                recording.now.elapsed > cut + 1.0
                and not recording.now.reconnecting
                and any(track.bitrate > 20_000 for track in recording.now.tracks)
            ),
            "media again",
            75,
        )
        back = recording.now.elapsed
        await recorded(recording, back + 4.0)
    path = the_file(recording.result)
    looks = read_looks(path, {"all": WHOLE})
    before, after = stretch(looks, 1.0, cut - 0.3), stretch(looks, back + 1.5, back + 3.8)
    for part in (before, after):
        assert mostly([look.shows("all") == 3 for look in part])
    (early, late) = (statistics.median(capture_offsets(part, "all", ada)) for part in (before, after))
    length = CLIP / FPS
    slip = (late - early + length / 2) % length - length / 2
    assert abs(slip) <= 0.25, f"the time between is off by {slip:.3f} s"
    if back - cut > 6.0:
        assert any(look.brightness["all"] < BLACK for look in stretch(looks, cut, back)), "nobody is in the room"
    sound = read_sound(path)
    assert sound.gaps == ()
    assert recording.result.duration == pytest.approx(looks[-1].at, abs=0.2)
    offsets = av_offsets(flash_onsets(pictures_of(after, "all")), beeps(path))
    assert_in_step(offsets, "sound after picture")
