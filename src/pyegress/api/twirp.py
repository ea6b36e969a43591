"""The HTTP door: the Egress API of livekit-server, offered directly, without livekit-server's Redis."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from dataclasses import replace

from aiohttp import web

from pyegress.api.egress_api import EgressApi
from pyegress.api.twirp_server import TwirpServer
from pyegress.api.twirp_settings import TwirpSettings
from pyegress.errors import Code, EgressError
from pyegress.service.auto_recording import AutoRecorder
from pyegress.service.egress_reports import EgressReports
from pyegress.service.egress_service import EgressService
from pyegress.service.egress_store import EgressStore
from pyegress.service.launcher import Launcher
from pyegress.service.outbox import Outbox
from pyegress.service.room_service import RoomService
from pyegress.service.webhooks import WebhookSender

_log = logging.getLogger(__name__)


class TwirpDoor:
    """Everything behind one port: store, webhooks, rules and the API, opened and closed together."""

    def __init__(self, service: EgressService, settings: TwirpSettings) -> None:
        settings = settings.checked()
        keys = settings.all_keys()
        webhooks = settings.webhooks
        if not webhooks.signing_key:
            webhooks = replace(webhooks, signing_key=settings.server.api_key)
        self._settings = settings
        self.store = EgressStore(settings.database)
        self.sender = WebhookSender(webhooks, keys, Outbox(settings.outbox, "webhooks"))
        self._reports = EgressReports(service, self.store, self.sender, retention=settings.retention)
        self._launcher = Launcher(service, self._reports)
        self._rooms = RoomService(settings.server)
        self._recorder = AutoRecorder(settings.rules, self._launcher, self.store, self._reports)
        api = EgressApi(service, self.store, self._reports, self._launcher, self._rooms, keys)
        self._server = TwirpServer(
            api, keys, recorder=self._recorder if settings.rules else None, webhook_path=settings.webhook_path
        )
        self._runner: web.AppRunner | None = None
        self._port = 0

    @property
    def port(self) -> int:
        """The port that is listened on."""
        return self._port

    @property
    def url(self) -> str:
        """What clients of this machine are pointed at."""
        host = f"[{self._settings.host}]" if ":" in self._settings.host else self._settings.host
        return f"http://{host}:{self._port}"

    def announces(self, egress_id: str) -> bool:
        """Whether the webhooks of this egress are told by this door: it came through it and has not ended."""
        return self._reports.announces(egress_id)

    async def open(self) -> None:
        """Open the store and listen. Raises EgressError when the file or the port cannot be had."""
        try:
            await self.store.open()
            await self.sender.open()
            await self._reports.open()
            await self._listen()
        except BaseException:
            await self.aclose(timeout=0.0)
            raise

    async def _listen(self) -> None:
        settings = self._settings
        # Paths of requests may hold access tokens: no access log. Whoever hangs up gets nothing started.
        self._runner = web.AppRunner(
            self._server.application(), access_log=None, handler_cancellation=True, shutdown_timeout=2.0
        )
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, settings.host, settings.port).start()
        except OSError as error:
            raise EgressError(
                f"The Egress API cannot listen on {settings.host}:{settings.port}: {error.strerror or error}",
                field="api.port",
                code=Code.UNAVAILABLE,
                remedy="Configure an address of this machine and a free port",
            ) from None
        self._port = self._runner.addresses[0][1]
        _log.info("the Egress API listens on %s", self.url)

    async def aclose(self, timeout: float = 10.0) -> None:
        """Close the port, then store and tell what was reported, within about `timeout` seconds. May be called twice.

        Egresses go on: the service ends them before.
        """
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()
        await self._server.aclose()
        await self._recorder.aclose()
        with suppress(TimeoutError):
            await asyncio.wait_for(self._launcher.aclose(), timeout)
        await self._reports.aclose(timeout)
        await self.sender.aclose(timeout)
        await self._rooms.aclose()
        await self.store.aclose()
