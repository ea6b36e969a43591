"""livekit-server's Egress API, through Redis, to this node."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from livekit import api
from livekit.protocol import egress as pb

from tests.api.psrpc.cluster import ROOM, Cluster, composite, running_cluster
from tests.support.redis_server import RedisServer, why_unavailable

pytestmark = [pytest.mark.system, pytest.mark.skipif(bool(why_unavailable()), reason=why_unavailable())]

STARTING, ACTIVE, ENDING, COMPLETE, FAILED = (pb.EgressStatus.Value(f"EGRESS_{name}") for name in (
    "STARTING", "ACTIVE", "ENDING", "COMPLETE", "FAILED"))  # fmt: skip


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Cluster]:
    with RedisServer(tmp_path / "redis") as redis:
        async with running_cluster(tmp_path, redis) as running:
            yield running


async def test_an_egress_from_start_to_end(cluster: Cluster) -> None:
    node = await cluster.node()
    info = await cluster.client.egress.start_room_composite_egress(composite(layout="grid"))
    assert info.status == STARTING
    assert node.service.starts[0].request == composite(layout="grid")
    assert node.service.starts[0].room_id
    node.service.move(info.egress_id, ACTIVE)
    await cluster.until_stored(info.egress_id, ACTIVE)
    stopped = await cluster.client.egress.stop_egress(pb.StopEgressRequest(egress_id=info.egress_id))
    assert stopped.status == ENDING
    node.service.move(info.egress_id, COMPLETE)
    final = await cluster.until_stored(info.egress_id, COMPLETE)
    assert final.ended_at
    assert final.room_composite.layout == "grid"
    await cluster.until_events(
        info.egress_id,
        [
            ("egress_started", STARTING),
            ("egress_updated", ACTIVE),
            ("egress_updated", ENDING),
            ("egress_ended", COMPLETE),
        ],
    )
