"""AV1 (RTP Payload Format For AV1, version 1.0): OBU elements; output in the low-overhead format."""

from __future__ import annotations

from collections.abc import Sequence

from pyegress.rtp.av1_headers import (
    ObuType,
    SequenceHeader,
    read_sequence_header,
    split_obu,
    starts_with_shown_key_frame,
)
from pyegress.rtp.bitstream import read_leb128
from pyegress.rtp.depacketizers.base import MAX_UNITS, AssembledFrame, Fragment
from pyegress.rtp.errors import ProtocolError

# Aggregation header (section 4.4).
_CONTINUES = 0x80  # Z: the first element goes on from the packet before
_CONTINUED = 0x40  # Y: the last element goes on in the next packet
_NEW_SEQUENCE = 0x08  # N: first packet of a coded video sequence

#: Receivers ignore them (section 5): delimiters say nothing that RTP does not, tile lists are not for video.
_IGNORED = frozenset({ObuType.TEMPORAL_DELIMITER, ObuType.TILE_LIST})
_FRAMES = frozenset({ObuType.FRAME, ObuType.FRAME_HEADER})


class Av1Depacketizer:
    """Collects the OBUs of a temporal unit, each with its size field, without delimiters.

    A key frame begins with a sequence header and a shown key frame (AV1 section 7.6.2).
    """

    __slots__ = ("_sequence", "_sequence_payload")

    def __init__(self) -> None:
        self._sequence_payload = b""
        self._sequence: SequenceHeader | None = None

    def inspect(self, payload: bytes, marker: bool) -> Fragment:
        return Fragment(payload, not _aggregation_header(payload) & _CONTINUES, marker)

    def assemble(self, payloads: Sequence[bytes]) -> AssembledFrame | None:
        elements: list[bytes] = []
        pieces: list[bytes] = []
        continued = False
        for payload in payloads:
            header = _aggregation_header(payload)
            if bool(header & _CONTINUES) != continued:
                raise ProtocolError("AV1 packet does not continue the one before it")
            here = _elements(payload)
            continued = bool(header & _CONTINUED)
            pieces.append(here[0])
            if len(here) > 1:
                elements.append(b"".join(pieces))
                elements += here[1:-1]
                pieces = [here[-1]]
            if len(elements) > MAX_UNITS:
                raise ProtocolError("AV1 temporal unit has too many OBUs")
            if not continued:
                elements.append(b"".join(pieces))
                pieces = []
        if continued or not elements:
            raise ProtocolError("AV1 temporal unit ends in the middle of an OBU")
        return self._temporal_unit(elements)

    def _temporal_unit(self, elements: Sequence[bytes]) -> AssembledFrame | None:
        out: list[bytes] = []
        sequence: SequenceHeader | None = None
        keyframe: bool | None = None
        for element in elements:
            obu = split_obu(element)
            if obu.type in _IGNORED:
                continue
            if obu.type == ObuType.SEQUENCE_HEADER:
                sequence = self._read_sequence(obu.payload)
            elif keyframe is None and obu.type in _FRAMES:
                # Only the first frame of the unit counts: spatial layers above it are predicted from it.
                keyframe = sequence is not None and starts_with_shown_key_frame(obu, sequence)
            out.append(obu.sized())
        if not out:
            return None
        size = sequence.size if keyframe and sequence is not None else None
        return AssembledFrame(b"".join(out), keyframe=bool(keyframe), size=size)

    def _read_sequence(self, payload: bytes) -> SequenceHeader:
        if self._sequence is None or payload != self._sequence_payload:
            self._sequence = read_sequence_header(payload)
            self._sequence_payload = payload
        return self._sequence


def _aggregation_header(payload: bytes) -> int:
    if len(payload) < 2:
        raise ProtocolError("AV1 packet has no OBU element")
    header = payload[0]
    if header & _NEW_SEQUENCE and header & _CONTINUES:
        raise ProtocolError("AV1 packet opens a sequence in the middle of an OBU")
    return header


def _elements(payload: bytes) -> list[bytes]:
    """The OBU elements of a packet, at least one. Raises ProtocolError."""
    total = len(payload)
    count = (payload[0] >> 4) & 3
    elements: list[bytes] = []
    offset = 1
    # W = 0: every element has a length. W > 0: so many elements, the last one fills the packet.
    while offset < total and not 0 < count <= len(elements) + 1:
        length, offset = read_leb128(payload, offset)
        end = offset + length
        if end > total:
            raise ProtocolError("AV1 OBU element is longer than its packet")
        elements.append(payload[offset:end])
        offset = end
    if count:
        if offset >= total or len(elements) != count - 1:
            raise ProtocolError("AV1 packet has fewer OBU elements than it says")
        elements.append(payload[offset:])
    return elements
