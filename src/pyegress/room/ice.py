"""ICE for one generation of credentials (RFC 8445, RFC 8838): gathering, trickle, checks, consent, TCP fallback.

An ICE restart makes a second agent beside the first. Everything but the name resolution and connections of TURN
servers starts synchronously, so an offer can be answered at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import re
import ssl
from collections.abc import Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from aioice import Candidate, Connection, stun
from aioice.ice import CandidatePair, get_host_addresses, relayed_candidate, server_reflexive_candidate
from aioice.ice import StunProtocol as _StunProtocol

from pyegress.clock import Monotonic, monotonic
from pyegress.errors import EgressError
from pyegress.room.paths import (
    Address,
    DatagramSeam,
    Path,
    RelayPath,
    TcpPath,
    kernel_drops,
    open_tcp_path,
    open_udp_path,
)
from pyegress.room.srtp import ReceiveBuffer

logger = logging.getLogger(__name__)

#: Seconds between consent checks (RFC 7675 section 5.1 says 5; ours measure the round trip for NACK as well).
CONSENT_INTERVAL = 2.5
#: UDP gets this head start before TCP candidates are tried.
TCP_DELAY = 1.0
#: Seconds for TURN and STUN servers to answer before end-of-candidates is signalled.
GATHER_TIMEOUT = 5.0
CLOSE_TIMEOUT = 1.0
#: aioice sorts all pairs with each candidate; no server has so many addresses.
_MAX_REMOTE_CANDIDATES = 64


@dataclass(frozen=True, slots=True)
class IceServer:
    """A STUN or TURN server of the join response (`ICEServer`): one `stun:`, `turn:` or `turns:` URL each."""

    url: str
    username: str = ""
    credential: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class IceCredentials:
    """Our `a=ice-ufrag` and `a=ice-pwd`, and the candidates known when the answer is written.

    `candidates` are also given to `on_candidate`; in the answer they spare the server a second of waiting (pion
    nominates peer-reflexive candidates late).
    """

    ufrag: str
    pwd: str = field(repr=False)
    candidates: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class IceDiagnosis:
    """What ICE tried and what came back, for an error that says where the way is blocked."""

    local: tuple[str, ...]
    remote: tuple[str, ...]
    udp_checks: int
    udp_answers: int
    tcp_checks: int
    tcp_answers: int
    #: Checks of the server that reached us.
    checks_received: int
    #: TURN servers and TCP candidates that could not be used, with the reason.
    refused: tuple[str, ...]
    selected: str | None

    @property
    def udp_blocked(self) -> bool:
        """UDP checks went out and neither an answer nor a check of the server ever came in."""
        return self.udp_checks > 0 and self.udp_answers == 0 and self.checks_received == 0


@dataclass(frozen=True, slots=True)
class AgentOwner:
    """What an agent is given by the transport that owns it."""

    buffer: ReceiveBuffer
    seam: DatagramSeam | None
    on_media: Callable[[int, Monotonic], None]
    on_dtls: Callable[[bytes], None]
    on_selected: Callable[[IceAgent], None]
    on_candidate: Callable[[str | None], None]
    on_rtt: Callable[[float], None]


class _Connection(Connection):
    """aioice's connection with our consent checks, and without its data queue."""

    def __init__(self, agent: IceAgent, *, controlling: bool) -> None:
        super().__init__(ice_controlling=controlling, components=1)
        # Host candidates are opened by the agent; `connect` wants to know that gathering has been done.
        self._local_candidates_start = self._local_candidates_end = True
        self._agent = agent

    def add_path(self, path: Path) -> None:
        """Add a local candidate, also while checks are running."""
        self._protocols.append(path)
        self._local_candidates.append(path.local_candidate)
        if self._early_checks_done and not self._check_list_done:
            for remote in self._remote_candidates:
                self._pair_remote_candidate(remote)
            self.sort_check_list()

    def add_remote(self, candidate: Candidate) -> None:
        """`add_remote_candidate` without mDNS names, which servers do not use."""
        if not self._closing and len(self._remote_candidates) < _MAX_REMOTE_CANDIDATES:
            self._add_remote_candidate(candidate, candidate.host)

    def _pair_remote_candidate(self, remote_candidate: Candidate) -> None:
        held = self._protocols
        address = (remote_candidate._network_host, remote_candidate.port)
        self._protocols = [p for p in held if not isinstance(p, TcpPath) or p.peer == address]
        try:
            super()._pair_remote_candidate(remote_candidate)
        finally:
            self._protocols = held

    def request_received(self, message: stun.Message, addr: Address, protocol: _StunProtocol) -> None:
        self._agent.checks_received += 1
        super().request_received(message, addr, protocol)

    def check_incoming(self, message: stun.Message, addr: Address, protocol: _StunProtocol) -> None:
        super().check_incoming(message, addr, protocol)
        if not self._nominated and isinstance(protocol, Path):
            # A triggered check (RFC 8445 section 7.3.1.4): ours may have come before the server knew our password.
            protocol.repeat_checks(addr)

    def check_complete(self, pair: CandidatePair) -> None:
        before = self._nominated.get(1)
        super().check_complete(pair)
        after = self._nominated.get(1)
        if after is not None and after is not before:
            self._agent.selected_pair(after)

    async def query_consent(self) -> None:
        """RFC 7675; expiry is judged by the owner from `IceAgent.consent_at`."""
        assert self.remote_password is not None
        key = self.remote_password.encode()
        while pair := self._nominated.get(1):
            request = self.build_request(pair, nominate=False)
            with contextlib.suppress(stun.TransactionError):
                await pair.protocol.request(request, pair.remote_addr, integrity_key=key, retransmissions=1)
                self._agent.consent_at = monotonic()
            await asyncio.sleep(CONSENT_INTERVAL * (0.8 + 0.4 * random.random()))

    def data_received(self, data: bytes, component: int) -> None:
        """Media never comes here: paths deliver it themselves."""

    def protocol_lost(self, protocol: _StunProtocol) -> None:
        pair = self._nominated.get(1)
        if pair is not None and pair.protocol is protocol:
            self._agent.lost = True


class IceAgent:
    """One generation of ICE with its sockets and tasks."""

    def __init__(
        self,
        owner: AgentOwner,
        *,
        servers: Sequence[IceServer],
        remote: tuple[str, str],
        remote_is_lite: bool = False,
        relay_only: bool = False,
        use_loopback: bool = True,
    ) -> None:
        self.owner = owner
        self.buffer = owner.buffer
        self.seam = owner.seam
        self.on_media = owner.on_media
        self.last_received = monotonic()
        #: When the server last answered a check of ours.
        self.consent_at = monotonic()
        #: The selected path broke (a TCP connection or a TURN allocation is gone).
        self.lost = False
        self.checks_received = 0
        self.remote_ufrag = remote[0]
        self._servers = servers
        self._relay_only = relay_only
        self._use_loopback = use_loopback
        # The offerer controls, unless it is a lite implementation (RFC 8445 section 6.1.1).
        self._connection = _Connection(self, controlling=remote_is_lite)
        self._connection.remote_is_lite = remote_is_lite
        self._connection.remote_username, self._connection.remote_password = remote
        self._selected: CandidatePair | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._counts = {(True, False): 0, (True, True): 0, (False, False): 0, (False, True): 0}
        self._refused: list[str] = []
        self._tcp_tried: set[Address] = set()
        self._tcp_due = False
        self._closing = False

    @property
    def selected(self) -> bool:
        return self._selected is not None

    @property
    def credentials(self) -> IceCredentials:
        connection = self._connection
        lines = tuple(_line(candidate) for candidate in connection.local_candidates)
        return IceCredentials(connection.local_username, connection.local_password, lines)

    def start(self, candidates: Iterable[str]) -> None:
        """Open host candidates, then gather, check and trickle in tasks."""
        if not self._relay_only:
            addresses = get_host_addresses(use_ipv4=True, use_ipv6=True)
            if self._use_loopback:
                addresses.append("127.0.0.1")
            for address in dict.fromkeys(addresses):
                try:
                    self._connection.add_path(open_udp_path(self, self._connection, address))
                except OSError as error:
                    self._refused.append(f"udp {address}: {error.strerror or error}")
        for line in candidates:
            self.add_remote(line)
        self._spawn("ice-gather", self._gather())
        self._spawn("ice-connect", self._connect())
        self._spawn("ice-tcp", self._fall_back_to_tcp())

    def add_remote(self, line: str) -> None:
        """A candidate line with or without "candidate:"; what cannot be used is passed over."""
        try:
            candidate = Candidate.from_sdp(line.strip().removeprefix("a=").removeprefix("candidate:"))
        except ValueError:
            logger.debug("passing over a candidate that cannot be read")
            return
        if candidate.component != 1 or (candidate.transport.lower() == "tcp" and candidate.tcptype != "passive"):
            return
        self._connection.add_remote(candidate)
        if self._tcp_due:
            self._try_tcp()

    def send(self, data: bytes) -> bool:
        """Send on the selected pair; False when there is none yet."""
        pair = self._selected
        if pair is None or self._closing:
            return False
        pair.protocol.transport.sendto(data, pair.remote_addr)
        return True

    def diagnosis(self) -> IceDiagnosis:
        pair = self._selected
        return IceDiagnosis(
            local=tuple(_describe(c) for c in self._connection.local_candidates),
            remote=tuple(_describe(c) for c in self._connection.remote_candidates),
            udp_checks=self._counts[True, False],
            udp_answers=self._counts[True, True],
            tcp_checks=self._counts[False, False],
            tcp_answers=self._counts[False, True],
            checks_received=self.checks_received,
            refused=tuple(self._refused),
            selected=None
            if pair is None
            else f"{_describe(pair.local_candidate)} - {_describe(pair.remote_candidate)}",
        )

    def kernel_drops(self) -> int | None:
        """Datagrams that the kernel dropped for want of buffer; None if unknown."""
        transports = [protocol.transport for protocol in self._connection._protocols]
        return kernel_drops(frozenset(i for t in transports if (i := getattr(t, "inode", None)) is not None))

    def stop(self) -> None:
        """Close the sockets and cancel the tasks, without waiting for their end."""
        self._closing = True
        for task in self._tasks:
            task.cancel()
        for protocol in self._connection._protocols:
            protocol.transport.close()

    async def aclose(self) -> None:
        """Close everything; bounded by twice CLOSE_TIMEOUT, also when a TURN server does not answer."""
        self.stop()
        tasks = list(self._tasks)
        connection = self._connection
        paths = list(connection._protocols)
        try:
            if tasks:
                await asyncio.wait(tasks, timeout=CLOSE_TIMEOUT)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(CLOSE_TIMEOUT):
                    await connection.close()
        finally:
            for protocol in paths:
                if isinstance(protocol, RelayPath):
                    protocol.abort()

    # What paths and the connection report.

    def on_other(self, data: bytes, source: Address, path: Path) -> None:
        if self._closing:
            return
        if data[0] <= 3:
            path.stun_received(data, source)
        elif 20 <= data[0] <= 63:
            self.owner.on_dtls(data)

    def on_check(self, *, udp: bool, answered: bool) -> None:
        self._counts[udp, answered] += 1

    def on_rtt(self, seconds: float) -> None:
        self.owner.on_rtt(seconds)

    def selected_pair(self, pair: CandidatePair) -> None:
        first = self._selected is None
        self._selected = pair
        if first:
            self.consent_at = monotonic()
            self.owner.on_selected(self)

    def _spawn(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _connect(self) -> None:
        with contextlib.suppress(ConnectionError):
            await self._connection.connect()

    async def _gather(self) -> None:
        for candidate in self._connection.local_candidates:
            self.owner.on_candidate(_line(candidate))
        async with asyncio.TaskGroup() as group:
            for server in self._servers:
                group.create_task(self._gather_from(server), name="ice-gather-server")
        self.owner.on_candidate(None)

    async def _gather_from(self, server: IceServer) -> None:
        try:
            target = parse_ice_url(server.url)
            async with asyncio.timeout(GATHER_TIMEOUT):
                if target.scheme == "stun":
                    await self._reflexive(target)
                else:
                    await self._relay(target, server)
        except (OSError, ssl.SSLError, stun.TransactionError, ValueError, TimeoutError) as error:
            reason = str(error) or "no answer"
            logger.info("ICE server %s is of no use: %s", server.url, reason)
            self._refused.append(f"{server.url}: {reason}")

    async def _reflexive(self, target: IceUrl) -> None:
        if self._relay_only:
            return
        hosts = [p for p in self._connection._protocols if _is_public_ipv4_host(p.local_candidate)]
        queries = (server_reflexive_candidate(protocol, (target.host, target.port)) for protocol in hosts)
        for result in await asyncio.gather(*queries, return_exceptions=True):
            if isinstance(result, Exception):
                self._refused.append(f"stun {target.host}:{target.port}: {result}")
            elif not isinstance(result, BaseException):
                self._connection._local_candidates.append(result[0])
                self.owner.on_candidate(_line(result[0]))

    async def _relay(self, target: IceUrl, server: IceServer) -> None:
        candidate, path = await relayed_candidate(
            component=1,
            hide_related_address=self._relay_only,
            protocol_factory=lambda: RelayPath(self, self._connection),
            turn_server=(target.host, target.port),
            turn_username=server.username,
            turn_password=server.credential,
            turn_ssl=target.scheme == "turns",
            turn_transport=target.transport,
        )
        assert isinstance(path, Path)
        self._connection.add_path(path)
        self.owner.on_candidate(_line(candidate))

    async def _fall_back_to_tcp(self) -> None:
        if self._relay_only:
            return
        await asyncio.sleep(TCP_DELAY)
        self._tcp_due = True
        self._try_tcp()

    def _try_tcp(self) -> None:
        if self.selected:
            return
        for candidate in self._connection.remote_candidates:
            address = (candidate._network_host, candidate.port)
            if candidate.transport.lower() == "tcp" and address not in self._tcp_tried:
                self._tcp_tried.add(address)
                self._spawn("ice-tcp-connect", self._open_tcp(address))

    async def _open_tcp(self, peer: Address) -> None:
        try:
            async with asyncio.timeout(GATHER_TIMEOUT):
                path = await open_tcp_path(self, self._connection, peer)
        except (OSError, TimeoutError) as error:
            self._refused.append(
                f"tcp {peer[0]}:{peer[1]}: {error.strerror if isinstance(error, OSError) else 'no answer'}"
            )
            return
        if self.selected:
            path.transport.close()
        else:
            self._connection.add_path(path)


@dataclass(frozen=True, slots=True)
class IceUrl:
    """A parsed STUN or TURN URL (RFC 7064, RFC 7065)."""

    scheme: str
    host: str
    port: int
    transport: str


_ICE_URL = re.compile(
    r"(?P<scheme>stun|turns?):(?://)?(?P<host>\[[0-9a-fA-F:.]+\]|[^:?\[\]]+)(?::(?P<port>\d{1,5}))?"
    r"(?:\?transport=(?P<transport>udp|tcp))?",
    re.IGNORECASE,
)


class IceUrlError(EgressError, ValueError):
    """A STUN or TURN URL that cannot be used."""


def parse_ice_url(url: str) -> IceUrl:
    """Parse `stun:`, `turn:` or `turns:`; raises IceUrlError. TURN over DTLS does not exist here."""
    match = _ICE_URL.fullmatch(url)
    if match is None:
        raise IceUrlError("The URL of an ICE server cannot be read", field=url)
    scheme = match["scheme"].lower()
    transport = (match["transport"] or ("tcp" if scheme == "turns" else "udp")).lower()
    if scheme == "turns" and transport == "udp":
        raise IceUrlError("TURN over DTLS is not supported", field=url)
    port = int(match["port"] or (5349 if scheme == "turns" else 3478))
    return IceUrl(scheme, match["host"].strip("[]"), port, transport)


def _is_public_ipv4_host(candidate: Candidate) -> bool:
    host = candidate.host
    return candidate.type == "host" and candidate.transport == "udp" and ":" not in host and not host.startswith("127.")


def _line(candidate: Candidate) -> str:
    return f"candidate:{candidate.to_sdp()}"


def _describe(candidate: Candidate) -> str:
    host = f"[{candidate.host}]" if ":" in candidate.host else candidate.host
    return f"{candidate.transport.lower()} {host}:{candidate.port} {candidate.type}"
