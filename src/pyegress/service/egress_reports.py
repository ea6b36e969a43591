"""What becomes of every change of an egress: redacted, stored, then told by webhooks, in the order it happened."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from livekit.protocol import egress as pb

from pyegress.clock import wall
from pyegress.errors import Code, EgressError
from pyegress.plan.egress_info import nanoseconds
from pyegress.plan.redact import redacted
from pyegress.service.egress_service import EgressService, EgressStart
from pyegress.service.egress_store import RETENTION, EgressStore, Stored, is_final
from pyegress.service.webhook_events import events_of
from pyegress.service.webhooks import WebhookSender

#: Seconds between sweeps of what is older than the retention.
SWEEP_INTERVAL = 1800.0
#: Seconds before the store is tried again.
_RETRY = 1.0
#: Seconds for storing what became of the egresses of an earlier service.
_OPEN_TIMEOUT = 10.0
_LOST = "the service ended while this egress was running, and nobody knows what became of it"

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Report:
    info: pb.EgressInfo
    stored: asyncio.Future[None]


class EgressReports:
    """Listens to the service's egresses. Those that `announce` names are told of by webhooks, others only stored."""

    def __init__(
        self,
        service: EgressService,
        store: EgressStore,
        sender: WebhookSender,
        *,
        retention: float = RETENTION,
        retry: float = _RETRY,
    ) -> None:
        self._service = service
        self._store = store
        self._sender = sender
        self._retention = retention
        self._retry = retry
        #: Egresses that are announced and have not ended, and whether anything was heard of each.
        self._announced: dict[str, bool] = {}
        self._waiting: deque[_Report] = deque()
        self._wake = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._unsubscribe: Callable[[], None] | None = None
        self._closing = False

    async def open(self) -> None:
        """Begin to listen. Egresses of the store that ended with an earlier service are reported FAILED."""
        loop = asyncio.get_running_loop()
        self._unsubscribe = self._service.listen(self.report)
        self._tasks = [
            loop.create_task(self._work(), name="egress reports"),
            loop.create_task(self._sweep(), name="egress retention"),
        ]
        for info in await self._store.active():
            self.report(self._service.info(info.egress_id) or _lost(info))
        # By then it is known again which of them are announced.
        await self.settled(_OPEN_TIMEOUT)

    def announce(self, egress_id: str) -> None:
        """Webhooks are sent for this egress, which is about to be started."""
        self._announced.setdefault(egress_id, False)

    def announces(self, egress_id: str) -> bool:
        """Whether webhooks are sent for this egress."""
        return egress_id in self._announced

    def retract(self, egress_id: str) -> None:
        """This egress was not started, unless something was heard of it."""
        if not self.heard_of(egress_id):
            self._announced.pop(egress_id, None)

    def heard_of(self, egress_id: str) -> bool:
        """Whether anything was reported of an announced egress that has not ended."""
        return self._announced.get(egress_id, False)

    def report(self, info: pb.EgressInfo) -> asyncio.Future[None]:
        """Take the newest info of an egress, of which a copy is kept. Done when it is stored, and its webhooks are."""
        stored: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if info.egress_id in self._announced:
            self._announced[info.egress_id] = True
        # Who listens does not wait: the outcome need not be looked at.
        stored.add_done_callback(lambda done: None if done.cancelled() else done.exception())
        self._waiting.append(_Report(redacted(info), stored))
        self._wake.set()
        return stored

    async def settled(self, timeout: float) -> None:
        """Return when all that was reported is stored. Raises EgressError."""
        if not self._waiting:
            return
        try:
            async with asyncio.timeout(timeout):
                await asyncio.shield(self._waiting[-1].stored)
        except TimeoutError:
            raise EgressError(
                f"The egress could not be written to the store in {timeout:g} s",
                field="database",
                code=Code.UNAVAILABLE,
                retryable=True,
                remedy="Check the disk that it is on",
            ) from None

    def report_refused(self, start: EgressStart, room_name: str, error: EgressError) -> None:
        """An announced egress that nobody asks for again could not be started: it is stored and told of as FAILED."""
        self.announce(start.egress_id)
        self.report(_refused(start, room_name, error))

    async def _work(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while reports := list(self._waiting):
                await self._settle(reports)
                for _ in reports:
                    self._waiting.popleft()

    async def _settle(self, reports: list[_Report]) -> None:
        """Store and tell several at once: many egresses that begin together do not wait for each other's writes."""
        try:
            stored = await self._put([report.info for report in reports])
        except EgressError as error:
            for report in reports:
                if not report.stored.done():
                    report.stored.set_exception(error)
            return
        for report, result in zip(reports, stored, strict=True):
            info = report.info
            if is_final(info):
                self._announced.pop(info.egress_id, None)
            elif result.announced:
                self._announced[info.egress_id] = True
            for event in events_of(result, info):
                self._sender.send(event, info)
        await self._sender.kept()
        for report in reports:
            if not report.stored.done():
                report.stored.set_result(None)

    async def _put(self, infos: list[pb.EgressInfo]) -> list[Stored]:
        """Tries without end, but once only when we are closing. Raises EgressError."""
        while True:
            try:
                return await self._store.put_all([(info, info.egress_id in self._announced) for info in infos])
            except EgressError as error:
                ids = ", ".join(sorted({info.egress_id for info in infos}))
                _log.error("the infos of these egresses are not stored yet: %s: %s", ids, error)
                if self._closing:
                    raise
            await asyncio.sleep(self._retry)

    async def _sweep(self) -> None:
        while True:
            try:
                forgotten = await self._store.forget(ended_before=nanoseconds(wall()) - round(self._retention * 1e9))
            except EgressError as error:
                _log.error("egresses that ended long ago are not removed: %s", error)
            else:
                if forgotten:
                    _log.info("%d egresses that ended long ago are forgotten", forgotten)
            await asyncio.sleep(SWEEP_INTERVAL)

    async def aclose(self, timeout: float = 10.0) -> None:
        """Stop listening, and finish what was reported. May be called twice."""
        self._closing = True
        if self._unsubscribe is not None:
            self._unsubscribe()
            self._unsubscribe = None
        waiting: Sequence[asyncio.Future[None]] = [report.stored for report in self._waiting]
        if waiting:
            await asyncio.wait(waiting, timeout=timeout)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []


def _lost(info: pb.EgressInfo) -> pb.EgressInfo:
    ended = pb.EgressInfo()
    ended.CopyFrom(info)
    return _failed(ended, _LOST, Code.INTERNAL.http)


def _refused(start: EgressStart, room_name: str, error: EgressError) -> pb.EgressInfo:
    at = nanoseconds(wall())
    info = pb.EgressInfo(egress_id=start.egress_id, room_id=start.room_id, room_name=room_name, started_at=at)
    for field in info.DESCRIPTOR.oneofs_by_name["request"].fields:
        if field.message_type == start.request.DESCRIPTOR:
            getattr(info, field.name).CopyFrom(start.request)
    return _failed(info, str(error), error.code.http)


def _failed(info: pb.EgressInfo, error: str, code: int) -> pb.EgressInfo:
    at = nanoseconds(wall())
    info.status = pb.EgressStatus.EGRESS_FAILED
    info.error = error
    info.error_code = code
    info.details = "End reason: Failure"
    info.updated_at = info.ended_at = at
    return info
