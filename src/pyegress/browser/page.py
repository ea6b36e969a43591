"""The page: loaded, listened to, watched, loaded again. Speaks with its tab over the DevTools protocol."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Callable
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

from pyegress.browser.browser import Browser
from pyegress.browser.console import START, Console, console_text, exception_text, redact, signal_of
from pyegress.browser.devtools import DevToolsError, ignore_refusal
from pyegress.browser.failures import BrowserFailed, PageFailed
from pyegress.browser.page_errors import load_error, status_error, template_error, timeout_error
from pyegress.browser.process_memory import tree_bytes
from pyegress.browser.site_frames import SiteFrames
from pyegress.plan.browser_options import BrowserOptions
from pyegress.plan.stream_urls import redact_page_url

logger = logging.getLogger(__name__)

#: Chromium's windows are at least so wide, in pixels. A page that is narrower lies in the window's upper left corner.
_NARROWEST = 500
#: A page that is loaded and draws nothing is ready after this many seconds.
_NOTHING_TO_PAINT = 1.0
#: Seconds between questions whether the page is alive: with `hang_timeout` less than 5, by which it is to be noticed.
_PULSE = 0.5
#: ... and how much memory it takes, which costs milliseconds.
_WEIGHING = 2.0
#: A page that lived this long may crash as often as a new one.
_FORGIVEN = 60.0
_READ_ERROR = """(() => { const found = document.querySelector("div.error");
return found && found.innerText ? found.innerText.trim().slice(0, 500) : ""; })()"""
#: Browsers ask for it on their own.
_ICON = "/favicon.ico"
#: Errors of Chromium's network that another try may not meet.
_RETRIED = ("ERR_CERT_VERIFIER_CHANGED", "ERR_CONNECTION_CLOSED", "ERR_NETWORK_CHANGED")


class Page:
    """The one tab of a browser. `attach`, then `load`, then `watch` until the end."""

    def __init__(
        self,
        browser: Browser,
        options: BrowserOptions,
        *,
        on_signal: Callable[[str], None],
        on_warning: Callable[[str], None],
    ) -> None:
        """`on_signal` gets START_RECORDING and END_RECORDING, `on_warning` what the user should know."""
        self.console = Console()
        self.browser = browser
        self._options = options
        self._on_signal = on_signal
        self._on_warning = on_warning
        self._url = ""
        self._shown = ""
        self._target = ""
        self._session = ""
        self._frame = ""
        self._weighed = 0.0
        self._status: int | None = None
        self._document = ""
        self._loaded = asyncio.Event()
        self._painted = asyncio.Event()
        self._crashed = asyncio.Event()
        self._frames = SiteFrames()
        #: A frame that crashed while the page lives, in words; and whether it was said that it is left so.
        self._grey = ""
        self._left_grey = False
        #: Tabs that the page opened and that are being closed.
        self._closing: set[asyncio.Task[None]] = set()

    async def attach(self) -> None:
        """Listen to the tab. Raises BrowserFailed."""
        call = self.browser.devtools.call
        targets = (await call("Target.getTargets"))["targetInfos"]
        self._target = next((one["targetId"] for one in targets if one["type"] == "page"), "")
        if not self._target:
            raise BrowserFailed("Chromium shows no page")
        attached = await call("Target.attachToTarget", {"targetId": self._target, "flatten": True})
        self._session = attached["sessionId"]
        self.browser.devtools.listen(self._session, self._on_event)
        self.browser.devtools.listen("", self._on_browser_event)
        await asyncio.gather(
            *(self._call(f"{domain}.enable") for domain in ("Page", "Runtime", "Network", "Inspector", "Log")),
            self._call("Page.setLifecycleEventsEnabled", {"enabled": True}),
            call("Target.setDiscoverTargets", {"discover": True}),
            ignore_refusal(call("Browser.setDownloadBehavior", {"behavior": "deny"})),
        )
        if (display := self.browser.display).width < _NARROWEST:
            size = {"width": display.width, "height": display.height, "deviceScaleFactor": 1, "mobile": False}
            await self._call("Emulation.setDeviceMetricsOverride", size)

    async def load(self, url: str) -> None:
        """Open the page; returns when it is loaded and has drawn something. Raises PageFailed, BrowserFailed."""
        self._url, self._shown = url, redact_page_url(url)
        tries = max(1, self._options.load_tries)
        for number in range(1, tries + 1):
            try:
                async with asyncio.timeout(self._options.load_timeout):
                    error = await self._navigate()
            except TimeoutError:
                error = None
                if number == tries:
                    summary = self.console.summary()
                    raise timeout_error(self._shown, self._options.load_timeout, tries, summary) from None
            else:
                if error is None:
                    break
                if number == tries or not error.removeprefix("net::").startswith(_RETRIED):
                    raise load_error(self._shown, error, self._refusal(), self.console.summary())
            logger.info("the page is tried again: %s", error or "timed out")
        if self._status is not None and self._status >= 400:
            raise status_error(self._shown, self._status)
        with suppress(TimeoutError):
            async with asyncio.timeout(_NOTHING_TO_PAINT):
                await self._painted.wait()
        await self.check_error()

    async def check_error(self) -> None:
        """Raise PageFailed when the page shows an error in `div.error`."""
        if text := await self._evaluate(_READ_ERROR):
            raise template_error(redact(" ".join(str(text).split())), self.console.summary())

    async def watch(self) -> None:
        """Load the page again when it or a frame of it crashes, and when it hangs or takes too much memory.

        Raises BrowserFailed when that happens too often; but not for a frame, which is then left as it is.
        """
        loop = asyncio.get_running_loop()
        left, since = self._options.reloads, loop.time()
        while True:
            reason = await self._trouble()
            if reason is None and not self._grey:
                continue
            if loop.time() - since > _FORGIVEN:
                left = self._options.reloads
            times = f"{self._options.reloads} times"
            if reason is None:
                reason = f"lost {self._grey} to a crash"
                if left <= 0:
                    self._leave_grey(f"The page {reason}, and stays as it is: it was loaded again {times}")
                    continue
                self._left_grey = False
                # It is not asked to leave: what it does and writes then, perhaps END_RECORDING, is no part of its show.
                await self._kill_renderers()
            while True:
                if left <= 0:
                    raise BrowserFailed(
                        f"The page {reason}, and was loaded again {times}{self.console.summary()}",
                        remedy="Look for what the page does then; browser.reloads says how often it is loaded again",
                    )
                left -= 1
                self._on_warning(f"The page {reason}, and was loaded again")
                logger.warning("the page %s, and is loaded again", reason)
                try:
                    await self._load_again()
                    break
                except PageFailed as error:
                    reason = f"{reason}; then: {error.message}"
            since = loop.time()

    async def aclose(self) -> None:
        """Idempotent."""
        for task in self._closing:
            task.cancel()
        if self._closing:
            await asyncio.wait(self._closing)

    # -- inside -----------------------------------------------------------------------------------------------------

    async def _call(self, method: str, parameters: dict[str, Any] | None = None, **options: Any) -> dict[str, Any]:
        return await self.browser.devtools.call(method, parameters, session=self._session, **options)

    async def _evaluate(self, expression: str, timeout: float = 5.0) -> Any:
        """The value of an expression in the page; None when it does not answer."""
        with suppress(DevToolsError, BrowserFailed):
            answer = await self._call(
                "Runtime.evaluate", {"expression": expression, "returnByValue": True}, timeout=timeout
            )
            return answer.get("result", {}).get("value")
        return None

    async def _navigate(self) -> str | None:
        """Open the URL; Chromium's error, or None once it is loaded."""
        self._status, self._document = None, self._url
        self._loaded.clear()
        self._painted.clear()
        self._crashed.clear()
        crashed = asyncio.create_task(self._crashed.wait(), name="page crashes")
        loading = asyncio.create_task(self._load_once(), name="page loads")
        try:
            await asyncio.wait({crashed, loading}, return_when=asyncio.FIRST_COMPLETED)
            if not loading.done():
                return "the page crashed while it was loaded"
            return loading.result()
        except DevToolsError as error:
            return str(error)
        finally:
            for task in (crashed, loading):
                task.cancel()
            await asyncio.wait({crashed, loading})

    async def _load_once(self) -> str | None:
        answer = await self._call("Page.navigate", {"url": self._url}, timeout=self._options.load_timeout + 1)
        self._frame = answer.get("frameId", self._frame)
        if (error := answer.get("errorText")) and not (self._status or 0) >= 400:
            return str(error)
        if (self._status or 0) < 400:
            await self._loaded.wait()
        return None

    async def _trouble(self) -> str | None:
        """Wait a moment; why the page has to be loaded again, None when it lives."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_PULSE):
                await self._crashed.wait()
        now, limit = asyncio.get_running_loop().time(), self._options.memory
        if limit and not self._crashed.is_set() and now >= self._weighed + _WEIGHING:
            self._weighed = now
            taken = tree_bytes(self.browser.processes.pids["chromium"])
            if taken > limit:
                await self._kill_renderers()
                return f"took more memory than it may ({taken / 1e9:.1f} GB)"
        if self._crashed.is_set():
            return "crashed"
        grey, self._grey = self._frames.crashed, ""
        if await self._evaluate("1", timeout=self._options.hang_timeout) is None:
            if self._crashed.is_set():
                return "crashed"
            await self._kill_renderers()
            return f"hung for more than {self._options.hang_timeout:g} s"
        # The page has answered since, so it did not crash too, which would take its frames along.
        self._grey = grey and self._frames.crashed
        return None

    def _leave_grey(self, words: str) -> None:
        """Say so once."""
        if not self._left_grey:
            self._left_grey = True
            self._on_warning(words)
            logger.warning("%s", words)

    async def _load_again(self) -> None:
        """Raises PageFailed."""
        try:
            async with asyncio.timeout(self._options.load_timeout):
                error = await self._navigate()
        except TimeoutError:
            raise timeout_error(self._shown, self._options.load_timeout, 1) from None
        if error is not None:
            raise load_error(self._shown, error, self._refusal())
        if self._status is not None and self._status >= 400:
            raise status_error(self._shown, self._status)

    async def _kill_renderers(self) -> None:
        """End the page without its doing anything; one that hangs listens to nothing else."""
        try:
            found = (await self.browser.devtools.call("SystemInfo.getProcessInfo", timeout=5.0))["processInfo"]
        except DevToolsError:
            return
        for process in found:
            if process["type"] == "renderer":
                with suppress(ProcessLookupError, PermissionError):
                    os.kill(process["id"], signal.SIGKILL)
        with suppress(TimeoutError):
            async with asyncio.timeout(5.0):
                await self._crashed.wait()

    def _refusal(self) -> str:
        """Why the document was not reached, as far as lists and the proxy know."""
        if reason := self.browser.requests.reason(self._document):
            return reason
        parts = urlsplit(self._document)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        return self.browser.proxy.reason(parts.hostname or "", port)

    def _on_event(self, method: str, event: dict[str, Any]) -> None:
        match method:
            case "Runtime.consoleAPICalled":
                arguments = event.get("args", [])
                if told := signal_of(arguments):
                    if told == START:
                        # It knows best; something may go on loading for ever.
                        self._loaded.set()
                        self._painted.set()
                    self._on_signal(told)
                elif event.get("type") in ("error", "assert", "warning"):
                    self._complain(event["type"], console_text(arguments))
            case "Runtime.exceptionThrown":
                self._complain("exception", exception_text(event["exceptionDetails"]))
            case "Log.entryAdded" if event["entry"].get("level") == "error":
                entry = event["entry"]
                if not entry.get("url", "").endswith(_ICON):
                    self._complain("error", f"{entry.get('text', '')} {entry.get('url', '')}")
            case "Page.javascriptDialogOpening":
                self._complain(event["type"], event.get("message", ""))
                accept = event["type"] == "beforeunload"
                self._later(self._call("Page.handleJavaScriptDialog", {"accept": accept}))
            case "Page.lifecycleEvent" if not self._frame or event["frameId"] == self._frame:
                if event["name"] == "load":
                    self._loaded.set()
                elif event["name"] in ("firstPaint", "firstContentfulPaint"):
                    self._painted.set()
            case "Network.requestWillBeSent" if event.get("type") == "Document" and self._is_main(event):
                self._document = event["request"]["url"]
            case "Network.responseReceived" if event.get("type") == "Document" and self._is_main(event):
                self._status = int(event["response"]["status"])
            case "Inspector.targetCrashed":
                self._crashed.set()
            case _:
                pass

    def _is_main(self, event: dict[str, Any]) -> bool:
        return event.get("frameId") == (self._frame or self._target)

    def _on_browser_event(self, method: str, event: dict[str, Any]) -> None:
        self._frames.hear(method, event)
        # A page opened another window: it would cover the picture.
        if method == "Target.targetCreated":
            info = event["targetInfo"]
            if info["type"] in ("page", "background_page") and info["targetId"] != self._target:
                logger.info("a window that the page opened is closed")
                self._later(self.browser.devtools.call("Target.closeTarget", {"targetId": info["targetId"]}))

    def _complain(self, kind: str, text: str) -> None:
        logger.info("page: %s", self.console.add(kind, text))

    def _later(self, call: Any) -> None:
        task = asyncio.get_running_loop().create_task(ignore_refusal(call), name="DevTools command")
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)
