"""Stands between Chromium and what it asks for: pages, their parts and frames, workers, each redirect.

Held against the lists of URLs, of which the proxy sees hosts alone; and nobody is asked for a password by a dialog over
the page. The browser's own session of the DevTools protocol hears of the requests of whatever process, so there is no
frame or worker that comes too late to be heard of. WebSockets do not pass here: their hosts meet the same lists in the
proxy.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from pyegress.browser.console import redact
from pyegress.browser.devtools import DevTools, DevToolsError, ignore_refusal
from pyegress.browser.failures import BrowserFailed
from pyegress.browser.url_rules import UrlRules

logger = logging.getLogger(__name__)

#: Refusals that are remembered, to explain why a page failed.
_REMEMBERED = 50
#: All requests wait for us: only those that do are asked about passwords here.
_ALL = {"patterns": [{"urlPattern": "*"}], "handleAuthRequests": True}


class RequestFilter:
    """`open`, then `aclose`."""

    def __init__(self, devtools: DevTools, rules: UrlRules) -> None:
        self._devtools = devtools
        self._rules = rules
        self._session = ""
        self._answers: set[asyncio.Task[None]] = set()
        self._reasons: dict[str, str] = {}

    async def open(self) -> None:
        """Hear of requests from now on. Raises BrowserFailed."""
        call = self._devtools.call
        try:
            self._session = (await call("Target.attachToBrowserTarget"))["sessionId"]
            self._devtools.listen(self._session, self._on_event)
            await call("Fetch.enable", _ALL, session=self._session)
        except DevToolsError as error:
            raise BrowserFailed(f"This browser does not let its requests be filtered: {error}") from error

    def reason(self, url: str) -> str:
        """Why a URL was refused, "" when it was not."""
        return self._reasons.get(url, "")

    async def aclose(self) -> None:
        """Idempotent."""
        for answer in self._answers:
            answer.cancel()
        if self._answers:
            await asyncio.wait(self._answers)

    def _on_event(self, method: str, event: dict[str, Any]) -> None:
        match method:
            case "Fetch.requestPaused":
                url, number = event["request"]["url"], {"requestId": event["requestId"]}
                if reason := self._rules.refuses(url):
                    self._remember(url, reason)
                    self._answer("Fetch.failRequest", {**number, "errorReason": "BlockedByClient"})
                else:
                    self._answer("Fetch.continueRequest", number)
            case "Fetch.authRequired":
                # Those of its URL were tried. It gets what the server shows to whoever has none.
                answer = {"requestId": event["requestId"], "authChallengeResponse": {"response": "CancelAuth"}}
                self._answer("Fetch.continueWithAuth", answer)

    def _answer(self, method: str, parameters: dict[str, Any]) -> None:
        # What asked may be gone meanwhile.
        call = ignore_refusal(self._devtools.call(method, parameters, session=self._session))
        task = asyncio.get_running_loop().create_task(call, name=method)
        self._answers.add(task)
        task.add_done_callback(self._answers.discard)

    def _remember(self, url: str, reason: str) -> None:
        logger.info("a page did not reach %s: %s", redact(url), reason)
        if len(self._reasons) >= _REMEMBERED:
            del self._reasons[next(iter(self._reasons))]
        self._reasons[url] = reason
