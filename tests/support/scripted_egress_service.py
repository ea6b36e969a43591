"""An EgressService for tests of the front doors: egresses that do what the test says."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from livekit.protocol import egress as pb

from pyegress.clock import wall
from pyegress.errors import Code, EgressError, NotFound
from pyegress.plan.redact import redacted
from pyegress.service.egress_service import EgressStart, Listener

_FIELDS = {
    pb.RoomCompositeEgressRequest: "room_composite",
    pb.WebEgressRequest: "web",
    pb.ParticipantEgressRequest: "participant",
    pb.TrackCompositeEgressRequest: "track_composite",
    pb.TrackEgressRequest: "track",
    pb.StartEgressRequest: "egress",
}
_FINAL = pb.EgressStatus.EGRESS_COMPLETE


class ScriptedEgressService:
    """Keeps egresses in memory. `load` is what it bids, `step` more for each
    egress that runs; None takes nothing. `starts` are all calls of `start`."""

    def __init__(self, load: float | None = 0.0) -> None:
        self.load = load
        self.step = 0.0
        self.starts: list[EgressStart] = []
        self.infos: dict[str, pb.EgressInfo] = {}
        self.updates: list[pb.UpdateStreamRequest] = []
        self.refusal: EgressError | None = None
        self.pause = 0.0
        self._listeners: list[Listener] = []

    async def start(self, start: EgressStart) -> pb.EgressInfo:
        self.starts.append(start)
        if self.pause:
            await asyncio.sleep(self.pause)
        if self.refusal is not None:
            raise self.refusal
        now = round(wall() * 1e9)
        info = pb.EgressInfo(
            egress_id=start.egress_id,
            room_id=start.room_id,
            room_name=getattr(start.request, "room_name", ""),
            status=pb.EgressStatus.EGRESS_STARTING,
            started_at=now,
            updated_at=now,
        )
        getattr(info, _FIELDS[type(start.request)]).CopyFrom(redacted(start.request))
        self.infos[start.egress_id] = info
        self._tell(info)
        return info

    async def stop(self, egress_id: str) -> pb.EgressInfo:
        info = self._known(egress_id)
        if info.status >= _FINAL:
            raise EgressError("it has ended", code=Code.FAILED_PRECONDITION)
        return self.move(egress_id, pb.EgressStatus.EGRESS_ENDING)

    async def update_stream(self, request: pb.UpdateStreamRequest) -> pb.EgressInfo:
        self.updates.append(request)
        return self._known(request.egress_id)

    def info(self, egress_id: str) -> pb.EgressInfo | None:
        return self.infos.get(egress_id)

    def running(self) -> list[str]:
        return [egress_id for egress_id, info in self.infos.items() if info.status < _FINAL]

    def bid(self, start: EgressStart) -> float | None:
        return None if self.load is None else self.load + self.step * len(self.running())

    def listen(self, listener: Listener) -> Callable[[], None]:
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def move(self, egress_id: str, status: int, error: str = "") -> pb.EgressInfo:
        """Bring an egress into another status and tell everybody."""
        info = self._known(egress_id)
        now = round(wall() * 1e9)
        info.MergeFrom(pb.EgressInfo(status=status, updated_at=now, error=error))  # type: ignore[arg-type]
        if status >= _FINAL:
            info.ended_at = now
        self._tell(info)
        return info

    def _known(self, egress_id: str) -> pb.EgressInfo:
        if (info := self.infos.get(egress_id)) is None:
            raise NotFound(f"{egress_id} is not here")
        return info

    def _tell(self, info: pb.EgressInfo) -> None:
        for listener in self._listeners:
            listener(info)
