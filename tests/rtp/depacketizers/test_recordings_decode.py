"""What an encoder inside the SDK made and a real livekit-server forwarded must decode; nobody has its bytes."""

from __future__ import annotations

import pytest

from pyegress.rtp.depacketizers import depacketizer_for
from tests.rtp.depacketizers.driver import received_in_order
from tests.rtp.encoders import decode
from tests.rtp.packetizers import split_packet
from tests.rtp.recordings import load

pytestmark = pytest.mark.media


@pytest.mark.parametrize(
    "name", ["av1", "av1_l3t3_key", "av1_sdk", "h264", "h264_sdk", "vp8", "vp8_sdk", "vp8_simulcast", "vp9"]
)
def test_every_frame_decodes_to_one_picture(name: str) -> None:
    recording = load(name)
    packets = [split_packet(packet) for packet in recording.packets]
    frames = [frame.payload for _, frame in received_in_order(depacketizer_for(recording.codec), packets)]
    assert decode(recording.codec, frames) == [recording.size] * len(frames)


@pytest.mark.parametrize(("name", "lower"), [("vp9_l3t3", None), ("vp9_l3t3_key", 1)])
def test_every_vp9_picture_decodes_to_its_highest_layer(name: str, lower: int | None) -> None:
    """FFmpeg shows the layers below as pictures of their own; libvpx shows the highest alone."""
    recording = load(name)
    packets = [split_packet(packet) for packet in recording.packets]
    frames = [frame.payload for _, frame in received_in_order(depacketizer_for(recording.codec), packets)]
    sizes = decode(recording.codec, frames)
    assert sizes.count((640, 360)) == len(frames)
    assert sizes.count((320, 180)) == (len(frames) if lower is None else lower)
    assert sizes[-1] == (640, 360)
