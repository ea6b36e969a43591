from __future__ import annotations

import pytest

from pyegress.codecs import Codec
from pyegress.rtp.depacketizers import depacketizer_for
from pyegress.rtp.errors import ProtocolError
from tests.rtp.depacketizers.driver import received

pytestmark = pytest.mark.unit


@pytest.mark.parametrize("codec", [Codec.PCMU, Codec.PCMA], ids=lambda codec: codec.name)
@pytest.mark.parametrize("marker", [False, True])
def test_every_byte_is_a_sample(codec: Codec, marker: bool) -> None:
    depacketizer = depacketizer_for(codec)
    assert depacketizer.inspect(bytes(160), marker) == (bytes(160), True, True)
    frame = received(depacketizer, [bytes(range(80))])
    assert (frame.payload, frame.duration, frame.keyframe) == (bytes(range(80)), 80, True)


def test_empty_packets_are_refused() -> None:
    depacketizer = depacketizer_for(Codec.PCMU)
    with pytest.raises(ProtocolError):
        depacketizer.inspect(b"", False)
    for payloads in ([b""], [], [b"a", b"b"]):
        with pytest.raises(ProtocolError):
            depacketizer.assemble(payloads)
