"""The connection is lost: the recording goes on."""

from __future__ import annotations

import asyncio
import statistics
from contextlib import AsyncExitStack
from functools import partial
from itertools import pairwise
from pathlib import Path

import pytest

from pyegress.clock import monotonic
from pyegress.codecs import Codec
from pyegress.room.events import Source
from tests.support.analysis import (
    av_offsets,
    beep_onsets,
    file_facts,
    flash_onsets,
    read_pictures,
    read_sound,
)
from tests.support.livekit_server import LiveKitServer
from tests.support.tcp_proxy import TcpProxy
from tests.support.waiting import eventually
from tests.system.scenes import clip, count, drift, prepare, publishing, record, recorded
from tests.system.witness import Witness

pytestmark = pytest.mark.system

#: Frames that may be missing after five cuts on a busy machine; `bench/loss.py` allows none.
FEW = 6


async def test_signalling_is_cut_five_times(livekit_server: LiveKitServer, tmp_path: Path) -> None:
    room = "cut"
    async with (
        TcpProxy("127.0.0.1", livekit_server.port) as proxy,
        publishing(livekit_server, room) as ada,
        Witness(livekit_server, room) as witness,
        record(livekit_server, room, tmp_path / "file", url=proxy.url) as recording,
    ):
        await recorded(recording, 2.0)
        for cut in range(1, 6):
            connections = proxy.connections
            proxy.cut()
            await eventually(partial(_came_back, proxy, connections), f"signalling is back after cut {cut}", 20)
            await eventually(lambda: not recording.now.reconnecting, f"the session is resumed after cut {cut}", 20)
            had = recording.now.elapsed
            await recorded(recording, had + 1.0)
    recording.result.check()
    (file,) = recording.result.files
    # The witness was not cut off. (The publisher itself jumps to a key frame when the server asks for one.)
    (camera,) = witness.sids("ada", Source.CAMERA)
    assert witness.lost(file.path, camera).lost <= FEW
    pictures = read_pictures(file.path)
    assert count(pictures).duplicated == ()
    assert max(map(abs, drift(pictures))) < 0.15 + witness.slip(camera)
    sound = read_sound(file.path)
    assert [gap for gap in sound.gaps if gap[1] > 0.03] == []
    beeps = beep_onsets(sound, ada.tone)
    assert len(beeps) >= int(file.duration) - 1


def _came_back(proxy: TcpProxy, connections: int) -> bool:
    return proxy.connections > connections


@pytest.mark.parametrize("hard", [False, True], ids=["stopped", "killed"])
async def test_the_server_is_restarted(own_livekit_server: LiveKitServer, tmp_path: Path, hard: bool) -> None:
    """The gap is in the timestamps; behind it sound and picture still belong together."""
    server, room = own_livekit_server, "restarted"
    # After a crash the SDK publishes by its own choice of a codec, and has no frames of another one.
    codec = Codec.VP8 if hard else Codec.H264
    prepare("ada", clip(codec))
    async with AsyncExitStack() as stack:
        ada = await stack.enter_async_context(publishing(server, room, content=clip(codec)))
        witness = await stack.enter_async_context(Witness(server, room))
        recording = await stack.enter_async_context(record(server, room, tmp_path / "file"))
        await recorded(recording, 3.5)
        size = recording.now.bytes_written
        cut = monotonic()
        await asyncio.to_thread(server.restart, hard=hard)
        if not hard:
            # The SDK takes the server's farewell for the end; after a crash it comes back by itself.
            ada = await stack.enter_async_context(publishing(server, room, content=clip(codec)))
        await eventually(lambda: recording.now.bytes_written > size + 30_000, "media again", 40)
        had = recording.now.elapsed
        await recorded(recording, had + 3.5)
        await witness.knows(ada)
    recording.result.check()
    (file,) = recording.result.files
    assert sorted(stream.kind for stream in file_facts(file.path).streams) == ["audio", "video"]
    pictures = read_pictures(file.path)
    assert None not in {picture.number for picture in pictures}
    gap, before, after = max((after.at - before.at, before.at, after.at) for before, after in pairwise(pictures))
    assert 0.3 < gap < 25.0
    # What the file says of the time between is what a clock said.
    arrivals = [frame.arrival for sid in witness.sids("ada", Source.CAMERA) for frame in witness.frames(sid)]
    assert arrivals[-1] - cut == pytest.approx(pictures[-1].at - before, abs=1.0)
    sound = read_sound(file.path)
    assert [hole for hole in sound.gaps if hole[1] > 0.03] == []
    flashes = [at for at in flash_onsets(pictures) if at >= after]
    offsets = av_offsets(flashes, beep_onsets(sound, ada.tone))
    assert len(offsets) >= 2
    claimed = witness.offsets(ada)
    error = min(abs(statistics.median(offsets) - own) for own in (0.0, statistics.median(claimed or [0.0])))
    assert error < 0.1, f"recorded {offsets}, published {claimed}"
