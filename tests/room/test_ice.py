from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aioice import Candidate, Connection

from pyegress.clock import Monotonic
from pyegress.room import ice, paths
from pyegress.room.ice import AgentOwner, IceAgent
from pyegress.room.ice_servers import IceServer, IceUrl, IceUrlError, parse_ice_url
from pyegress.room.paths import DatagramSeam
from pyegress.room.srtp import ReceiveBuffer
from tests.support.impairment import Impairment, SeededImpairment
from tests.support.leaks import Snapshot, wait_for_no_leaks
from tests.support.waiting import eventually

pytestmark = pytest.mark.wire


@pytest.fixture(autouse=True)
def nothing_left(no_tasks_left: asyncio.AbstractEventLoop) -> Iterator[None]:
    before = Snapshot.take()
    yield
    assert not wait_for_no_leaks(before, loop=no_tasks_left)


REMOTE = ("abcd", "0123456789012345678901")


class Told:
    """What an agent told its owner."""

    def __init__(self, seam: DatagramSeam | None = None) -> None:
        self.seam = seam
        self.selected: list[IceAgent] = []
        self.candidates: list[str | None] = []
        self.dtls: list[bytes] = []
        self.media: list[int] = []
        self.rtts: list[float] = []

    def owner(self) -> AgentOwner:
        return AgentOwner(
            buffer=ReceiveBuffer(),
            seam=self.seam,
            on_media=self._media,
            on_dtls=self.dtls.append,
            on_selected=self.selected.append,
            on_candidate=self.candidates.append,
            on_rtt=self.rtts.append,
        )

    def _media(self, size: int, now: Monotonic) -> None:
        self.media.append(size)


@asynccontextmanager
async def agent(remote: tuple[str, str] = REMOTE, **options: Any) -> AsyncIterator[tuple[IceAgent, Told]]:
    told = Told(options.pop("seam", None))
    made = IceAgent(told.owner(), servers=options.pop("servers", ()), remote=remote, **options)
    try:
        yield made, told
    finally:
        await made.aclose()
        await made.aclose()


@asynccontextmanager
async def plain_peer(*, controlling: bool, **options: Any) -> AsyncIterator[Connection]:
    """aioice as it is, on loopback."""
    connection = Connection(ice_controlling=controlling, **options)
    connection._local_candidates_start = connection._local_candidates_end = True
    connection._local_candidates += await connection.get_component_candidates(1, ["127.0.0.1"])
    try:
        yield connection
    finally:
        await connection.close()


def lines_of(connection: Connection) -> list[str]:
    return [f"candidate:{candidate.to_sdp()}" for candidate in connection.local_candidates]


@pytest.mark.parametrize("ours_first", [True, False])
async def test_connects_with_aioice(ours_first: bool) -> None:
    async with (
        plain_peer(controlling=True) as peer,
        agent((peer.local_username, peer.local_password)) as (ours, told),
    ):
        credentials = ours.credentials
        peer.remote_username, peer.remote_password = credentials.ufrag, credentials.pwd
        if ours_first:
            ours.start(lines_of(peer))
        else:
            ours.start([])
            for line in ours.credentials.candidates:
                await peer.add_remote_candidate(Candidate.from_sdp(line.removeprefix("candidate:")))
        await asyncio.wait_for(peer.connect(), 10)
        await eventually(lambda: told.selected == [ours], "the selected pair")
        assert ours.send(b"\x80to the peer")
        assert await asyncio.wait_for(peer.recv(), 5) == b"\x80to the peer"
        await peer.send(b"\x80" + bytes(99))
        await peer.send(b"\x16dtls")
        await eventually(lambda: told.media == [100] and told.dtls == [b"\x16dtls"], "media and DTLS")
        await eventually(lambda: told.rtts, "a measured round trip")
        diagnosis = ours.diagnosis()
        assert diagnosis.selected is not None
        assert not diagnosis.udp_blocked
        assert diagnosis.checks_received > 0
        assert diagnosis.udp_answers > 0


async def test_controls_a_lite_server() -> None:
    async with (
        plain_peer(controlling=False) as peer,
        agent((peer.local_username, peer.local_password), remote_is_lite=True) as (ours, told),
    ):
        peer.remote_username, peer.remote_password = ours.credentials.ufrag, ours.credentials.pwd
        ours.start(lines_of(peer))
        await asyncio.wait_for(peer.connect(), 10)
        await eventually(lambda: told.selected, "the selected pair")


async def test_a_check_that_came_too_early_is_repeated_when_the_server_is_ready(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A server drops checks until it has read the answer; its own first check says that it has."""
    monkeypatch.setattr(paths, "CHECK_RTO", 60.0)
    seam = SeededImpairment(1, Impairment(), outbound=Impairment(loss=1.0))
    async with (
        plain_peer(controlling=True) as peer,
        agent((peer.local_username, peer.local_password), seam=seam) as (ours, told),
    ):
        peer.remote_username, peer.remote_password = ours.credentials.ufrag, ours.credentials.pwd
        ours.start(lines_of(peer))
        paired = sum(":" not in line.split()[4] for line in ours.credentials.candidates)
        await eventually(lambda: seam.outbound_tally.dropped == paired, "a lost check on each pair")
        seam.change(Impairment())
        for line in ours.credentials.candidates:
            await peer.add_remote_candidate(Candidate.from_sdp(line.removeprefix("candidate:")))
        await asyncio.wait_for(peer.connect(), 10)
        await eventually(lambda: told.selected, "the selected pair")


async def test_host_candidates_are_there_at_once() -> None:
    async with agent() as (ours, told):
        ours.start([])
        lines = ours.credentials.candidates
        assert any(" 127.0.0.1 " in line for line in lines)
        assert told.candidates == []
        await eventually(lambda: None in told.candidates, "the end of candidates")
        assert tuple(told.candidates[:-1]) == lines
        for line in lines:
            assert Candidate.from_sdp(line.removeprefix("candidate:")).type == "host"
    assert not ours.send(b"x")


async def test_loopback_can_be_left_out() -> None:
    async with agent(use_loopback=False) as (ours, _):
        ours.start([])
        assert not any(" 127." in line for line in ours.credentials.candidates)


async def test_remote_candidates_that_cannot_be_used_are_passed_over() -> None:
    async with agent() as (ours, _):
        ours.start(
            [
                "",
                "nonsense",
                "1 2 udp 1 127.0.0.1 1000 typ host",
                "1 1 tcp 1 127.0.0.1 1001 typ host tcptype active",
                "1 1 udp 1 name.invalid 1002 typ host",
                "1 1 udp x 127.0.0.1 1003 typ host",
                "candidate:1 1 udp 1 127.0.0.1 1004 typ host ufrag abcd",
                "a=candidate:1 1 UDP 1 127.0.0.1 1005 typ srflx raddr 0.0.0.0 rport 9",
                "1 1 udp 1 127.0.0.1 1004 typ host",
            ]
        )
        assert ours.diagnosis().remote == ("udp 127.0.0.1:1004 host", "udp 127.0.0.1:1005 srflx")
        for port in range(2000, 2200):
            ours.add_remote(f"1 1 udp 1 127.0.0.1 {port} typ host")
        assert len(ours.diagnosis().remote) == 64


async def test_tcp_is_tried_when_udp_leads_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ice, "TCP_DELAY", 0.05)
    first = asyncio.get_running_loop().create_future()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        size = int.from_bytes(await reader.readexactly(2), "big")
        first.set_result(await reader.readexactly(size))
        await reader.read()
        writer.close()

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with agent() as (ours, _):
        ours.start([f"1 1 tcp 1 127.0.0.1 {port} typ host tcptype passive"])
        ours.add_remote("1 1 tcp 1 127.0.0.1 1 typ host tcptype passive")
        check = await asyncio.wait_for(first, 10)
        assert check[:2] == b"\0\1", "a STUN binding request (RFC 8489 section 5)"
        assert b"abcd:" in check
        await eventually(lambda: ours.diagnosis().refused, "the refused port")
        diagnosis = ours.diagnosis()
        assert diagnosis.tcp_checks >= 1
        assert diagnosis.udp_checks == 0
        assert not diagnosis.udp_blocked
        assert diagnosis.refused[0].startswith("tcp 127.0.0.1:1: ")
    server.close()


async def test_servers_that_are_of_no_use_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ice, "GATHER_TIMEOUT", 0.3)
    loop = asyncio.get_running_loop()
    deaf, _ = await loop.create_datagram_endpoint(asyncio.DatagramProtocol, local_addr=("127.0.0.1", 0))
    port = deaf.get_extra_info("sockname")[1]
    servers = [
        IceServer("http://example.com"),
        IceServer(f"turn:127.0.0.1:{port}", "user", "secret"),
        IceServer("turn:127.0.0.1:1?transport=tcp", "user", "secret"),
    ]
    async with agent(servers=servers) as (ours, told):
        ours.start([])
        await eventually(lambda: None in told.candidates, "the end of candidates")
        assert len(ours.diagnosis().refused) == 3
        assert f"turn:127.0.0.1:{port}: no answer" in ours.diagnosis().refused
        assert "secret" not in repr(servers)
    deaf.close()


@pytest.mark.parametrize(
    ("url", "parsed"),
    [
        ("stun:stun.example.com", IceUrl("stun", "stun.example.com", 3478, "udp")),
        ("stun:192.0.2.1:19302", IceUrl("stun", "192.0.2.1", 19302, "udp")),
        ("turn:turn.example.com:3478?transport=udp", IceUrl("turn", "turn.example.com", 3478, "udp")),
        ("turn:turn.example.com?transport=tcp", IceUrl("turn", "turn.example.com", 3478, "tcp")),
        ("turns:turn.example.com:443?transport=tcp", IceUrl("turns", "turn.example.com", 443, "tcp")),
        ("turns:turn.example.com", IceUrl("turns", "turn.example.com", 5349, "tcp")),
        ("TURN:[2001:db8::1]:3478", IceUrl("turn", "2001:db8::1", 3478, "udp")),
    ],
)
def test_ice_urls(url: str, parsed: IceUrl) -> None:
    assert parse_ice_url(url) == parsed


@pytest.mark.parametrize(
    "url", ["", "stun:", "http://x", "turn:x:y", "turns:x?transport=udp", "turn:a:1?transport=sctp"]
)
def test_ice_urls_that_cannot_be_used(url: str) -> None:
    with pytest.raises(IceUrlError):
        parse_ice_url(url)
