"""Redundant audio data (RFC 2198): one packet carries its own audio and that of earlier packets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from pyegress.rtp.errors import ProtocolError

_MAX_OFFSET = (1 << 14) - 1
_MAX_LENGTH = (1 << 10) - 1
#: More redundancy than any sender uses; bounds the work for one packet.
_MAX_BLOCKS = 32


class RedBlock(NamedTuple):
    """One block: an RTP payload of `payload_type` that is `timestamp_offset` ticks older than the packet."""

    payload_type: int
    timestamp_offset: int
    payload: bytes


def parse(payload: bytes) -> list[RedBlock]:
    """The blocks in the order of the packet: oldest redundancy first, the primary (offset 0) last.

    Raises ProtocolError when the block headers and the payload do not agree.
    """
    size = len(payload)
    if size == 0:
        raise ProtocolError("RED payload is empty")
    if payload[0] < 0x80:  # no redundancy: the usual first packet
        return [RedBlock(payload[0], 0, payload[1:])]
    headers: list[tuple[int, int, int]] = []
    position = 0
    while payload[position] & 0x80:
        if position + 4 >= size or len(headers) == _MAX_BLOCKS:
            raise ProtocolError("RED payload ends within its block headers")
        fields = int.from_bytes(payload[position : position + 4], "big")
        headers.append((fields >> 24 & 0x7F, fields >> 10 & _MAX_OFFSET, fields & _MAX_LENGTH))
        position += 4
    primary = payload[position]
    position += 1
    blocks: list[RedBlock] = []
    for payload_type, offset, length in headers:
        end = position + length
        if end > size:
            raise ProtocolError("RED payload ends within a redundant block")
        blocks.append(RedBlock(payload_type, offset, payload[position:end]))
        position = end
    blocks.append(RedBlock(primary, 0, payload[position:]))
    return blocks


def build(blocks: Sequence[RedBlock]) -> bytes:
    """The payload of `blocks`, the primary last. Raises ProtocolError if a block does not fit its header."""
    if not blocks:
        raise ProtocolError("RED payload needs a primary block")
    headers = []
    for block in blocks[:-1]:
        if not 0 <= block.timestamp_offset <= _MAX_OFFSET or len(block.payload) > _MAX_LENGTH:
            raise ProtocolError("RED block does not fit its header")
        fields = (0x80 | block.payload_type) << 24 | block.timestamp_offset << 10 | len(block.payload)
        headers.append(fields.to_bytes(4, "big"))
    headers.append(bytes((blocks[-1].payload_type,)))
    return b"".join(headers) + b"".join(block.payload for block in blocks)
