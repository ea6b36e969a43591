"""What is to be done with a folder of the spool: when it is found, and when time passes. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from pyegress.clock import Wall
from pyegress.storage.journal_entries import Record, SpoolState

#: Seconds before what failed is tried again: the first time, and at most. What nobody expects to get better by itself
#: is tried at the longest interval: somebody may have made it better.
FIRST_RETRY, LAST_RETRY = 15.0, 1800.0


class Step(Enum):
    """What to do."""

    #: A process works on it, or it is not yet time to try again.
    WAIT = "wait"
    #: Finish what was recorded, and deliver what is not delivered.
    RESUME = "resume"
    #: Everything is done: tell those who listen.
    TELL = "tell"
    #: Everything is done and told.
    REMOVE = "remove"
    #: Only somebody can help: see the reason.
    HOLD = "hold"


@dataclass(frozen=True, slots=True)
class Decision:
    """A step, why, and with WAIT when to ask again (None: when something changes)."""

    step: Step
    reason: str
    at: Wall | None = None


@dataclass(frozen=True, slots=True)
class Retention:
    """How long folders stay. Seconds and bytes, 0 is without limit.

    `keep`: what is delivered and told stays for so long, for whoever wants the local copy. `max_age` and `max_bytes`
    bound everything; what is not delivered counts, but goes only with `drop_undelivered`.
    """

    keep: float = 0.0
    max_age: float = 0.0
    max_bytes: int = 0
    drop_undelivered: bool = False


def next_step(record: Record, *, busy: bool, now: Wall, obstacle: str = "", keep: float = 0.0) -> Decision:
    """What to do with an egress. `obstacle` is why nothing can be done without somebody's help."""
    if busy:
        return Decision(Step.WAIT, "a process works on it")
    if record.state is SpoolState.DONE and record.told:
        if not record.acknowledged:
            return Decision(Step.TELL, "it has ended, and not everybody knows")
        until = Wall((record.at or now) + keep)
        if now < until:
            return Decision(Step.WAIT, "it is delivered, and kept for a while", until)
        return Decision(Step.REMOVE, "it is delivered and told")
    if obstacle:
        return Decision(Step.HOLD, obstacle)
    if record.attempted_at is not None and record.attempts:
        at = Wall(record.attempted_at + retry_delay(record.attempts, retryable=record.retryable))
        # A clock that was set back must not make anybody wait for it.
        if record.attempted_at <= now < at:
            return Decision(Step.WAIT, record.reason, at)
    if record.state is SpoolState.UPLOADING:
        return Decision(Step.RESUME, f"{len(record.waiting)} of {len(record.objects)} objects are not delivered")
    return Decision(Step.RESUME, f"it was left {record.state.value}")


def retry_delay(attempts: int, *, retryable: bool = True) -> float:
    """Seconds between failed attempt number `attempts` (from 1) and the next one."""
    if not retryable:
        return LAST_RETRY
    return min(LAST_RETRY, FIRST_RETRY * 2.0 ** min(attempts - 1, 30))


@dataclass(frozen=True, slots=True)
class Held:
    """A folder as retention sees it."""

    egress_id: str
    size: int
    #: When anything happened last.
    at: Wall
    delivered: bool
    busy: bool


def expired(held: Iterable[Held], retention: Retention, now: Wall) -> tuple[str, ...]:
    """The egresses to drop, oldest first: too old, or more than the bytes that are allowed; delivered ones go first."""
    everything = tuple(held)
    droppable = [item for item in everything if not item.busy]
    bound = sum(item.size for item in everything)
    chosen = []
    for item in sorted(droppable, key=lambda item: (not item.delivered, item.at)):
        if not (item.delivered or retention.drop_undelivered):
            continue
        old = 0 < retention.max_age < now - item.at
        if old or 0 < retention.max_bytes < bound:
            chosen.append(item.egress_id)
            bound -= item.size
    return tuple(chosen)
