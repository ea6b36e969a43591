"""Whatever the sizes of packets, frames come back; whatever the bytes, nothing but ProtocolError comes out."""

from __future__ import annotations

import random
import tracemalloc
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyegress.codecs import Codec
from pyegress.rtp.depacketizers import depacketizer_for
from pyegress.rtp.errors import ProtocolError
from tests.rtp import packetizers
from tests.rtp.depacketizers.driver import received, units
from tests.rtp.encoders import HEIGHT, VIDEO_CODECS, WIDTH, encode_audio, encode_video
from tests.support.bitstream import split_annexb, split_obus

pytestmark = pytest.mark.media

Packetize = Callable[[bytes, int, bool], list[bytes]]

_PACKETIZERS: dict[Codec, Packetize] = {
    Codec.VP8: lambda data, mtu, plain: packetizers.vp8(data, mtu, picture_id=None if plain else 9, tl0=1, tid=0),
    Codec.VP9: lambda data, mtu, plain: packetizers.vp9([data], mtu, inter=bool(data[0] & 4), layer_numbers=not plain),
    Codec.H264: lambda data, mtu, plain: packetizers.h264(split_annexb(data), mtu, aggregate=not plain),
    Codec.H265: lambda data, mtu, plain: packetizers.h265(split_annexb(data), mtu, aggregate=not plain),
    Codec.AV1: lambda data, mtu, plain: packetizers.av1(split_obus(data), mtu, counted=not plain),
}


@pytest.mark.parametrize("codec", VIDEO_CODECS, ids=lambda codec: codec.name)
@settings(derandomize=True, max_examples=40, deadline=None)
@given(mtu=st.integers(12, 70_000), plain=st.booleans())
def test_fragmentation_at_any_size_comes_back(codec: Codec, mtu: int, plain: bool) -> None:
    depacketizer = depacketizer_for(codec)
    for encoded in encode_video(codec)[:2]:
        frame = received(depacketizer, _PACKETIZERS[codec](encoded.data, mtu, plain))
        assert units(codec, frame.payload) == units(codec, encoded.data)
        assert (frame.keyframe, frame.size) == (encoded.keyframe, (WIDTH, HEIGHT) if encoded.keyframe else None)


@pytest.mark.parametrize("slices", ["slices=4", "slice-max-size=400"])
def test_h264_in_slices_comes_back_and_later_slices_start_nothing(slices: str) -> None:
    depacketizer = depacketizer_for(Codec.H264)
    for encoded in encode_video(Codec.H264, frames=4, options=slices):
        nals = split_annexb(encoded.data)
        pictures = [nal for nal in nals if nal[0] & 0x1F in (1, 5)]
        assert len(pictures) >= 4
        assert [depacketizer.inspect(nal, False).starts_frame for nal in pictures] == [True] + [False] * (
            len(pictures) - 1
        )
        frame = received(depacketizer, packetizers.h264(nals, 300))
        assert split_annexb(frame.payload) == nals
        assert frame.keyframe == encoded.keyframe


def _recorded(codec: Codec) -> list[list[bytes]]:
    """Payloads of real frames, by frame."""
    encoded = encode_video(codec, mtu=1200) if codec in VIDEO_CODECS else encode_audio(codec)
    return [[packetizers.split_packet(packet)[0] for packet in one.packets] for one in encoded]


def _feed(codec: Codec, frames: Sequence[Sequence[bytes]]) -> int:
    """How many frames were put together; anything but ProtocolError goes through."""
    depacketizer = depacketizer_for(codec)
    count = octets_in = octets_out = 0
    for payloads in frames:
        octets_in += sum(map(len, payloads))
        for index, payload in enumerate(payloads):
            try:
                fragment = depacketizer.inspect(payload, index == len(payloads) - 1)
                assert fragment.payload == payload
            except ProtocolError:
                pass
        try:
            frame = depacketizer.assemble(payloads)
        except ProtocolError:
            continue
        if frame is not None:
            assert frame.payload
            octets_out += len(frame.payload)
            count += 1
    # Start codes, size fields and superframe indexes are all that is added.
    assert octets_out <= 4 * octets_in + 64 * count
    return count


@pytest.mark.parametrize("codec", [codec for codec in Codec if codec.published], ids=lambda codec: codec.name)
@settings(derandomize=True, max_examples=200, deadline=None)
@given(st.lists(st.lists(st.binary(max_size=80), max_size=5), max_size=4))
def test_random_bytes_raise_protocol_errors_only(codec: Codec, frames: list[list[bytes]]) -> None:
    _feed(codec, frames)


@pytest.mark.parametrize("codec", [codec for codec in Codec if codec.published], ids=lambda codec: codec.name)
def test_mutated_packets_raise_protocol_errors_only(codec: Codec) -> None:
    source = random.Random(3)
    frames = _recorded(codec)
    assert _feed(codec, frames) == len(frames)
    tracemalloc.start()
    for _ in range(60):
        mutated = []
        for payloads in frames:
            # Few packets a frame, so that damage in the headers of the first ones meets the code behind it.
            kept = [bytearray(payload) for payload in payloads[: source.choice([1, 2, 4])]]
            for payload in kept:
                for _ in range(source.choice([0, 1, 3])):
                    payload[min(len(payload) - 1, int(source.expovariate(0.1)))] = source.randrange(256)
                if source.random() < 0.2:
                    del payload[source.randrange(len(payload)) :]
            if source.random() < 0.1:
                source.shuffle(kept)
            mutated.append([bytes(payload) for payload in kept])
        _feed(codec, mutated)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 8 << 20
