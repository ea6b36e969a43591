"""The only place where pyegress reads a clock, and the types that keep three kinds of time apart.

* `Monotonic`: seconds of this process's monotonic clock. Arrival times, timers, pacing.
* `Wall`: seconds since the Unix epoch, UTC. Sender reports (RFC 3550 section 6.4.1), file names, events.
* media time: RTP ticks together with a clock rate; always an `int` of ticks, never seconds, until it is written.
"""

from __future__ import annotations

import time
from typing import NewType

Monotonic = NewType("Monotonic", float)
Wall = NewType("Wall", float)

#: Seconds between the NTP epoch (1900-01-01) and the Unix epoch (RFC 5905 section 6).
NTP_EPOCH_OFFSET = 2_208_988_800


def monotonic() -> Monotonic:
    """Seconds of the monotonic clock."""
    return Monotonic(time.monotonic())


def wall() -> Wall:
    """Seconds since the Unix epoch, UTC."""
    return Wall(time.time())


def ntp_to_wall(ntp: int) -> Wall:
    """Convert a 64-bit NTP timestamp (32.32 fixed point, RFC 5905) to Unix seconds."""
    return Wall((ntp >> 32) - NTP_EPOCH_OFFSET + (ntp & 0xFFFFFFFF) / (1 << 32))


def wall_to_ntp(at: Wall) -> int:
    """Convert Unix seconds to a 64-bit NTP timestamp (32.32 fixed point, RFC 5905)."""
    return round((at + NTP_EPOCH_OFFSET) * (1 << 32)) & 0xFFFF_FFFF_FFFF_FFFF
