"""The server side of psrpc: hears requests, bids for them, handles what it is awarded and answers."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from google.protobuf.message import DecodeError

from pyegress.api.psrpc import wire
from pyegress.api.psrpc.bus import RedisBus
from pyegress.api.psrpc.channels import TAKEN_FOR, Method, bids, new_id, queue_key, responses
from pyegress.api.psrpc.claims import Offers
from pyegress.api.psrpc.failures import MALFORMED_REQUEST, RedisUnreachable
from pyegress.clock import Monotonic, monotonic, wall
from pyegress.errors import EgressError
from pyegress.service.rpc_figures import Role

log = logging.getLogger(__name__)
#: Seconds for which a response is still worth sending after its request has expired: clients retry with the same ids.
_LATE = 1.0
#: Seconds between the clocks of two hosts that are worth a warning.
_SKEW = 2.0


@dataclass(frozen=True, slots=True)
class Bid:
    """This server would take a request: it bids `affinity` (1.0: take me) after `delay` seconds."""

    delay: float = 0.0
    affinity: float = 1.0


@dataclass(frozen=True, slots=True)
class Call:
    """A request that this server handles. `deadline`: when the client stops waiting, on our clock."""

    request: wire.Request
    deadline: Monotonic

    @property
    def body(self) -> bytes:
        return self.request.body


Handle = Callable[[Call], Awaitable[bytes]]
#: Whether to take a request, asked when it arrives and again when the bid is sent. Raises DecodeError or EgressError.
Consider = Callable[[bytes], Bid | None]


def take_any(body: bytes) -> Bid | None:
    """Bids for every request at once."""
    return Bid()


@dataclass(frozen=True, slots=True)
class _Endpoint:
    method: Method
    handle: Handle
    consider: Consider


@dataclass(frozen=True, slots=True)
class _Waiting:
    endpoint: _Endpoint
    call: Call
    delayed: bool


class RpcServer:
    """Serves methods on topics of one service. All on one event loop."""

    def __init__(self, bus: RedisBus) -> None:
        self.server_id = new_id("SRV_")
        self._bus = bus
        self._offers = Offers()
        self._waiting: dict[str, _Waiting] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._calls: set[asyncio.Task[None]] = set()
        self._skew_told = False

    @property
    def undecided(self) -> int:
        """Requests that we may still be awarded."""
        return len(self._offers)

    async def register(self, method: Method, topic: str, handle: Handle, consider: Consider = take_any) -> None:
        """Serve `method` on `topic`; returns when Redis has confirmed the subscriptions.

        `handle` raises EgressError for errors that callers shall see. It is not cancelled when the caller gives up.
        """
        endpoint = _Endpoint(method, handle, consider)
        wanted = [self._bus.subscribe(method.requests(topic), lambda payload: self._on_request(endpoint, payload))]
        if method.claimed:
            wanted.append(self._bus.subscribe(method.awards(topic), self._on_award))
        await asyncio.gather(*wanted)

    async def deregister(self, *served: tuple[Method, str]) -> None:
        """Hear no more requests for these methods and topics. What is being handled goes on."""
        channels = [m.requests(topic) for m, topic in served]
        channels += [m.awards(topic) for m, topic in served if m.claimed]
        await self._bus.unsubscribe(*channels)

    async def aclose(self, patience: float = 2.0) -> None:
        """Calls being handled have `patience` seconds to be answered."""
        if self._calls:
            await asyncio.wait(set(self._calls), timeout=patience)
        if self._timer is not None:
            self._timer.cancel()
        tasks = self._tasks | self._calls
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def _on_request(self, endpoint: _Endpoint, payload: bytes) -> None:
        request = wire.unpack(payload)
        if not isinstance(request, wire.Request):
            return
        self._compare_clocks(request)
        # Counted from now on our own clock, so that calls survive a clock that is wrong.
        call = Call(request, Monotonic(monotonic() + request.lifetime))
        method, expired = endpoint.method, request.lifetime <= 0
        self._bus.figures.heard(method.service, method.name, expired=expired)
        if expired:
            return
        if method.queue:
            self._spawn(self._tasks, self._take(endpoint, call, payload))
        else:
            self._consider(endpoint, call)

    async def _take(self, endpoint: _Endpoint, call: Call, payload: bytes) -> None:
        try:
            if await self._bus.take(queue_key(payload), self.server_id, seconds=TAKEN_FOR, deadline=call.deadline):
                self._consider(endpoint, call)
        except RedisUnreachable as error:
            log.warning("a %s request was left to others: %s", endpoint.method.name, error)

    def _consider(self, endpoint: _Endpoint, call: Call) -> None:
        try:
            bid = endpoint.consider(call.body)
        except DecodeError as error:
            self._spawn(self._tasks, self._answer(endpoint, call, error=str(error), code=MALFORMED_REQUEST))
            return
        if bid is None:
            return
        if not endpoint.method.claimed:
            self._spawn(self._calls, self._handle(endpoint, call))
            return
        request_id = call.request.request_id
        lifetime = call.deadline - monotonic()
        if self._offers.offer(request_id, monotonic(), lifetime=lifetime, delay=bid.delay, affinity=bid.affinity):
            self._waiting[request_id] = _Waiting(endpoint, call, bid.delay > 0)
            self._send_bids()

    def _send_bids(self) -> None:
        now = monotonic()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for request_id, affinity in self._offers.due(now):
            waiting = self._waiting[request_id]
            # Other requests may have been taken meanwhile.
            if waiting.delayed and waiting.endpoint.consider(waiting.call.body) is None:
                self._offers.withdraw(request_id)
                continue
            bid = wire.ClaimRequest(request_id, self.server_id, affinity)
            channel = bids(waiting.endpoint.method.service, waiting.call.request.client_id)
            self._spawn(self._tasks, self._publish(channel, bid, waiting.call.deadline))
        if (at := self._offers.next_at()) is not None:
            self._timer = asyncio.get_running_loop().call_later(max(0.0, at - now), self._send_bids)
        self._waiting = {key: value for key, value in self._waiting.items() if key in self._offers}

    def _on_award(self, payload: bytes) -> None:
        award = wire.unpack(payload)
        if not isinstance(award, wire.ClaimResponse):
            return
        ours = award.server_id == self.server_id
        waiting = self._waiting.pop(award.request_id, None)
        if self._offers.awarded(award.request_id, ours=ours, now=monotonic()) and waiting is not None:
            self._spawn(self._calls, self._handle(waiting.endpoint, waiting.call))

    async def _handle(self, endpoint: _Endpoint, call: Call) -> None:
        began = monotonic()
        body, error, code = b"", "", ""
        try:
            body = await endpoint.handle(call)
        except EgressError as failure:
            error, code = str(failure), getattr(failure, "wire_code", failure.code.wire)
        except DecodeError as failure:
            error, code = str(failure), MALFORMED_REQUEST
        except Exception:
            log.exception("%s failed", endpoint.method.name)
            error, code = "internal error; the log of the egress service has it", "internal"
        self._bus.figures.over(endpoint.method.called(Role.SERVER), monotonic() - began, code)
        await self._answer(endpoint, call, body, error=error, code=code)

    async def _answer(
        self, endpoint: _Endpoint, call: Call, body: bytes = b"", *, error: str = "", code: str = ""
    ) -> None:
        request = call.request
        response = wire.Response(request.request_id, self.server_id, round(wall() * 1e9), body, error, code)
        channel = responses(endpoint.method.service, request.client_id)
        await self._publish(channel, response, Monotonic(call.deadline + _LATE))

    async def _publish(self, channel: str, envelope: wire.Envelope, deadline: Monotonic) -> None:
        try:
            await self._bus.publish(channel, wire.pack(envelope), deadline=deadline)
        except RedisUnreachable as error:
            log.warning("%s %s was not sent: %s", type(envelope).__name__, envelope.request_id, error)

    def _compare_clocks(self, request: wire.Request) -> None:
        skew = wall() - request.sent_at / 1e9
        if abs(skew) > _SKEW and not self._skew_told:
            self._skew_told = True
            log.warning("our clock is %.1f s %s that of a caller", abs(skew), "ahead of" if skew > 0 else "behind")

    def _spawn(self, group: set[asyncio.Task[None]], work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        group.add(task)
        task.add_done_callback(group.discard)
