"""A web server that takes LiveKit's webhooks and verifies them as the official receiver does."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from aiohttp import web
from livekit import api
from livekit.protocol import egress as pb
from livekit.protocol.webhook import WebhookEvent

from tests.support.secrecy import SECRECY


class WebhookInbox:
    """`events` in the order of their arrival."""

    def __init__(self, api_key: str, api_secret: str, port: int) -> None:
        self.events: list[WebhookEvent] = []
        self._port = port
        self._receiver = api.WebhookReceiver(api.TokenVerifier(api_key, api_secret))
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_post("/", self._received)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self._port)
        await site.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._runner is not None
        await self._runner.cleanup()

    def of(self, egress_id: str) -> list[tuple[str, int]]:
        """Event and status of the egress's webhooks."""
        return [(e.event, e.egress_info.status) for e in self.events if e.egress_info.egress_id == egress_id]

    def story(self, egress_id: str) -> list[str]:
        """The statuses that webhooks told of an egress."""
        return [pb.EgressStatus.Name(status).removeprefix("EGRESS_") for _, status in self.of(egress_id)]

    async def _received(self, request: web.Request) -> web.Response:
        body = (await request.read()).decode()
        SECRECY.look(body, "a webhook")
        self.events.append(self._receiver.receive(body, request.headers["Authorization"]))
        return web.Response()
