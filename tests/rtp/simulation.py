"""A publisher with its server and a lossy way to the receiver, in simulated time. Everything is drawn from one seed."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random

from pyegress.clock import Monotonic, Wall, wall_to_ntp
from pyegress.codecs import Codec
from pyegress.rtp import rtcp, rtx
from pyegress.rtp.frame import EncodedFrame
from pyegress.rtp.packet import RtpPacket
from pyegress.rtp.payload_format import PayloadFormat
from pyegress.rtp.receiver import TrackReceiver

SSRC = 0x1111
RTX_SSRC = 0x2222
VP8, VP8_RTX, OPUS, RED = 96, 97, 111, 63

VIDEO_TYPES: Mapping[int, PayloadFormat] = {
    VP8: PayloadFormat.media(Codec.VP8),
    VP8_RTX: PayloadFormat.rtx(VP8, 90_000),
}
AUDIO_TYPES: Mapping[int, PayloadFormat] = {
    OPUS: PayloadFormat.media(Codec.OPUS),
    RED: PayloadFormat.red((OPUS, OPUS), 48_000),
    OPUS + 1: PayloadFormat.rtx(OPUS, 48_000),
}


class Recorder:
    """A sink that keeps everything."""

    def __init__(self) -> None:
        self.frames: list[EncodedFrame] = []
        self.codecs: list[Codec] = []

    def on_codec(self, codec: Codec) -> None:
        self.codecs.append(codec)

    def on_frame(self, frame: EncodedFrame) -> None:
        self.frames.append(frame)

    @property
    def payloads(self) -> list[bytes]:
        return [frame.payload for frame in self.frames]


def vp8_frame(number: int, *, keyframe: bool, size: int = 2000, pixels: tuple[int, int] = (640, 360)) -> bytes:
    """A VP8 frame with a valid header, told apart by its number."""
    body = number.to_bytes(4, "big") + Random(number).randbytes(size)
    if not keyframe:
        return b"\x11\x02\x00" + body
    width, height = pixels
    return b"\x10\x02\x00\x9d\x01\x2a" + width.to_bytes(2, "little") + height.to_bytes(2, "little") + body


def vp8_payloads(frame: bytes, *, picture_id: int | None = None, limit: int = 1000) -> list[bytes]:
    """RTP payloads of a VP8 frame (RFC 7741 section 4.2)."""
    pieces = [frame[start : start + limit] for start in range(0, len(frame), limit)]
    payloads = []
    for index, piece in enumerate(pieces):
        start = 0x10 if index == 0 else 0
        if picture_id is None:
            payloads.append(bytes((start,)) + piece)
        else:
            payloads.append(bytes((0x80 | start, 0x80)) + (0x8000 | picture_id & 0x7FFF).to_bytes(2, "big") + piece)
    return payloads


def opus_packet(number: int, size: int = 40) -> bytes:
    """A 20 ms packet, told apart by its number."""
    return b"\x78" + number.to_bytes(4, "big") + Random(number).randbytes(size)


@dataclass
class Line:
    """Gives packets their sequence numbers and timestamps."""

    payload_type: int
    sequence: int = 100
    timestamp: int = 5000
    ssrc: int = SSRC
    packets: list[RtpPacket] = field(default_factory=list)

    def frame(self, payloads: Sequence[bytes], ticks: int) -> list[RtpPacket]:
        """The packets of one frame, the marker on the last."""
        packets = []
        for index, payload in enumerate(payloads):
            packets.append(self.packet(payload, marker=index == len(payloads) - 1))
        self.timestamp = (self.timestamp + ticks) & 0xFFFF_FFFF
        return packets

    def packet(self, payload: bytes, *, marker: bool = False) -> RtpPacket:
        packet = RtpPacket(self.payload_type, self.sequence, self.timestamp, self.ssrc, payload, marker)
        self.sequence = (self.sequence + 1) & 0xFFFF
        self.packets.append(packet)
        return packet

    def padding(self) -> RtpPacket:
        """A packet that only fills its number, as livekit-server sends it."""
        packet = self.packet(b"")
        packet.padding = 510
        return packet


def video(
    frames: int, *, gop: int = 120, first: int = 0, sequence: int = 100, picture_ids: bool = False
) -> tuple[list[bytes], list[list[RtpPacket]]]:
    """VP8 frames at 30 per second and the packets of each."""
    line = Line(VP8, sequence=sequence)
    encoded = [vp8_frame(first + n, keyframe=n % gop == 0, size=1200 + n * 37 % 2500) for n in range(frames)]
    return encoded, [
        line.frame(vp8_payloads(frame, picture_id=n if picture_ids else None), 3000) for n, frame in enumerate(encoded)
    ]


def audio(packets: int, *, sequence: int = 100) -> tuple[list[bytes], list[list[RtpPacket]]]:
    """Opus packets at 50 per second."""
    line = Line(OPUS, sequence=sequence)
    encoded = [opus_packet(n) for n in range(packets)]
    return encoded, [line.frame([packet], 960) for packet in encoded]


@dataclass
class Way:
    """What the network does in one direction. Times in seconds."""

    loss: float = 0.0
    delay: float = 0.02
    jitter: float = 0.0
    duplication: float = 0.0


class Server:
    """Sends packets at their time, answers NACKs on the RTX SSRC and PLIs with a key frame.

    Like livekit-server it answers for one packet at most three times, at most every min(100 ms, two round trips) from
    its first transmission on, never for padding, and not at all between a PLI and the next key frame.
    """

    def __init__(
        self, receiver: TrackReceiver, *, random: Random, down: Way, up: Way, keyframe: Callable[[], None] | None = None
    ) -> None:
        self.receiver = receiver
        self.random = random
        self.down = down
        self.up = up
        self.keyframe = keyframe
        self.sent: dict[int, RtpPacket] = {}
        self.answers_nacks = True
        self.waits_for_keyframe = False
        self._answers: dict[int, list[float]] = {}
        self.asked: list[tuple[Monotonic, rtcp.RtcpPacket]] = []
        self._rtx_sequence = 7
        self._events: list[tuple[float, int, Callable[[Monotonic], None]]] = []
        self._order = 0

    def at(self, when: float, action: Callable[[Monotonic], None]) -> None:
        self._order += 1
        heapq.heappush(self._events, (when, self._order, action))

    def send(self, packet: RtpPacket, now: float) -> None:
        self.sent[packet.sequence] = packet
        self._answers[packet.sequence] = [now]
        self._deliver(bytes(packet), self.receiver.receive, now)

    def sender_report(self, wall: Wall, timestamp: int, now: float) -> None:
        report = rtcp.SenderReport(SSRC, wall_to_ntp(wall), timestamp & 0xFFFFFFFF, 0, 0)
        self.at(now + self.down.delay, lambda at: void(self.receiver.sender_report(report, at)))

    def _deliver(self, data: bytes, receive: Callable[[RtpPacket, Monotonic], None], now: float) -> None:
        copies = 2 if self.random.random() < self.down.duplication else 1
        for _ in range(copies):
            if self.random.random() < self.down.loss:
                continue
            arrival = now + self.down.delay + self.random.random() * self.down.jitter
            self.at(arrival, lambda at: receive(RtpPacket.parse(data), at))

    def _feedback(self, packet: rtcp.RtcpPacket, now: Monotonic) -> None:
        self.asked.append((now, packet))
        if self.random.random() < self.up.loss:
            return
        for received in rtcp.parse(bytes(packet)):
            self.at(now + self.up.delay, lambda at, received=received: self._answer(received, at))  # type: ignore[misc]

    def _answer(self, packet: rtcp.RtcpPacket, now: Monotonic) -> None:
        if isinstance(packet, rtcp.GenericNack):
            for number in packet.lost if self.answers_nacks and not self.waits_for_keyframe else ():
                self._retransmit(number, now)
        elif isinstance(packet, rtcp.PictureLossIndication) and self.keyframe is not None:
            self.waits_for_keyframe = True
            self.keyframe()

    def _retransmit(self, number: int, now: Monotonic) -> None:
        original = self.sent.get(number)
        if original is None or not original.payload:
            return
        answers = self._answers[number]
        round_trip = self.down.delay + self.up.delay
        pause = min(0.1, 2 * round_trip) if round_trip > 0.001 else 0.1  # it takes 0 ms for "unknown"
        if len(answers) > 3 or now - answers[-1] <= pause:
            return
        answers.append(now)
        again = rtx.retransmission(
            original, payload_type=original.payload_type + 1, ssrc=RTX_SSRC, sequence=self._rtx_sequence & 0xFFFF
        )
        self._rtx_sequence += 1
        self._deliver(bytes(again), self.receiver.receive_rtx, now)

    def run(self, until: float) -> None:
        """Let time pass until `until`, polling the receiver whenever it asks for it."""
        now = 0.0
        polls = 0
        while True:
            due = self.receiver.next_poll()
            when = self._events[0][0] if self._events else float("inf")
            if due is not None and due <= when:
                if due > until:
                    return
                polls = polls + 1 if due <= now else 0
                assert polls < 100, "poll is due again and again without time passing"
                now = max(now, due)
                for packet in self.receiver.poll(Monotonic(now)):
                    self._feedback(packet, Monotonic(now))
                continue
            if when > until:
                return
            now = max(now, when)
            _, _, action = heapq.heappop(self._events)
            action(Monotonic(now))


def void(_: object) -> None:
    """For callbacks whose result does not matter."""


def video_receiver(sink: Recorder, *, latency: float = 0.5, now: float = 0.0) -> TrackReceiver:
    return TrackReceiver(
        ssrc=SSRC, rtx_ssrc=RTX_SSRC, payload_types=VIDEO_TYPES, latency=latency, sink=sink, now=Monotonic(now)
    )


def audio_receiver(sink: Recorder, *, latency: float = 0.5, now: float = 0.0) -> TrackReceiver:
    return TrackReceiver(
        ssrc=SSRC, rtx_ssrc=RTX_SSRC, payload_types=AUDIO_TYPES, latency=latency, sink=sink, now=Monotonic(now)
    )
