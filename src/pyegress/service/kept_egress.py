"""One egress in the spool as the supervisor knows it, and how it ends for those who listen."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field, replace
from typing import Protocol

from livekit.protocol import egress as pb

from pyegress.clock import Wall, wall
from pyegress.errors import Code, EgressError
from pyegress.lifecycle.egress import EgressStatus, move, route, status_of, wait_on
from pyegress.lifecycle.outcome import Failure, Outcome
from pyegress.lifecycle.recording import EndReason
from pyegress.storage.journal_entries import Record
from pyegress.storage.spool import SpoolFolder
from pyegress.storage.spool_steps import Decision, Step
from pyegress.storage.spooled_plan import SpooledPlan

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class Kept:
    """One egress in the spool."""

    folder: SpoolFolder
    plan: SpooledPlan | None
    record: Record
    info: pb.EgressInfo
    busy: bool = False
    #: The process that works on it without a supervisor.
    alone: int | None = None
    stamp: tuple[int, int] = (0, 0)
    #: The newest info was published by this process; what is done when nobody would forget it.
    published: bool = False
    telling: tuple[asyncio.Future[None], ...] = ()
    #: When a delivery failed first that may yet get through.
    failing_since: Wall | None = None
    decision: Decision = field(default_factory=lambda: Decision(Step.WAIT, "it was just found"))


class Note(Protocol):
    """Notes in the folder of an egress how it ended, and whether everybody has been told. Raises OSError."""

    async def __call__(self, egress_id: str, info: pb.EgressInfo, *, everybody: bool) -> None: ...


def arrived(telling: asyncio.Future[None]) -> bool:
    """Whether those who were told would not forget it."""
    return telling.done() and not telling.cancelled() and telling.exception() is None


def opened(folder: SpoolFolder, record: Record) -> tuple[SpooledPlan | None, pb.EgressInfo]:
    """The plan, and what clients were told last as far as anybody knows."""
    try:
        plan = folder.plan()
    except EgressError as error:
        logger.error("egress %s of the spool: %s", folder.path.name, error)
        return None, pb.EgressInfo(egress_id=folder.path.name)
    info = pb.EgressInfo.FromString(record.told or plan.info)
    if not record.told and record.zero is not None:
        info = move(info, EgressStatus.ACTIVE, record.zero)
    return plan, info


def obstacle(kept: Kept) -> str:
    """Why nothing can be done without somebody's help; "" when something can."""
    if kept.plan is None:
        return "Its plan cannot be read. Take what was recorded with `pyegress spool export`"
    return ""


def end_reason(kept: Kept) -> EndReason:
    """Why it ended: without anybody's saying so, because it was killed."""
    return next((reason for reason in EndReason if reason.value == kept.record.end_reason), EndReason.PROCESS_KILLED)


def ending(info: pb.EgressInfo, reason: EndReason) -> pb.EgressInfo:
    """The info of an egress that records no more; one that reached its limit has no step between."""
    if status_of(info) is EgressStatus.STARTING:
        info = move(info, EgressStatus.ACTIVE, wall())
    if status_of(info) is not EgressStatus.ACTIVE or reason is EndReason.LIMIT_REACHED:
        return info
    return move(info, EgressStatus.ENDING, wall(), reason=reason)


def steps_to(info: pb.EgressInfo, final: pb.EgressInfo, reason: EndReason) -> list[pb.EgressInfo]:
    """Every info from what was told last to an end that a worker left without a supervisor, none skipped."""
    at, infos = Wall(final.updated_at / 1e9 - 0.001), []
    old, new = status_of(info), status_of(final)
    for status in () if old.final else route(old, new)[:-1]:
        info = move(info, status, at, reason=reason if status is EgressStatus.ENDING else None)
        infos.append(info)
    return [*infos, final]


def undelivered(info: pb.EgressInfo, outcome: Outcome, folder: str, at: Wall) -> pb.EgressInfo:
    """The info of an egress that has ended but for its delivery: why that is late, and where it lies until then."""
    text = f"not delivered yet: {outcome.pending}; it is kept in the spool ({folder}) and tried again"
    return wait_on(ending(info, outcome.reason), text, at)


def noted(outcome: Outcome) -> Outcome:
    """An outcome that says that the recording was interrupted."""
    if outcome.pending:
        return outcome
    if not outcome.made and outcome.error is None:
        return replace(
            outcome, error=Failure(Code.INTERNAL, "The service was interrupted before anything was recorded")
        )
    seconds = max(
        (*(file.duration for file in outcome.files), *(made.duration for made in outcome.segments)), default=0.0
    )
    note = f"the service was interrupted; the {seconds:.1f} s that were recorded until then are whole"
    return replace(outcome, note="; ".join(filter(None, (note, outcome.note))))
