"""What a real livekit-server sent must become what was published, byte for byte."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from pyegress.codecs import Codec
from pyegress.rtp import red
from pyegress.rtp.depacketizers import AssembledFrame, depacketizer_for
from pyegress.rtp.depacketizers.opus import packet_duration
from tests.rtp.depacketizers.driver import received_in_order
from tests.rtp.packetizers import split_packet
from tests.rtp.recordings import ExpectedFrame, Recording, digest, load, names

pytestmark = pytest.mark.wire

PUBLISHER_LOGGED = ["av1", "h264", "h264_unpublished", "vp8", "vp8_unpublished", "vp9"]
SDK_ENCODED = ["av1_l3t3_key", "av1_sdk", "h264_sdk", "vp8_sdk", "vp8_simulcast", "vp9_l3t3", "vp9_l3t3_key"]
AUDIO = ["opus", "opus_dtx", "opus_muted", "opus_red"]


def _frames(recording: Recording) -> Sequence[tuple[int, AssembledFrame]]:
    return received_in_order(depacketizer_for(recording.codec), [split_packet(packet) for packet in recording.packets])


def test_every_recording_is_looked_at() -> None:
    assert sorted(PUBLISHER_LOGGED + SDK_ENCODED + AUDIO) == list(names())


@pytest.mark.parametrize("name", PUBLISHER_LOGGED)
def test_frames_are_the_publishers(name: str) -> None:
    recording = load(name)
    assert recording.frames
    seen = []
    for timestamp, frame in _frames(recording):
        seen.append(ExpectedFrame(timestamp, frame.keyframe, digest(recording.codec, frame.payload)))
        assert frame.size == (recording.size if frame.keyframe else None)
    assert seen == list(recording.frames)
    assert len({timestamp for _, _, timestamp in map(split_packet, recording.packets)}) == len(seen) + (
        6 if name.endswith("unpublished") else 0
    )


@pytest.mark.parametrize("name", SDK_ENCODED)
def test_every_timestamp_is_one_frame(name: str) -> None:
    recording = load(name)
    frames = _frames(recording)
    timestamps = dict.fromkeys(timestamp for _, _, timestamp in map(split_packet, recording.packets))
    assert [timestamp for timestamp, _ in frames] == list(timestamps)
    assert [frame.keyframe for _, frame in frames] == [True] + [False] * (len(frames) - 1)
    assert frames[0][1].size == recording.size


@pytest.mark.parametrize("name", ["vp8", "vp8_sdk", "vp9", "vp9_l3t3", "vp9_l3t3_key"])
def test_pictures_are_numbered_without_gaps(name: str) -> None:
    pictures = [frame.picture for _, frame in _frames(load(name))]
    numbers = [picture.picture_id for picture in pictures if picture and picture.picture_id is not None]
    assert len(numbers) == len(pictures)
    assert numbers == [(numbers[0] + index) % 0x8000 for index in range(len(numbers))]


def test_every_second_frame_of_simulcast_is_discardable() -> None:
    """The SDK's VP8 in several sizes has two temporal layers, told by the N bit alone: no PictureID, no TID."""
    frames = [frame for _, frame in _frames(load("vp8_simulcast"))]
    assert [frame.discardable for frame in frames] == [bool(index % 2) for index in range(len(frames))]
    assert all(frame.picture is None for frame in frames)


def test_key_pictures_alone_carry_all_layers_of_vp9_l3t3_key() -> None:
    superframes = [frame.payload[-1] & 0xE0 == 0xC0 for _, frame in _frames(load("vp9_l3t3_key"))]
    assert superframes == [True] + [False] * (len(superframes) - 1)
    assert all(frame.payload[-1] & 0xE7 == 0xC1 for _, frame in _frames(load("vp9_l3t3")))


@pytest.mark.parametrize("name", ["opus", "opus_dtx", "opus_muted"])
def test_opus_packets_are_20_ms(name: str) -> None:
    recording = load(name)
    frames = _frames(recording)
    assert [frame.payload for _, frame in frames] == [split_packet(packet)[0] for packet in recording.packets]
    assert all(frame.duration == 960 for _, frame in frames)


def test_redundancy_is_what_was_sent_before() -> None:
    recording = load("opus_red")
    sent: dict[int, bytes] = {}
    redundant = 0
    for packet in recording.packets:
        payload, _, timestamp = split_packet(packet)
        assert packet[1] & 0x7F == recording.red
        *older, primary = red.parse(payload)
        assert packet_duration(primary.payload) == 960
        for block in older:
            assert block.payload_type == primary.payload_type
            if (earlier := (timestamp - block.timestamp_offset) & 0xFFFFFFFF) in sent:
                assert sent[earlier] == block.payload
                redundant += 1
        sent[timestamp] = primary.payload
    # The first packet has nothing to repeat.
    assert redundant >= len(recording.packets) - 1
    assert recording.codec is Codec.OPUS
