"""Starts what the recording rules want, once for each room, participant or track."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from functools import partial

from livekit.protocol.webhook import WebhookEvent

from pyegress.clock import monotonic
from pyegress.errors import Code, EgressError
from pyegress.service.egress_reports import EgressReports
from pyegress.service.egress_service import EgressStart
from pyegress.service.egress_store import EgressStore
from pyegress.service.launcher import Launcher
from pyegress.service.recording_rules import RecordingRule, starts_of

#: Seconds for which a start is tried again while the service is full.
PATIENCE = 60.0
_FIRST_DELAY, _MOST_DELAY = 0.5, 8.0
_AGAIN = (Code.UNAVAILABLE, Code.RESOURCE_EXHAUSTED, Code.DEADLINE_EXCEEDED)

_log = logging.getLogger(__name__)


class AutoRecorder:
    """Takes livekit-server's webhook events, and starts egresses in the background."""

    def __init__(
        self,
        rules: Sequence[RecordingRule],
        launcher: Launcher,
        store: EgressStore,
        reports: EgressReports,
        *,
        patience: float = PATIENCE,
    ) -> None:
        self._rules = rules
        self._launcher = launcher
        self._store = store
        self._reports = reports
        self._patience = patience
        self._starting: dict[str, asyncio.Task[None]] = {}
        self._closed = False

    @property
    def starting(self) -> list[str]:
        """Egress ids that are being started."""
        return list(self._starting)

    def handle(self, event: WebhookEvent) -> list[str]:
        """Begin to start what the rules want after `event`; their egress ids. What exists already stays as it is."""
        if self._closed:
            return []
        wanted = list(starts_of(self._rules, event))
        for start in wanted:
            if start.egress_id not in self._starting:
                task = asyncio.get_running_loop().create_task(self._start(start), name=f"start {start.egress_id}")
                self._starting[start.egress_id] = task
                task.add_done_callback(partial(self._forget, start.egress_id))
        return [start.egress_id for start in wanted]

    def _forget(self, egress_id: str, _: asyncio.Task[None]) -> None:
        self._starting.pop(egress_id, None)

    async def _start(self, start: EgressStart) -> None:
        begun, delay = monotonic(), _FIRST_DELAY
        room = start.request.room_name if hasattr(start.request, "room_name") else ""
        while True:
            try:
                if await self._store.get(start.egress_id) is None:
                    await self._launcher.launch(start)
                    _log.info("egress %s: a rule records room %r", start.egress_id, room)
                return
            except EgressError as error:
                if error.code in _AGAIN and monotonic() - begun + delay <= self._patience:
                    _log.info("egress %s cannot be started yet: %s", start.egress_id, error)
                else:
                    _log.warning("egress %s that a rule wants in room %r failed: %s", start.egress_id, room, error)
                    self._reports.report_refused(start, room, error)
                    return
            await asyncio.sleep(delay)
            delay = min(delay * 2, _MOST_DELAY)

    async def aclose(self) -> None:
        """Start nothing more. May be called twice."""
        self._closed = True
        tasks = list(self._starting.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
