"""Opus packets as containers see them: duration, channels, identification header, silence (RFC 6716, RFC 7845)."""

from __future__ import annotations

import struct

#: All times of Opus in RTP and in containers are in ticks of 48 kHz.
CLOCK_RATE = 48_000
#: The shortest Opus frame, 2.5 ms: silence comes in multiples of it.
SHORTEST = 120
#: A decoder that starts in the middle needs 80 ms until it is exact (RFC 7845 section 4.6).
CONVERGENCE = 3840

_SILK = (480, 960, 1920, 2880)
_HYBRID = (480, 960, 480, 960)
_CELT = (120, 240, 480, 960)
_STEREO = 0x04

#: Fullband CELT frames (RFC 6716 table 2, configurations 28 to 31) whose first symbol, coded by FF FE, is the
#: silence flag: true digital silence, three bytes.
_SILENCE = {
    stereo: {ticks: bytes((toc | (_STEREO if stereo else 0), 0xFF, 0xFE)) for ticks, toc in sizes}
    for stereo in (False, True)
    for sizes in (((960, 0xF8), (480, 0xF0), (240, 0xE8), (120, 0xE0)),)
}


def opus_ticks(packet: bytes) -> int:
    """How long a packet plays, in ticks of 48 kHz (RFC 6716 section 3.1); 0 if it is empty or malformed."""
    if not packet:
        return 0
    toc = packet[0]
    config = toc >> 3
    sizes = _SILK if config < 12 else _HYBRID if config < 16 else _CELT
    code = toc & 3
    if code == 3:
        return sizes[config & 3] * (packet[1] & 0x3F) if len(packet) > 1 else 0
    return sizes[config & 3] * (2 if code else 1)


def opus_channels(packet: bytes) -> int:
    """Channels that a packet was coded with: 2 if its stereo flag is set, else 1."""
    return 2 if packet and packet[0] & _STEREO else 1


def opus_silence(ticks: int, *, stereo: bool) -> tuple[int, bytes]:
    """The longest silent packet of at most `ticks` (at least SHORTEST): its duration and its bytes."""
    for duration, packet in _SILENCE[stereo].items():
        if duration <= ticks:
            return duration, packet
    raise ValueError(f"no Opus frame is as short as {ticks} ticks")


def opus_head(channels: int, pre_skip: int = 0) -> bytes:
    """The identification header of Ogg and WebM (RFC 7845 section 5.1).

    `pre_skip` is the priming of an encoder. Copies have none: their frames are cut out of a live stream, whose sound
    is placed by RTP time, and a pre-skip would move it against the picture (section 4.2).
    """
    return b"OpusHead" + struct.pack("<BBHIhB", 1, channels, pre_skip, CLOCK_RATE, 0, 0)


#: Where `opus_head` holds the number of channels.
OPUS_HEAD_CHANNELS = 9


def opus_specific(channels: int, pre_skip: int = 0) -> bytes:
    """The content of MP4's `dOps` box: the same fields, big-endian, version 0."""
    return struct.pack(">BBHIhB", 0, channels, pre_skip, CLOCK_RATE, 0, 0)


#: Where `opus_specific` holds the number of channels.
OPUS_SPECIFIC_CHANNELS = 1
