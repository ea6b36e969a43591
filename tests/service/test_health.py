from __future__ import annotations

import json
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from pyegress.errors import Code, EgressError, InvalidRequest
from pyegress.lifecycle.egress import EgressStatus, status_of
from pyegress.service.config import ServiceConfig
from pyegress.service.config_sections import CostSection, LoggingSection
from pyegress.service.egress_service import EgressStart
from pyegress.service.health import OperationsServer
from pyegress.service.rpc_figures import Called, Role
from pyegress.service.supervisor import Supervisor
from tests.plan.requests import FILE, room

pytestmark = pytest.mark.unit

SECRET = "hidden-key"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
async def supervisor(tmp_path: Path) -> AsyncIterator[Supervisor]:
    """Its workers would look for a server that is not there: started egresses are stopped at once."""
    config = ServiceConfig(
        api_key="key",
        api_secret=SECRET,
        ws_url="ws://127.0.0.1:1",
        cluster_id="c",
        state_directory=str(tmp_path / "state"),
        local_directory=str(tmp_path),
        spare_workers=0,
        logging=LoggingSection(level="error"),
        cpu_cost=CostSection(web_cpu_cost=10_000.0),
    )
    async with Supervisor(config) as made:
        yield made


async def fetched(port: int, path: str = "/") -> tuple[int, str]:
    async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}{path}") as response:
        return response.status, await response.text()


async def test_pages(supervisor: Supervisor) -> None:
    health_port, metrics_port, debug_port = free_port(), free_port(), free_port()
    server = OperationsServer(
        supervisor,
        health_port=health_port,
        prometheus_port=metrics_port,
        host="127.0.0.1",
        debug_port=debug_port,
    )
    await server.open()
    try:
        _, page = await fetched(health_port, "/any/path")
        assert list(json.loads(page)) == ["CpuLoad"]
        await supervisor.start(EgressStart("EG_1", room(FILE)))
        _, page = await fetched(health_port)
        shown = json.loads(page)
        assert list(shown) == ["CpuLoad", "EG_1"]
        assert shown["EG_1"]["file_outputs"] == [{"filepath": "a.mp4"}]
        _, metrics = await fetched(metrics_port, "/metrics")
        labels = f'cluster_id="c",node_id="{supervisor.node_id}"'
        assert f'livekit_egress_requests{{{labels},type="room_composite"}} 1.0' in metrics
        assert f"livekit_egress_available{{{labels}}} 0.0" in metrics
        assert f"livekit_egress_can_accept_request{{{labels}}} 0.0" in metrics
        assert await fetched(health_port, "/readyz") == (200, "ready\n")
        status, page = await fetched(debug_port, "/debug")
        assert (status, "EG_1: room_composite" in page) == (200, True)
        assert (await fetched(debug_port, "/"))[0] == 404
        stopped = await supervisor.stop("EG_1")
        assert status_of(stopped) is EgressStatus.ABORTED
        await supervisor.drain()
        called = Called(Role.SERVER, "rpc", "EgressInternal", "StartEgress")
        supervisor.calls.heard(called.service, called.method, expired=True)
        supervisor.calls.over(called, 0.02)
        supervisor.calls.over(called, 0.02, "internal")
        _, page = await fetched(health_port)
        assert list(json.loads(page)) == ["CpuLoad"]
        _, metrics = await fetched(metrics_port)
        assert f'handler_results_total{{{labels},result="aborted",type="room_composite"}} 1.0' in metrics
        assert f"livekit_egress_is_terminating{{{labels}}} 1.0" in metrics
        node = f'node_id="{supervisor.node_id}",node_type="EGRESS"'
        of = 'method="StartEgress",{node},role="server",service="EgressInternal"'.replace("{node}", node)
        assert 'livekit_psrpc_requests_expired_total{method="StartEgress",' + node in metrics
        assert f'livekit_psrpc_request_time_ms_bucket{{kind="rpc",le="50.0",{of}}} 1.0' in metrics
        assert f'livekit_psrpc_error_total{{error_code="internal",kind="rpc",{of}}} 1.0' in metrics
        assert (await fetched(health_port, "/readyz"))[0] == 503
        assert (await fetched(health_port, "/healthz"))[0] == 200
        assert SECRET not in page + metrics
    finally:
        await server.aclose()


async def test_a_port_that_is_taken_is_named(supervisor: Supervisor) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        server = OperationsServer(supervisor, prometheus_port=taken.getsockname()[1], host="127.0.0.1")
        with pytest.raises(EgressError) as refused:
            await server.open()
    assert refused.value.field == "prometheus_port"


async def test_refusals_start_nothing(supervisor: Supervisor) -> None:
    told: list[object] = []
    supervisor.listen(told.append)
    nothing = EgressStart("EG_1", room())
    with pytest.raises(InvalidRequest) as invalid:
        await supervisor.start(nothing)
    assert "output" in invalid.value.field
    # Whoever has no other node is answered why; another node that bids less is preferred.
    assert supervisor.bid(nothing) == 1.0
    assert (supervisor.running(), told, supervisor.info("EG_1")) == ([], [], None)


async def test_a_full_node_is_silent_and_says_why_when_asked(tmp_path: Path) -> None:
    config = ServiceConfig(
        api_key="key",
        api_secret=SECRET,
        ws_url="ws://127.0.0.1:1",
        state_directory=str(tmp_path),
        spare_workers=0,
        cpu_cost=CostSection(room_composite_cpu_cost=10_000.0),
    )
    async with Supervisor(config) as full:
        start = EgressStart("EG_1", room(FILE))
        assert full.bid(start) is None
        with pytest.raises(EgressError) as refused:
            await full.start(start)
    assert (refused.value.code, refused.value.retryable) == (Code.UNAVAILABLE, True)
    assert "not enough CPU" in refused.value.message


async def test_a_listener_that_fails_harms_nobody(supervisor: Supervisor) -> None:
    told: list[EgressStatus] = []

    def fails(info: object) -> None:
        raise RuntimeError("listener")

    supervisor.listen(fails)
    unlisten = supervisor.listen(lambda info: told.append(status_of(info)))
    await supervisor.start(EgressStart("EG_1", room(FILE)))
    await supervisor.stop("EG_1")
    assert told == [EgressStatus.STARTING, EgressStatus.ABORTED]
    unlisten()
    unlisten()
    await supervisor.start(EgressStart("EG_2", room(FILE)))
    assert len(told) == 2
