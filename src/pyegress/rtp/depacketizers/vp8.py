"""VP8 (RFC 7741): a payload descriptor in front of each piece of a frame."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from pyegress.rtp.depacketizers.base import AssembledFrame, Fragment, PictureIndex
from pyegress.rtp.errors import ProtocolError

_NON_REFERENCE = 0x20
_START_AND_INDEX = 0x17  # S bit and PID
_START_OF_FRAME = 0x10  # S with partition 0

#: Bytes of a descriptor by its I, L, T and K bits, with a short PictureID. T and K share a byte.
_EXTENDED_LENGTH = tuple(2 + (bits >> 3) + (bits >> 2 & 1) + (bits & 3 != 0) for bits in range(16))

#: The black key frames that LiveKit itself sends when a track is muted or ends; nobody published them.
BLANK_SIZE = (8, 8)


class Vp8Descriptor(NamedTuple):
    """The payload descriptor (RFC 7741 section 4.2); None for fields that are absent."""

    #: Bytes of the descriptor.
    length: int
    starts_frame: bool
    non_reference: bool
    picture_id: int | None
    #: 7 or 15.
    picture_id_bits: int
    tl0_picture_index: int | None
    temporal_id: int | None
    layer_sync: bool
    key_index: int | None

    @property
    def picture(self) -> PictureIndex | None:
        if self.picture_id is None and self.tl0_picture_index is None:
            return None
        return PictureIndex(
            self.picture_id, self.picture_id_bits, self.tl0_picture_index, self.temporal_id or 0, self.layer_sync
        )


def read_descriptor(payload: bytes) -> Vp8Descriptor:
    """Parse the descriptor in front of a VP8 payload. Raises ProtocolError."""
    length = _descriptor_length(payload)
    first = payload[0]
    picture_id = tl0 = temporal_id = key_index = None
    picture_id_bits = 7
    layer_sync = False
    if first & 0x80:
        flags = payload[1]
        at = 2
        if flags & 0x80:
            picture_id = payload[at]
            at += 1
            if picture_id & 0x80:
                picture_id = (picture_id & 0x7F) << 8 | payload[at]
                picture_id_bits = 15
                at += 1
        if flags & 0x40:
            tl0 = payload[at]
            at += 1
        if flags & 0x30:
            if flags & 0x20:
                temporal_id = payload[at] >> 6
                layer_sync = bool(payload[at] & 0x20)
            if flags & 0x10:
                key_index = payload[at] & 0x1F
    return Vp8Descriptor(
        length,
        first & _START_AND_INDEX == _START_OF_FRAME,
        bool(first & _NON_REFERENCE),
        picture_id,
        picture_id_bits,
        tl0,
        temporal_id,
        layer_sync,
        key_index,
    )


class Vp8Depacketizer:
    """Joins the pieces of a frame and reads the key frame header (RFC 6386 section 9.1)."""

    __slots__ = ()

    def inspect(self, payload: bytes, marker: bool) -> Fragment:
        _descriptor_length(payload)
        return Fragment(payload, payload[0] & _START_AND_INDEX == _START_OF_FRAME, marker)

    def assemble(self, payloads: Sequence[bytes]) -> AssembledFrame | None:
        parts: list[bytes] = []
        for payload in payloads:
            length = _descriptor_length(payload)
            # A start inside a frame: LiveKit cuts frames short when it mutes a track, and closes them with a blank one.
            if (payload[0] & _START_AND_INDEX == _START_OF_FRAME) == bool(parts):
                raise ProtocolError("VP8 frame does not consist of one start and its continuation")
            parts.append(payload[length:])
        data = b"".join(parts)
        # Frame tag: 3 bytes, lowest bit clear on key frames.
        if len(data) < 3:
            raise ProtocolError("VP8 frame ends in its frame tag")
        descriptor = read_descriptor(payloads[0])
        if data[0] & 1:
            return AssembledFrame(
                data, keyframe=False, discardable=descriptor.non_reference, picture=descriptor.picture
            )
        size = _key_frame_size(data)
        if size == BLANK_SIZE:
            return None
        return AssembledFrame(data, keyframe=True, size=size, picture=descriptor.picture)


def _key_frame_size(data: bytes) -> tuple[int, int]:
    if len(data) < 10:
        raise ProtocolError("VP8 key frame ends in its header")
    if data[3:6] != b"\x9d\x01\x2a":
        raise ProtocolError("VP8 key frame has no start code")
    # 14 bits of size, 2 bits of display scaling.
    width = int.from_bytes(data[6:8], "little") & 0x3FFF
    height = int.from_bytes(data[8:10], "little") & 0x3FFF
    if not (width and height):
        raise ProtocolError("VP8 key frame has no size")
    return width, height


def _descriptor_length(payload: bytes) -> int:
    """Bytes of the descriptor; at least one byte of the frame is behind them."""
    try:
        length = 1
        if payload[0] & 0x80:
            flags = payload[1]
            length = _EXTENDED_LENGTH[flags >> 4]
            if flags & 0x80 and payload[2] & 0x80:
                length += 1
    except IndexError:
        raise ProtocolError("VP8 payload ends in its descriptor") from None
    if length >= len(payload):
        raise ProtocolError("VP8 payload ends in its descriptor")
    return length
