from __future__ import annotations

import asyncio
import contextlib
import inspect
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Any, cast

import aioice.ice
import aioice.stun
import aioice.turn
import pytest
from aioice import Connection

from pyegress.clock import Monotonic, monotonic
from pyegress.room import paths
from pyegress.room.kernel_buffer import SOCKET_BUFFER, enlarge_receive_buffer, kernel_drops
from pyegress.room.paths import Address, DatagramSeam, Path, UdpSocket, open_udp_path
from pyegress.room.srtp import ReceiveBuffer
from pyegress.room.tcp_path import open_tcp_path
from tests.support.impairment import Impairment, SeededImpairment
from tests.support.waiting import eventually

pytestmark = pytest.mark.wire


class Owner:
    """An agent that only writes down."""

    def __init__(self, seam: DatagramSeam | None = None) -> None:
        self.buffer = ReceiveBuffer()
        self.seam = seam
        self.on_media: Callable[[int, Monotonic], None] = self.take_media
        self.last_received = monotonic()
        self.media: list[bytes] = []
        self.times: list[Monotonic] = []
        self.other: list[tuple[bytes, Address]] = []

    def take_media(self, size: int, now: Monotonic) -> None:
        self.media.append(bytes(self.buffer.view[:size]))
        self.times.append(now)

    def on_other(self, data: bytes, source: Address, path: Path) -> None:
        self.other.append((data, source))

    def on_check(self, *, udp: bool, answered: bool) -> None: ...

    def on_rtt(self, seconds: float) -> None: ...


def receiver() -> Connection:
    return Connection(ice_controlling=False)


@asynccontextmanager
async def udp_path(owner: Owner) -> AsyncIterator[tuple[Path, socket.socket]]:
    """A path, and a socket that is aimed at it."""
    path = open_udp_path(owner, receiver(), "127.0.0.1")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as far:
        far.setblocking(False)
        far.bind(("127.0.0.1", 0))
        far.connect((path.local_candidate.host, path.local_candidate.port))
        yield path, far
    await path.close()


async def test_datagrams_are_told_apart_by_their_first_octet() -> None:
    owner = Owner()
    async with udp_path(owner) as (_, far):
        for first in (0, 3, 20, 63, 64, 127, 128, 191, 192, 255):
            far.send(bytes([first]) + b"rest")
        far.send(b"")
        await eventually(lambda: len(owner.media) + len(owner.other) == 10, "ten datagrams")
        assert [data[0] for data in owner.media] == [128, 191]
        assert [data[0] for data, _ in owner.other] == [0, 3, 20, 63, 64, 127, 192, 255]
        assert {source for _, source in owner.other} == {far.getsockname()}
        assert owner.media[0] == b"\x80rest"


async def test_a_burst_is_read_in_one_wake_up() -> None:
    owner = Owner()
    async with udp_path(owner) as (_, far):
        for number in range(200):
            far.send(b"\x80" + bytes([number]) * 1100)
        await eventually(lambda: len(owner.media) == 200, "200 datagrams")
        assert len(set(owner.times)) == 1
        assert owner.last_received == owner.times[0]
        assert [data[1] for data in owner.media] == list(range(200))


async def test_a_flood_leaves_the_loop_to_others() -> None:
    owner = Owner()
    async with udp_path(owner) as (_, far):
        for _ in range(paths.MAX_BURST * 2):
            far.send(b"\x80")
        await eventually(lambda: len(owner.media) == paths.MAX_BURST * 2, "all datagrams")
        assert len(set(owner.times)) == 2


async def test_a_busy_socket_is_read_at_intervals_until_it_is_quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paths, "BUSY_WINDOW", 0.1)
    owner = Owner()
    async with udp_path(owner) as (path, far):
        sock = cast(UdpSocket, path.transport)
        far.send(b"\x80\x00")
        await eventually(lambda: len(owner.media) == 1, "the first datagram")
        assert not sock.polling
        monkeypatch.setattr(paths, "BUSY_WAKE_UPS", -1.0)
        numbers = iter(range(1, 100_000))

        def send_one() -> bool:
            far.send(b"\x80" + next(numbers).to_bytes(4, "big"))
            return sock.polling

        await eventually(send_one, "polling")
        far.send(b"\x00stun")
        await eventually(lambda: owner.other, "STUN while polling")
        monkeypatch.setattr(paths, "BUSY_WAKE_UPS", 250.0)
        await eventually(lambda: not sock.polling, "waiting for packets again")
        sent = next(numbers)
        far.send(b"\x80" + sent.to_bytes(4, "big"))
        await eventually(lambda: len(owner.media) == sent + 1, "every datagram")
        assert [int.from_bytes(data[1:], "big") for data in owner.media[1:]] == list(range(1, sent + 1))


async def test_closing_while_polling(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paths, "BUSY_WAKE_UPS", -1.0)
    owner = Owner()
    async with udp_path(owner) as (path, far):
        far.send(b"\x80")
        await eventually(lambda: cast(UdpSocket, path.transport).polling, "polling")
    far_sent = len(owner.media)
    await asyncio.sleep(paths.POLL_INTERVAL * 2)
    assert len(owner.media) == far_sent


async def test_the_receive_buffer_holds_a_long_burst() -> None:
    """2000 full packets wait while the loop is busy; Linux's default would hold about 150."""
    owner = Owner()
    async with udp_path(owner) as (path, far):
        size = path.transport.get_extra_info("socket").getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            enlarge_receive_buffer(probe)
            assert size == probe.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
        if size < SOCKET_BUFFER:
            pytest.skip(f"this system allows a receive buffer of {size} octets only")
        for _ in range(2000):
            far.send(b"\x80" + bytes(1100))
        await eventually(lambda: len(owner.media) == 2000, "2000 datagrams")


async def test_kernel_drops_are_seen() -> None:
    owner = Owner()
    async with udp_path(owner) as (path, far):
        path.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        inodes = frozenset({path.transport.inode})  # type: ignore[attr-defined]
        if kernel_drops(inodes) is None:
            pytest.skip("/proc/net/udp is not there")
        assert kernel_drops(inodes) == 0
        for _ in range(100):
            far.send(b"\x80" + bytes(1000))
        drops = kernel_drops(inodes)
        assert drops is not None
        assert drops > 50
        await eventually(lambda: len(owner.media) == 100 - drops, "what was not dropped")
    assert kernel_drops(frozenset()) is None


async def test_sending_never_raises() -> None:
    async with udp_path(Owner()) as (path, far):
        path.transport.sendto(b"hello", far.getsockname())
        await eventually(lambda: _receive(far) == b"hello", "the datagram")
        path.transport.sendto(b"x", ("192.0.2.255", 9))  # loopback has no route there
        path.transport.sendto(b"x" * 70_000, far.getsockname())
        far.close()
        for _ in range(3):
            path.transport.sendto(b"x", ("127.0.0.1", 9))  # refused: the next call reports it
    path.transport.sendto(b"x", ("127.0.0.1", 9))
    path.transport.close()
    assert path.transport.is_closing()


def _receive(sock: socket.socket) -> bytes | None:
    with contextlib.suppress(BlockingIOError):
        return sock.recv(2048)
    return None


async def test_closing_while_a_burst_is_read() -> None:
    owner = Owner()
    async with udp_path(owner) as (path, far):

        def take(size: int, now: Monotonic) -> None:
            owner.take_media(size, now)
            path.transport.close()

        owner.on_media = take
        for _ in range(5):
            far.send(b"\x80")
        await eventually(lambda: owner.media, "the first datagram")
        await asyncio.sleep(0)
        assert len(owner.media) == 1


async def test_malformed_stun_is_harmless() -> None:
    async with udp_path(Owner()) as (path, _):
        header = b"\0\1\0\x08\x21\x12\xa4\x42" + b"t" * 12
        for body in (
            b"\x80\x28\0\4abcd",
            b"\0\x20\0\4\0\1\0\0",
            b"\0\x24\0\1a\0\0\0",
            b"\0\6\xff\xffabcd",
            b"\0\6\0\4\xff\xff\xff\xff",
        ):
            path.stun_received(header + body, ("127.0.0.1", 1))
        path.stun_received(b"\0", ("127.0.0.1", 1))


@pytest.mark.parametrize("direction", ["in", "out"])
async def test_the_seam_lies_on_the_udp_path(direction: str) -> None:
    how = Impairment(loss=0.5)
    seam = SeededImpairment(1, how, outbound=how)
    owner = Owner(seam)
    async with udp_path(owner) as (path, far):
        if direction == "in":
            for _ in range(100):
                far.send(b"\x80")
            await eventually(lambda: len(owner.media) + seam.inbound_tally.dropped == 100, "100 datagrams at the seam")
            assert 20 < len(owner.media) < 80
        else:
            for _ in range(100):
                path.transport.sendto(b"\x80", far.getsockname())
            assert seam.outbound_tally.passed + seam.outbound_tally.dropped == 100
            received = 0
            while _receive(far) is not None:
                received += 1
            assert received == seam.outbound_tally.passed


async def test_what_the_seam_delivers_after_the_close_is_dropped() -> None:
    owner = Owner(SeededImpairment(1, Impairment(delay=0.02)))
    async with udp_path(owner) as (_, far):
        far.send(b"\x80")
        await eventually(lambda: owner.seam.inbound_tally.passed, "the datagram at the seam")  # type: ignore[union-attr]
    await asyncio.sleep(0.03)
    assert owner.media == []


class TcpPeer:
    """A passive TCP candidate."""

    def __init__(self) -> None:
        self.received = b""

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writer = writer
        while data := await reader.read(65_536):
            self.received += data
        writer.close()


@asynccontextmanager
async def tcp_path(owner: Owner) -> AsyncIterator[tuple[Path, TcpPeer, Address]]:
    peer = TcpPeer()
    server = await asyncio.start_server(peer, "127.0.0.1", 0)
    address: Address = server.sockets[0].getsockname()[:2]
    path = await open_tcp_path(owner, receiver(), address)
    await eventually(lambda: hasattr(peer, "writer"), "the accepted connection")
    yield path, peer, address
    await path.close()
    server.close()
    await server.wait_closed()


@pytest.mark.parametrize("cut", [1, 2, 3, 997, 100_000])
async def test_tcp_frames_come_whole_however_they_are_cut(cut: int) -> None:
    """RFC 4571: a 16-bit length before each packet."""
    owner = Owner()
    async with tcp_path(owner) as (path, _, address):
        packets = [b"\x80" + bytes([n]) * n for n in range(1, 120)] + [b"\0stun", b"\x16dtls", b"", b"\x80" * 20_000]
        stream = b"".join(len(packet).to_bytes(2, "big") + packet for packet in packets)
        for start in range(0, len(stream), cut):
            path.transport.data_received(stream[start : start + cut])  # type: ignore[attr-defined]
        assert owner.media == [packet for packet in packets if packet[:1] == b"\x80"]
        assert owner.other == [(b"\0stun", address), (b"\x16dtls", address)]


async def test_tcp_frames_go_both_ways() -> None:
    owner = Owner()
    async with tcp_path(owner) as (path, peer, address):
        peer.writer.write(b"\0\2\x80x")
        await eventually(lambda: owner.media == [b"\x80x"], "the packet of the peer")
        path.transport.sendto(b"hello", address)
        path.transport.sendto(b"to another", ("127.0.0.1", 1))
        path.transport.sendto(b"", address)
        await eventually(lambda: peer.received == b"\0\5hello\0\0", "one packet and an empty one at the peer")
        candidate = path.local_candidate
        assert (candidate.transport, candidate.tcptype, candidate.port) == ("tcp", "active", 9)


async def test_a_lost_tcp_connection_is_reported() -> None:
    owner = Owner()
    async with tcp_path(owner) as (path, peer, address):
        peer.writer.transport.abort()
        await eventually(path.transport.is_closing, "the loss of the connection")
        path.transport.sendto(b"x", address)


async def test_the_seam_lies_on_the_tcp_path() -> None:
    seam = SeededImpairment(1, Impairment(loss=1.0))
    owner = Owner(seam)
    async with tcp_path(owner) as (path, peer, address):
        peer.writer.write(b"\0\1\x80")
        path.transport.sendto(b"x", address)
        await eventually(lambda: seam.inbound_tally.dropped == seam.outbound_tally.dropped == 1, "both at the seam")
    assert owner.media == []
    assert peer.received == b""


async def test_the_internals_that_we_use_are_there() -> None:
    """aioice is pinned; whoever moves the pin reads room/*path*.py, ice_connection.py and ice.py again."""
    assert version("aioice") == "0.13.0"
    connection = receiver()
    for name in (
        "_check_list",
        "_check_list_done",
        "_early_checks_done",
        "_local_candidates",
        "_local_candidates_end",
        "_local_candidates_start",
        "_nominated",
        "_protocols",
        "_remote_candidates",
        "_closing",
    ):
        assert hasattr(connection, name), name
    signatures: dict[Any, list[str]] = {
        aioice.ice.Connection._add_remote_candidate: ["self", "remote_candidate", "network_host"],
        aioice.ice.Connection._pair_remote_candidate: ["self", "remote_candidate"],
        aioice.ice.Connection.check_complete: ["self", "pair"],
        aioice.ice.Connection.check_incoming: ["self", "message", "addr", "protocol"],
        aioice.ice.Connection.request_received: ["self", "message", "addr", "protocol"],
        aioice.ice.Connection.protocol_lost: ["self", "protocol"],
        aioice.ice.Connection.data_received: ["self", "data", "component"],
        aioice.ice.Connection.build_request: ["self", "pair", "nominate"],
        aioice.ice.Connection.query_consent: ["self"],
        aioice.ice.Connection.sort_check_list: ["self"],
        aioice.ice.StunProtocol.send_stun: ["self", "message", "addr"],
        aioice.ice.StunProtocol.request: ["self", "request", "addr", "integrity_key", "retransmissions"],
        aioice.ice.server_reflexive_candidate: ["protocol", "stun_server"],
        aioice.ice.get_host_addresses: ["use_ipv4", "use_ipv6"],
    }
    for function, parameters in signatures.items():
        assert list(inspect.signature(function).parameters) == parameters, function.__qualname__
    transaction = aioice.stun.Transaction(
        aioice.stun.Message(aioice.stun.Method.BINDING, aioice.stun.Class.REQUEST),
        ("127.0.0.1", 1),
        Path(Owner(), connection),
    )
    for name in ("timeout_delay", "request", "addr"):
        assert hasattr(transaction, f"_Transaction__{name}")
    turn = aioice.turn.TurnTransport(aioice.turn.TurnClientUdpProtocol(("127.0.0.1", 1), "", "", 600, 500))
    assert hasattr(turn, "_TurnTransport__close_task")
    assert turn._TurnTransport__inner_protocol.refresh_task is None  # type: ignore[attr-defined]
    await connection.close()
