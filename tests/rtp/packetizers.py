"""The sending side of the payload formats, written from the RFCs, to test the receiving side.

Each function returns the RTP payloads of one frame; the last one would carry the marker. `mtu` bounds a payload.
"""

from __future__ import annotations

from collections.abc import Sequence


def split_packet(packet: bytes) -> tuple[bytes, bool, int]:
    """Payload, marker and timestamp of an RTP packet without padding (RFC 3550 section 5.1)."""
    assert packet[0] >> 6 == 2
    assert not packet[0] & 0x20
    start = 12 + 4 * (packet[0] & 0x0F)
    if packet[0] & 0x10:
        start += 4 + 4 * int.from_bytes(packet[start + 2 : start + 4], "big")
    return packet[start:], bool(packet[1] & 0x80), int.from_bytes(packet[4:8], "big")


def _chunks(data: bytes, size: int) -> list[bytes]:
    assert size > 0
    return [data[start : start + size] for start in range(0, len(data), size)]


def vp8(
    frame: bytes,
    mtu: int,
    *,
    picture_id: int | None = None,
    wide_id: bool = True,
    tl0: int | None = None,
    tid: int | None = None,
    sync: bool = False,
    key_index: int | None = None,
    non_reference: bool = False,
) -> list[bytes]:
    """RFC 7741 section 4.2, all in partition 0 as libwebrtc does."""
    flags = (picture_id is not None) << 7 | (tl0 is not None) << 6 | (tid is not None) << 5
    flags |= (key_index is not None) << 4
    extension = b""
    if flags:
        extension = bytes((flags,))
        if picture_id is not None:
            extension += (0x8000 | picture_id).to_bytes(2, "big") if wide_id else bytes((picture_id,))
        if tl0 is not None:
            extension += bytes((tl0,))
        if tid is not None or key_index is not None:
            extension += bytes(((tid or 0) << 6 | sync << 5 | (key_index or 0),))
    first = bool(flags) << 7 | non_reference << 5
    pieces = _chunks(frame, mtu - 1 - len(extension))
    return [bytes((first | (index == 0) << 4,)) + extension + piece for index, piece in enumerate(pieces)]


def vp9_structure(layers: Sequence[tuple[int, int]], pictures: Sequence[tuple[int, bool, Sequence[int]]] = ()) -> bytes:
    """SS data (RFC 9628 figure 6) with sizes, and a picture group of (temporal id, switching up, differences)."""
    out = bytes(((len(layers) - 1) << 5 | 0x10 | bool(pictures) << 3,))
    out += b"".join(width.to_bytes(2, "big") + height.to_bytes(2, "big") for width, height in layers)
    if pictures:
        out += bytes((len(pictures),))
        for tid, up, differences in pictures:
            out += bytes((tid << 5 | up << 4 | len(differences) << 2, *differences))
    return out


def vp9(
    layers: Sequence[bytes],
    mtu: int,
    *,
    inter: bool,
    picture_id: int | None = 5,
    wide_id: bool = True,
    layer_numbers: bool = False,
    first_layer: int = 0,
    tid: int = 0,
    up: bool = False,
    tl0: int = 9,
    differences: Sequence[int] = (),
    flexible: bool = False,
    structure: bytes = b"",
) -> list[bytes]:
    """RFC 9628 section 4.2: each layer frame in packets of its own; SS data in the first packet."""
    out: list[bytes] = []
    for number, frame in enumerate(layers):
        layer_first = True
        rest = frame
        while rest:
            first = (picture_id is not None) << 7 | inter << 6 | layer_numbers << 5 | flexible << 4 | layer_first << 3
            head = b""
            if picture_id is not None:
                head += (0x8000 | picture_id).to_bytes(2, "big") if wide_id else bytes((picture_id,))
            if layer_numbers:
                head += bytes((tid << 5 | up << 4 | (number + first_layer) << 1 | (number > 0),))
                if not flexible:
                    head += bytes((tl0,))
            if flexible and inter:
                last = len(differences) - 1
                head += bytes(value << 1 | (index < last) for index, value in enumerate(differences))
            if structure and not out:
                first |= 0x02
                head += structure
            room = mtu - 1 - len(head)
            assert room > 0
            piece, rest = rest[:room], rest[room:]
            first |= (not rest) << 2
            out.append(bytes((first,)) + head + piece)
            layer_first = False
    return out


def h264(nals: Sequence[bytes], mtu: int, *, aggregate: bool = True) -> list[bytes]:
    """RFC 6184, packetization mode 1: STAP-A for neighbours that fit, FU-A for what does not."""
    out: list[bytes] = []
    waiting: list[bytes] = []

    def flush() -> None:
        if len(waiting) == 1:
            out.append(waiting[0])
        elif waiting:
            header = max(nal[0] & 0x60 for nal in waiting) | 24
            out.append(bytes((header,)) + b"".join(len(nal).to_bytes(2, "big") + nal for nal in waiting))
        waiting.clear()

    for nal in nals:
        if len(nal) > mtu:
            flush()
            pieces = _chunks(nal[1:], mtu - 2)
            for index, piece in enumerate(pieces):
                ends = index == len(pieces) - 1
                out.append(bytes((nal[0] & 0xE0 | 28, (index == 0) << 7 | ends << 6 | nal[0] & 0x1F)) + piece)
            continue
        if waiting and (not aggregate or 1 + sum(len(one) + 2 for one in [*waiting, nal]) > mtu):
            flush()
        waiting.append(nal)
    flush()
    return out


def h265(nals: Sequence[bytes], mtu: int, *, aggregate: bool = True) -> list[bytes]:
    """RFC 7798 without DONL: aggregation packets (48) for neighbours that fit, fragmentation units (49)."""
    out: list[bytes] = []
    waiting: list[bytes] = []

    def flush() -> None:
        if len(waiting) == 1:
            out.append(waiting[0])
        elif waiting:
            tid = min(nal[1] & 7 for nal in waiting)
            out.append(bytes((48 << 1, tid)) + b"".join(len(nal).to_bytes(2, "big") + nal for nal in waiting))
        waiting.clear()

    for nal in nals:
        if len(nal) > mtu:
            flush()
            pieces = _chunks(nal[2:], mtu - 3)
            for index, piece in enumerate(pieces):
                ends = index == len(pieces) - 1
                kind = (nal[0] >> 1) & 0x3F
                head = (nal[0] & 0x81 | 49 << 1, nal[1], (index == 0) << 7 | ends << 6 | kind)
                out.append(bytes(head) + piece)
            continue
        if waiting and (not aggregate or 2 + sum(len(one) + 2 for one in [*waiting, nal]) > mtu):
            flush()
        waiting.append(nal)
    flush()
    return out


def leb128(value: int) -> bytes:
    """AV1 section 4.10.5."""
    out = []
    while True:
        out.append(value & 0x7F | (value > 0x7F) << 7)
        value >>= 7
        if not value:
            return bytes(out)


def av1(obus: Sequence[bytes], mtu: int, *, counted: bool = True, new_sequence: bool = False) -> list[bytes]:
    """AV1 RTP section 4: `obus` without size fields. `counted` uses W where it can, else every element has a length."""
    packets: list[tuple[bool, bool, list[bytes]]] = []
    elements: list[bytes] = []
    used, begins_inside = 1, False
    for obu in obus:
        rest = obu
        while True:
            # Three bytes of length is the most that an MTU-sized element needs.
            room = mtu - used - (3 if mtu > 130 else 2)
            if room <= 0:
                packets.append((begins_inside, len(rest) < len(obu), elements))
                elements, used, begins_inside = [], 1, len(rest) < len(obu)
                continue
            piece, rest = rest[:room], rest[room:]
            elements.append(piece)
            used += len(piece) + len(leb128(len(piece)))
            if not rest:
                break
            packets.append((begins_inside, True, elements))
            elements, used, begins_inside = [], 1, True
    if elements:
        packets.append((begins_inside, False, elements))
    out = []
    for index, (continues, continued, parts) in enumerate(packets):
        count = len(parts) if counted and len(parts) <= 3 else 0
        head = continues << 7 | continued << 6 | count << 4 | (new_sequence and index == 0) << 3
        sized = [leb128(len(part)) + part for part in parts]
        if count:
            sized[-1] = parts[-1]
        out.append(bytes((head,)) + b"".join(sized))
    assert all(len(packet) <= mtu for packet in out)
    return out
