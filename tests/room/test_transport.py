from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import pytest

from pyegress.clock import Monotonic, monotonic
from pyegress.errors import RoomConnectionFailed
from pyegress.room import ice_connection, transport
from pyegress.room.sdp import parse_offer
from pyegress.room.transport import IceCredentials, IceServer, MediaTransport, TransportState
from pyegress.room.transport_state import MOVES
from tests.room.media_peer import MediaPeer
from tests.support.impairment import Impairment, SeededImpairment
from tests.support.leaks import Snapshot
from tests.support.waiting import eventually

pytestmark = pytest.mark.wire


class Receiver:
    """A transport and what it told."""

    def __init__(self, **options: Any) -> None:
        self.rtp: list[bytes] = []
        self.rtcp: list[bytes] = []
        self.arrivals: list[Monotonic] = []
        self.candidates: list[str | None] = []
        self.states: list[TransportState] = []
        options.setdefault("ice_servers", ())
        self.transport = MediaTransport(
            on_rtp=self._on_rtp,
            on_rtcp=lambda data, now: self.rtcp.append(data),
            on_candidate=self.candidates.append,
            on_state=self.states.append,
            **options,
        )

    def _on_rtp(self, data: bytes, now: Monotonic) -> None:
        self.rtp.append(data)
        self.arrivals.append(now)


@asynccontextmanager
async def pair(**options: Any) -> AsyncIterator[tuple[Receiver, MediaPeer]]:
    """A receiver and a server, not yet acquainted."""
    before = asyncio.all_tasks()
    sockets = Snapshot.take()
    receiver = Receiver(**options)
    try:
        async with MediaPeer() as peer:
            yield receiver, peer
    finally:
        await receiver.transport.aclose()
    await eventually(lambda: asyncio.all_tasks() <= before, "the end of all tasks")
    await eventually(lambda: not Snapshot.take().grown_since(sockets), "the end of all sockets")


@asynccontextmanager
async def connected(**options: Any) -> AsyncIterator[tuple[Receiver, MediaPeer]]:
    async with pair(**options) as (receiver, peer):
        await peer.negotiate(receiver.transport)
        await receiver.transport.wait_connected(10)
        await eventually(peer.keyed.is_set, "the server's end of the handshake")
        yield receiver, peer


async def test_rtp_and_rtcp_come_decrypted() -> None:
    async with connected() as (receiver, peer):
        begun = monotonic()
        sent = peer.send_rtp(50)
        report = peer.send_rtcp()
        await eventually(lambda: len(receiver.rtp) == 50 and receiver.rtcp, "50 packets and a report")
        assert receiver.rtp == sent
        assert receiver.rtcp == [report]
        assert begun <= receiver.arrivals[0] <= receiver.arrivals[-1] <= monotonic()
        stats = receiver.transport.stats
        assert (stats.packets, stats.auth_failures, stats.replays, stats.malformed, stats.early) == (51, 0, 0, 0, 0)
        assert stats.octets > sum(map(len, sent))
        assert stats.kernel_drops in (0, None)
        assert receiver.states == [TransportState.CONNECTING, TransportState.CONNECTED]
        await eventually(lambda: receiver.transport.rtt is not None, "a round-trip time")
        assert receiver.transport.rtt is not None
        assert 0 < receiver.transport.rtt < 5
    assert receiver.states[-1] is TransportState.CLOSED


async def test_our_rtcp_reaches_the_server() -> None:
    report = b"\x80\xc9\x00\x01\x00\x00\x00\x01"
    async with pair() as (receiver, peer):
        receiver.transport.send_rtcp(report)
        assert receiver.transport.stats.rtcp_unsent == 1
        await peer.negotiate(receiver.transport)
        await receiver.transport.wait_connected(10)
        await eventually(peer.keyed.is_set, "the server's end of the handshake")
        receiver.transport.send_rtcp(report)
        await eventually(lambda: peer.rtcp == [report], "the report at the server")
        assert receiver.transport.stats.rtcp_unsent == 1


async def test_candidates_are_trickled_after_the_answer() -> None:
    async with pair() as (receiver, peer):
        credentials = await receiver.transport.negotiate(await peer.offer())
        assert receiver.candidates == []
        await eventually(lambda: None in receiver.candidates, "the end of candidates")
        assert tuple(receiver.candidates[:-1]) == credentials.candidates
        assert any(" 127.0.0.1 " in line for line in credentials.candidates)
        assert credentials.pwd not in repr(credentials)


async def test_offers_without_new_credentials_change_nothing() -> None:
    async with connected() as (receiver, peer):
        again = await receiver.transport.negotiate(await peer.offer())
        once_more = await receiver.transport.negotiate(await peer.offer())
        assert again == once_more
        assert receiver.transport.stats.ice_restarts == 0
        sent = peer.send_rtp(3)
        await eventually(lambda: receiver.rtp == sent, "the packets")


@pytest.mark.parametrize("early", [True, False])
async def test_candidates_of_the_server_may_come_by_trickle(early: bool) -> None:
    async with pair() as (receiver, peer):
        offer = await peer.offer(candidates=False)
        if early:
            for line in peer.candidates():
                receiver.transport.add_remote_candidate(line, offer.ice_ufrag)
                receiver.transport.add_remote_candidate(f"{line} ufrag another")
        credentials = await receiver.transport.negotiate(offer)
        # Without our candidates the server can only wait for our checks.
        await peer.accept(IceCredentials(credentials.ufrag, credentials.pwd), receiver.transport.fingerprint)
        if not early:
            for line in ("", "nonsense", "candidate:1 1 udp 1 not-an-address 1 typ host", *peer.candidates()):
                receiver.transport.add_remote_candidate(line)
        await receiver.transport.wait_connected(10)


async def test_restart_under_flow_loses_nothing() -> None:
    async with connected() as (receiver, peer):
        sent: list[bytes] = []
        handshake = peer.dtls_datagrams

        async def flow() -> None:
            while True:
                # Like a server: over the old path until the new one is nominated.
                sent.extend(peer.send_rtp(2))
                await asyncio.sleep(0.002)

        flowing = asyncio.create_task(flow())
        for generation in (2, 3):
            before = peer.sequence
            credentials = await peer.negotiate(receiver.transport, restart=True)
            await eventually(partial(peer.has_connected, generation), "the new path")
            # Packets that were on the old path when the new one came up.
            sent.extend(peer.send_rtp(5, path=-2))
            await eventually(partial(peer.has_sent, before + 40), "some flow on the new path")
            assert credentials == await receiver.transport.negotiate(await peer.offer())
        flowing.cancel()
        await asyncio.wait([flowing])
        await eventually(lambda: len(receiver.rtp) == len(sent), "every packet")
        assert sorted(receiver.rtp) == sorted(sent)
        assert receiver.transport.stats.auth_failures == receiver.transport.stats.replays == 0
        assert receiver.transport.stats.ice_restarts == 2
        assert peer.dtls_datagrams == handshake, "DTLS survives an ICE restart"
        assert receiver.states == [TransportState.CONNECTING, TransportState.CONNECTED]


async def test_the_former_path_is_closed_after_the_overlap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "OVERLAP", 0.05)
    async with connected() as (receiver, peer):
        before = len(Snapshot.take().sockets)
        await peer.negotiate(receiver.transport, restart=True)
        await eventually(partial(peer.has_connected, 2), "the new path")
        # The server's second socket stays; ours are as many as before.
        await eventually(lambda: len(Snapshot.take().sockets) == before + 1, "the end of the former path's sockets")
        sent = peer.send_rtp(3)
        await eventually(lambda: receiver.rtp == sent, "packets on the new path")


async def test_a_restart_that_leads_nowhere_leaves_the_old_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "CONNECT_TIMEOUT", 0.2)
    monkeypatch.setattr(transport, "_WATCH_INTERVAL", 0.05)
    async with connected() as (receiver, peer):
        for _ in range(2):
            await receiver.transport.negotiate(await peer.offer(restart=True, candidates=False))
        await eventually(lambda: receiver.transport._deadline is None, "the end of patience")
        sent = peer.send_rtp(3)
        report = b"\x80\xc9\x00\x01\x00\x00\x00\x01"
        receiver.transport.send_rtcp(report)
        await eventually(lambda: receiver.rtp == sent and peer.rtcp == [report], "packets both ways on the old path")
        assert receiver.transport.state is TransportState.CONNECTED
        await peer.negotiate(receiver.transport, restart=True)
        await eventually(partial(peer.has_connected, 2), "a new path after all")


async def test_another_certificate_fails_with_its_reason() -> None:
    async with pair() as (receiver, peer):
        peer.fingerprint = ":".join(["AB"] * 32)
        await peer.negotiate(receiver.transport)
        with pytest.raises(RoomConnectionFailed, match="does not match the fingerprint"):
            await receiver.transport.wait_connected(10)
        assert receiver.states == [TransportState.CONNECTING, TransportState.FAILED]
        assert receiver.transport.error is not None
        with pytest.raises(RoomConnectionFailed, match="does not match"):
            await receiver.transport.wait_connected(10)


async def test_a_restart_brings_a_failed_transport_back() -> None:
    async with connected() as (receiver, peer):
        peer.close_dtls()
        await eventually(lambda: receiver.transport.state is TransportState.FAILED, "the end of the association")
        async with MediaPeer() as other:
            await other.negotiate(receiver.transport)
            await receiver.transport.wait_connected(10)
            await eventually(other.keyed.is_set, "the other server's keys")
            sent = other.send_rtp(4)
            await eventually(lambda: receiver.rtp == sent, "packets under new keys")


def offer_of(*candidates: str) -> str:
    lines = "".join(f"a=candidate:{line}\r\n" for line in candidates)
    return (
        "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\na=fingerprint:sha-256 AA\r\n"
        "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\na=mid:0\r\na=setup:actpass\r\na=ice-ufrag:abcd\r\n"
        "a=ice-pwd:0123456789012345678901\r\n" + lines
    )


async def test_blocked_udp_is_named() -> None:
    """A server that hears us but whose answers never come is what a firewall looks like."""
    loop = asyncio.get_running_loop()
    deaf, _ = await loop.create_datagram_endpoint(asyncio.DatagramProtocol, local_addr=("127.0.0.1", 0))
    port = deaf.get_extra_info("sockname")[1]
    try:
        async with pair() as (receiver, _):
            offer = parse_offer(offer_of(f"1 1 udp 2130706431 127.0.0.1 {port} typ host"))
            await receiver.transport.negotiate(offer)
            with pytest.raises(RoomConnectionFailed, match="UDP to the media server is blocked") as caught:
                await receiver.transport.wait_connected(0.5)
            assert f"127.0.0.1:{port}" in str(caught.value)
            assert "rtc.udp_port" in caught.value.remedy
            diagnosis = receiver.transport.diagnosis
            assert diagnosis is not None
            assert diagnosis.udp_blocked
            assert diagnosis.udp_checks >= 2
    finally:
        deaf.close()


async def test_a_server_without_addresses_is_named() -> None:
    async with pair() as (receiver, _):
        with pytest.raises(RoomConnectionFailed, match="no media offer"):
            await receiver.transport.wait_connected(0.01)
        await receiver.transport.negotiate(parse_offer(offer_of()))
        with pytest.raises(RoomConnectionFailed, match="named no media address"):
            await receiver.transport.wait_connected(0.2)


async def test_relays_only_without_a_relay_is_named() -> None:
    servers = [IceServer("turn:127.0.0.1:9?transport=tcp", "user", "secret"), IceServer("turns:x?transport=udp")]
    async with pair(relay_only=True, ice_servers=servers) as (receiver, peer):
        credentials = await receiver.transport.negotiate(await peer.offer())
        assert credentials.candidates == ()
        await eventually(lambda: receiver.candidates == [None], "the end of candidates")
        with pytest.raises(RoomConnectionFailed, match="No network address of ours") as caught:
            await receiver.transport.wait_connected(0.1)
        assert "turn:127.0.0.1:9" in str(caught.value)
        assert "TURN over DTLS" in str(caught.value)
        assert "secret" not in str(caught.value)


async def test_patience_ends_with_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "CONNECT_TIMEOUT", 0.1)
    monkeypatch.setattr(transport, "_WATCH_INTERVAL", 0.05)
    async with pair() as (receiver, _):
        await receiver.transport.negotiate(parse_offer(offer_of()))
        with pytest.raises(RoomConnectionFailed, match="named no media address"):
            await receiver.transport.wait_connected(10)
        assert receiver.transport.state is TransportState.FAILED


async def test_silence_disturbs_and_packets_heal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "SILENCE", 0.1)
    monkeypatch.setattr(transport, "_WATCH_INTERVAL", 0.02)
    seam = SeededImpairment(1)
    async with connected(seam=seam) as (receiver, peer):
        seam.change(Impairment(loss=1.0))
        await eventually(lambda: receiver.transport.state is TransportState.DISCONNECTED, "disturbance")
        seam.change(Impairment())
        monkeypatch.setattr(transport, "SILENCE", 5.0)
        peer.send_rtp(1)
        await eventually(lambda: receiver.transport.state is TransportState.CONNECTED, "recovery")


async def test_without_consent_the_path_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "CONSENT_EXPIRY", 0.2)
    monkeypatch.setattr(transport, "_WATCH_INTERVAL", 0.02)
    monkeypatch.setattr(ice_connection, "CONSENT_INTERVAL", 0.02)
    seam = SeededImpairment(1)
    async with connected(seam=seam) as (receiver, peer):
        await eventually(lambda: receiver.transport.rtt is not None, "a round-trip time")
        seam.change(Impairment(), outbound=Impairment(loss=1.0))
        peer.send_rtp(1)
        await eventually(lambda: receiver.transport.state is TransportState.FAILED, "the loss of the path")
        assert receiver.transport.error is not None
        assert "does not answer" in receiver.transport.error.message


async def test_connects_through_a_bad_network() -> None:
    seam = SeededImpairment(4, Impairment(loss=0.15, delay=0.02, jitter=0.01, reorder=0.05, duplicate=0.05))
    async with connected(seam=seam) as (receiver, peer):
        before = seam.inbound_tally.passed
        sent = set(peer.send_rtp(400))
        tally = seam.inbound_tally
        await eventually(lambda: tally.passed + tally.dropped - before >= 400, "what was sent")
        await eventually(lambda: len(receiver.rtp) >= 300, "what was not dropped")
        assert 300 < len(receiver.rtp) < 380
        assert set(receiver.rtp) <= sent
        await eventually(lambda: receiver.transport.stats.replays > 5, "the duplicates")
        assert len(set(receiver.rtp)) == len(receiver.rtp)
        assert seam.outbound_tally.passed > 3
        await eventually(lambda: (receiver.transport.rtt or 0) > 0.04, "a round-trip time over the delayed path")


async def test_garbage_is_counted_and_harmless() -> None:
    async with connected() as (receiver, peer):
        for junk in (
            b"",
            b"\0",
            b"\x80",
            b"\x80\xc8\0\0",
            b"\x90" * 2000,
            b"\0\1\0\x08!\x12\xa4B" + b"\1" * 20,
            b"\x40",
        ):
            peer.send(junk)
        sent = peer.send_rtp(1)
        await eventually(lambda: receiver.rtp == sent, "the packet behind the garbage")
        stats = receiver.transport.stats
        assert stats.malformed + stats.auth_failures == 3


async def test_close_is_idempotent_and_silences() -> None:
    async with connected() as (receiver, peer):
        peer.send_rtp(5)
        await receiver.transport.aclose()
        assert receiver.rtp == []
        await asyncio.gather(receiver.transport.aclose(), receiver.transport.aclose())
        assert receiver.states[-1] is TransportState.CLOSED
        receiver.transport.send_rtcp(b"\x80\xc9\x00\x01\x00\x00\x00\x01")
        receiver.transport.add_remote_candidate("candidate:1 1 udp 1 127.0.0.1 1 typ host")
        with pytest.raises(RoomConnectionFailed, match="closed"):
            await receiver.transport.negotiate(await peer.offer())
        with pytest.raises(RoomConnectionFailed, match="closed"):
            await receiver.transport.wait_connected(1)


@pytest.mark.parametrize("turns", range(6))
async def test_cancelled_close_leaves_nothing(turns: int) -> None:
    """`pair` looks for tasks and sockets afterwards."""
    async with connected() as (receiver, peer):
        await peer.negotiate(receiver.transport, restart=True)
        closing = asyncio.create_task(receiver.transport.aclose())
        for _ in range(turns):
            await asyncio.sleep(0)
        closing.cancel()
        # A second close waits for what the first one began.
        await asyncio.gather(closing, receiver.transport.aclose(), return_exceptions=True)


async def test_waiting_ends_when_closed() -> None:
    async with pair() as (receiver, peer):
        await receiver.transport.negotiate(await peer.offer())
        waiting = asyncio.create_task(receiver.transport.wait_connected(60))
        await asyncio.sleep(0)
        await receiver.transport.aclose()
        with pytest.raises(RoomConnectionFailed, match="closed"):
            await waiting


def test_the_table_of_moves_is_complete() -> None:
    assert set(MOVES) == set(TransportState)
    assert not MOVES[TransportState.CLOSED]
    for state, moves in MOVES.items():
        assert state not in moves
        assert state is TransportState.CLOSED or TransportState.CLOSED in moves


async def test_a_move_that_is_not_in_the_table_is_a_bug() -> None:
    receiver = Receiver()
    with pytest.raises(RuntimeError, match="no move from new to connected"):
        receiver.transport._move(TransportState.CONNECTED, "test")
