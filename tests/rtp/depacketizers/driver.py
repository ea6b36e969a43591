"""Drives a depacketizer the way the jitter buffer does, and cuts frames into what a comparison is about."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pyegress.codecs import Codec
from pyegress.rtp.depacketizers import AssembledFrame, Depacketizer
from tests.support.bitstream import split_annexb, split_obus


def units(codec: Codec, data: bytes) -> list[bytes]:
    """Frames as lists of NAL units or OBUs, whose framing may differ; other codecs as they are."""
    if codec in (Codec.H264, Codec.H265):
        return split_annexb(data)
    return split_obus(data) if codec is Codec.AV1 else [data]


def receive(depacketizer: Depacketizer, payloads: Sequence[bytes]) -> AssembledFrame | None:
    """One frame, the last payload with the marker; checks that the packets were judged right."""
    last = len(payloads) - 1
    fragments = [depacketizer.inspect(payload, index == last) for index, payload in enumerate(payloads)]
    assert fragments[0].starts_frame
    assert [fragment.ends_frame for fragment in fragments] == [False] * last + [True]
    assert [fragment.payload for fragment in fragments] == list(payloads)
    return depacketizer.assemble([fragment.payload for fragment in fragments])


def received(depacketizer: Depacketizer, payloads: Sequence[bytes]) -> AssembledFrame:
    """As `receive`, for payloads that make a frame."""
    frame = receive(depacketizer, payloads)
    assert frame is not None
    return frame


def received_in_order(
    depacketizer: Depacketizer, packets: Iterable[tuple[bytes, bool, int]]
) -> list[tuple[int, AssembledFrame]]:
    """The frames of packets (payload, marker, timestamp) that came in order and without loss, with their timestamps."""
    frames: list[tuple[int, AssembledFrame]] = []
    parts: list[bytes] = []
    began = 0
    for payload, marker, timestamp in packets:
        fragment = depacketizer.inspect(payload, marker)
        if not parts:
            assert fragment.starts_frame
            began = timestamp
        assert timestamp == began
        parts.append(fragment.payload)
        if fragment.ends_frame:
            frame = depacketizer.assemble(parts)
            if frame is not None:
                frames.append((timestamp, frame))
            parts = []
    assert not parts
    return frames
