"""The front door of a cluster: livekit-server reaches this node's egresses over Redis."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from livekit.protocol import egress as pb

from pyegress.api.psrpc import definitions
from pyegress.api.psrpc.bus import RedisBus
from pyegress.api.psrpc.channels import Method, new_id
from pyegress.api.psrpc.head_start import HeadStart
from pyegress.api.psrpc.io_info import IoInfo, IoTimeouts
from pyegress.api.psrpc.orphans import OrphanPolicy, OrphanSweeper
from pyegress.api.psrpc.redis_options import RedisOptions
from pyegress.api.psrpc.reporter import Backoff, Reporter
from pyegress.api.psrpc.rpc_client import RpcClient
from pyegress.api.psrpc.rpc_server import Call, RpcServer
from pyegress.api.psrpc.starts import Starts
from pyegress.api.psrpc.topics import EgressTopics
from pyegress.plan.egress_info import without_webhooks
from pyegress.service.egress_service import EgressService
from pyegress.service.outbox import Outbox
from pyegress.service.rpc_figures import RpcFigures

log = logging.getLogger(__name__)
SERVICE = "EgressInternal"
START_EGRESS = Method(SERVICE, "StartEgress")
LIST_ACTIVE_EGRESS = Method(SERVICE, "ListActiveEgress", claimed=False, multi=True)
_RUNNING = {pb.EgressStatus.EGRESS_STARTING, pb.EgressStatus.EGRESS_ACTIVE, pb.EgressStatus.EGRESS_ENDING}


@dataclass(frozen=True, slots=True)
class DoorSettings:
    """Seconds. `linger`: how long topics of ended egresses answer. `census`: how long all nodes are listened to."""

    io: IoTimeouts = field(default_factory=IoTimeouts)
    backoff: Backoff = field(default_factory=Backoff)
    orphans: OrphanPolicy | None = field(default_factory=OrphanPolicy)
    linger: float = 300.0
    census: float = 1.0


class PsrpcDoor:
    """EgressInternal and EgressHandler for livekit-server, in front of one EgressService. All on one event loop."""

    def __init__(
        self,
        service: EgressService,
        redis: RedisOptions,
        *,
        node_id: str = "",
        cluster_id: str = "",
        settings: DoorSettings | None = None,
        announced: Callable[[str], bool] = lambda egress_id: False,
        outbox: Path | None = None,
        figures: RpcFigures | None = None,
    ) -> None:
        """`announced` says of which egresses another door tells the webhooks that their requests name. `outbox` is the
        file that keeps what livekit-server has still to be told; without one a crash loses it. `figures` count."""
        self.node_id = node_id or new_id("NE_")
        self.settings = settings or DoorSettings()
        self._service = service
        self._topic = cluster_id
        self._announced = announced
        self.bus = RedisBus(redis, figures)
        self.io = IoInfo(self.bus, self.settings.io)
        self.reporter = Reporter(self.io, self.settings.backoff, Outbox(outbox, "reports") if outbox else None)
        self._server = RpcServer(self.bus)
        self._nodes = RpcClient(self.bus, SERVICE)
        self._topics = EgressTopics(self._server, service, self.settings.linger, self.reporter.forget)
        self._starts = Starts(
            service, self.bus, self.io, self.reporter, self._topics, self.node_id, lambda: self._server.undecided
        )
        self._held = HeadStart(self._tell)
        self._unlisten: Callable[[], None] | None = None
        self._sweeper: asyncio.Task[None] | None = None
        self._accepting = False

    async def open(self, timeout: float = 10.0) -> None:
        """Connect and begin to serve. Raises `RedisUnreachable` when Redis cannot be reached in `timeout` seconds."""
        self.bus.on_connected(self.reporter.hurry)
        await self.bus.open(timeout)
        await self.reporter.open()
        await asyncio.gather(self.io.open(), self._nodes.open())
        self._unlisten = self._service.listen(self._changed)
        for egress_id in self._service.running():
            if (info := self._service.info(egress_id)) is not None:
                self._tell(info)
        await asyncio.gather(
            self._server.register(LIST_ACTIVE_EGRESS, "", self._list_active),
            self._server.register(START_EGRESS, self._topic, self._starts.handle, self._starts.consider),
        )
        self._accepting = True
        if self.settings.orphans is not None:
            sweeper = OrphanSweeper(self.bus, self.io, self._owned, self.node_id, self.settings.orphans)
            self._sweeper = asyncio.create_task(sweeper.run(), name="orphans")
        log.info("serving livekit-server over %s as %s", self.bus.options, self.node_id)

    async def stop_accepting(self) -> None:
        """Hear no more StartEgress. Everything else goes on."""
        if self._accepting:
            self._accepting = False
            await self._server.deregister((START_EGRESS, self._topic))

    async def aclose(self, drain: float = 30.0) -> None:
        """Close; what livekit-server has not been told yet has `drain` seconds to arrive."""
        await self.stop_accepting()
        if self._sweeper is not None:
            self._sweeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._sweeper
            self._sweeper = None
        self._held.close()
        if left := await self.reporter.drain(drain):
            log.error("livekit-server was not told how these ended: %s", ", ".join(sorted(left)))
        if self._unlisten is not None:
            self._unlisten()
            self._unlisten = None
        await self._topics.aclose()
        await self._server.aclose()
        await self.reporter.aclose()
        await self.io.aclose()
        await self._nodes.aclose()
        await self.bus.aclose()

    def _changed(self, info: pb.EgressInfo) -> asyncio.Future[None] | None:
        elsewhere = info.status == pb.EgressStatus.EGRESS_STARTING and not self._starts.under_way(info.egress_id)
        if elsewhere or info.egress_id in self._held:
            return self._held.add(info)
        return self._tell(info)

    def _tell(self, info: pb.EgressInfo) -> asyncio.Future[None] | None:
        kept = self.reporter.report(without_webhooks(info) if self._announced(info.egress_id) else info)
        self._topics.begin(info.egress_id)
        if info.status not in _RUNNING:
            self._topics.ended(info.egress_id, info.status)
        return kept

    async def _list_active(self, call: Call) -> bytes:
        response = definitions.ListActiveEgressResponse(egress_ids=sorted(self._own()))
        return bytes(response.SerializeToString())

    def _own(self) -> set[str]:
        """What runs here, and what has ended here but is not known to have."""
        return set(self._service.running()) | self.reporter.undelivered()

    async def _owned(self) -> set[str]:
        """The egresses of all nodes."""
        owned = self._own()
        for body in await self._nodes.call_all(LIST_ACTIVE_EGRESS, window=self.settings.census):
            owned.update(definitions.ListActiveEgressResponse.FromString(body).egress_ids)
        return owned | self._own()
