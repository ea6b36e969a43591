"""An egress of the spool as a row of a table and as JSON. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pyegress.cli.live import duration, size
from pyegress.clock import Wall
from pyegress.storage.journal_entries import Record, SpoolState
from pyegress.storage.spool_steps import Decision

COLUMNS = ("egress", "room", "state", "age", "size", "delivered", "next try", "reason")


@dataclass(frozen=True, slots=True)
class SpoolRow:
    """One egress. Seconds and bytes; `at` is when anything happened last."""

    egress_id: str
    room: str
    state: str
    busy: bool
    size: int
    objects: int
    delivered: int
    attempts: int
    reason: str
    at: Wall | None
    next_try: Wall | None

    @classmethod
    def of(cls, egress_id: str, room: str, record: Record, size: int, decision: Decision, *, busy: bool) -> SpoolRow:
        undelivered = next((item.reason for item in record.waiting if item.reason), "")
        return cls(
            egress_id=egress_id,
            room=room,
            state=record.state.value,
            busy=busy,
            size=size,
            objects=len(record.objects),
            delivered=len(record.objects) - len(record.waiting),
            attempts=record.attempts,
            reason=undelivered or record.reason or decision.reason,
            at=record.at,
            next_try=None if busy or record.state is SpoolState.DONE else decision.at,
        )

    def cells(self, now: Wall) -> tuple[str, ...]:
        """As text, in the order of `COLUMNS`."""
        wait = "" if self.next_try is None else f"in {duration(max(0.0, self.next_try - now))}"
        return (
            self.egress_id,
            self.room,
            f"{self.state}, running" if self.busy else self.state,
            "" if self.at is None else duration(max(0.0, now - self.at)),
            size(self.size),
            f"{self.delivered}/{self.objects}",
            wait,
            self.reason,
        )

    def as_json(self) -> dict[str, Any]:
        return {
            "egress_id": self.egress_id,
            "room_name": self.room,
            "state": self.state,
            "busy": self.busy,
            "size": self.size,
            "objects": self.objects,
            "delivered": self.delivered,
            "attempts": self.attempts,
            "reason": self.reason,
            "changed_at": self.at,
            "next_try_at": self.next_try,
        }


def table(rows: Sequence[SpoolRow], now: Wall) -> list[str]:
    """The rows with a head, as lines of text."""
    cells = [COLUMNS, *(row.cells(now) for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(COLUMNS))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells]
