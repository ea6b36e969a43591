"""The client side of psrpc: one call to one server, or one call to all."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any

from pyegress.api.psrpc import wire
from pyegress.api.psrpc.bus import RedisBus
from pyegress.api.psrpc.channels import Method, bids, new_id, responses
from pyegress.api.psrpc.claims import FIRST_BID, Selection, SelectionTerms
from pyegress.api.psrpc.failures import CallFailed, RedisUnreachable
from pyegress.clock import Monotonic, monotonic, wall
from pyegress.errors import EgressError
from pyegress.service.rpc_figures import Role


@dataclass(slots=True)
class _Pending:
    request_id: str
    method: Method
    topic: str
    deadline: Monotonic
    selection: Selection
    answered: asyncio.Future[wire.Response]
    winner: str = ""
    collected: list[wire.Response] = field(default_factory=list)


class RpcClient:
    """Calls methods of one service. All on one event loop."""

    def __init__(self, bus: RedisBus, service: str) -> None:
        self.client_id = new_id("CLI_")
        self._bus = bus
        self._service = service
        self._pending: dict[str, _Pending] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        """Hear bids and responses. Returns when Redis has confirmed it."""
        await asyncio.gather(
            self._bus.subscribe(bids(self._service, self.client_id), self._on_bid),
            self._bus.subscribe(responses(self._service, self.client_id), self._on_response),
        )

    async def aclose(self) -> None:
        """Calls under way fail with `canceled`."""
        for pending in self._pending.values():
            if not pending.answered.done():
                pending.answered.set_exception(CallFailed("the client is closing", wire_code="canceled"))
        for task in set(self._tasks):
            task.cancel()
        await self._bus.unsubscribe(bids(self._service, self.client_id), responses(self._service, self.client_id))

    async def call(
        self, method: Method, body: bytes, *, timeout: float, topic: str = "", terms: SelectionTerms = FIRST_BID
    ) -> bytes:
        """The response body of the one server that handles it. Raises CallFailed or RedisUnreachable.

        `timeout` seconds for everything, of which `terms.window` for finding a server.
        """
        began, code = monotonic(), "canceled"
        pending, request = self._begin(method, topic, body, timeout, terms)
        try:
            heard = await self._publish(method.requests(topic), request, pending.deadline)
            pending.selection.sent(monotonic())
            if heard == 0 and self._bus.counts_receivers:
                raise _nobody(method, "nobody listens")
            response = await self._outcome(pending, timeout)
            if response.error:
                raise CallFailed(response.error, wire_code=response.code or "unknown")
            code = ""
        except EgressError as error:
            code = getattr(error, "wire_code", error.code.wire)
            raise
        finally:
            self._end(request, pending)
            self._bus.figures.over(method.called(Role.CLIENT), monotonic() - began, code)
        return response.body

    async def call_all(self, method: Method, body: bytes = b"", *, window: float, topic: str = "") -> list[bytes]:
        """The bodies of all servers that answer without error in `window` seconds. Raises RedisUnreachable."""
        pending, request = self._begin(method, topic, body, window, FIRST_BID)
        try:
            await self._publish(method.requests(topic), request, pending.deadline)
            await asyncio.wait([pending.answered], timeout=max(0.0, pending.deadline - monotonic()))
            if pending.answered.done():
                pending.answered.result()  # closed meanwhile
        finally:
            self._end(request, pending)
            # As psrpc counts it: that nobody answered is an error.
            self._bus.figures.over(method.called(Role.CLIENT), window, "" if pending.collected else "unknown")
        return [response.body for response in pending.collected if not response.error]

    def _begin(
        self, method: Method, topic: str, body: bytes, timeout: float, terms: SelectionTerms
    ) -> tuple[_Pending, wire.Request]:
        sent = round(wall() * 1e9)
        expiry = sent + round(timeout * 1e9)
        request = wire.Request(new_id("REQ_"), self.client_id, sent, expiry, body, multi=method.multi)
        now = monotonic()
        answered: asyncio.Future[wire.Response] = asyncio.get_running_loop().create_future()
        pending = _Pending(request.request_id, method, topic, Monotonic(now + timeout), Selection(terms, now), answered)
        self._pending[request.request_id] = pending
        return pending, request

    def _end(self, request: wire.Request, pending: _Pending) -> None:
        self._pending.pop(request.request_id, None)
        pending.answered.cancel()

    async def _outcome(self, pending: _Pending, timeout: float) -> wire.Response:
        """Waits for bids until the selection closes, then for the response. A response ends it at any time."""
        if pending.method.claimed:
            await asyncio.wait([pending.answered], timeout=max(0.0, pending.selection.next_at() - monotonic()))
            if not pending.answered.done() and not pending.winner:
                winner = pending.selection.close(monotonic())
                if winner is None:
                    raise _nobody(pending.method, f"{pending.selection.bids} bids")
                self._award(pending, winner)
        done, _ = await asyncio.wait([pending.answered], timeout=max(0.0, pending.deadline - monotonic()))
        if not done:
            raise CallFailed(f"{pending.method.name}: no response in {timeout:g} s", wire_code="deadline_exceeded")
        return pending.answered.result()

    def _on_bid(self, payload: bytes) -> None:
        bid = wire.unpack(payload)
        if not isinstance(bid, wire.ClaimRequest) or (pending := self._pending.get(bid.request_id)) is None:
            return
        if (winner := pending.selection.bid(bid.server_id, bid.affinity, monotonic())) is not None:
            self._award(pending, winner)

    def _award(self, pending: _Pending, winner: str) -> None:
        pending.winner = winner
        award = wire.ClaimResponse(pending.request_id, winner)
        self._spawn(self._tell(pending.method.awards(pending.topic), award, pending))

    def _on_response(self, payload: bytes) -> None:
        response = wire.unpack(payload)
        if not isinstance(response, wire.Response) or (pending := self._pending.get(response.request_id)) is None:
            return
        if pending.method.multi:
            pending.collected.append(response)
        elif not pending.answered.done():
            pending.answered.set_result(response)

    async def _tell(self, channel: str, award: wire.ClaimResponse, pending: _Pending) -> None:
        try:
            await self._publish(channel, award, pending.deadline)
        except RedisUnreachable as error:
            if not pending.answered.done():
                pending.answered.set_exception(error)

    async def _publish(self, channel: str, envelope: wire.Envelope, deadline: Monotonic) -> int:
        return await self._bus.publish(channel, wire.pack(envelope), deadline=deadline)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _nobody(method: Method, seen: str) -> CallFailed:
    return CallFailed(
        f"no response from servers for {method.service}.{method.name} ({seen})",
        wire_code="unavailable",
        remedy="Check that a livekit-server uses the same Redis",
    )
