"""ICE for one generation of credentials (RFC 8445, RFC 8838): gathering, trickle, checks, consent, TCP fallback.

An ICE restart makes a second agent beside the first. Everything but the name resolution and connections of TURN
servers starts synchronously, so an offer can be answered at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import ssl
from collections.abc import Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from aioice import Candidate, stun
from aioice.ice import CandidatePair, get_host_addresses, relayed_candidate, server_reflexive_candidate

from pyegress.clock import Monotonic, monotonic
from pyegress.room.diagnosis import IceDiagnosis, describe
from pyegress.room.ice_connection import IceConnection
from pyegress.room.ice_servers import IceServer, IceUrl, parse_ice_url
from pyegress.room.kernel_buffer import kernel_drops
from pyegress.room.paths import Address, DatagramSeam, Path, open_udp_path
from pyegress.room.relay_path import RelayPath
from pyegress.room.srtp import ReceiveBuffer
from pyegress.room.tcp_path import open_tcp_path

logger = logging.getLogger(__name__)

#: UDP gets this head start before TCP candidates are tried.
TCP_DELAY = 1.0
#: Seconds for TURN and STUN servers to answer before end-of-candidates is signalled.
GATHER_TIMEOUT = 5.0
CLOSE_TIMEOUT = 1.0


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
class AgentOwner:
    """What an agent is given by the transport that owns it."""

    buffer: ReceiveBuffer
    seam: DatagramSeam | None
    on_media: Callable[[int, Monotonic], None]
    on_dtls: Callable[[bytes], None]
    on_selected: Callable[[IceAgent], None]
    on_candidate: Callable[[str | None], None]
    on_rtt: Callable[[float], None]


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
        self._connection = IceConnection(self, controlling=remote_is_lite)
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
            local=tuple(describe(c) for c in self._connection.local_candidates),
            remote=tuple(describe(c) for c in self._connection.remote_candidates),
            udp_checks=self._counts[True, False],
            udp_answers=self._counts[True, True],
            tcp_checks=self._counts[False, False],
            tcp_answers=self._counts[False, True],
            checks_received=self.checks_received,
            refused=tuple(self._refused),
            selected=None if pair is None else f"{describe(pair.local_candidate)} - {describe(pair.remote_candidate)}",
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


def _is_public_ipv4_host(candidate: Candidate) -> bool:
    host = candidate.host
    return candidate.type == "host" and candidate.transport == "udp" and ":" not in host and not host.startswith("127.")


def _line(candidate: Candidate) -> str:
    return f"candidate:{candidate.to_sdp()}"
