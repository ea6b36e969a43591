"""Which packets are missing, and when to ask for them (generic NACK, RFC 4585 section 6.2.1).

The timers of RFC 4585 (seconds) lose a quarter of the frames at 5 % loss, so the timing is our own: soon after the gap
is seen, then by the round trip, until an answer would be too late for the jitter buffer.
"""

from __future__ import annotations

from dataclasses import dataclass

from pyegress.clock import Monotonic
from pyegress.rtp.jitter import NEVER

#: Seconds that a packet may be overtaken by others before it counts as missing. Short, because a busy socket is read
#: now and then only; asking in vain costs one copy.
REORDERING = 0.002
#: Shortest pause between two requests for one packet, seconds.
MIN_INTERVAL = 0.02
#: Longest pause, unless the round trip is longer. livekit-server answers for one packet three times at most, and only
#: when 100 ms (or two round trips) are over since its last answer, or since it sent the packet first. A request that
#: comes too soon is dropped and costs nothing, one that comes late wastes the latency: so the pace is steady.
_MAX_INTERVAL = 0.04
#: Beyond this round trip (seconds) the server's own pause is the shorter one: asking sooner would bring copies.
_LONG_RTT = 0.1
#: Requests due within this time (seconds) leave together.
_BATCH = 0.002


@dataclass(slots=True)
class _Missing:
    #: When the jitter buffer will give it up.
    deadline: Monotonic
    due: Monotonic
    requests: int = 0


class MissingPackets:
    """The missing packets of one stream by extended sequence number, and those that were given up lately."""

    def __init__(self, *, latency: float, max_missing: int = 8192) -> None:
        self._latency = latency
        self._max_missing = max_missing
        self._missing: dict[int, _Missing] = {}
        self._given_up: dict[int, None] = {}
        #: When `due` has something to ask for; NEVER if nothing is missing.
        self.next_due = NEVER
        self._rtt = 0.0

    def __len__(self) -> int:
        return len(self._missing)

    def set_rtt(self, rtt: float) -> None:
        """Round-trip time to the server, seconds."""
        self._rtt = max(0.0, rtt)

    def add(self, first: int, last: int, now: Monotonic) -> None:
        """The packets from `first` to `last` were skipped by a later one at `now`."""
        due = Monotonic(now + REORDERING)
        deadline = Monotonic(now + self._latency)
        for sequence in range(first, last + 1):
            if len(self._missing) >= self._max_missing:
                break
            self._missing[sequence] = _Missing(deadline, due)
        self.next_due = min(self.next_due, due)

    def remove(self, sequence: int) -> bool:
        """The packet came. True if it had been asked for."""
        missing = self._missing.pop(sequence, None)
        if not self._missing:
            self.next_due = NEVER
        return missing is not None and missing.requests > 0

    def give_up(self, first: int, count: int) -> None:
        """The jitter buffer no longer waits for these packets, nor for any before them."""
        following = first + count
        for number in [number for number in self._missing if number < following]:
            del self._missing[number]
        if not self._missing:
            self.next_due = NEVER
        for number in range(max(first, following - self._max_missing), following):
            self._given_up[number] = None
        while len(self._given_up) > self._max_missing:
            del self._given_up[next(iter(self._given_up))]

    def came_late(self, sequence: int) -> bool:
        """Whether a packet that came had been given up; then it no longer counts as that."""
        if sequence not in self._given_up:
            return False
        del self._given_up[sequence]
        return True

    def clear(self) -> None:
        """Another line of sequence numbers begins."""
        self._missing.clear()
        self._given_up.clear()
        self.next_due = NEVER

    def due(self, now: Monotonic) -> list[int]:
        """The packets to ask for now, in order of sequence."""
        if now < self.next_due:
            return []
        asked: list[int] = []
        earliest = NEVER
        rtt = self._rtt
        shortest = max(MIN_INTERVAL, rtt / 2 if rtt < _LONG_RTT else rtt)
        longest = max(shortest, _MAX_INTERVAL)
        horizon = now + _BATCH
        for sequence, missing in self._missing.items():
            if missing.due <= horizon and (missing.requests == 0 or now + self._rtt < missing.deadline):
                asked.append(sequence)
                pause = min(longest, shortest * (1 << min(missing.requests, 8)))
                missing.requests += 1
                missing.due = Monotonic(now + pause)
            elif missing.due <= horizon:
                missing.due = NEVER  # an answer would come too late
            if missing.due < earliest:
                earliest = missing.due
        self.next_due = earliest
        asked.sort()
        return asked
