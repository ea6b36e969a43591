"""A receiver of webhooks that verifies each with LiveKit's own library, and answers as the test says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web
from livekit.api import TokenVerifier, WebhookReceiver
from livekit.protocol.webhook import WebhookEvent

from tests.support.secrecy import SECRECY

DEADLINE = 20.0


@dataclass(slots=True)
class Received:
    """Everything that came: `attempts` with those that were answered by a failure, `events` those taken."""

    url: str = ""
    attempts: list[WebhookEvent] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    content_types: set[str] = field(default_factory=set)
    tokens: list[str] = field(default_factory=list)
    events: list[WebhookEvent] = field(default_factory=list)
    #: The status for an attempt; 200 takes it.
    answer: Callable[[WebhookEvent], int] = lambda event: 200
    hold: asyncio.Event | None = None
    _changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    def names(self, egress_id: str = "") -> list[str]:
        """The events taken, of one egress."""
        return [e.event for e in self.events if egress_id in ("", e.egress_info.egress_id)]

    async def wait(self, enough: Callable[[Received], bool], what: str) -> None:
        """Wait for more; fails with what did come."""
        try:
            async with asyncio.timeout(DEADLINE), self._changed:
                await self._changed.wait_for(lambda: enough(self))
        except TimeoutError:
            raise AssertionError(f"{what}; attempts {[e.event for e in self.attempts]}, taken {self.names()}") from None

    async def changed(self) -> None:
        async with self._changed:
            self._changed.notify_all()


@asynccontextmanager
async def receiving(keys: Mapping[str, str], path: str = "/hook") -> AsyncIterator[Received]:
    """A receiver that takes webhooks signed with one of `keys` (secrets by API key)."""
    received = Received()
    receivers = [WebhookReceiver(TokenVerifier(key, secret)) for key, secret in keys.items()]

    async def take(request: web.Request) -> web.Response:
        body, token = await request.text(), request.headers["Authorization"]
        event = _verified(receivers, body, token)
        received.attempts.append(event)
        received.bodies.append(body.encode())
        SECRECY.look(body, "a webhook")
        received.tokens.append(token)
        received.content_types.add(request.headers["Content-Type"])
        if received.hold is not None:
            await received.changed()
            await received.hold.wait()
        status = received.answer(event)
        if status == 200:
            received.events.append(event)
        await received.changed()
        return web.Response(status=status)

    application = web.Application()
    application.router.add_post(path, take)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        received.url = f"http://127.0.0.1:{runner.addresses[0][1]}{path}"
        yield received
    finally:
        if received.hold is not None:
            received.hold.set()
        await runner.cleanup()


def _verified(receivers: list[WebhookReceiver], body: str, token: str) -> WebhookEvent:
    failures = []
    for receiver in receivers:
        try:
            return receiver.receive(body, token)
        except Exception as error:  # of several libraries
            failures.append(error)
    raise AssertionError(f"the webhook is not signed: {failures}")
