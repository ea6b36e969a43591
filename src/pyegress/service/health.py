"""HTTP for orchestrators: health on one port, Prometheus metrics on another. Neither shows a secret."""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web
from google.protobuf.json_format import MessageToDict

from pyegress.errors import Code, EgressError
from pyegress.service.metrics import CONTENT_TYPE, Metrics
from pyegress.service.supervisor import Supervisor

logger = logging.getLogger(__name__)

#: As the reference's: probes come from outside of the machine.
HOST = "0.0.0.0"
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def health(supervisor: Supervisor) -> dict[str, Any]:
    """`CpuLoad` (cores that are left, as clients know it) and the redacted request of each running egress by id."""
    shown: dict[str, Any] = {"CpuLoad": round(supervisor.watch.available, 3)}
    for egress_id, run in supervisor.runs.items():
        member = run.info.WhichOneof("request")
        request = getattr(run.info, member) if member else None
        shown[egress_id] = MessageToDict(request, preserving_proto_field_name=True) if request is not None else {}
    return shown


class OperationsServer:
    """Health and metrics of a supervisor; ports that are 0 are not opened."""

    def __init__(
        self, supervisor: Supervisor, *, health_port: int = 0, prometheus_port: int = 0, host: str = HOST
    ) -> None:
        self._supervisor = supervisor
        self._metrics = Metrics(supervisor)
        self._host = host
        self._doors = [("health_port", health_port, self._health), ("prometheus_port", prometheus_port, self._page)]
        self._runners: list[web.AppRunner] = []

    async def open(self) -> None:
        """Listen. Raises EgressError that names the key of a port that cannot be had."""
        try:
            for key, port, handler in self._doors:
                if port:
                    await self._listen(key, port, handler)
        except BaseException:
            await self.aclose()
            raise

    async def aclose(self) -> None:
        """Close the ports. Idempotent."""
        while self._runners:
            await self._runners.pop().cleanup()

    async def _listen(self, key: str, port: int, handler: _Handler) -> None:
        application = web.Application()
        application.router.add_route("*", "/{path:.*}", handler)
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=2.0)
        self._runners.append(runner)
        await runner.setup()
        try:
            await web.TCPSite(runner, self._host, port).start()
        except OSError as error:
            raise EgressError(
                f"Cannot listen on port {port}: {error.strerror}",
                field=key,
                code=Code.UNAVAILABLE,
                remedy=f"Give {key} a free port",
            ) from None
        logger.info("%s %d is open", key, port)

    async def _health(self, request: web.Request) -> web.StreamResponse:
        if request.path == "/healthz":
            return web.Response(text="ok\n")
        if request.path == "/readyz":
            draining = self._supervisor.draining
            return web.Response(status=503 if draining else 200, text="draining\n" if draining else "ready\n")
        return web.json_response(health(self._supervisor), dumps=lambda value: json.dumps(value, ensure_ascii=False))

    async def _page(self, request: web.Request) -> web.StreamResponse:
        return web.Response(body=self._metrics.page(), headers={"Content-Type": CONTENT_TYPE})
