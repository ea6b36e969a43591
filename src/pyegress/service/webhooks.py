"""Sends webhooks: signed, in order per egress and URL, again when they fail, also after a crash."""

from __future__ import annotations

import asyncio
import json
import logging
import random
import secrets
import string
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import aiohttp
from livekit.protocol import egress as pb
from livekit.protocol.webhook import WebhookEvent

from pyegress.clock import Monotonic, monotonic, wall
from pyegress.plan.recording_plan import Webhook
from pyegress.service.outbox import Outbox
from pyegress.service.tokens import body_token
from pyegress.service.webhook_events import UPDATED, event_body, recipients

CONTENT_TYPE = "application/webhook+json"
_ALPHANUMERIC = string.ascii_letters + string.digits
_TOO_EARLY = (408, 425, 429)
#: URL, signing key and egress id.
_Key = tuple[str, str, str]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class WebhookSettings:
    """Whom to tell of every egress, and how patiently.

    `signing_key` is the API key that signs where a webhook names none. Times are in seconds: `timeout` for one
    attempt, `first_delay` before the second, doubling up to `most_delay`; an event older than `give_up` is not tried
    again. `backlog` is how many events wait for one URL and egress, `total_backlog` for all.
    """

    webhooks: tuple[Webhook, ...] = ()
    signing_key: str = ""
    timeout: float = 10.0
    first_delay: float = 0.5
    most_delay: float = 15.0
    give_up: float = 120.0
    backlog: int = 100
    total_backlog: int = 10_000
    connections_per_host: int = 16


@dataclass(slots=True)
class _Queued:
    event: WebhookEvent
    queued_at: Monotonic


@dataclass(slots=True)
class _Lane:
    """What waits for one URL about one egress. The event that is being sent stays at its head."""

    webhook: Webhook
    waiting: deque[_Queued] = field(default_factory=deque)
    dropped: int = 0


class WebhookSender:
    """Queues events and sends them. Nothing here raises because of a receiver."""

    def __init__(self, settings: WebhookSettings, keys: Mapping[str, str], outbox: Outbox | None = None) -> None:
        """Without an `outbox` what was not delivered is lost at the end."""
        self._settings = settings
        self._keys = keys
        self._outbox = outbox
        self._lanes: dict[_Key, _Lane] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._session: aiohttp.ClientSession | None = None
        self._waiting = 0
        self._closed = False

    @property
    def waiting(self) -> int:
        """How many events have not been delivered yet."""
        return self._waiting

    async def open(self) -> None:
        """Send what an earlier service did not get to. Raises EgressError."""
        for lane, bodies in (await self._outbox.open() if self._outbox is not None else {}).items():
            url, signing_key, _ = json.loads(lane)
            for body in bodies:
                self._queue(Webhook(url, signing_key), _Queued(WebhookEvent.FromString(body), monotonic()))
        if self._waiting:
            _log.info("%d webhooks of an earlier run are sent", self._waiting)

    async def kept(self) -> None:
        """Return when what waits would survive the end of this process."""
        if self._outbox is not None:
            await self._outbox.settled()

    def send(self, name: str, info: pb.EgressInfo) -> None:
        """Queue the event `name` about an egress for all whom it concerns. `info` must be redacted."""
        if self._closed:
            return
        for webhook in recipients(self._settings.webhooks, info, name):
            event = WebhookEvent(event=name, egress_info=info, id=_event_id(), created_at=int(wall()))
            self._queue(webhook, _Queued(event, monotonic()))

    def _queue(self, webhook: Webhook, queued: _Queued) -> None:
        key = (webhook.url, webhook.signing_key, queued.event.egress_info.egress_id)
        lane = self._lanes.get(key)
        if lane is None:
            lane = self._lanes[key] = _Lane(webhook)
        full = len(lane.waiting) >= self._settings.backlog or self._waiting >= self._settings.total_backlog
        if full and not self._make_room(lane, queued):
            if not lane.waiting:
                del self._lanes[key]
            return
        lane.waiting.append(queued)
        self._waiting += 1
        self._keep(key, lane)
        if len(lane.waiting) == 1:
            task = asyncio.get_running_loop().create_task(self._deliver_all(key, lane), name=f"webhooks {key[2]}")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def _make_room(self, lane: _Lane, queued: _Queued) -> bool:
        """Drop an event, progress first. The head stays: it is being sent. False when `queued` itself is dropped."""
        lane.dropped += 1
        for index in range(1, len(lane.waiting)):
            if lane.waiting[index].event.event == UPDATED:
                del lane.waiting[index]
                self._waiting -= 1
                return True
        if queued.event.event != UPDATED and len(lane.waiting) < self._settings.backlog:
            # All are full because of others: what started and what ended is worth a little more memory.
            lane.dropped -= 1
            return True
        _log.warning("webhook %s to %s dropped: too many wait", queued.event.event, _shown(lane.webhook.url))
        return False

    def _keep(self, key: _Key, lane: _Lane) -> None:
        if self._outbox is not None:
            self._outbox.save(json.dumps(key), [queued.event.SerializeToString() for queued in lane.waiting])

    async def _deliver_all(self, key: _Key, lane: _Lane) -> None:
        while lane.waiting:
            await self._deliver(lane, lane.waiting[0])
            lane.waiting.popleft()
            self._waiting -= 1
            self._keep(key, lane)
        del self._lanes[key]

    async def _deliver(self, lane: _Lane, queued: _Queued) -> None:
        """Try until it is taken, refused for good, or too old."""
        settings = self._settings
        event, delay = queued.event, settings.first_delay
        event.num_dropped = told_dropped = lane.dropped
        body = event_body(event)
        while True:
            failure, again = await self._post(lane.webhook, body)
            if not failure:
                lane.dropped -= told_dropped
                return
            old = monotonic() - queued.queued_at + delay > settings.give_up
            what = (event.event, event.egress_info.egress_id, _shown(lane.webhook.url), failure)
            if old or not again:
                lane.dropped += 1
                _log.warning("webhook %s of %s to %s given up: %s", *what)
                return
            _log.info("webhook %s of %s to %s failed, it is tried again: %s", *what)
            # Not all egresses at once when a receiver comes back.
            await asyncio.sleep(delay * random.uniform(0.75, 1.25))
            delay = min(delay * 2, settings.most_delay)

    async def _post(self, webhook: Webhook, body: bytes) -> tuple[str, bool]:
        """One attempt: what went wrong, "" for nothing, and whether another may help."""
        api_key = webhook.signing_key or self._settings.signing_key
        secret = self._keys.get(api_key)
        if not secret:
            return "the API key that signs it is not known", False
        # The token is made afresh: it is good for minutes only.
        headers = {"Content-Type": CONTENT_TYPE, "Authorization": body_token(api_key, secret, body, now=wall())}
        try:
            async with (
                asyncio.timeout(self._settings.timeout),
                self._client().post(webhook.url, data=body, headers=headers, allow_redirects=False) as response,
            ):
                status = response.status
        except TimeoutError:
            return f"no answer in {self._settings.timeout:g} s", True
        except aiohttp.InvalidURL:
            return "it is no URL", False
        except (aiohttp.ClientError, OSError) as error:
            # Texts of aiohttp may repeat the URL, which may carry a key.
            return type(error).__name__, True
        if 200 <= status < 300:
            return "", False
        return f"HTTP status {status}", status >= 500 or status in _TOO_EARLY

    def _client(self) -> aiohttp.ClientSession:
        if self._session is None:
            connector = aiohttp.TCPConnector(limit=0, limit_per_host=self._settings.connections_per_host)
            self._session = aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())
        return self._session

    async def aclose(self, timeout: float = 10.0) -> None:
        """Take no more events, and give those that wait up to `timeout` seconds. May be called twice."""
        self._closed = True
        tasks = list(self._tasks)
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=timeout)
            for task in late:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        if self._waiting:
            later = ", the next run sends them" if self._outbox is not None else ""
            _log.warning("%d webhooks were not delivered before the end%s", self._waiting, later)
        if self._session is not None:
            session, self._session = self._session, None
            await session.close()
        if self._outbox is not None:
            await self._outbox.aclose()


def _event_id() -> str:
    return "EV_" + "".join(secrets.choice(_ALPHANUMERIC) for _ in range(12))


def _shown(url: str) -> str:
    """The server of a webhook: its path and query may carry a key."""
    parts = urlsplit(url)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    return f"{parts.scheme}://{host}" + (f":{parts.port}" if parts.port else "")
