"""Costs of the protocol code per packet, without a network: parse, jitter buffer, depacketizer, feedback timers.

Run: python -m bench.rtp_packets
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

from pyegress.clock import Monotonic
from pyegress.codecs import Codec
from pyegress.rtp.frame import EncodedFrame
from pyegress.rtp.packet import RtpPacket
from pyegress.rtp.payload_format import PayloadFormat
from pyegress.rtp.receiver import TrackReceiver

PACKETS = 60_000
ROUNDS = 5


class Counter:
    """A sink that only counts."""

    def __init__(self) -> None:
        self.frames = 0

    def on_codec(self, codec: Codec) -> None:
        pass

    def on_frame(self, frame: EncodedFrame) -> None:
        self.frames += 1


def opus() -> list[bytes]:
    """20 ms packets of 120 octets at 50 per second."""
    payload = b"\x78" + bytes(range(119))
    return [bytes(RtpPacket(111, i & 0xFFFF, 960 * i & 0xFFFFFFFF, 1, payload)) for i in range(PACKETS)]


def vp8() -> list[bytes]:
    """640x360 at 600 kbps: 30 frames per second of 3 packets, one key frame at the beginning."""
    first = b"\x90\x80\x05" + b"\x10\x02\x00\x9d\x01\x2a\x80\x02\x68\x01" + bytes(820)
    start = b"\x90\x80\x05" + b"\x11\x02\x00" + bytes(827)
    inner = b"\x80\x80\x05" + bytes(830)
    packets = []
    for i in range(PACKETS):
        payload = (first if i == 0 else start) if i % 3 == 0 else inner
        packets.append(bytes(RtpPacket(96, i & 0xFFFF, 3000 * (i // 3), 1, payload, i % 3 == 2)))
    return packets


def microseconds(work: Callable[[], None]) -> float:
    best = float("inf")
    for _ in range(ROUNDS):
        started = time.process_time()
        work()
        best = min(best, time.process_time() - started)
    return best / PACKETS * 1e6


def receive(datagrams: list[bytes], payload_types: dict[int, PayloadFormat], rate: int) -> None:
    sink = Counter()
    receiver = TrackReceiver(ssrc=1, rtx_ssrc=2, payload_types=payload_types, sink=sink, now=Monotonic(0.0))
    for number, datagram in enumerate(datagrams):
        now = Monotonic(number / rate)
        receiver.receive(RtpPacket.parse(datagram), now)
        receiver.poll(now)
    assert sink.frames


def parse(datagrams: list[bytes]) -> None:
    for datagram in datagrams:
        RtpPacket.parse(datagram)


def main() -> None:
    for name, datagrams, payload_types, rate in (
        ("Opus", opus(), {111: PayloadFormat.media(Codec.OPUS)}, 50),
        ("VP8", vp8(), {96: PayloadFormat.media(Codec.VP8)}, 90),
    ):
        parsing = microseconds(partial(parse, datagrams))
        everything = microseconds(partial(receive, datagrams, payload_types, rate))
        print(
            f"{name:5} parse {parsing:5.2f} us, with jitter buffer, depacketizer and poll {everything:5.2f} us a packet"
        )


if __name__ == "__main__":
    main()
