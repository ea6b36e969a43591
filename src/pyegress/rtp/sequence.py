"""Sequence numbers and timestamps beyond their 16 and 32 bits (RFC 3550 appendix A.1 and section 5.1)."""

from __future__ import annotations

from pyegress.clock import Monotonic

#: Farther than this from the newest packet a sequence number belongs to another stream (RFC 3550 A.1, MAX_DROPOUT).
MAX_DROPOUT = 3000
#: How far the second packet of a restarted stream may lie behind the first: it may have lost some neighbours.
_RESTART_WINDOW = 50

_HALF_32 = 1 << 31
_MASK_32 = (1 << 32) - 1


class SequenceExtender:
    """Extends 16-bit sequence numbers. `highest` is the newest, -1 before the first one.

    A number is placed next to the newest one in either direction, so a reordered packet never jumps a cycle. The first
    line of numbers begins one cycle up: numbers before the first packet are still positive.
    """

    __slots__ = ("_candidate", "highest")

    def __init__(self) -> None:
        self.highest = -1
        self._candidate = -1

    def nearest(self, sequence: int) -> int:
        """The extended number closest to the newest one, without recording it."""
        if self.highest < 0:
            return 0x10000 + sequence
        return self.highest + ((sequence - self.highest + 0x8000) & 0xFFFF) - 0x8000

    def extend(self, sequence: int) -> int | None:
        """The extended number; None while it is so far away that it may be damage, or the start of a new stream.

        After two such packets in a row whose numbers follow each other, `restarted` is True for the second.
        """
        highest = self.highest
        if highest < 0:
            self.highest = extended = 0x10000 + sequence
            return extended
        distance = ((sequence - highest + 0x8000) & 0xFFFF) - 0x8000
        if -MAX_DROPOUT <= distance <= MAX_DROPOUT:
            self._candidate = -1
            if distance > 0:
                self.highest = highest + distance
            return highest + distance
        return None

    def restarts(self, sequence: int) -> bool:
        """Whether a packet that `extend` refused continues another refused one: the stream was restarted."""
        candidate, self._candidate = self._candidate, sequence
        return candidate >= 0 and 0 < (sequence - candidate) & 0xFFFF <= _RESTART_WINDOW

    def restart(self, sequence: int) -> int:
        """Begin a new line of numbers at `sequence`, above all former ones, and return it extended."""
        self._candidate = -1
        ahead = (sequence - self.highest) & 0xFFFF
        # At least a full cycle of distance, so that no late packet of the old line falls into the new one.
        self.highest += ahead + 0x10000
        return self.highest


class TimestampExtender:
    """Extends 32-bit RTP timestamps in ticks of `clock_rate` per second."""

    __slots__ = ("_at", "_newest", "clock_rate")

    #: Beyond this silence (seconds) the wall clock tells how many cycles went by unseen.
    _SILENCE = 3600.0
    #: A restarted stream that goes back by less than this (seconds) is taken for the same line.
    _RESTART_SLACK = 10.0

    def __init__(self, clock_rate: int) -> None:
        #: Hz; changes with the codec.
        self.clock_rate = clock_rate
        self._newest = -1
        self._at = Monotonic(0.0)

    @property
    def newest(self) -> int:
        """The newest extended timestamp, -1 before the first one."""
        return self._newest

    def nearest(self, timestamp: int, now: Monotonic) -> int:
        """The extended timestamp closest to where the line stands now, without recording it."""
        newest = self._newest
        if newest < 0:
            return (1 << 32) + timestamp
        silence = now - self._at
        expected = newest + (int(silence * self.clock_rate) if silence > self._SILENCE else 0)
        return expected + ((timestamp - expected + _HALF_32) & _MASK_32) - _HALF_32

    def extend(self, timestamp: int, now: Monotonic) -> int:
        """The extended timestamp; the newest one is remembered with its time."""
        newest = self._newest
        ahead = (timestamp - newest) & _MASK_32
        if newest >= 0 and ahead < _HALF_32 and now - self._at <= self._SILENCE:
            extended = newest + ahead
        else:
            extended = self.nearest(timestamp, now)
        if extended >= newest:
            self._newest = extended
            self._at = now
        return extended

    def restart(self, timestamp: int, now: Monotonic) -> int:
        """Go on after a stream restart: near the old line if it can be the same one, else forward, never back."""
        extended = self.nearest(timestamp, now)
        if extended < self._newest - self._RESTART_SLACK * self.clock_rate:
            extended += 1 << 32
        self._newest = extended
        self._at = now
        return extended
