"""Starts egresses for the front doors that keep infos themselves: stored before it is answered, nothing left half."""

from __future__ import annotations

import asyncio
import secrets
import string
from contextlib import suppress

from livekit.protocol import egress as pb

from pyegress.errors import EgressError
from pyegress.service.egress_reports import EgressReports
from pyegress.service.egress_service import EgressService, EgressStart

#: Seconds for writing the info of a new egress.
STORE_TIMEOUT = 5.0
_ALPHANUMERIC = string.ascii_letters + string.digits


def new_egress_id() -> str:
    """`EG_` and twelve letters and digits."""
    return "EG_" + "".join(secrets.choice(_ALPHANUMERIC) for _ in range(12))


class Launcher:
    """Starts egresses that are stored and announced here."""

    def __init__(self, service: EgressService, reports: EgressReports) -> None:
        self._service = service
        self._reports = reports
        self._undoing: set[asyncio.Task[None]] = set()

    async def launch(self, start: EgressStart) -> pb.EgressInfo:
        """The STARTING info of an egress that is stored and runs. Raises EgressError.

        Whoever is cancelled meanwhile never learns of the egress: it is ended.
        """
        self._reports.announce(start.egress_id)
        try:
            info = await self._service.start(start)
        except EgressError:
            self._reports.retract(start.egress_id)
            raise
        except BaseException:
            self._undo(start.egress_id)
            raise
        try:
            if not self._reports.heard_of(start.egress_id):
                self._reports.report(info)
            await self._reports.settled(STORE_TIMEOUT)
        except BaseException:
            self._undo(start.egress_id)
            raise
        return info

    def _undo(self, egress_id: str) -> None:
        task = asyncio.get_running_loop().create_task(self._end(egress_id), name=f"end {egress_id}")
        self._undoing.add(task)
        task.add_done_callback(self._undoing.discard)

    async def _end(self, egress_id: str) -> None:
        with suppress(EgressError):
            await self._service.stop(egress_id)
        self._reports.retract(egress_id)

    async def aclose(self) -> None:
        """Wait for egresses that are being ended."""
        await asyncio.gather(*self._undoing, return_exceptions=True)
