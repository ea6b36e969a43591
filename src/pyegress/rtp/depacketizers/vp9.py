"""VP9 (RFC 9628): layer frames in packets; the layer frames of one picture become one superframe."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from pyegress.rtp.bitstream import BitReader
from pyegress.rtp.depacketizers.base import AssembledFrame, Fragment, PictureIndex
from pyegress.rtp.errors import ProtocolError

#: VP9 bitstream specification Annex B: frames_in_superframe_minus_1 has three bits.
MAX_LAYER_FRAMES = 8

# Bits of the first byte.
_BEGIN = 0x08
_END = 0x04
#: Flexible mode and SS data, which make a descriptor longer than three fields.
_RARE = 0x12


@dataclass(frozen=True, slots=True)
class ScalabilityStructure:
    """SS data (RFC 9628 section 4.2.1): pixels of each spatial layer, lowest first; empty where it names no sizes."""

    spatial_layers: int
    sizes: tuple[tuple[int, int], ...]


class Vp9Descriptor(NamedTuple):
    """The payload descriptor (RFC 9628 section 4.2); None for fields that are absent."""

    #: Bytes of the descriptor.
    length: int
    inter_predicted: bool
    flexible: bool
    starts_layer_frame: bool
    ends_layer_frame: bool
    #: Z: no higher spatial layer is predicted from this one.
    not_for_higher_layers: bool
    picture_id: int | None
    #: 7 or 15.
    picture_id_bits: int
    temporal_id: int | None
    #: U: from here on, higher temporal layers can be decoded.
    switching_up: bool
    spatial_id: int | None
    #: D: predicted from the lower spatial layer of the same picture.
    inter_layer: bool
    tl0_picture_index: int | None
    structure: ScalabilityStructure | None

    @property
    def picture(self) -> PictureIndex | None:
        if self.picture_id is None and self.tl0_picture_index is None:
            return None
        return PictureIndex(
            self.picture_id, self.picture_id_bits, self.tl0_picture_index, self.temporal_id or 0, self.switching_up
        )


def read_descriptor(payload: bytes) -> Vp9Descriptor:
    """Parse the descriptor in front of a VP9 payload. Raises ProtocolError."""
    try:
        first = payload[0]
        at = 1
        picture_id = temporal_id = spatial_id = tl0 = structure = None
        picture_id_bits = 7
        switching_up = inter_layer = False
        if first & 0x80:
            picture_id = payload[1]
            at = 2
            if picture_id & 0x80:
                picture_id = (picture_id & 0x7F) << 8 | payload[2]
                picture_id_bits = 15
                at = 3
        if first & 0x20:
            layers = payload[at]
            at += 1
            temporal_id, spatial_id = layers >> 5, (layers >> 1) & 7
            switching_up, inter_layer = bool(layers & 0x10), bool(layers & 1)
            if not first & 0x10:
                tl0 = payload[at]
                at += 1
        if first & 0x50 == 0x50:
            # At most three P_DIFF, each announcing with its lowest bit that another one follows.
            more, count = 1, 0
            while more:
                count += 1
                if count > 3:
                    raise ProtocolError("VP9 descriptor has more than three reference differences")
                more = payload[at] & 1
                at += 1
        if first & 0x02:
            structure, at = _read_structure(payload, at)
    except IndexError:
        raise ProtocolError("VP9 payload ends in its descriptor") from None
    if at >= len(payload):
        raise ProtocolError("VP9 payload ends in its descriptor")
    return Vp9Descriptor(
        at,
        bool(first & 0x40),
        bool(first & 0x10),
        bool(first & 0x08),
        bool(first & 0x04),
        bool(first & 0x01),
        picture_id,
        picture_id_bits,
        temporal_id,
        switching_up,
        spatial_id,
        inter_layer,
        tl0,
        structure,
    )


def _read_structure(payload: bytes, at: int) -> tuple[ScalabilityStructure, int]:
    head = payload[at]
    at += 1
    layers = (head >> 5) + 1
    sizes: list[tuple[int, int]] = []
    if head & 0x10:
        end = at + 4 * layers
        if end > len(payload):
            raise ProtocolError("VP9 payload ends in its scalability structure")
        for start in range(at, end, 4):
            width, height = payload[start : start + 2], payload[start + 2 : start + 4]
            sizes.append((int.from_bytes(width, "big"), int.from_bytes(height, "big")))
        at = end
    if head & 0x08:
        pictures = payload[at]
        at += 1
        for _ in range(pictures):
            at += 1 + ((payload[at] >> 2) & 3)
    return ScalabilityStructure(layers, tuple(sizes)), at


class Vp9Depacketizer:
    """One picture is all layer frames of one timestamp.

    A picture of one layer frame stays byte for byte; several are followed by a superframe index, so that the picture
    is one decodable packet.
    """

    __slots__ = ()

    def inspect(self, payload: bytes, marker: bool) -> Fragment:
        _, layers = _scan(payload)
        first = payload[0]
        if layers < 0:
            # Without layer numbers a layer frame is the whole picture.
            return Fragment(payload, first & _BEGIN != 0, marker or first & _END != 0)
        # A layer frame predicted from the one below it cannot come first; one that is not may, where the server left
        # the lower layers out.
        return Fragment(payload, first & _BEGIN != 0 and not layers & 1, marker)

    def assemble(self, payloads: Sequence[bytes]) -> AssembledFrame:
        spatial_id = -1
        frames: list[bytes] = []
        parts: list[bytes] = []
        for payload in payloads:
            length, layers = _scan(payload)
            layer = (layers >> 1) & 7 if layers >= 0 else 0
            if (payload[0] & _BEGIN != 0) == bool(parts):
                raise ProtocolError("VP9 layer frame does not consist of one start and its continuation")
            if parts:
                if layer != spatial_id:
                    raise ProtocolError("VP9 layer frame changes its spatial layer")
            elif layer <= spatial_id:
                raise ProtocolError("VP9 picture has a spatial layer twice or out of order")
            spatial_id = layer
            parts.append(payload[length:])
            if payload[0] & _END:
                frames.append(b"".join(parts))
                parts = []
        if not frames or parts:
            raise ProtocolError("VP9 picture has no end")
        first = read_descriptor(payloads[0])
        data = frames[0] if len(frames) == 1 else superframe(frames)
        size = None if first.inter_predicted else key_frame_size(frames[0])
        keyframe = size is not None
        if keyframe and len(frames) > 1:
            # The upper layers of a key picture are inter frames: only the structure names their size.
            sizes = first.structure.sizes if first.structure is not None else ()
            size = sizes[spatial_id] if spatial_id < len(sizes) and all(sizes[spatial_id]) else None
        return AssembledFrame(data, keyframe, size, picture=first.picture)


def _scan(payload: bytes) -> tuple[int, int]:
    """Bytes of the descriptor, and its byte of layer indices or -1: all that most packets are asked for."""
    try:
        first = payload[0]
        if first & _RARE:
            descriptor = read_descriptor(payload)
            if descriptor.spatial_id is None:
                return descriptor.length, -1
            return descriptor.length, descriptor.spatial_id << 1 | descriptor.inter_layer
        at = 1
        if first & 0x80:
            at = 3 if payload[1] & 0x80 else 2
        layers = -1
        if first & 0x20:
            layers = payload[at]
            at += 2
    except IndexError:
        raise ProtocolError("VP9 payload ends in its descriptor") from None
    if at >= len(payload):
        raise ProtocolError("VP9 payload ends in its descriptor")
    return at, layers


def key_frame_size(frame: bytes) -> tuple[int, int] | None:
    """Pixels (width, height) of a key frame by its uncompressed header (VP9 section 6.2); None for any other frame."""
    reader = BitReader(frame)
    if reader.bits(2) != 2:
        raise ProtocolError("VP9 frame has no frame marker")
    profile = reader.bits(1) | reader.bits(1) << 1
    if profile == 3 and reader.flag():
        raise ProtocolError("VP9 frame has an unknown profile")
    if reader.flag() or reader.flag():  # show_existing_frame, frame_type
        return None
    reader.skip(2)  # show_frame, error_resilient_mode
    if reader.bits(24) != 0x498342:
        raise ProtocolError("VP9 key frame has no sync code")
    if profile >= 2:
        reader.skip(1)  # ten_or_twelve_bit
    if reader.bits(3) != 7:  # color_space other than sRGB
        reader.skip(1)  # color_range
        if profile in (1, 3):
            reader.skip(3)  # subsampling_x, subsampling_y, reserved
    elif profile in (1, 3):
        reader.skip(1)
    else:
        raise ProtocolError("VP9 key frame has a colour space that its profile does not allow")
    return reader.bits(16) + 1, reader.bits(16) + 1


def superframe(frames: Sequence[bytes]) -> bytes:
    """Frames with a superframe index behind them (VP9 Annex B). Raises ProtocolError for more than eight."""
    if len(frames) > MAX_LAYER_FRAMES:
        raise ProtocolError("VP9 picture has more than eight layer frames")
    width = max(1, (max(map(len, frames)).bit_length() + 7) // 8)
    if width > 4:
        raise ProtocolError("VP9 layer frame is longer than 4 GiB")
    marker = bytes((0xC0 | (width - 1) << 3 | len(frames) - 1,))
    sizes = [len(frame).to_bytes(width, "little") for frame in frames]
    return b"".join([*frames, marker, *sizes, marker])
