"""Receives one media stream: its packets and retransmissions go in, complete frames and RTCP feedback come out."""

from __future__ import annotations

from collections.abc import Mapping

from pyegress.clock import Monotonic
from pyegress.codecs import Kind
from pyegress.rtp import red, rtx
from pyegress.rtp.assembly import FrameAssembly, ReceiverSink, ReceiverStats
from pyegress.rtp.depacketizers import depacketizer_for
from pyegress.rtp.depacketizers.base import Fragment
from pyegress.rtp.errors import ProtocolError
from pyegress.rtp.jitter import NEVER, CodecLane, JitterBuffer
from pyegress.rtp.keyframe_start import starts_keyframe
from pyegress.rtp.keyframes import KeyframePolicy
from pyegress.rtp.nack import MissingPackets
from pyegress.rtp.packet import RtpPacket
from pyegress.rtp.payload_format import PayloadFormat, PayloadKind
from pyegress.rtp.reports import ReceptionStatistics
from pyegress.rtp.rtcp import GenericNack, PictureLossIndication, ReportBlock, RtcpPacket, SenderReport
from pyegress.rtp.sender_report import SenderClock
from pyegress.rtp.sequence import SequenceExtender, TimestampExtender

__all__ = ["PayloadFormat", "PayloadKind", "ReceiverSink", "ReceiverStats", "TrackReceiver"]

_DAMAGED = Fragment(b"", False, False)
#: After so many useless packets in so many seconds, with nothing new among them, a stream was restarted.
_STALE_PACKETS = 50
_STALE_TIME = 1.0
#: When this part of the latency is left, a missing packet hardly comes any more: the server has answered as often as it
#: does at all. A key frame asked for now is there when the gap is given up, and fewer frames are lost with it.
_DESPAIR = 0.2
#: Sequence numbers in one NACK, so that it fits a datagram however they lie.
_NACK_SIZE = 256


class TrackReceiver:
    """One media SSRC with its RTX SSRC. Pure: packets and `now` go in, the sink and `poll` give what comes out.

    `payload_types` says what was negotiated; unknown types only fill their sequence numbers. `latency` (seconds) is how
    long a missing packet is waited for. `sender_ssrc` is our own SSRC in feedback packets.
    """

    def __init__(
        self,
        *,
        ssrc: int,
        rtx_ssrc: int | None,
        payload_types: Mapping[int, PayloadFormat],
        latency: float = 0.5,
        sink: ReceiverSink,
        now: Monotonic,
        sender_ssrc: int = 1,
    ) -> None:
        self.ssrc = ssrc
        self.rtx_ssrc = rtx_ssrc
        self._sender_ssrc = sender_ssrc
        self._lanes: dict[int, CodecLane] = {}
        self._apt: dict[int, int] = {}
        self._red: set[int] = set()
        for payload_type, payload_format in payload_types.items():
            if payload_format.kind is PayloadKind.RTX:
                if payload_format.apt is not None:
                    self._apt[payload_type] = payload_format.apt
            elif payload_format.kind is PayloadKind.RED:
                self._red.add(payload_type)
            elif payload_format.codec is not None:
                self._lanes[payload_type] = CodecLane(payload_format.codec, depacketizer_for(payload_format.codec))
        kinds = {lane.codec.kind for lane in self._lanes.values()}
        if len(kinds) != 1:
            raise ValueError("the payload types of a stream must carry codecs of one kind")
        self._kind = kind = kinds.pop()
        clock_rate = next(iter(self._lanes.values())).codec.clock_rate
        self._clock_rate = clock_rate
        self._ended = False

        self._sequences = SequenceExtender()
        self._timestamps = TimestampExtender(clock_rate)
        self._stats = ReceiverStats()
        self._missing = MissingPackets(latency=latency)
        self._keyframes = KeyframePolicy(now)
        self._despair = _DESPAIR * latency if kind is Kind.VIDEO else 0.0
        if kind is Kind.AUDIO:
            self._keyframes.satisfied()
        self._assembly = FrameAssembly(sink, kind, self._stats, self._missing, self._keyframes)
        self._jitter = JitterBuffer(self._assembly, latency=latency)
        self._statistics = ReceptionStatistics(ssrc)
        #: RTP time to the sender's wall clock.
        self.clock = SenderClock(clock_rate, kind)
        self._stale_newest = -1
        self._stale_since = now
        self._stale_count = 0
        #: The lane of the last packet that came.
        self._arriving: CodecLane | None = None
        #: The first packet of what may be a restarted stream.
        self._held: RtpPacket | None = None

    @property
    def stats(self) -> ReceiverStats:
        """The counters; the object stays the same."""
        self._stats.jitter = self._statistics.jitter / self._clock_rate
        return self._stats

    @property
    def held(self) -> tuple[int, int]:
        """Packets and octets of payload that wait in the jitter buffer."""
        return self._jitter.held

    def receive(self, packet: RtpPacket, now: Monotonic) -> None:
        """A packet of the media SSRC."""
        if self._ended:
            return
        newest = self._sequences.highest
        sequence = self._sequences.extend(packet.sequence)
        if sequence is None:
            self._leap(packet, now)
            return
        self._statistics.arrived(sequence)
        if sequence == newest + 1:
            self._insert(packet, sequence, now)
            return
        asked = False
        if sequence < newest:
            asked = self._missing.remove(sequence)
        elif newest >= 0 and sequence > newest:
            self._missing.add(newest + 1, sequence - 1, now)
        if self._insert(packet, sequence, now):
            if asked and self.rtx_ssrc is None:
                self._stats.packets_recovered += 1
            if newest < 0 and self._jitter.next_sequence < sequence:
                self._missing.add(self._jitter.next_sequence, sequence - 1, now)
        else:
            self._stale(packet, newest, now)

    def receive_rtx(self, packet: RtpPacket, now: Monotonic) -> None:
        """A packet of the RTX SSRC (RFC 4588)."""
        apt = self._apt.get(packet.payload_type)
        if self._ended or apt is None:
            return
        original = rtx.restore(packet, payload_type=apt, ssrc=self.ssrc)
        # Without a packet of the stream itself there is nothing to tell a retransmission from an old one.
        if original is None or self._sequences.highest < 0:
            return
        newest = self._sequences.highest
        sequence = self._sequences.nearest(original.sequence)
        if sequence > newest:
            return  # Nothing newer can have been asked for: a retransmission never moves the line.
        self._missing.remove(sequence)
        if self._insert(original, sequence, now):
            self._stats.packets_recovered += 1

    def sender_report(self, report: SenderReport, now: Monotonic) -> int:
        """A sender report of the media SSRC. Returns its RTP timestamp, extended like that of the frames."""
        self._statistics.sender_report(report, now)
        timestamps = self._timestamps
        if timestamps.newest < 0:
            timestamp = timestamps.extend(report.timestamp, now)
        else:
            timestamp = timestamps.nearest(report.timestamp, now)
        self.clock.add(report.wall, timestamp)
        return timestamp

    def set_rtt(self, rtt: float) -> None:
        """Round-trip time to the server in seconds."""
        self._missing.set_rtt(rtt)

    def set_muted(self, muted: bool, now: Monotonic) -> None:
        """The publisher muted or unmuted the track. A muted one is not asked for key frames."""
        if self._kind is Kind.VIDEO:
            self._keyframes.set_muted(muted, now)

    def request_keyframe(self, now: Monotonic) -> None:
        """Ask the publisher for a key frame that decoding does not need. May be called by the sink."""
        if self._kind is Kind.VIDEO:
            self._keyframes.ask(now)

    def poll(self, now: Monotonic) -> list[RtcpPacket]:
        """Let time pass: gives up gaps, and returns the feedback that is due. The caller sends it."""
        feedback: list[RtcpPacket] = []
        if self._ended:
            return feedback
        deadline = self._jitter.deadline
        if deadline <= now:
            self._jitter.poll(now)
        elif self._despair and deadline - self._despair <= now:
            self._keyframes.want(now)
        if self._missing.next_due <= now and (asked := self._missing.due(now)):
            self._stats.nacks_sent += len(asked)
            for start in range(0, len(asked), _NACK_SIZE):
                numbers = tuple(sequence & 0xFFFF for sequence in asked[start : start + _NACK_SIZE])
                feedback.append(GenericNack(self._sender_ssrc, self.ssrc, numbers))
        if self._keyframes.next_due <= now:
            if self._jitter.holds(starts_keyframe):
                self._keyframes.postpone(now)
            else:
                self._keyframes.sent(now)
                self._stats.plis_sent += 1
                feedback.append(PictureLossIndication(self._sender_ssrc, self.ssrc))
        return feedback

    def next_poll(self) -> Monotonic | None:
        """When `poll` has something to do next; None: only after another packet."""
        if self._ended:
            return None
        due = min(self._missing.next_due, self._keyframes.next_due)
        if (deadline := self._jitter.deadline) is not NEVER:
            if self._despair and not self._keyframes.wanted:
                deadline = Monotonic(deadline - self._despair)
            due = min(due, deadline)
        return None if due == NEVER else due

    def report_block(self, now: Monotonic) -> ReportBlock:
        """The block about this stream for the next receiver report."""
        return self._statistics.block(now)

    def flush(self, now: Monotonic) -> None:
        """The end of the stream: frames that are complete are handed out, later packets are ignored. Idempotent."""
        if not self._ended:
            self._ended = True
            self._jitter.flush(now)
            self._missing.clear()

    def _insert(self, packet: RtpPacket, sequence: int, now: Monotonic) -> bool:
        """One packet with its place in the stream; False if it was of no use."""
        payload = packet.payload
        fragment: Fragment | None = None
        lane: CodecLane | None = None
        timestamp = -1
        if payload:
            lane = self._lanes.get(packet.payload_type)
            if lane is not None or packet.payload_type in self._red:
                timestamp = self._timestamps.extend(packet.timestamp, now)
                if sequence >= self._sequences.highest:
                    self._statistics.timed(timestamp, now, self._clock_rate)
                try:
                    if lane is None:
                        lane, payload = self._unpack_red(payload, sequence, timestamp, now)
                    if lane is not None:
                        if lane is not self._arriving:
                            self._switch(lane)
                        fragment = lane.depacketizer.inspect(payload, packet.marker)
                except ProtocolError:
                    self._stats.malformed += 1
                    fragment, lane = _DAMAGED, None
        if self._jitter.insert(sequence, timestamp, fragment, lane, now):
            self._stats.packets += 1
            self._stats.octets += len(payload)
            return True
        if self._missing.came_late(sequence):
            self._stats.packets_lost -= 1
            self._stats.packets_late += 1
        else:
            self._stats.packets_duplicate += 1
        return False

    def _unpack_red(
        self, payload: bytes, sequence: int, timestamp: int, now: Monotonic
    ) -> tuple[CodecLane | None, bytes]:
        """The primary block of a RED packet (RFC 2198). Its redundancy fills gaps right before the packet."""
        blocks = red.parse(payload)
        primary = blocks.pop()
        if 0 <= self._jitter.next_sequence < sequence:
            # Senders repeat the packets right before this one, one block each.
            for distance, block in zip(range(len(blocks), 0, -1), blocks, strict=True):
                lane = self._lanes.get(block.payload_type)
                earlier = timestamp - block.timestamp_offset
                missing = sequence - distance
                # After a pause the blocks can be of packets from before the pause, which were numbered otherwise.
                if lane is None or not block.payload or not self._assembly.last_timestamp < earlier < timestamp:
                    continue
                if missing < self._jitter.next_sequence:
                    continue
                try:
                    fragment = lane.depacketizer.inspect(block.payload, False)
                except ProtocolError:
                    self._stats.malformed += 1
                    continue
                if self._jitter.insert(missing, earlier, fragment, lane, now):
                    self._missing.remove(missing)
                    self._stats.packets += 1
                    self._stats.octets += len(block.payload)
                    self._stats.packets_recovered += 1
        return self._lanes.get(primary.payload_type), primary.payload

    def _switch(self, lane: CodecLane) -> None:
        """Packets of another payload type begin."""
        self._arriving = lane
        rate = lane.codec.clock_rate
        if rate != self._clock_rate:
            self._clock_rate = self._timestamps.clock_rate = rate
            self.clock = SenderClock(rate, lane.codec.kind)

    def _leap(self, packet: RtpPacket, now: Monotonic) -> None:
        """A packet far away from the others: damage or, if the next one continues it, a restarted stream."""
        held, self._held = self._held, packet
        if self._sequences.restarts(packet.sequence) and held is not None:
            self._held = None
            self._restart(held, now)
            self.receive(packet, now)

    def _stale(self, packet: RtpPacket, newest: int, now: Monotonic) -> None:
        """A packet of no use. When nothing else comes any more, the stream has gone back to former numbers."""
        if newest != self._stale_newest:
            self._stale_newest, self._stale_since, self._stale_count = newest, now, 0
        self._stale_count += 1
        if self._stale_count >= _STALE_PACKETS and now - self._stale_since >= _STALE_TIME:
            self._restart(packet, now)

    def _restart(self, first: RtpPacket, now: Monotonic) -> None:
        """The stream goes on with other sequence numbers, and perhaps other timestamps, from this packet on."""
        sequence = self._sequences.restart(first.sequence)
        self._missing.clear()
        self._jitter.restart(sequence, now)
        self._statistics.restart(sequence)
        before = self._timestamps.newest
        timestamp = self._timestamps.restart(first.timestamp, now)
        if abs(timestamp - before) > 60 * self._clock_rate:
            self.clock.reset()
        self._assembly.interrupt(now)
        self._statistics.arrived(sequence)
        self._insert(first, sequence, now)
