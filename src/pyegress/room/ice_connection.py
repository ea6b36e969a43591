"""aioice's checks and roles under our paths, our consent checks and our way of adding candidates."""

from __future__ import annotations

import asyncio
import contextlib
import random
from typing import Protocol

from aioice import Candidate, Connection, stun
from aioice.ice import CandidatePair, StunProtocol

from pyegress.clock import Monotonic, monotonic
from pyegress.room.paths import Address, Path
from pyegress.room.tcp_path import TcpPath

#: Seconds between consent checks (RFC 7675 section 5.1 says 5; ours measure the round trip for NACK as well).
CONSENT_INTERVAL = 2.5
#: aioice sorts all pairs with each candidate; no server has so many addresses.
_MAX_REMOTE_CANDIDATES = 64


class ConnectionOwner(Protocol):
    """The ICE agent as its connection sees it."""

    checks_received: int
    consent_at: Monotonic
    lost: bool

    def selected_pair(self, pair: CandidatePair) -> None: ...


class IceConnection(Connection):
    """aioice's connection with our consent checks, and without its data queue."""

    def __init__(self, agent: ConnectionOwner, *, controlling: bool) -> None:
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

    def request_received(self, message: stun.Message, addr: Address, protocol: StunProtocol) -> None:
        self._agent.checks_received += 1
        super().request_received(message, addr, protocol)

    def check_incoming(self, message: stun.Message, addr: Address, protocol: StunProtocol) -> None:
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

    def protocol_lost(self, protocol: StunProtocol) -> None:
        pair = self._nominated.get(1)
        if pair is not None and pair.protocol is protocol:
            self._agent.lost = True
