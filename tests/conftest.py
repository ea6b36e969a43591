"""Fixtures for everybody: the real livekit-server, and the guard that nothing is left behind."""

from __future__ import annotations

import asyncio
import inspect
import logging
import os
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from pathlib import Path

import pytest
from xdist.remote import Producer

from tests.support.leaks import Snapshot, wait_for_no_leaks, wait_for_no_tasks
from tests.support.livekit_server import LiveKitServer
from tests.support.netns import NetworkNamespace, why_unavailable
from tests.support.object_servers import AzureServer, GcsServer, ObjectServer, S3Server
from tests.support.object_servers import why_unavailable as why_no_storages
from tests.support.redis_server import RedisServer
from tests.support.redis_server import why_unavailable as redis_server_missing
from tests.support.secrecy import SECRECY
from tests.support.sharing import MARKER, Scheduling, machine, put_in_order, workers
from tests.support.stack import Stack, running_stack

_SERVERS = pytest.StashKey[list[LiveKitServer]]()


@pytest.fixture(scope="session")
def livekit_server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveKitServer]:
    """The server that all tests share: rooms of your own name, no restarts."""
    with LiveKitServer(tmp_path_factory.mktemp("livekit-server")) as server:
        request.config.stash.setdefault(_SERVERS, []).append(server)
        yield server


@pytest.fixture
def new_livekit_server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[..., LiveKitServer]]:
    """Makes started servers for one test that stops, kills or configures them; takes `LiveKitServer`'s arguments."""
    servers: list[LiveKitServer] = request.config.stash.setdefault(_SERVERS, [])
    own: list[LiveKitServer] = []

    def start(**arguments: object) -> LiveKitServer:
        server = LiveKitServer(tmp_path / f"livekit-server-{len(own)}", **arguments)  # type: ignore[arg-type]
        own.append(server)
        servers.append(server)
        server.start()
        return server

    yield start
    for server in own:
        server.stop()
        servers.remove(server)


@pytest.fixture
def own_livekit_server(new_livekit_server: Callable[..., LiveKitServer]) -> LiveKitServer:
    """A server for one test that may stop, kill or restart it."""
    return new_livekit_server()


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A Redis that tests share: channels and keys of your own name, no restarts."""
    _need_redis()
    with RedisServer(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A Redis and a livekit-server on it that tests share."""
    _need_redis()
    with running_stack(tmp_path_factory.mktemp("stack")) as running:
        yield running


@pytest.fixture
def own_stack(tmp_path: Path) -> Iterator[Stack]:
    """For one test that kills or restarts them; Redis keeps what it has on disk."""
    _need_redis()
    with running_stack(tmp_path / "stack", "appendonly yes") as running:
        yield running


def _need_redis() -> None:
    if reason := redis_server_missing():
        pytest.skip(reason)


def _storage(kind: type[ObjectServer], factory: pytest.TempPathFactory) -> Iterator[ObjectServer]:
    if reason := why_no_storages():
        pytest.skip(reason)
    with kind(factory.mktemp(kind.kind)) as server:
        yield server


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectServer]:
    """S3 for all tests: names of your own, no restarts."""
    yield from _storage(S3Server, tmp_path_factory)


@pytest.fixture(scope="session")
def gcs_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectServer]:
    """Google Cloud Storage for all tests."""
    yield from _storage(GcsServer, tmp_path_factory)


@pytest.fixture(scope="session")
def azure_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectServer]:
    """Azure Blob Storage for all tests."""
    yield from _storage(AzureServer, tmp_path_factory)


@pytest.fixture(params=["s3", "gcs", "azure"])
def object_server(request: pytest.FixtureRequest) -> ObjectServer:
    """Each kind of storage in turn."""
    server: ObjectServer = request.getfixturevalue(f"{request.param}_server")
    return server


@pytest.fixture
def network_namespace() -> Iterator[NetworkNamespace]:
    """A namespace with a perfect network until the test impairs it; skips where none can be made."""
    if reason := why_unavailable():
        pytest.skip(reason)
    with NetworkNamespace() as namespace:
        yield namespace


@pytest.fixture
async def no_tasks_left() -> AsyncIterator[asyncio.AbstractEventLoop]:
    """The test's loop; fails the test when it leaves asyncio tasks."""
    before = asyncio.all_tasks()
    yield asyncio.get_running_loop()
    left = await wait_for_no_tasks(before)
    assert not left, "tasks left behind:\n" + "\n".join(left)


@pytest.fixture(scope="session")
def rtc_runtime() -> Iterator[None]:
    """Start the rtc SDK's own runtime, whose threads and descriptors stay until the end of the session."""
    from livekit.rtc._ffi_client import FfiClient

    from pyegress.demo.publishers import release_sdk

    _ = FfiClient.instance
    yield
    release_sdk()


@pytest.fixture(autouse=True)
def nothing_left_behind(request: pytest.FixtureRequest) -> Iterator[None]:
    """After a system test no task, thread, child process, socket or open file may be left."""
    if request.node.get_closest_marker("system") is None:
        yield
        return
    request.getfixturevalue("rtc_runtime")
    for shared in ("livekit_server", "s3_server", "gcs_server", "azure_server", "object_server"):
        if shared in request.fixturenames:
            request.getfixturevalue(shared)
    has_loop = inspect.iscoroutinefunction(getattr(request.node, "obj", None))
    loop = request.getfixturevalue("no_tasks_left") if has_loop else None
    before = Snapshot.take()
    yield
    left = wait_for_no_leaks(before, loop=loop)
    assert not left, "left behind: " + "; ".join(left)


@pytest.fixture(autouse=True)
def no_secret_is_shown() -> Iterator[None]:
    """Nobody may read the secrets of a test: not in the log, not in the spool, not on any page."""
    logger = logging.getLogger("pyegress")
    logger.addHandler(SECRECY)
    yield
    logger.removeHandler(SECRECY)
    assert not (shown := SECRECY.found()), "shown to everybody: " + "; ".join(shown)


@pytest.fixture(autouse=True)
def of_ordinary_priority() -> Iterator[None]:
    """Real-time threads would stop everything else, other tests too."""
    yield
    assert os.sched_getscheduler(0) == os.SCHED_OTHER, "the test has become a real-time program (see media/svt.py)"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    put_in_order(items)


def pytest_xdist_auto_num_workers() -> int:
    return workers()


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Scheduling | None:
    return Scheduling(config, log) if config.getvalue("dist") == "loadgroup" else None


@pytest.hookimpl(wrapper=True, tryfirst=True)  # before the clock of pytest-timeout runs
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Keep tests that need the machine for themselves apart from all others."""
    with machine(alone=item.get_closest_marker(MARKER) is not None):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show the end of each running server's log beside a failure."""
    report = yield
    if report.failed:
        for server in item.config.stash.get(_SERVERS, []):
            report.sections.append((f"log of {server!r}", server.log_tail()))
    return report
