"""Drives a depacketizer the way the jitter buffer does, and cuts frames into what a comparison is about."""

from __future__ import annotations

from collections.abc import Sequence

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
