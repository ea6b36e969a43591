"""An EgressService without workers: egresses are planned for real, and move on when the test says so."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from copy import deepcopy

from livekit.protocol import egress as pb

from pyegress.clock import wall
from pyegress.errors import Code, EgressError, NotFound
from pyegress.plan.build import plan_recording
from pyegress.plan.egress_info import nanoseconds, starting_info
from pyegress.plan.recording_plan import Service, Start
from pyegress.service.egress_service import EgressStart, Listener

SERVICE = Service(ws_url="ws://localhost:7880", api_key="key", api_secret="secret")


class SimulatedService:
    """Infos by egress id, and what was asked. `hold` makes starts wait, `refuse` makes them fail."""

    def __init__(self) -> None:
        self.infos: dict[str, pb.EgressInfo] = {}
        self.starts: list[EgressStart] = []
        self.updates: list[pb.UpdateStreamRequest] = []
        self.cancelled: list[str] = []
        self.hold: asyncio.Event | None = None
        self.refuse: list[EgressError] = []
        self._listeners: list[Listener] = []

    async def start(self, start: EgressStart) -> pb.EgressInfo:
        self.starts.append(start)
        if start.egress_id in self.infos:
            return deepcopy(self.infos[start.egress_id])
        if self.refuse:
            raise self.refuse.pop(0)
        if self.hold is not None:
            try:
                await self.hold.wait()
            except asyncio.CancelledError:
                self.cancelled.append(start.egress_id)
                raise
        plan = plan_recording(start.request, Start(start.egress_id, wall(), room_id=start.room_id), SERVICE)
        self.infos[start.egress_id] = starting_info(plan, start.request)
        self._tell(start.egress_id)
        return deepcopy(self.infos[start.egress_id])

    async def stop(self, egress_id: str) -> pb.EgressInfo:
        info = self._running(egress_id)
        self.move(info.egress_id, pb.EgressStatus.EGRESS_ENDING, details="End reason: StopEgress API")
        return deepcopy(info)

    async def update_stream(self, request: pb.UpdateStreamRequest) -> pb.EgressInfo:
        info = self._running(request.egress_id)
        self.updates.append(request)
        return deepcopy(info)

    def _running(self, egress_id: str) -> pb.EgressInfo:
        info = self.infos.get(egress_id)
        if info is None:
            raise NotFound(f"egress {egress_id} is not on this node")
        if info.status >= pb.EgressStatus.EGRESS_ENDING:
            raise EgressError("it has ended", code=Code.FAILED_PRECONDITION)
        return info

    def info(self, egress_id: str) -> pb.EgressInfo | None:
        return deepcopy(self.infos.get(egress_id))

    def running(self) -> list[str]:
        return [id for id, info in self.infos.items() if info.status < pb.EgressStatus.EGRESS_COMPLETE]

    def bid(self, start: EgressStart) -> float | None:
        return 0.5

    def listen(self, listener: Listener) -> Callable[[], None]:
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    @property
    def listeners(self) -> int:
        return len(self._listeners)

    def move(self, egress_id: str, status: pb.EgressStatus, **fields: str | int) -> None:
        """Give an egress a status, and tell of it."""
        info = self.infos[egress_id]
        info.status = status
        info.updated_at = nanoseconds(wall())
        if status >= pb.EgressStatus.EGRESS_COMPLETE:
            info.ended_at = info.updated_at
        for name, value in fields.items():
            setattr(info, name, value)
        self._tell(egress_id)

    def _tell(self, egress_id: str) -> None:
        for listener in list(self._listeners):
            # Handed over as it is: whoever keeps it must copy it.
            listener(self.infos[egress_id])
