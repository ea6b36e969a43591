"""Redis and livekit-server for the tests of this part."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from pyegress.api.psrpc.bus import RedisBus
from tests.api.psrpc.cluster import Cluster, Stack, running_cluster, running_stack
from tests.support.redis_server import RedisServer, why_unavailable


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A Redis that tests share: channels and keys of your own name, no restarts."""
    _need_redis()
    with RedisServer(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    _need_redis()
    with running_stack(tmp_path_factory.mktemp("stack")) as running:
        yield running


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


def _need_redis() -> None:
    if reason := why_unavailable():
        pytest.skip(reason)
