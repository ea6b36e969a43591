"""What is in the file is what was published, byte for byte, beginning with a key frame and without a gap."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AsyncExitStack
from itertools import pairwise
from pathlib import Path

import pytest

import pyegress
from pyegress.codecs import Codec
from pyegress.demo.feeds import SubmittedFrame
from pyegress.room.events import Source
from pyegress.rtp.frame import EncodedFrame
from tests.support.analysis import read_packets
from tests.support.bitstream import split_frame
from tests.support.livekit_server import LiveKitServer
from tests.system.scenes import access, clip, prepare, publishing, recorded, the_file
from tests.system.witness import Witness, indexed

pytestmark = pytest.mark.system

CODECS = {"ada": Codec.VP8, "nina": Codec.VP9, "bob": Codec.H264, "avi": Codec.AV1}
SUFFIXES = {"ada": ".webm", "nina": ".webm", "bob": ".mp4", "avi": ".mp4"}


def assert_copied(
    path: Path, codec: Codec, arrived: Sequence[EncodedFrame], log: Sequence[SubmittedFrame], *, least: int
) -> None:
    """The packets of the file are what another subscriber got at that time, and that is what was published.

    When a subscriber asks for a key frame, the publisher's own stack drops what it was given until there is one.
    """
    packets = read_packets(path, "video")
    assert len(packets) >= least
    assert packets[0].keyframe
    copies = [split_frame(codec, packet.data) for packet in packets]
    forwarded = [split_frame(codec, frame.payload) for frame in arrived]
    begin = forwarded.index(copies[0]) if copies[0] in forwarded else len(forwarded)
    assert forwarded[begin : begin + len(copies)] == copies, f"{path.name} is not what was forwarded"
    published = indexed(arrived, log)
    assert len(published) == len(arrived), f"{path.name} holds frames that were not published"
    keyframes = {frame.index for frame in log if frame.keyframe}
    numbers = [index for index, _ in published[begin : begin + len(copies)]]
    jumps = [after for before, after in pairwise(numbers) if after != before + 1]
    assert all(index in keyframes for index in jumps), f"frames are missing before {jumps}"
    assert [packet.keyframe for packet in packets] == [index in keyframes for index in numbers]
    times = [
        (packet.pts or 0.0) - frame.timestamp / 90_000 for packet, frame in zip(packets, arrived[begin:], strict=False)
    ]
    assert max(times) - min(times) < 0.002, "the times are not those of the RTP packets"


async def test_tracks_of_every_codec_are_copied(livekit_server: LiveKitServer, tmp_path: Path) -> None:
    room = "identity"
    for name, codec in CODECS.items():
        prepare(name, clip(codec))
    recordings: dict[str, pyegress.Recording] = {}
    async with Witness(livekit_server, room) as witness, AsyncExitStack() as stack:
        publishers = {
            name: await stack.enter_async_context(publishing(livekit_server, room, name, clip(codec), audio=False))
            for name, codec in CODECS.items()
        }
        sids = {name: publisher.sids[Source.CAMERA] for name, publisher in publishers.items()}
        for name, sid in sids.items():
            await witness.sees(sid)
            recordings[name] = await stack.enter_async_context(
                pyegress.record_track(
                    room=room,
                    track_id=sid,
                    output=tmp_path / name,
                    **access(livekit_server),
                )
            )
        for recording in recordings.values():
            await recorded(recording, 5.0)
            recording.stop()
            await recording.wait()
    for name, codec in CODECS.items():
        path = the_file(recordings[name].result)
        assert path.name == name + SUFFIXES[name]
        assert_copied(path, codec, witness.frames(sids[name]), publishers[name].log(), least=100)


@pytest.mark.parametrize("red", [True, False], ids=["red", "plain"])
async def test_opus_packets_are_copied(livekit_server: LiveKitServer, tmp_path: Path, red: bool) -> None:
    room = f"identity-opus-{red}"
    content = clip(continuous=True, dtx=False, red=red)
    async with (
        publishing(livekit_server, room, content=content, video=False) as ada,
        Witness(livekit_server, room) as witness,
    ):
        sid = ada.sids[Source.MICROPHONE]
        await witness.sees(sid)
        async with pyegress.record_track(
            room=room, identity="ada", source="microphone", output=tmp_path / "ada", **access(livekit_server)
        ) as recording:
            await recorded(recording, 4.0)
    path = the_file(recording.result)
    assert path.suffix == ".ogg"
    packets = read_packets(path, "audio")
    # The last packets come while the recording ends: time without any is filled with silence until its end.
    copies = [packet.data for packet in packets]
    while copies and copies[-1].endswith(b"\xff\xfe"):
        copies.pop()
    arrived = [frame.payload for frame in witness.frames(sid)]
    assert len(copies) >= 150
    begin = next(first for first, data in enumerate(arrived) if data == copies[0])
    assert arrived[begin : begin + len(copies)] == copies
    # 20 ms each, no hole.
    times = [packet.pts or 0.0 for packet in packets]
    assert times[0] == pytest.approx(0.0, abs=0.001)
    assert {round(b - a, 4) for a, b in pairwise(times[: len(copies)])} == {0.02}
