"""livekit-server, Redis and egress nodes of one test, driven by the official client."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from livekit import api
from livekit.protocol import egress as pb

from pyegress.api.psrpc.door import DoorSettings, PsrpcDoor
from pyegress.api.psrpc.reporter import Backoff
from tests.support.livekit_server import LiveKitServer
from tests.support.redis_server import RedisServer
from tests.support.scripted_egress_service import ScriptedEgressService
from tests.support.stack import Stack
from tests.support.waiting import eventually
from tests.support.webhook_inbox import WebhookInbox

ROOM = "meeting"
SETTINGS = DoorSettings(backoff=Backoff(first=0.05, longest=1.0), orphans=None)


@dataclass(slots=True)
class Node:
    """One egress node."""

    service: ScriptedEgressService
    door: PsrpcDoor


@dataclass(slots=True)
class Cluster:
    """Everything of one test. `client` is the official API client."""

    redis: RedisServer
    server: LiveKitServer
    inbox: WebhookInbox
    client: api.LiveKitAPI
    nodes: list[Node] = field(default_factory=list)

    async def node(
        self, load: float | None = 0.0, settings: DoorSettings = SETTINGS, outbox: Path | None = None
    ) -> Node:
        """A new node that serves."""
        service = ScriptedEgressService(load)
        node = Node(service, PsrpcDoor(service, self.redis.options, settings=settings, outbox=outbox))
        await node.door.open()
        self.nodes.append(node)
        return node

    async def stored(self, egress_id: str) -> pb.EgressInfo:
        """The egress as livekit-server lists it."""
        items = (await self.client.egress.list_egress(pb.ListEgressRequest(egress_id=egress_id))).items
        assert len(items) == 1, f"{len(items)} egresses {egress_id} are stored"
        return items[0]

    async def until_stored(self, egress_id: str, status: int, within: float = 15.0) -> pb.EgressInfo:
        """Waits until livekit-server lists the egress in `status`; a Redis that was restarted knows none at first."""

        async def ask() -> pb.EgressInfo:
            try:
                return await self.stored(egress_id)
            except api.TwirpError as error:
                if error.code != "not_found":
                    raise
                return pb.EgressInfo()

        return await until(ask, lambda info: info.egress_id == egress_id and info.status == status, within)

    async def until_events(self, egress_id: str, expected: list[tuple[str, int]]) -> None:
        """Waits for exactly these webhooks."""
        await eventually(lambda: len(self.inbox.of(egress_id)) >= len(expected), f"webhooks {expected}")
        assert self.inbox.of(egress_id) == expected


async def until(
    ask: Callable[[], Awaitable[pb.EgressInfo]], met: Callable[[pb.EgressInfo], bool], within: float
) -> pb.EgressInfo:
    """Asks until the answer is as wanted."""
    last: list[pb.EgressInfo] = []
    asked = 0

    try:
        async with asyncio.timeout(within):
            while True:
                last = [await ask()]
                asked += 1
                if met(last[0]):
                    return last[0]
                await asyncio.sleep(0.02)
    except TimeoutError:
        raise AssertionError(f"not within {within:g} s, asked {asked} times, last: {last}") from None


@asynccontextmanager
async def running_cluster(stack: Stack) -> AsyncIterator[Cluster]:
    """The official client and a room; nodes are closed in the end."""
    server = stack.server
    async with WebhookInbox(server.api_key, server.api_secret, stack.inbox_port) as inbox, server.admin() as client:
        cluster = Cluster(stack.redis, server, inbox, client)
        try:
            await client.room.create_room(api.CreateRoomRequest(name=ROOM, empty_timeout=600))
            yield cluster
        finally:
            for node in cluster.nodes:
                await node.door.aclose(drain=0.0)


def composite(**fields: object) -> pb.RoomCompositeEgressRequest:
    """A room composite of the room into a file."""
    return pb.RoomCompositeEgressRequest(
        room_name=ROOM,
        file_outputs=[pb.EncodedFileOutput(filepath="/tmp/meeting.mp4")],
        **fields,  # type: ignore[arg-type]
    )
