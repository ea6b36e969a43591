"""The media transport of a room: ICE, DTLS and SRTP of one bundle (RFC 8834), receiving."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import Any

from pyegress.clock import Monotonic, monotonic
from pyegress.errors import EgressError, RoomConnectionFailed
from pyegress.room.diagnosis import IceDiagnosis, unconnected
from pyegress.room.dtls import Certificate, DtlsSession
from pyegress.room.handshake import Handshake
from pyegress.room.ice import AgentOwner, IceAgent, IceCredentials
from pyegress.room.ice_servers import IceServer
from pyegress.room.paths import DatagramSeam
from pyegress.room.sdp import Fingerprint, SessionOffer
from pyegress.room.srtp import ReceiveBuffer, SrtpKeys, SrtpTransport
from pyegress.room.transport_state import MOVES, TransportState, TransportStats

__all__ = [
    "DatagramSeam",
    "IceCredentials",
    "IceDiagnosis",
    "IceServer",
    "MediaTransport",
    "TransportState",
    "TransportStats",
]

logger = logging.getLogger(__name__)

#: Seconds without any datagram after which the path counts as disturbed. The server checks every 2 s, we every 2.5 s.
SILENCE = 6.0
#: Seconds without an answer to our checks after which the path is lost (RFC 7675 section 5.1).
CONSENT_EXPIRY = 30.0
#: Seconds for a new path and its handshake before the transport gives up.
CONNECT_TIMEOUT = 30.0
#: How long the former path keeps receiving beside its successor after an ICE restart.
OVERLAP = 2.0
_WATCH_INTERVAL = 0.5
_RETIREMENT = "ice-retire"


class MediaTransport:
    """One ICE, DTLS and SRTP transport (BUNDLE, rtcp-mux) on the receiving side.

    Callbacks run on the event loop and must return at once. `on_rtp` and `on_rtcp` get decrypted packets with the
    time of the wake-up that read them. `on_candidate` gets `candidate:...` lines of ours for trickle and None when
    there are no more, once per ICE generation, never before `negotiate` has returned.
    """

    def __init__(
        self,
        *,
        ice_servers: Sequence[IceServer],
        on_rtp: Callable[[bytes, Monotonic], None],
        on_rtcp: Callable[[bytes, Monotonic], None],
        on_candidate: Callable[[str | None], None],
        on_state: Callable[[TransportState], None],
        relay_only: bool = False,
        seam: DatagramSeam | None = None,
        use_loopback: bool = True,
    ) -> None:
        self._ice_servers = tuple(ice_servers)
        self._on_rtp = on_rtp
        self._on_rtcp = on_rtcp
        self._on_candidate = on_candidate
        self._on_state = on_state
        self._relay_only = relay_only
        self._seam = seam
        self._use_loopback = use_loopback
        self._certificate = Certificate.generate()
        self._buffer = ReceiveBuffer()
        self._state = TransportState.NEW
        self._error: EgressError | None = None
        self._agent: IceAgent | None = None
        #: The agent of the generation before, receiving until its successor is settled.
        self._former: IceAgent | None = None
        self._handshake: Handshake | None = None
        self._peer: tuple[Fingerprint, ...] = ()
        self._srtp: SrtpTransport | None = None
        self._early_candidates: list[tuple[str, str | None]] = []
        self._deadline: Monotonic | None = None
        self._rtt: float | None = None
        self._packets = self._octets = self._early = self._rtcp_unsent = self._restarts = 0
        self._kernel_drops: int | None = None
        self._waiters: set[asyncio.Future[None]] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed: asyncio.Future[None] | None = None

    @property
    def state(self) -> TransportState:
        return self._state

    @property
    def error(self) -> EgressError | None:
        """Why the transport is FAILED."""
        return self._error

    @property
    def fingerprint(self) -> str:
        """SHA-256 of our certificate in colon form, for the answer."""
        return self._certificate.fingerprint

    @property
    def rtt(self) -> float | None:
        """Smoothed round-trip time of STUN checks in seconds; None until one was measured."""
        return self._rtt

    @property
    def stats(self) -> TransportStats:
        srtp = self._srtp
        drops = [d for agent in (self._agent, self._former) if agent and (d := agent.kernel_drops()) is not None]
        total = sum(drops) + (self._kernel_drops or 0) if drops or self._kernel_drops is not None else None
        return TransportStats(
            packets=self._packets,
            octets=self._octets,
            auth_failures=srtp.auth_failures if srtp else 0,
            replays=srtp.replays if srtp else 0,
            malformed=srtp.malformed if srtp else 0,
            early=self._early,
            rtcp_unsent=self._rtcp_unsent,
            kernel_drops=total,
            ice_restarts=self._restarts,
            srtp_profile=srtp.profile.name if srtp else None,
        )

    @property
    def diagnosis(self) -> IceDiagnosis | None:
        """What ICE tried and what came back in the newest generation; None before the first offer."""
        return self._agent.diagnosis() if self._agent else None

    async def negotiate(self, offer: SessionOffer) -> IceCredentials:
        """Take an offer: the first starts the transport, new remote credentials restart ICE, others change nothing.

        Offers must come in their order. Returns at once, before anything is connected. Raises RoomConnectionFailed
        after `aclose`.
        """
        if self._state is TransportState.CLOSED:
            raise RoomConnectionFailed("The media transport is closed", retryable=False)
        agent = self._agent
        if agent is not None and agent.remote_ufrag == offer.ice_ufrag:
            for line in offer.candidates:
                agent.add_remote(line)
            return agent.credentials
        return self._start_generation(offer).credentials

    def add_remote_candidate(self, line: str, ufrag: str | None = None) -> None:
        """A candidate of the server that came by the signal channel; `ufrag` is its `usernameFragment`, if given.

        Candidates of a generation whose offer is still to come are kept for it.
        """
        if self._state is TransportState.CLOSED or not line.strip():
            return
        ufrag = ufrag or _ufrag_of(line)
        if self._agent is not None and ufrag in (None, "", self._agent.remote_ufrag):
            self._agent.add_remote(line)
        elif len(self._early_candidates) < 256:
            self._early_candidates.append((line, ufrag))

    def send_rtcp(self, data: bytes) -> None:
        """Protect and send a compound RTCP packet; counted and dropped while not connected."""
        srtp = self._srtp
        protected = srtp.protect_rtcp(data) if srtp is not None else None
        if protected is None or not self._send(protected):
            self._rtcp_unsent += 1

    async def wait_connected(self, timeout: float) -> None:
        """Raises RoomConnectionFailed with the cause when the transport fails or is not connected in `timeout` s."""
        try:
            async with asyncio.timeout(timeout):
                while self._state not in (TransportState.CONNECTED, TransportState.FAILED, TransportState.CLOSED):
                    waiter = asyncio.get_running_loop().create_future()
                    self._waiters.add(waiter)
                    try:
                        await waiter
                    finally:
                        self._waiters.discard(waiter)
        except TimeoutError:
            raise unconnected(self.diagnosis, timeout) from None
        if self._state is TransportState.FAILED and self._error is not None:
            raise self._error
        if self._state is TransportState.CLOSED:
            raise RoomConnectionFailed("The media transport was closed", retryable=False)

    async def aclose(self) -> None:
        """Close everything; idempotent, about 1 s at most. Callbacks stop before the first await."""
        if self._closed is None:
            self._closed = asyncio.get_running_loop().create_future()
            self._move(TransportState.CLOSED, "closed by us")
            try:
                await self._shut_down()
            finally:
                self._closed.set_result(None)
        else:
            await asyncio.shield(self._closed)

    async def _shut_down(self) -> None:
        if self._handshake is not None:
            self._handshake.stop()
        for task in self._tasks:
            # A cancelled retirement would leave the agent's consent checks behind; it ends by itself.
            if task.get_name() != _RETIREMENT:
                task.cancel()
        agents = [agent for agent in (self._agent, self._former) if agent is not None]
        for agent in agents:
            agent.stop()
        closing = [asyncio.ensure_future(agent.aclose()) for agent in agents]
        for waiting in (closing, list(self._tasks)):
            if waiting:
                await asyncio.wait(waiting)

    def _start_generation(self, offer: SessionOffer) -> IceAgent:
        owner = AgentOwner(
            buffer=self._buffer,
            seam=self._seam,
            on_media=self._media,
            on_dtls=self._dtls_received,
            on_selected=self._selected,
            on_candidate=partial(self._candidate, offer.ice_ufrag),
            on_rtt=self._measured,
        )
        agent = IceAgent(
            owner,
            servers=self._ice_servers,
            remote=(offer.ice_ufrag, offer.ice_pwd),
            remote_is_lite=offer.ice_lite,
            relay_only=self._relay_only,
            use_loopback=self._use_loopback,
        )
        outgoing, self._agent = self._agent, agent
        if outgoing is None:
            self._spawn("media-transport-watch", self._watch())
        else:
            self._restarts += 1
            # A path that never came to be is of no use; one that works stays until its successor does.
            if outgoing.selected:
                outgoing, self._former = self._former, outgoing
            if outgoing is not None:
                self._retire(outgoing)
        handshake = self._handshake
        if handshake is None or handshake.closed or offer.fingerprints != self._peer:
            # DTLS and SRTP survive an ICE restart; another certificate means another peer (RFC 8842 section 4).
            if handshake is not None:
                handshake.stop()
            self._peer = offer.fingerprints
            session = DtlsSession(self._certificate, offer.fingerprints, active=offer.setup != "active")
            self._handshake = Handshake(session, send=self._send, on_keys=self._keyed, on_failed=self._fail)
        self._deadline = Monotonic(monotonic() + CONNECT_TIMEOUT)
        if self._state in (TransportState.NEW, TransportState.FAILED):
            self._error = None
            self._move(TransportState.CONNECTING, "offer received")
        agent.start(offer.candidates)
        kept, self._early_candidates = self._early_candidates, []
        for line, ufrag in kept:
            if ufrag in (None, "", offer.ice_ufrag):
                agent.add_remote(line)
        return agent

    # What agents report.

    def _media(self, size: int, now: Monotonic) -> None:
        srtp = self._srtp
        self._packets += 1
        self._octets += size
        if srtp is None:
            self._early += 1
        elif 192 <= self._buffer.data[1] <= 223:  # RTCP by its packet type (RFC 5761 section 4)
            if (packet := srtp.unprotect_rtcp(size)) is not None:
                self._on_rtcp(packet, now)
        elif (packet := srtp.unprotect(size)) is not None:
            self._on_rtp(packet, now)

    def _candidate(self, remote_ufrag: str, line: str | None) -> None:
        if self._agent is not None and self._agent.remote_ufrag == remote_ufrag:
            self._on_candidate(line)

    def _measured(self, seconds: float) -> None:
        self._rtt = seconds if self._rtt is None else self._rtt + (seconds - self._rtt) / 4

    def _selected(self, agent: IceAgent) -> None:
        if agent is not self._agent:
            return
        logger.info("ICE path: %s", agent.diagnosis().selected)
        former = self._former
        if former is not None:
            asyncio.get_running_loop().call_later(OVERLAP, self._retire_former, former)
        if self._handshake is not None:
            self._handshake.start()
        self._settle()

    def _dtls_received(self, datagram: bytes) -> None:
        handshake = self._handshake
        if handshake is None or handshake.closed:
            return
        handshake.feed(datagram)
        if handshake.closed:
            self._fail(RoomConnectionFailed("The server closed the media connection", remedy="Join the room again"))

    def _keyed(self, keys: SrtpKeys) -> None:
        self._srtp = SrtpTransport(keys, self._buffer)
        self._settle()

    # State

    def _settle(self) -> None:
        if self._agent is not None and self._agent.selected and self._handshake is not None and self._handshake.done:
            self._deadline = None
            if self._state in (TransportState.CONNECTING, TransportState.DISCONNECTED):
                self._move(TransportState.CONNECTED, "path and keys are there")

    def _fail(self, error: EgressError) -> None:
        if self._state not in (TransportState.FAILED, TransportState.CLOSED):
            self._error = error
            self._deadline = None
            self._move(TransportState.FAILED, error.message)

    def _move(self, to: TransportState, reason: str) -> None:
        """The only place that changes the state."""
        if to is self._state:
            return
        if to not in MOVES[self._state]:
            raise RuntimeError(f"media transport: no move from {self._state.value} to {to.value}")
        logger.info("media transport: %s -> %s: %s", self._state.value, to.value, reason)
        self._state = to
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)
        self._on_state(to)

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(_WATCH_INTERVAL)
            self._judge(monotonic())

    def _judge(self, now: Monotonic) -> None:
        """What silence means."""
        agents = [agent for agent in (self._agent, self._former) if agent is not None and agent.selected]
        working = [agent for agent in agents if not agent.lost]
        heard = max((agent.last_received for agent in working), default=None)
        if self._deadline is not None and now > self._deadline:
            self._deadline = None
            if self._state is TransportState.CONNECTING or not working:
                self._fail(unconnected(self.diagnosis, CONNECT_TIMEOUT))
        if self._state not in (TransportState.CONNECTED, TransportState.DISCONNECTED):
            return
        if not working or all(now - agent.consent_at > CONSENT_EXPIRY for agent in working):
            self._fail(
                RoomConnectionFailed(
                    "The media path to the server is lost: it does not answer any more",
                    remedy="Check the network and whether the server runs",
                )
            )
        elif heard is not None and now - heard > SILENCE:
            self._move(TransportState.DISCONNECTED, f"nothing received for {now - heard:.1f} s")
        else:
            self._move(TransportState.CONNECTED, "packets come again")

    # Plumbing

    def _send(self, data: bytes) -> bool:
        agents = (self._agent, self._former)
        return any(agent is not None and agent.send(data) for agent in agents)

    def _retire_former(self, agent: IceAgent) -> None:
        if agent is self._former and self._state is not TransportState.CLOSED:
            self._former = None
            self._retire(agent)

    def _retire(self, agent: IceAgent) -> None:
        drops = agent.kernel_drops()
        if drops is not None:
            self._kernel_drops = (self._kernel_drops or 0) + drops
        self._spawn(_RETIREMENT, agent.aclose())

    def _spawn(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _ufrag_of(line: str) -> str | None:
    """The `ufrag` extension of a candidate line, which browsers and pion append."""
    words = line.split()
    for name, value in zip(words[8::2], words[9::2], strict=False):
        if name == "ufrag":
            return value
    return None
