"""Tells livekit-server about every change of every egress, however long Redis or the servers are away."""

from __future__ import annotations

import asyncio
import logging
import random
from dataclasses import dataclass

from livekit.protocol import egress as pb

from pyegress.api.psrpc.io_info import IoInfo
from pyegress.api.psrpc.update_queue import Kind, Report, UpdateQueue
from pyegress.clock import Monotonic, monotonic
from pyegress.errors import EgressError
from pyegress.service.outbox import Outbox

log = logging.getLogger(__name__)
#: Egresses about which the servers are told at the same time.
_AT_ONCE = 32
#: Seconds between two log lines about the same trouble.
_TELL_EVERY = 60.0


@dataclass(frozen=True, slots=True)
class Backoff:
    """Seconds before attempt 1, 2, ... : doubling, with up to a quarter of random extra."""

    first: float = 0.25
    longest: float = 10.0

    def pause(self, attempt: int) -> float:
        return min(self.longest, self.first * float(1 << min(attempt, 30))) * random.uniform(1.0, 1.25)


class Reporter:
    """One queue per egress, sent in order. All on one event loop."""

    def __init__(self, io: IoInfo, backoff: Backoff, outbox: Outbox | None = None) -> None:
        """Without an `outbox` what the servers were not told is lost at the end."""
        self._io = io
        self._outbox = outbox
        self._backoff = backoff
        self._queues: dict[str, UpdateQueue] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self._hurry = asyncio.Event()
        self._created: dict[str, asyncio.Future[None]] = {}
        self._failing_since: Monotonic | None = None
        self._told = 0.0

    @property
    def failing_for(self) -> float:
        """Seconds for which no report has arrived although some should have; 0 when all is well."""
        return 0.0 if self._failing_since is None else monotonic() - self._failing_since

    async def open(self) -> None:
        """Send what an earlier run did not get to. Raises EgressError."""
        for egress_id, bodies in (await self._outbox.open() if self._outbox is not None else {}).items():
            self._queues[egress_id] = UpdateQueue(map(Report.from_bytes, bodies))
            self._begin_to_send(egress_id)
        if self._queues:
            log.info("%d egresses of an earlier run are reported", len(self._queues))

    def report(self, info: pb.EgressInfo) -> asyncio.Future[None] | None:
        """Queue the state of an egress. Returns at once; done when it would be told also by the next run."""
        egress_id = info.egress_id
        queue = self._queues.setdefault(egress_id, UpdateQueue())
        queue.add(info)
        self._keep(egress_id, queue)
        self._begin_to_send(egress_id)
        return self._outbox.settled() if self._outbox is not None else None

    def _keep(self, egress_id: str, queue: UpdateQueue) -> None:
        if self._outbox is not None:
            self._outbox.save(egress_id, [report.to_bytes() for report in queue.waiting])

    def _begin_to_send(self, egress_id: str) -> None:
        if egress_id not in self._tasks:
            self._tasks[egress_id] = asyncio.create_task(self._send_all(egress_id), name=f"report-{egress_id}")

    def begin(self, info: pb.EgressInfo) -> None:
        """`report`, for an egress of which nothing was reported yet."""
        if info.egress_id not in self._queues:
            self.report(info)

    async def created(self, egress_id: str, timeout: float) -> bool:
        """Whether a server has stored the egress, after waiting for it for at most `timeout` seconds."""
        queue = self._queues.get(egress_id)
        if queue is None or queue.created:
            return queue is not None
        stored = self._created.setdefault(egress_id, asyncio.get_running_loop().create_future())
        done, _ = await asyncio.wait([stored], timeout=timeout)
        return bool(done) and not stored.cancelled()

    def undelivered(self) -> set[str]:
        """Egresses of which the servers do not know the newest state."""
        return {egress_id for egress_id, queue in self._queues.items() if queue}

    def forget(self, egress_id: str) -> None:
        """No more is to come about this egress. What is queued is still sent."""
        if not self._queues.get(egress_id):
            self._queues.pop(egress_id, None)

    def hurry(self) -> None:
        """Redis is back: try again now."""
        self._hurry.set()
        self._hurry = asyncio.Event()

    async def drain(self, timeout: float) -> set[str]:
        """Wait until everything is delivered. The egresses for which that did not happen in `timeout` seconds."""
        deadline = monotonic() + timeout
        self.hurry()
        while self._tasks and (left := deadline - monotonic()) > 0:
            await asyncio.wait(set(self._tasks.values()), timeout=left)
        return self.undelivered()

    async def aclose(self) -> None:
        """What is not delivered is left for the next run, or lost without an outbox: `drain` first."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        for stored in self._created.values():
            stored.cancel()
        if self._outbox is not None:
            await self._outbox.aclose()

    async def _send_all(self, egress_id: str) -> None:
        queue = self._queues[egress_id]
        try:
            while (report := queue.next()) is not None:
                await self._send(queue, report)
        finally:
            self._tasks.pop(egress_id, None)

    async def _send(self, queue: UpdateQueue, report: Report) -> None:
        attempt = 0
        while True:
            try:
                async with self._slots:
                    await (self._io.create if report.kind is Kind.CREATE else self._io.update)(report.info)
            except EgressError as error:
                queue.unsent()
                self._failed(report, str(error))
            except Exception as error:  # whatever it is, no report may be lost over it
                queue.unsent()
                log.exception("a report could not be sent")
                self._failed(report, repr(error))
            else:
                break
            hurry = self._hurry
            try:
                async with asyncio.timeout(self._backoff.pause(attempt)):
                    await hurry.wait()
            except TimeoutError:
                attempt += 1
            else:
                attempt = 0
            # The newest details of the same status, where some came meanwhile.
            report = queue.next() or report
        queue.sent()
        self._keep(report.info.egress_id, queue)
        self._arrived(report)

    def _arrived(self, report: Report) -> None:
        if self._failing_since is not None:
            log.info("egresses are reported again, after %.1f s", self.failing_for)
            self._failing_since = None
        stored = self._created.pop(report.info.egress_id, None) if report.kind is Kind.CREATE else None
        if stored is not None and not stored.done():
            stored.set_result(None)

    def _failed(self, report: Report, reason: str) -> None:
        now = monotonic()
        if self._failing_since is None:
            self._failing_since = now
            self._told = 0.0
        if not self._told or now - self._told >= _TELL_EVERY:
            self._told = now
            status = pb.EgressStatus.Name(report.info.status)
            log.warning("%s of %s is not stored yet: %s", status, report.info.egress_id, reason)
