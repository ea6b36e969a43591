"""HTTP for orchestrators: health on one port, metrics on another, and a look inside on a third. None shows a secret."""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from aiohttp import web
from google.protobuf.json_format import MessageToDict

from pyegress.errors import Code, EgressError
from pyegress.lifecycle.egress import status_of
from pyegress.service.debug_pages import debug_page
from pyegress.service.supervisor import Supervisor

if TYPE_CHECKING:
    from pyegress.service.metrics import Metrics

logger = logging.getLogger(__name__)

#: As the reference's: probes come from outside of the machine.
HOST = "0.0.0.0"
#: Tasks and pipelines are for who may log in to this machine.
DEBUG_HOST = "127.0.0.1"
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def health(supervisor: Supervisor) -> dict[str, Any]:
    """`CpuLoad` (cores that are left, as clients know it) and the redacted request of each running egress by id.

    Also of those that an earlier service left, and that record on or wait for their delivery.
    """
    shown: dict[str, Any] = {"CpuLoad": round(supervisor.watch.available, 3)}
    for egress_id in supervisor.running():
        info = supervisor.info(egress_id)
        if info is None or status_of(info).final:
            continue
        member = info.WhichOneof("request")
        request = getattr(info, member) if member else None
        shown[egress_id] = MessageToDict(request, preserving_proto_field_name=True) if request is not None else {}
    return shown


class OperationsServer:
    """Health, metrics and /debug of a supervisor; ports that are 0 are not opened."""

    def __init__(
        self,
        supervisor: Supervisor,
        *,
        health_port: int = 0,
        prometheus_port: int = 0,
        host: str = HOST,
        debug_port: int = 0,
        debug_host: str = DEBUG_HOST,
    ) -> None:
        self._supervisor = supervisor
        self._metrics: Metrics | None = None
        self._doors: list[tuple[str, str, int, _Handler]] = [
            ("health_port", host, health_port, self._health),
            ("prometheus_port", host, prometheus_port, self._page),
            ("debug_port", debug_host, debug_port, self._debug),
        ]
        self._runners: list[web.AppRunner] = []

    async def open(self) -> None:
        """Listen. Raises EgressError that names the key of a port that cannot be had."""
        try:
            for key, host, port, handler in self._doors:
                if port:
                    await self._listen(key, host, port, handler)
        except BaseException:
            await self.aclose()
            raise

    async def aclose(self) -> None:
        """Close the ports. Idempotent."""
        while self._runners:
            await self._runners.pop().cleanup()

    async def _listen(self, key: str, host: str, port: int, handler: _Handler) -> None:
        application = web.Application()
        application.router.add_route("*", "/{path:.*}", handler)
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=2.0)
        self._runners.append(runner)
        await runner.setup()
        try:
            await web.TCPSite(runner, host, port).start()
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
        # Loaded for those who want it: it takes a megabyte.
        from pyegress.service.metrics import CONTENT_TYPE, Metrics

        if self._metrics is None:
            self._metrics = Metrics(self._supervisor)
        return web.Response(body=self._metrics.page(), headers={"Content-Type": CONTENT_TYPE})

    async def _debug(self, request: web.Request) -> web.StreamResponse:
        try:
            return web.Response(text=await debug_page(self._supervisor, request.path))
        except EgressError as error:
            return web.Response(text=f"{error}\n", status=error.code.http)
