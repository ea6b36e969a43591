"""Redis and livekit-server for the tests of this part."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from pyegress.api.psrpc.bus import RedisBus
from tests.api.psrpc.cluster import Cluster, running_cluster
from tests.support.redis_server import RedisServer
from tests.support.stack import Stack


@pytest.fixture
async def cluster(stack: Stack) -> AsyncIterator[Cluster]:
    """A room on the shared livekit-server; add nodes as needed."""
    async with running_cluster(stack) as running:
        yield running


@pytest.fixture
async def bus(redis_server: RedisServer) -> AsyncIterator[RedisBus]:
    bus = RedisBus(redis_server.options)
    await bus.open()
    yield bus
    await bus.aclose()
