"""The jitter buffer of one media stream: puts packets in order and cuts them into frames, waiting only on gaps.

Packets in order are consumed at once and never stored. Behind a gap packets wait until it closes or until the latency
is over; then the gap is given up, and with it the frames that it touches.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from pyegress.clock import Monotonic
from pyegress.codecs import Codec
from pyegress.rtp.depacketizers.base import Depacketizer, Fragment

#: No deadline.
NEVER = Monotonic(float("inf"))
#: A packet this far before the first one can still become the first one.
_OPENING_WINDOW = 64
#: Formats whose marker is on every frame's last packet (RFC 7741 section 4.1, AV1 RTP section 4.2), and whose frames do
#: not show otherwise that an end is missing. A server that changes the simulcast layer cuts the frame in progress.
_MARKED = frozenset({Codec.VP8, Codec.AV1})


@dataclass(frozen=True, slots=True, eq=False)
class CodecLane:
    """One codec of the stream with the state of its payload format. Compared by identity."""

    codec: Codec
    depacketizer: Depacketizer


class JitterSink(Protocol):
    """What the buffer reports, in decoding order."""

    def on_complete(self, lane: CodecLane, payloads: list[bytes], timestamp: int, arrival: Monotonic) -> None:
        """All packets of a frame, or of what may be one. `arrival` is that of the last of them to come."""

    def on_gap_lost(self, first: int, count: int, now: Monotonic) -> None:
        """These packets did not come in time. Frames that they held may be lost without another word."""

    def on_frame_lost(self, now: Monotonic) -> None:
        """A frame of which packets had come cannot be completed."""


@dataclass(slots=True)
class _Waiting:
    timestamp: int
    fragment: Fragment | None
    lane: CodecLane | None
    arrival: Monotonic


class JitterBuffer:
    """Orders the packets of one stream by extended sequence number.

    `latency` (seconds) is how long a gap may hold what came after it. What is held never exceeds `max_packets` packets,
    `max_octets` octets of payload, nor `max_span` sequence numbers: beyond them the oldest gap is given up at once.
    """

    def __init__(
        self,
        sink: JitterSink,
        *,
        latency: float,
        max_packets: int = 4096,
        max_octets: int = 16 << 20,
        max_span: int = 8192,
    ) -> None:
        self._sink = sink
        self._latency = latency
        self._max_packets = max_packets
        self._max_octets = max_octets
        self._max_span = max_span
        #: The sequence number that comes next; -1 before the first packet.
        self._next = -1
        #: Nothing was consumed yet: an earlier packet can still come first.
        self._opening = True
        #: In order of arrival, so the first one tells how long the gap is known.
        self._waiting: dict[int, _Waiting] = {}
        self._waiting_octets = 0
        self._parts: list[bytes] = []
        self._parts_octets = 0
        self._parts_timestamp = -1
        self._parts_lane: CodecLane | None = None
        self._parts_arrival = Monotonic(0.0)
        #: Timestamp of a frame that lost a packet and whose further packets are dropped; -1 for none.
        self._broken = -1

    @property
    def next_sequence(self) -> int:
        """The sequence number that the buffer waits for; -1 before the first packet."""
        return self._next

    @property
    def held(self) -> tuple[int, int]:
        """Packets and octets that the buffer holds."""
        return len(self._waiting) + len(self._parts), self._waiting_octets + self._parts_octets

    @property
    def deadline(self) -> Monotonic:
        """When the present gap is given up; NEVER without a gap."""
        if not self._waiting:
            return NEVER
        # Packets stay in order of arrival, and none behind the gap can have come before the gap was seen.
        oldest = next(iter(self._waiting.values()))
        return Monotonic(oldest.arrival + self._latency)

    def holds(self, test: Callable[[Codec, bytes], bool]) -> bool:
        """Whether a packet that is held, behind a gap or in an incomplete frame, passes `test` (codec, payload)."""
        if self._parts and self._parts_lane is not None and test(self._parts_lane.codec, self._parts[0]):
            return True
        return any(
            entry.lane is not None and entry.fragment is not None and test(entry.lane.codec, entry.fragment.payload)
            for entry in self._waiting.values()
        )

    def insert(
        self, sequence: int, timestamp: int, fragment: Fragment | None, lane: CodecLane | None, now: Monotonic
    ) -> bool:
        """Take one packet; `fragment` None fills its sequence number and carries nothing (padding).

        A `lane` of None with a fragment marks a damaged packet: its frame is lost. False for a duplicate or a packet
        that came after its gap was given up.
        """
        if sequence != self._next or self._opening:
            return self._insert_apart(sequence, timestamp, fragment, lane, now)
        self._next = sequence + 1
        if fragment is not None:
            self._consume(timestamp, fragment, lane, now, now)
        if self._waiting:
            self._drain(now)
        return True

    def poll(self, now: Monotonic) -> None:
        """Give up the gaps whose time is over."""
        while self._waiting and now >= self.deadline:
            self._give_up(now)

    def flush(self, now: Monotonic) -> None:
        """The stream is over: release what is complete, give up the rest."""
        while self._waiting:
            self._give_up(now)
        # Without a marker only a next frame would tell that this one is complete.
        self._break_off(now)
        self._broken = -1

    def restart(self, sequence: int, now: Monotonic) -> None:
        """Another line of sequence numbers begins at `sequence`."""
        self.flush(now)
        self._next = sequence
        self._opening = True

    def _insert_apart(
        self, sequence: int, timestamp: int, fragment: Fragment | None, lane: CodecLane | None, now: Monotonic
    ) -> bool:
        if self._next < 0 or (self._opening and self._next - _OPENING_WINDOW <= sequence <= self._next):
            if fragment is None or fragment.starts_frame:
                self._next = sequence
                self._opening = False
                return self.insert(sequence, timestamp, fragment, lane, now)
            # A forwarded stream opens with padding or with the start of a frame, so one packet at least is on its way.
            self._next = sequence - 1
        elif sequence < self._next or sequence in self._waiting:
            return False
        self._waiting[sequence] = _Waiting(timestamp, fragment, lane, now)
        if fragment is not None:
            self._waiting_octets += len(fragment.payload)
        while self._waiting and (
            len(self._waiting) > self._max_packets
            or self._waiting_octets > self._max_octets
            or sequence - self._next > self._max_span
        ):
            self._give_up(now)
        return True

    def _drain(self, now: Monotonic) -> None:
        waiting = self._waiting
        while (entry := waiting.pop(self._next, None)) is not None:
            self._next += 1
            if entry.fragment is not None:
                self._waiting_octets -= len(entry.fragment.payload)
                self._consume(entry.timestamp, entry.fragment, entry.lane, entry.arrival, now)

    def _consume(
        self, timestamp: int, fragment: Fragment, lane: CodecLane | None, arrival: Monotonic, now: Monotonic
    ) -> None:
        """The next packet in order. `now` differs from `arrival` when it had to wait."""
        parts = self._parts
        if parts:
            if timestamp == self._parts_timestamp and lane is self._parts_lane:
                if self._parts_octets + len(fragment.payload) > self._max_octets or len(parts) >= self._max_packets:
                    self._break_off(now)
                    return
                parts.append(fragment.payload)
                self._parts_octets += len(fragment.payload)
                if arrival > self._parts_arrival:
                    self._parts_arrival = arrival
                if fragment.ends_frame:
                    self._finish()
                return
            if timestamp == self._parts_timestamp:  # damaged, or the codec changes within a frame
                self._break_off(now)
            elif self._parts_lane is not None and self._parts_lane.codec in _MARKED:
                self._break_off(now)  # cut short
            else:
                self._finish()  # it ended without a marker
        if timestamp == self._broken:
            return
        self._broken = -1
        if lane is None or not fragment.starts_frame:
            self._broken = timestamp
            self._sink.on_frame_lost(now)
        elif fragment.ends_frame:
            self._sink.on_complete(lane, [fragment.payload], timestamp, arrival)
        else:
            self._parts = [fragment.payload]
            self._parts_octets = len(fragment.payload)
            self._parts_timestamp = timestamp
            self._parts_lane = lane
            self._parts_arrival = arrival

    def _finish(self) -> None:
        parts, self._parts, self._parts_octets = self._parts, [], 0
        lane = self._parts_lane
        assert lane is not None
        self._sink.on_complete(lane, parts, self._parts_timestamp, self._parts_arrival)

    def _break_off(self, now: Monotonic) -> None:
        """Drop the frame in progress and whatever of it is still to come."""
        if self._parts:
            self._parts, self._parts_octets = [], 0
            self._broken = self._parts_timestamp
            self._sink.on_frame_lost(now)

    def _give_up(self, now: Monotonic) -> None:
        """Give up everything missing before the next packet that is there, and go on with it."""
        first = self._next
        following = first + 1
        while following not in self._waiting:
            following += 1
        self._break_off(now)
        self._sink.on_gap_lost(first, following - first, now)
        self._next = following
        self._opening = False
        self._drain(now)
