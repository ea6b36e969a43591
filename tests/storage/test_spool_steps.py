from __future__ import annotations

from dataclasses import replace

import pytest

from pyegress.clock import Wall
from pyegress.storage.journal_entries import Record, SpoolState, read_entries
from pyegress.storage.spool_steps import (
    FIRST_RETRY,
    LAST_RETRY,
    Held,
    Retention,
    Step,
    expired,
    next_step,
    retry_delay,
)
from tests.storage.test_journal import LIFE

pytestmark = pytest.mark.unit

NOW = Wall(1000.0)


@pytest.mark.parametrize("length", range(len(LIFE) + 1))
def test_wherever_a_crash_came_something_is_done(length: int) -> None:
    """At every moment of a life: what is left is taken up at once, or when its time has come."""
    record = read_entries(LIFE[:length])
    decision = next_step(record, busy=False, now=NOW)
    expected = {15: Step.REMOVE, 14: Step.TELL}.get(length, Step.RESUME)
    assert decision.step is expected
    assert decision.reason
    assert next_step(record, busy=True, now=NOW).step is Step.WAIT


def test_patience_grows_and_ends_with_success() -> None:
    failed = read_entries(LIFE[:11])
    waiting = next_step(failed, busy=False, now=Wall(8.0))
    assert (waiting.step, waiting.at, waiting.reason) == (Step.WAIT, 7.0 + FIRST_RETRY, "S3 does not answer")
    assert next_step(failed, busy=False, now=Wall(7.0 + FIRST_RETRY)).step is Step.RESUME
    assert next_step(failed, busy=False, now=Wall(3.0)).step is Step.RESUME, "the clock was set back"
    hopeless = replace(failed, retryable=False)
    assert next_step(hopeless, busy=False, now=Wall(8.0)).at == 7.0 + LAST_RETRY
    assert [retry_delay(count) for count in (1, 2, 3)] == [FIRST_RETRY, 2 * FIRST_RETRY, 4 * FIRST_RETRY]
    assert retry_delay(500) == LAST_RETRY
    assert next_step(read_entries(LIFE[:12]), busy=False, now=Wall(8.1)).step is Step.RESUME


def test_what_nobody_can_do_is_held_but_what_is_done_is_told() -> None:
    obstacle = "the credentials were not kept"
    held = next_step(read_entries(LIFE[:11]), busy=False, now=NOW, obstacle=obstacle)
    assert (held.step, held.reason) == (Step.HOLD, obstacle)
    assert next_step(read_entries(LIFE[:14]), busy=False, now=NOW, obstacle=obstacle).step is Step.TELL


def test_delivered_ones_may_be_kept() -> None:
    over = read_entries(LIFE)
    kept = next_step(over, busy=False, now=Wall(10.0), keep=60.0)
    assert (kept.step, kept.at) == (Step.WAIT, 69.0)
    assert next_step(over, busy=False, now=Wall(69.0), keep=60.0).step is Step.REMOVE


def test_an_empty_journal_is_a_start_that_came_to_nothing() -> None:
    decision = next_step(Record(), busy=False, now=NOW)
    assert (decision.step, decision.reason) == (Step.RESUME, f"it was left {SpoolState.RECORDING.value}")


def held(egress_id: str, size: int, at: float, *, delivered: bool = True, busy: bool = False) -> Held:
    return Held(egress_id, size, Wall(at), delivered, busy)


def test_retention() -> None:
    spool = [
        held("old", 10, 100.0),
        held("undelivered", 10, 50.0, delivered=False),
        held("busy", 10, 10.0, busy=True),
        held("new", 10, 990.0),
    ]
    assert expired(spool, Retention(), NOW) == ()
    assert expired(spool, Retention(max_age=500.0), NOW) == ("old",)
    assert expired(spool, Retention(max_age=500.0, drop_undelivered=True), NOW) == ("old", "undelivered")
    assert expired(spool, Retention(max_bytes=35), NOW) == ("old",)
    assert expired(spool, Retention(max_bytes=5), NOW) == ("old", "new"), "never what is not delivered"
    assert expired(spool, Retention(max_bytes=15, drop_undelivered=True), NOW) == ("old", "new", "undelivered")
