"""The media transport against a real livekit-server, with the smallest possible signalling."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from pyegress.clock import Monotonic, wall
from pyegress.demo.publishers import Content, DemoParticipant
from pyegress.room.sdp import MediaSection
from pyegress.room.transport import IceServer, TransportState
from pyegress.rtp import rtcp
from pyegress.rtp.packet import RtpPacket
from pyegress.rtp.rtcp import GenericNack, ReceiverReport
from pyegress.rtp.rtx import restore
from tests.support.livekit_server import LiveKitServer, free_port
from tests.support.signal_client import SignalClient
from tests.support.waiting import eventually

pytestmark = pytest.mark.system

SMALL = Content(size=(320, 180), fps=15, continuous=True, dtx=False, red=False)


class Streams:
    """Sequence numbers of what came, by SSRC; retransmissions (RFC 4588) count as what they repeat."""

    def __init__(self) -> None:
        self.came: defaultdict[int, list[int]] = defaultdict(list)
        self.client: SignalClient | None = None

    def __call__(self, packet: bytes, now: Monotonic) -> None:
        parsed = RtpPacket.parse(packet)
        repaired = {rtx: ssrc for s in self._sections for ssrc, rtx in s.fid_groups.items()}
        if parsed.ssrc not in repaired:
            self.came[parsed.ssrc].append(parsed.sequence)
        elif (original := restore(parsed, payload_type=0, ssrc=repaired[parsed.ssrc])) is not None:
            self.came[original.ssrc].append(original.sequence)

    @property
    def _sections(self) -> tuple[MediaSection, ...]:
        return self.client.parsed[-1].media if self.client is not None and self.client.parsed else ()

    @property
    def count(self) -> int:
        return sum(map(len, self.came.values()))

    @property
    def offered(self) -> set[int]:
        return {ssrc for section in self._sections for ssrc in section.ssrcs}

    def missing(self) -> dict[int, list[int]]:
        """What did not come between the first and the last packet of each stream that has such holes."""
        return {ssrc: holes for ssrc, came in self.came.items() if (holes := _holes(came))}


def _holes(came: list[int]) -> list[int]:
    # The streams here are far from 65536 packets, so one wrap at most.
    offsets = {(sequence - came[0] + 0x8000) % 0x10000 - 0x8000 for sequence in came}
    return [(came[0] + n) % 0x10000 for n in range(min(offsets), max(offsets)) if n not in offsets]


@asynccontextmanager
async def received(server: LiveKitServer, room: str, **options: Any) -> AsyncIterator[tuple[SignalClient, Streams]]:
    """A recorder's transport in a room with one participant, once media flows."""
    streams = Streams()
    publisher = DemoParticipant(server.url, server.token("someone", room), "someone", SMALL)
    token = server.token("EG_test", room, hidden=True, recorder=True, publish=False)
    async with publisher, SignalClient(server.url, token, on_rtp=streams, **options) as client:
        streams.client = client
        await asyncio.wait_for(client.offer_came.wait(), 10)
        await client.transport.wait_connected(20)
        await eventually(lambda: len(streams.came) >= 2, "audio and video packets", within=20)
        yield client, streams


async def test_media_and_reports_come_decrypted(livekit_server: LiveKitServer) -> None:
    async with received(livekit_server, "transport-plain") as (client, streams):
        await eventually(lambda: streams.count > 100, "100 packets", within=20)
        await eventually(lambda: client.rtcp, "a sender report", within=20)
        assert set(streams.came) == streams.offered
        assert streams.missing() == {}
        assert {report[1] for report in client.rtcp} <= set(range(200, 208))
        stats = client.transport.stats
        assert (stats.auth_failures, stats.replays, stats.malformed) == (0, 0, 0)
        assert stats.srtp_profile is not None
        assert stats.srtp_profile.startswith("AEAD_AES_")
        assert client.transport.rtt is not None
        assert client.states == [TransportState.CONNECTING, TransportState.CONNECTED]


async def test_resume_loses_nothing_for_good(livekit_server: LiveKitServer) -> None:
    """While the server has no path, for some 20 ms of an ICE restart, it drops what it should send: NACK brings it."""
    async with received(livekit_server, "transport-resume") as (client, streams):
        for restarts in range(1, 4):
            await client.resume()
            await eventually(partial(on_a_new_path, client, restarts), "the new path")
            await eventually(partial(has_come, streams, streams.count + 10), "media on the new path", within=20)
            await repair(client, streams)
        assert set(streams.came) == streams.offered
        assert client.transport.stats.auth_failures == 0
        assert client.states == [TransportState.CONNECTING, TransportState.CONNECTED]


async def repair(client: SignalClient, streams: Streams) -> None:
    """Ask for what is missing until it has come; livekit-server forgets packets within seconds."""
    for _ in range(100):
        missing = streams.missing()
        if not missing:
            return
        for ssrc, sequences in missing.items():
            client.transport.send_rtcp(rtcp.build([ReceiverReport(1), GenericNack(1, ssrc, tuple(sequences))]))
        await asyncio.sleep(0.05)
    raise AssertionError(f"not retransmitted: {streams.missing()}")


def on_a_new_path(client: SignalClient, restarts: int) -> bool:
    diagnosis = client.transport.diagnosis
    return client.transport.stats.ice_restarts == restarts and diagnosis is not None and diagnosis.selected is not None


def has_come(streams: Streams, count: int) -> bool:
    return streams.count >= count


async def test_media_over_tcp_when_udp_is_blocked(livekit_server: LiveKitServer) -> None:
    """RFC 6544: livekit-server offers passive TCP candidates on rtc.tcp_port."""
    only_tcp = _only(" tcp ")
    async with received(livekit_server, "transport-tcp", filter_candidate=only_tcp) as (client, streams):
        await eventually(lambda: streams.count > 100, "100 packets", within=20)
        diagnosis = client.transport.diagnosis
        assert diagnosis is not None
        assert diagnosis.selected is not None
        assert diagnosis.selected.startswith("tcp ")
        assert client.transport.stats.auth_failures == 0
        assert streams.missing() == {}
        await client.resume()
        await eventually(partial(on_a_new_path, client, 1), "the new path")
        await eventually(partial(has_come, streams, streams.count + 50), "media on the new path", within=20)


def _only(*words: str) -> Callable[[str], bool]:
    return lambda line: any(word in line.lower() for word in words)


@pytest.mark.parametrize("way", ["udp", "tcp", "tls"])
async def test_media_through_turn(
    way: str, new_livekit_server: Callable[..., LiveKitServer], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    udp, tcp = free_port(socket.SOCK_DGRAM), free_port(socket.SOCK_STREAM)
    turn: dict[str, Any] = {
        "enabled": True,
        "domain": "turn.example.com",
        "udp_port": udp,
        "tls_port": tcp,
        "external_tls": way != "tls",
        "allow_restricted_peer_cidrs": ["127.0.0.0/8"],
    }
    if way == "tls":
        turn |= write_certificate(tmp_path)
        monkeypatch.setenv("SSL_CERT_FILE", turn["cert_file"])
    server = new_livekit_server(config={"turn": turn})
    urls = {
        "udp": f"turn:127.0.0.1:{udp}?transport=udp",
        "tcp": f"turn:127.0.0.1:{tcp}?transport=tcp",
        "tls": f"turns:127.0.0.1:{tcp}?transport=tcp",
    }

    def by_this_way(ice_server: IceServer) -> IceServer:
        return replace(ice_server, url=urls[way]) if ice_server.url.startswith("turn") else ice_server

    options: dict[str, Any] = {"relay_only": True, "ice_server": by_this_way}
    async with received(server, f"transport-turn-{way}", **options) as (client, streams):
        await eventually(lambda: streams.count > 100, "100 packets", within=20)
        diagnosis = client.transport.diagnosis
        assert diagnosis is not None
        assert diagnosis.selected is not None
        assert " relay - " in diagnosis.selected
        assert streams.missing() == {}
        assert client.transport.stats.auth_failures == 0


def write_certificate(directory: Path) -> dict[str, str]:
    """A certificate of 127.0.0.1 that signs itself, as livekit-server's configuration takes it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "turn")])
    now = datetime.fromtimestamp(wall(), UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    cert_file, key_file = directory / "turn.crt", directory / "turn.key"
    cert_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return {"cert_file": str(cert_file), "key_file": str(key_file)}
