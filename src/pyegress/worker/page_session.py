"""One recording of a web page, from the browser's start to finished outputs: the counterpart of `RecordingSession`."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

from livekit.protocol import egress as pb

from pyegress.browser.browser import Browser
from pyegress.browser.console import END
from pyegress.browser.failures import BrowserFailed
from pyegress.browser.page import Page
from pyegress.browser.page_errors import no_signal_error
from pyegress.clock import Monotonic, monotonic
from pyegress.errors import EgressError
from pyegress.lifecycle.recording import EndReason, Lifecycle, RecordingState
from pyegress.media.steps import Step
from pyegress.plan.recording_plan import RecordingPlan
from pyegress.worker.delivery import Delivery, InPlace
from pyegress.worker.encoded_outputs import not_recording_yet
from pyegress.worker.page_address import PageAddress, may_send_udp, page_address
from pyegress.worker.page_capture import PageCapture
from pyegress.worker.planned_files import check_files, named_files
from pyegress.worker.progress import Progress, Recorded, RecordingResult
from pyegress.worker.stop import Stop, result_of, run_to_its_end

logger = logging.getLogger(__name__)

#: How often limits and progress are looked at, seconds.
TICK = 0.25
#: How often a page that has not given its signal is asked whether it shows an error.
_ERROR_LOOK = 0.5
#: The window of a page of which only the sound is recorded, and how often it is drawn.
_PICTURE = (1280, 720, 30)


class PageSession:
    """Runs one plan that captures a page. `run` once; `stop` at any time, on the same event loop."""

    def __init__(
        self,
        plan: RecordingPlan,
        *,
        delivery: Delivery | None = None,
        on_progress: Callable[[Progress], None] | None = None,
    ) -> None:
        """Without `delivery` files stay where they are written."""
        self.plan = plan
        self.lifecycle = Lifecycle()
        self._delivery = delivery or InPlace()
        self._on_progress = on_progress
        self._inbox: asyncio.Queue[Stop] = asyncio.Queue()
        self._browser: Browser | None = None
        self._page: Page | None = None
        self._capture: PageCapture | None = None
        self._signalled = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._waiting_for = "the browser"
        self._end_reason: EndReason | None = None
        self._room = plan.room_name
        self.warnings: list[str] = []

    def stop(self, reason: EndReason = EndReason.STOPPED, details: str = "") -> None:
        """Ask for an ordinary end: nothing more is captured, outputs are finished. Idempotent."""
        self._inbox.put_nowait(Stop(reason, details))

    def progress(self) -> Progress:
        """A snapshot of now."""
        capture, page = self._capture, self._page
        return Progress(
            state=self.lifecycle.state,
            elapsed=capture.elapsed(monotonic()) if capture is not None else 0.0,
            bytes_written=capture.bytes_written if capture is not None else 0,
            waiting_for=self._waiting_for,
            seen=page.console.lines if page is not None and self._waiting_for else (),
            of_page=True,
            end_reason=self._end_reason,
            paths=tuple(capture.paths) if capture is not None else (),
            streams=capture.streams if capture is not None else (),
        )

    def steps(self) -> list[Step]:
        """The page as it is captured, and what becomes of it."""
        return self._capture.steps() if self._capture is not None else []

    def update_streams(self, request: pb.UpdateStreamRequest) -> None:
        """Add and remove destinations of the stream. Raises EgressError, also for parts of what was asked."""
        if self._capture is None:
            raise not_recording_yet()
        self._capture.update_streams(request)

    async def run(self) -> RecordingResult:
        """Record until the end. Errors do not raise: they are in the result, beside what was recorded."""
        try:
            return await run_to_its_end(self._record, self._finish)
        finally:
            await self._close()

    # -- inside -----------------------------------------------------------------------------------------------------

    async def _record(self) -> Stop:
        self._report()
        check_files(self.plan, self._delivery)
        address = page_address(self.plan)
        self._room = address.room or self._room
        plan = named_files(self.plan, self._room, self.plan.room_id, self._delivery)
        if isinstance(stop := await self._unless_stopped(self._open(plan, address)), Stop):
            return stop
        if isinstance(stop := await self._unless_stopped(self._load(address)), Stop):
            return stop
        if address.awaits and isinstance(stop := await self._unless_stopped(self._await_signal()), Stop):
            return stop
        assert self._capture is not None
        self._capture.begin(monotonic())
        self._waiting_for = ""
        self._move(RecordingState.ACTIVE, "the page is ready")
        self._own(self._watch(), "watch the page")
        return await self._follow()

    async def _open(self, plan: RecordingPlan, address: PageAddress) -> None:
        # A page is as wide as it is shown; without pictures it is as wide as usual.
        video = plan.video
        width, height, framerate = (video.width, video.height, video.framerate) if video is not None else _PICTURE
        udp = may_send_udp(plan.browser, address)
        browser = await Browser.open(plan.browser, width=width, height=height, framerate=framerate, udp=udp)
        self._browser = browser
        for text in browser.warnings:
            self._warn(text)
        self._own(self._end_with(browser), "watch Chromium")
        self._page = Page(browser, plan.browser, on_signal=self._on_signal, on_warning=self._warn)
        self._capture = PageCapture(
            plan, browser, self._delivery, title=self._room, on_over=self._on_over, on_warning=self._warn
        )

    async def _load(self, address: PageAddress) -> None:
        assert self._page is not None
        self._waiting_for = f"{address.shown} to be loaded"
        self._move(RecordingState.WAITING, "the browser runs")
        self._report()
        await self._page.attach()
        await self._page.load(address.url)
        logger.info("%s is loaded", address.shown)

    async def _await_signal(self) -> None:
        """Wait for START_RECORDING. Raises EgressError when the page shows an error, or too late."""
        assert self._page is not None
        self._waiting_for = "START_RECORDING on the page's console"
        self._report()
        limit = self.plan.waits.start_signal
        watch = asyncio.create_task(self._page.watch(), name="watch the page")
        loop = asyncio.get_running_loop()
        deadline = loop.time() + limit if limit is not None else None
        try:
            while not self._signalled.is_set():
                if deadline is not None and limit is not None and loop.time() > deadline:
                    raise no_signal_error(limit, self._page.console.summary())
                if watch.done():
                    watch.result()
                waiting = asyncio.create_task(self._signalled.wait(), name="start signal")
                await asyncio.wait({waiting, watch}, timeout=_ERROR_LOOK, return_when=asyncio.FIRST_COMPLETED)
                waiting.cancel()
                if not self._signalled.is_set():
                    await self._page.check_error()
                self._report()
        finally:
            watch.cancel()
            await asyncio.wait({watch})

    async def _follow(self) -> Stop:
        """Look at the limits until something is the end."""
        self._report()
        while True:
            try:
                async with asyncio.timeout(TICK):
                    return await self._inbox.get()
            except TimeoutError:
                if (stop := self._limit_reached(monotonic())) is not None:
                    return stop
                self._report()

    async def _unless_stopped(self, work: Coroutine[Any, Any, None]) -> Stop | None:
        """Do something, unless the end comes first: then that. Raises what the work raises."""
        working = asyncio.create_task(work, name="page")
        stopping = asyncio.create_task(self._inbox.get(), name="end of page")
        try:
            await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if stopping.done():
                return stopping.result()
            working.result()
            return None
        finally:
            working.cancel()
            stopping.cancel()
            await asyncio.wait({working, stopping})

    def _limit_reached(self, now: Monotonic) -> Stop | None:
        assert self._capture is not None
        duration, size = self.plan.max_duration, self.plan.max_file_size
        if duration is not None and self._capture.elapsed(now) >= duration:
            return Stop(EndReason.LIMIT_REACHED, "the duration is reached")
        if size is not None and self._capture.bytes_written >= size:
            return Stop(EndReason.LIMIT_REACHED, "the file size is reached")
        return None

    async def _watch(self) -> None:
        assert self._page is not None
        try:
            await self._page.watch()
        except EgressError as error:
            self._on_over(error)

    async def _end_with(self, browser: Browser) -> None:
        """Chromium, its display or its sound may end by themselves."""
        ended = {name: browser.processes.ended[name] for name in ("chromium", "xvfb", "pulseaudio")}
        await asyncio.wait(ended.values(), return_when=asyncio.FIRST_COMPLETED)
        name = next(name for name, future in ended.items() if future.done())
        status = ended[name].result()
        words = browser.processes.last_words(name).splitlines()[-1:]
        how = f"signal {-status}" if status < 0 else f"exit code {status}"
        self._on_over(
            BrowserFailed(
                f"{name} ended unexpectedly ({how}){': ' + words[0] if words else ''}",
                remedy="Signal 9 usually means that the machine ran out of memory",
            )
        )

    def _on_signal(self, signal: str) -> None:
        if signal == END:
            self._inbox.put_nowait(Stop(EndReason.SOURCE_CLOSED, "the page wrote END_RECORDING"))
        else:
            self._signalled.set()

    def _on_over(self, over: Stop | EgressError) -> None:
        self._inbox.put_nowait(over if isinstance(over, Stop) else Stop(EndReason.FAILURE, error=over))

    def _warn(self, text: str) -> None:
        if text not in self.warnings:
            logger.warning("%s", text)
            self.warnings.append(text)

    async def _finish(self, stop: Stop) -> RecordingResult:
        end = monotonic()
        self._end_reason = stop.reason
        self._move(RecordingState.ENDING, stop.details or stop.reason.value)
        self._waiting_for = ""
        self._report()
        capture = self._capture
        if capture is not None:
            await capture.end(end)
        # Uploads may take their time, and a browser takes half a core.
        await self._close()
        recorded = await capture.finish() if capture is not None else Recorded()
        error = stop.error or next(iter(recorded.errors), None)
        began = capture.started_at if capture is not None else None
        name, sid = self._room, self.plan.room_id
        result = result_of(
            stop, recorded, error, started_at=began, warnings=self.warnings, room_name=name, room_sid=sid
        )
        self._move(result.state, stop.details or result.reason.value)
        self._report()
        return result

    async def _close(self) -> None:
        """End the browser. Idempotent."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        if self._page is not None:
            await self._page.aclose()
        if self._browser is not None:
            await self._browser.aclose()

    def _own(self, work: Coroutine[Any, Any, None], name: str) -> None:
        self._tasks.add(asyncio.create_task(work, name=name))

    def _move(self, new: RecordingState, reason: str) -> None:
        logger.info("%s -> %s: %s", self.lifecycle.state.value, new.value, reason)
        self.lifecycle.move(new, reason)

    def _report(self) -> None:
        if self._on_progress is not None:
            self._on_progress(self.progress())
