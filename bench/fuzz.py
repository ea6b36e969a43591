"""Feeds damaged bytes to everything that reads what the network sends.

Run: python -m bench.fuzz --count 1000000 [--seed 1]

Starts from packets that a real livekit-server sent (tests/data) and from built ones, damages them, and fails on any
exception other than the declared one (ProtocolError; SdpError for SDP) and when memory grows. Every case follows from
seed and number, which a failure prints.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from random import Random

from pyegress.clock import Monotonic
from pyegress.codecs import Codec, Kind
from pyegress.room.sdp import SdpError, parse_offer
from pyegress.rtp import red, rtcp, rtx
from pyegress.rtp.depacketizers import depacketizer_for
from pyegress.rtp.errors import ProtocolError
from pyegress.rtp.frame import EncodedFrame
from pyegress.rtp.keyframe_start import starts_keyframe
from pyegress.rtp.packet import RtpPacket, build_extension
from pyegress.rtp.payload_format import PayloadFormat
from pyegress.rtp.receiver import TrackReceiver

DATA = Path(__file__).parent.parent / "tests" / "data"
SSRC, RTX_SSRC, MEDIA, RTX, RED = 1, 2, 96, 97, 63
#: A depacketizer adds start codes, size fields and indices, at most a few octets for each NAL unit or OBU, and puts
#: parameter sets that came before in front.
_GROWTH, _ALLOWANCE = 8, 1 << 20


class Sink:
    """Checks what comes out."""

    def __init__(self) -> None:
        self.frames = 0

    def on_codec(self, codec: Codec) -> None:
        pass

    def on_frame(self, frame: EncodedFrame) -> None:
        assert frame.payload, "an empty frame"
        self.frames += 1


@cache
def recorded(codec: Codec) -> list[RtpPacket]:
    """Packets of recordings of this codec, the first of each recording."""
    packets: list[RtpPacket] = []
    for description in sorted((DATA / "rtp").glob("*.json")):
        described = json.loads(description.read_text())
        if described["codec"] != codec.name or described["red"] is not None:
            continue
        data = description.with_suffix(".bin").read_bytes()
        position = 0
        taken = 0
        while position < len(data) and taken < 60:
            end = position + 2 + int.from_bytes(data[position : position + 2], "big")
            packets.append(RtpPacket.parse(data[position + 2 : end]))
            position, taken = end, taken + 1
    return packets or [RtpPacket(MEDIA, n, 3000 * (n // 3), SSRC, p, n % 3 == 2) for n, p in enumerate(_BUILT[codec])]


#: For codecs without recordings.
_BUILT: Mapping[Codec, list[bytes]] = {
    Codec.H265: [
        bytes.fromhex("6001 0018 40010c01ffff01600000030090000003000003003f959809 0006 4401c172b462") + bytes(20),
        bytes.fromhex("620193af") + bytes(80),
        bytes.fromhex("620153af") + bytes(60),
        bytes.fromhex("0201d0") + bytes(50),
        bytes.fromhex("420101016000000300900000030000030078a003c08010e596566924caf016a0200000"),
        bytes.fromhex("4401c172b46240"),
    ],
    Codec.PCMU: [bytes(160), bytes(range(160))],
    Codec.PCMA: [bytes(160), bytes(range(160))],
}


def damage(random: Random, data: bytes) -> bytes:
    """`data` with one to six faults; sometimes unchanged, so that what comes later in a message is reached."""
    if random.random() < 0.1:
        return data
    out = bytearray(data)
    for _ in range(random.randint(1, 6)):
        kind = random.randrange(7)
        at = random.randrange(len(out) + 1)
        # Faults near the beginning hit headers.
        if random.random() < 0.5:
            at = min(at, random.randrange(24))
        if kind == 0 and at < len(out):
            out[at] ^= 1 << random.randrange(8)
        elif kind == 1 and at < len(out):
            out[at] = random.choice((0, 1, 0x7F, 0x80, 0xFE, 0xFF))
        elif kind == 2:
            del out[at:]
        elif kind == 3:
            del out[at : at + random.randint(1, 8)]
        elif kind == 4:
            out[at:at] = random.randbytes(random.randint(1, 8))
        elif kind == 5:
            end = at + random.randint(1, 40)
            out[at:at] = out[at:end]
        elif at < len(out):
            out[at] = random.randrange(256)
    return bytes(out)


def fuzz_rtp(random: Random) -> None:
    profile, extension = build_extension({random.randint(1, 20): random.randbytes(random.randint(0, 18))})
    packet = RtpPacket(
        random.randrange(128),
        random.randrange(65_536),
        7,
        SSRC,
        random.choice((bytes(254) + b"\xff", random.randbytes(random.randint(0, 60)))),
        padding=random.choice((0, 0, 255, 510, random.randint(0, 255))),
        csrcs=tuple(range(random.randrange(3))),
        extension_profile=random.choice((None, profile)),
        extension=extension,
    )
    data = damage(random, bytes(packet))
    read = RtpPacket.parse(data)
    assert len(read.payload) + read.padding <= len(data)
    if read.padding <= 255:
        assert RtpPacket.parse(bytes(read)) == read
    read.extensions()


def fuzz_rtcp(random: Random) -> None:
    block = rtcp.ReportBlock(1, 2, 3, 4, 5, 6, 7)
    packets: list[rtcp.RtcpPacket] = [
        rtcp.SenderReport(1, 2, 3, 4, 5, (block,) * random.randrange(3)),
        rtcp.ReceiverReport(1, (block,) * random.randrange(3)),
        rtcp.SourceDescription({1: {1: "name", 2: "x"}, 2: {1: "y" * random.randrange(9)}}),
        rtcp.Goodbye((1, 2), "reason"),
        rtcp.GenericNack(1, 2, tuple(random.sample(range(200), 5))),
        rtcp.PictureLossIndication(1, 2),
        rtcp.FullIntraRequest(1, 2, ((3, 4),)),
        rtcp.UnknownRtcp(206, 15, bytes(12)),
    ]
    data = damage(random, rtcp.build(random.sample(packets, random.randint(1, 4))))
    parsed = rtcp.parse(data)
    assert len(parsed) <= len(data) // 4
    rtcp.build(packet for packet in parsed if not isinstance(packet, rtcp.SourceDescription | rtcp.Goodbye))


def fuzz_red(random: Random) -> None:
    blocks = [
        red.RedBlock(random.randrange(128), random.randrange(16_384), random.randbytes(random.randrange(50)))
        for _ in range(random.randrange(4))
    ]
    data = damage(random, red.build([*blocks, red.RedBlock(111, 0, random.randbytes(30))]))
    assert sum(len(block.payload) for block in red.parse(data)) <= len(data)


def fuzz_rtx(random: Random) -> None:
    packet = RtpPacket(RTX, 1, 2, RTX_SSRC, random.randbytes(random.randrange(30)))
    data = damage(random, bytes(packet))
    restored = rtx.restore(RtpPacket.parse(data), payload_type=MEDIA, ssrc=SSRC)
    assert restored is None or len(restored.payload) + 2 <= len(data)


def fuzz_depacketizer(random: Random, codec: Codec) -> None:
    """A few frames through one depacketizer, as the jitter buffer would hand them to it, and worse."""
    depacketizer = depacketizer_for(codec)
    packets = recorded(codec)
    start = random.randrange(len(packets))
    run: list[bytes] = []
    octets = 0
    for packet in packets[start : start + 12]:
        payload = damage(random, packet.payload) if random.random() < 0.3 else packet.payload
        if random.random() < 0.05:
            continue
        octets += len(payload)
        starts_keyframe(codec, payload)
        try:
            fragment = depacketizer.inspect(payload, packet.marker)
        except ProtocolError:
            if random.random() < 0.5:
                continue
        else:
            assert fragment.payload == payload
        run.append(payload)
        if packet.marker or random.random() < 0.1:
            payloads, run = run, []
            try:
                frame = depacketizer.assemble(payloads)
            except ProtocolError:
                continue
            assert frame is None or 0 < len(frame.payload) <= _GROWTH * octets + _ALLOWANCE


def fuzz_receiver(random: Random, codec: Codec) -> None:
    """A stretch of a stream with damaged, lost, doubled, reordered and retransmitted packets."""
    types = {MEDIA: PayloadFormat.media(codec), RTX: PayloadFormat.rtx(MEDIA, codec.clock_rate)}
    if codec.kind is Kind.AUDIO:
        types[RED] = PayloadFormat.red((MEDIA, MEDIA), codec.clock_rate)
    receiver = TrackReceiver(
        ssrc=SSRC, rtx_ssrc=RTX_SSRC, payload_types=types, sink=Sink(), latency=0.2, now=Monotonic(0.0)
    )
    packets = recorded(codec)
    start = random.randrange(len(packets))
    now = 0.0
    octets = 0
    for original in packets[start : start + 30]:
        now += random.choice((0.0, 0.001, 0.01, 0.3))
        packet = RtpPacket(MEDIA, original.sequence, original.timestamp, SSRC, original.payload, original.marker)
        fault = random.randrange(16)
        if fault == 0:
            packet.payload = damage(random, packet.payload)
        elif fault == 1:
            packet.sequence = random.randrange(65_536)
        elif fault == 2:
            packet.sequence = (packet.sequence + random.randint(-3000, 3000)) & 0xFFFF
        elif fault == 3:
            packet.timestamp = random.randrange(1 << 32)
        elif fault == 4:
            packet.payload_type = random.choice((RTX, RED, 5))
        elif fault == 5:
            packet.payload = b""
        elif fault == 6:
            continue
        octets += 4 * len(packet.payload) + 300  # copies, retransmissions, and what damage adds to them
        at = Monotonic(now)
        if fault == 7:
            again = rtx.retransmission(packet, payload_type=RTX, ssrc=RTX_SSRC, sequence=packet.sequence)
            receiver.receive_rtx(again, at)
        elif fault == 8:
            receiver.receive_rtx(RtpPacket(RTX, 0, 0, RTX_SSRC, damage(random, packet.payload)), at)
        elif fault == 9:
            receiver.sender_report(rtcp.SenderReport(SSRC, random.randrange(1 << 64), packet.timestamp, 0, 0), at)
        elif fault == 10:
            receiver.set_muted(random.random() < 0.5, at)
        for _ in range(1 + (fault == 11)):
            receiver.receive(packet, at)
        if random.random() < 0.5:
            rtcp.parse(rtcp.build(receiver.poll(at)) or bytes(receiver_report(receiver, at)))
        assert receiver.held[1] <= octets
    receiver.flush(Monotonic(now))
    assert receiver.held == (0, 0)
    assert receiver.next_poll() is None


def receiver_report(receiver: TrackReceiver, now: Monotonic) -> rtcp.ReceiverReport:
    return rtcp.ReceiverReport(9, (receiver.report_block(now),))


@cache
def _offers() -> list[str]:
    return [path.read_text() for path in sorted((DATA / "sdp").glob("*.sdp"))]


def fuzz_sdp(random: Random) -> None:
    text = random.choice(_offers())
    if random.random() < 0.5:
        lines = text.splitlines()
        for _ in range(random.randint(1, 5)):
            at = random.randrange(len(lines))
            lines.insert(random.randrange(len(lines)), lines[at] if random.random() < 0.5 else lines.pop(at))
        text = "\r\n".join(lines)
    else:
        at = random.randrange(len(text))
        piece = damage(random, text[at : at + 60].encode()).decode(errors="replace")
        text = text[:at] + piece + text[at + 60 :]
    try:
        parse_offer(text)
    except SdpError:
        raise ProtocolError("SDP") from None


def targets() -> Mapping[str, tuple[int, Callable[[Random], None]]]:
    """What is fuzzed, by name: how often in a round, and one case."""
    table: dict[str, tuple[int, Callable[[Random], None]]] = {
        "rtp": (6, fuzz_rtp),
        "rtcp": (6, fuzz_rtcp),
        "red": (3, fuzz_red),
        "rtx": (1, fuzz_rtx),
        "sdp": (1, fuzz_sdp),
    }
    for codec in Codec:
        if not codec.published:
            continue
        table[f"depacketizer {codec.name}"] = (1, lambda random, codec=codec: fuzz_depacketizer(random, codec))  # type: ignore[misc]
        table[f"receiver {codec.name}"] = (1, lambda random, codec=codec: fuzz_receiver(random, codec))  # type: ignore[misc]
    return table


def run(count: int, seed: int, progress: Callable[[int], None] = lambda done: None) -> Counter[str]:
    """`count` cases. Returns by target how many were refused with the declared error; raises on anything else."""
    refused: Counter[str] = Counter()
    schedule = [(name, case) for name, (share, case) in targets().items() for _ in range(share)]
    for number in range(count):
        name, case = schedule[number % len(schedule)]
        try:
            case(Random(f"{seed} {number}"))
        except ProtocolError as error:
            if name.startswith("receiver"):
                error.add_note(f"fuzz target {name}, seed {seed}, case {number}: a receiver takes whatever comes")
                raise
            refused[name] += 1
        except Exception as error:
            error.add_note(f"fuzz target {name}, seed {seed}, case {number}")
            raise
        if number % 10_000 == 0:
            progress(number)
    return refused


def resident() -> int:
    """Peak memory in KiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    started = time.monotonic()
    run(2000, arguments.seed)  # imports, caches, corpora
    before = resident()

    def progress(done: int) -> None:
        print(f"\r{done:,} cases, {time.monotonic() - started:.0f} s", end="", file=sys.stderr, flush=True)

    refused = run(arguments.count, arguments.seed + 1, progress)
    grown = resident() - before
    print(file=sys.stderr)
    print(f"{arguments.count:,} cases in {time.monotonic() - started:.0f} s, peak memory +{grown / 1024:.1f} MiB")
    for name, number in sorted(refused.items()):
        print(f"  {name}: {number:,} refused")
    if grown > 32 * 1024:
        sys.exit("memory grew: something keeps what it was fed")


if __name__ == "__main__":
    main()
