"""One live destination: connects, begins with a start, sends, notices when nothing arrives, tries again, reports."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, Protocol

from pyegress.clock import Wall, monotonic, wall
from pyegress.errors import Code, EgressError
from pyegress.lifecycle.outcome import StreamOutcome, StreamStatus
from pyegress.outputs.streaming.backlog import Backlog
from pyegress.outputs.streaming.failures import stalled
from pyegress.outputs.streaming.retries import RetryBudget
from pyegress.outputs.streaming.unit import Unit
from pyegress.plan.stream_urls import Destination

logger = logging.getLogger(__name__)

#: How long a receiver may take nothing, seconds.
STALL = 10.0
#: What a slow receiver may lag behind before a stretch is left out, seconds of media.
BACKLOG = 3.0
#: How long the end of a stream may take, seconds.
_FINISH = 3.0
_WATCH = 0.5


class Connection(Protocol):
    """A connection to a destination that takes media. On the event loop; `send` never blocks."""

    def send(self, units: Sequence[Unit]) -> None:
        """Put units on their way; the first of all is a start."""

    async def writable(self) -> None:
        """Wait until it makes sense to send more."""

    async def ended(self) -> None:
        """Listen to the other side until the connection is over, and raise the EgressError that says why."""

    @property
    def taken(self) -> int:
        """Bytes that have left this machine, as far as is known. Never falls."""

    @property
    def pending(self) -> bool:
        """Whether something is still on its way."""

    async def aclose(self, *, orderly: bool) -> None:
        """Close, after everything has been sent if `orderly`. Bounded in time, idempotent."""


class StreamSender:
    """Made and used on the event loop. `window`: how long after a loss the destination is tried again, seconds."""

    def __init__(
        self,
        target: Destination,
        connect: Callable[[], Awaitable[Connection]],
        *,
        window: float,
        want_start: Callable[[], None],
        on_failed: Callable[[StreamSender, EgressError], None],
        backlog: float = BACKLOG,
        keep: bool = False,
        stall: float = STALL,
    ) -> None:
        """`want_start` asks for a unit that a receiver can begin at; with `keep` the backlog outlives a connection."""
        self.target = target
        self._connect = connect
        self._want_start = want_start
        self._on_failed = on_failed
        self._backlog = Backlog(backlog)
        self._keep = keep
        self._stall = stall
        self._budget = RetryBudget(window)
        self._wake = asyncio.Event()
        self._finishing = asyncio.Event()
        self._started_at: Wall | None = None
        self._ended_at: Wall | None = None
        self._status = StreamStatus.ACTIVE
        self._error = ""
        #: Whether it was said that this connection is too slow.
        self._slow = False
        #: Why the last attempt failed.
        self._failure: EgressError | None = None
        self._retries = 0
        self._last_retry_at: Wall | None = None
        self._task = asyncio.create_task(self._run(), name=f"stream to {target.shown}")

    @property
    def outcome(self) -> StreamOutcome:
        """How it stands."""
        return StreamOutcome(
            url=self.target.shown,
            status=self._status,
            id=self.target.id,
            error=self._error,
            started_at=self._started_at,
            ended_at=self._ended_at,
            retries=self._retries,
            last_retry_at=self._last_retry_at,
        )

    @property
    def over(self) -> bool:
        """Whether nothing is sent any more."""
        return self._status is not StreamStatus.ACTIVE

    @property
    def finishing(self) -> bool:
        """Whether it has been told to end."""
        return self._finishing.is_set()

    @property
    def dropped(self) -> int:
        """Units that the destination was too slow for."""
        return self._backlog.dropped

    def submit(self, unit: Unit) -> None:
        """The next unit."""
        if self.over:
            return
        starved, dropped = self._backlog.starved, self._backlog.dropped
        self._backlog.push(unit)
        if self._backlog.dropped > dropped and not self._slow:
            self._slow = True
            logger.warning("%s takes less than there is, or is away: a part is left out", self.target.shown)
        if self._backlog.starved and not starved:
            self._want_start()
        self._wake.set()

    def fail(self, error: EgressError) -> None:
        """Give it up: there is nothing to send."""
        if not self.over:
            self._fail(error)
            self._task.cancel()

    def stop(self) -> None:
        """Begin to end; `finish` waits for it."""
        self._finishing.set()
        self._wake.set()

    async def finish(self) -> None:
        """Send what waits and close in order, within seconds. Idempotent."""
        self.stop()
        await asyncio.wait({self._task}, timeout=_FINISH)
        self._task.cancel()
        await asyncio.wait({self._task})
        if self._started_at is None and self._failure is not None:
            self._error = str(self._failure)
            self._end(StreamStatus.FAILED)
        self._end(StreamStatus.FINISHED)

    # -- inside -----------------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        while not self._finishing.is_set():
            failure = await self._attempt()
            if failure is None:
                self._end(StreamStatus.FINISHED)
                return
            self._failure = failure
            delay = self._budget.failed(monotonic())
            if delay is None:
                self._fail(failure)
                return
            logger.warning("%s; trying again in %.2g s", failure.message, delay)
            await self._pause(delay)
            self._retries += 1
            self._last_retry_at = wall()

    async def _attempt(self) -> EgressError | None:
        """One connection from its beginning to its end; None when the stream was finished in order."""
        try:
            connecting = asyncio.ensure_future(self._connect())
            if not await self._unless_finishing(connecting):
                return None
            return await self._deliver(connecting.result())
        except EgressError as error:
            return error
        except Exception as error:
            logger.exception("streaming to %s failed", self.target.shown)
            return EgressError(
                f"Streaming to {self.target.shown} failed ({type(error).__name__})",
                remedy="Please report it, with the log",
                code=Code.INTERNAL,
            )

    async def _unless_finishing(self, wanted: asyncio.Future[Connection]) -> bool:
        """Wait for a connection; whether it was made, or failed, before the stream was to end."""
        finishing: asyncio.Future[Any] = asyncio.create_task(self._finishing.wait(), name="end of a stream")
        either: set[asyncio.Future[Any]] = {wanted, finishing}
        try:
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            return wanted.done()
        finally:
            finishing.cancel()
            if not wanted.done():
                wanted.cancel()
            await asyncio.wait(either)

    async def _deliver(self, connection: Connection) -> EgressError | None:
        self._budget.accepted(monotonic())
        self._slow = False
        if not self._keep:
            self._backlog.restart()
        self._want_start()
        orderly = False
        tasks = [
            asyncio.create_task(work, name=f"{name} {self.target.shown}")
            for name, work in self._works(connection).items()
        ]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                if (error := task.exception()) is not None:
                    raise error
            orderly = True
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            await connection.aclose(orderly=orderly)
        return None

    def _works(self, connection: Connection) -> dict[str, Coroutine[Any, Any, None]]:
        return {
            "send to": self._pump(connection),
            "listen to": connection.ended(),
            "watch": self._watch(connection),
        }

    async def _pump(self, connection: Connection) -> None:
        """Returns when the stream is finished and everything was sent."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            finishing = self._finishing.is_set()
            if units := self._backlog.take():
                connection.send(units)
                if self._started_at is None:
                    self._started_at = wall()
                await connection.writable()
            if finishing:
                return

    async def _watch(self, connection: Connection) -> None:
        taken, at = connection.taken, monotonic()
        while True:
            await asyncio.sleep(_WATCH)
            now, newest = monotonic(), connection.taken
            if newest > taken:
                taken, at = newest, now
                self._budget.progress(now)
            elif not connection.pending:
                at = now
            elif now - at >= self._stall:
                raise stalled(self.target.shown, self._stall)

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._finishing.wait()
        except TimeoutError:
            pass

    def _fail(self, error: EgressError) -> None:
        self._error = str(error)
        self._end(StreamStatus.FAILED)
        logger.error("%s", error)
        self._on_failed(self, error)

    def _end(self, status: StreamStatus) -> None:
        if not self.over:
            self._status = status
            self._ended_at = wall()
            self._backlog.restart()
