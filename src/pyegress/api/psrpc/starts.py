"""EgressInternal.StartEgress: bidding, and starting each egress once in the whole cluster."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from livekit.protocol import egress as pb

from pyegress.api.psrpc.bus import RedisBus
from pyegress.api.psrpc.claims import bid_delay
from pyegress.api.psrpc.failures import CallFailed, RedisUnreachable
from pyegress.api.psrpc.io_info import IoInfo
from pyegress.api.psrpc.reporter import Reporter
from pyegress.api.psrpc.rpc_server import Bid, Call
from pyegress.api.psrpc.start_request import decode_start
from pyegress.api.psrpc.topics import EgressTopics
from pyegress.clock import Monotonic, monotonic
from pyegress.errors import InvalidRequest
from pyegress.service.egress_service import EgressService, EgressStart

log = logging.getLogger(__name__)
#: Of the keys that say which node starts an egress: a caller that had no answer asks again, and any node may hear it.
_KEY = "pyegress:start:"
_KEY_SECONDS = 300
#: Seconds that a start waits for livekit-server to store the egress. The server stores what it is answered, too.
_CREATE_PATIENCE = 5.0
#: Seconds before the caller's deadline at which an answer must leave.
_MARGIN = 0.5
_LOOK_AGAIN = 0.1


class Starts:
    """What StartEgress does on this node. `undecided`: offers of this node that may still be awarded."""

    def __init__(
        self,
        service: EgressService,
        bus: RedisBus,
        io: IoInfo,
        reporter: Reporter,
        topics: EgressTopics,
        node_id: str,
        undecided: Callable[[], int],
    ) -> None:
        self._service = service
        self._bus = bus
        self._io = io
        self._reporter = reporter
        self._topics = topics
        self._node_id = node_id
        self._undecided = undecided
        self._under_way: dict[str, asyncio.Task[pb.EgressInfo]] = {}

    def under_way(self, egress_id: str) -> bool:
        """Whether it is being started through this door."""
        return egress_id in self._under_way

    def consider(self, body: bytes) -> Bid | None:
        """Bid for it? Raises DecodeError."""
        try:
            start = decode_start(body)
        except InvalidRequest:
            return Bid()  # for the caller to learn why
        if start.egress_id in self._under_way or self._service.info(start.egress_id) is not None:
            return Bid()
        load = self._service.bid(start)
        if load is None:  # and the service has said why
            return None
        return Bid(delay=bid_delay(load, self._undecided()))

    async def handle(self, call: Call) -> bytes:
        """Start it, or find it started already. The answer is its EgressInfo."""
        start = decode_start(call.body)
        task = self._under_way.get(start.egress_id)
        if task is None:
            task = asyncio.create_task(self._start(start, call.deadline), name=f"start-{start.egress_id}")
            self._under_way[start.egress_id] = task
            task.add_done_callback(lambda _: self._under_way.pop(start.egress_id, None))
        return (await asyncio.shield(task)).SerializeToString()

    async def _start(self, start: EgressStart, deadline: Monotonic) -> pb.EgressInfo:
        egress_id = start.egress_id
        if (known := self._service.info(egress_id)) is not None:
            return known
        key = _KEY + egress_id
        while not await self._bus.take(key, self._node_id, seconds=_KEY_SECONDS, deadline=deadline):
            if await self._bus.value(key, deadline=deadline) == self._node_id:
                break  # an earlier try of ours that failed
            if (info := await self._io.get(egress_id)) is not None:
                return info
            if monotonic() + _LOOK_AGAIN + _MARGIN > deadline:
                raise CallFailed(
                    f"{egress_id} is being started by another node, which has not reported it", wire_code="unavailable"
                )
            await asyncio.sleep(_LOOK_AGAIN)
        try:
            started, _ = await asyncio.gather(self._service.start(start), self._topics.open(egress_id))
        except BaseException:
            await asyncio.shield(self._give_up(egress_id, key))
            raise
        self._reporter.begin(started)
        patience = min(_CREATE_PATIENCE, deadline - _MARGIN - monotonic())
        if patience > 0 and not await self._reporter.created(egress_id, patience):
            log.warning("%s runs, but no livekit-server has stored it in %.1f s", egress_id, patience)
        return started

    async def _give_up(self, egress_id: str, key: str) -> None:
        await self._topics.close(egress_id)
        try:
            await self._bus.forget(key, deadline=Monotonic(monotonic() + 1.0))
        except RedisUnreachable as error:
            log.warning("%s: other nodes will not start it for a while: %s", egress_id, error)
