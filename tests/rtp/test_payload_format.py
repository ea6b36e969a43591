"""The three kinds of payload types."""

from __future__ import annotations

import pytest

from pyegress.codecs import Codec
from pyegress.rtp.payload_format import PayloadFormat, PayloadKind

pytestmark = pytest.mark.unit


def test_each_kind_says_what_it_carries() -> None:
    media = PayloadFormat.media(Codec.H264, {"packetization-mode": "1"})
    assert (media.kind, media.codec, media.clock_rate) == (PayloadKind.MEDIA, Codec.H264, 90_000)
    assert media.parameters == {"packetization-mode": "1"}
    rtx = PayloadFormat.rtx(96, 90_000)
    assert (rtx.kind, rtx.codec, rtx.apt) == (PayloadKind.RTX, None, 96)
    red = PayloadFormat.red((111, 111), 48_000)
    assert (red.kind, red.codec, red.blocks) == (PayloadKind.RED, None, (111, 111))
