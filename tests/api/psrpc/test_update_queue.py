"""What is reported about one egress, and in which order."""

from __future__ import annotations

from itertools import groupby

import pytest
from hypothesis import given
from hypothesis import strategies as st
from livekit.protocol import egress as pb

from pyegress.api.psrpc.update_queue import Kind, Report, UpdateQueue

pytestmark = pytest.mark.unit

STARTING, ACTIVE, ENDING, COMPLETE = range(4)


def info(status: int, error: str = "") -> pb.EgressInfo:
    return pb.EgressInfo(egress_id="EG_a", status=status, error=error)  # type: ignore[arg-type]


def sent(queue: UpdateQueue) -> list[tuple[Kind, int, str]]:
    reports: list[tuple[Kind, int, str]] = []
    while (report := queue.next()) is not None:
        queue.sent()
        reports.append((report.kind, report.info.status, report.info.error))
    return reports


def test_an_egress_is_created_before_it_is_updated() -> None:
    queue = UpdateQueue()
    for status in (STARTING, ACTIVE, ENDING, COMPLETE):
        queue.add(info(status))
    assert [(kind, status) for kind, status, _ in sent(queue)] == [
        (Kind.CREATE, STARTING),
        (Kind.UPDATE, ACTIVE),
        (Kind.UPDATE, ENDING),
        (Kind.UPDATE, COMPLETE),
    ]
    assert queue.created


def test_an_egress_first_seen_later_is_created_and_updated() -> None:
    queue = UpdateQueue()
    queue.add(info(ACTIVE))
    assert [(kind, status) for kind, status, _ in sent(queue)] == [(Kind.CREATE, ACTIVE), (Kind.UPDATE, ACTIVE)]


def test_an_end_that_is_said_twice_is_sent_once() -> None:
    """An earlier run left it, and it was found again in its folder, perhaps while it was being sent."""
    queue = UpdateQueue([Report(Kind.UPDATE, info(COMPLETE))])
    assert queue.next() is not None
    queue.add(info(COMPLETE))
    queue.sent()
    assert sent(queue) == []
    queue = UpdateQueue([Report(Kind.UPDATE, info(COMPLETE))])
    assert queue.next() is not None
    queue.add(info(COMPLETE, "delivered later"))
    queue.sent()
    assert sent(queue) == [(Kind.UPDATE, COMPLETE, "delivered later")]


def test_what_an_earlier_run_left_is_sent_first() -> None:
    earlier = UpdateQueue()
    for status in (STARTING, ACTIVE):
        earlier.add(info(status))
    left = [Report.from_bytes(report.to_bytes()) for report in earlier.waiting]
    queue = UpdateQueue(left)
    assert not queue.created
    queue.add(info(COMPLETE))
    assert sent(queue) == [(Kind.CREATE, STARTING, ""), (Kind.UPDATE, ACTIVE, ""), (Kind.UPDATE, COMPLETE, "")]
    assert UpdateQueue(left[1:]).created
    assert not UpdateQueue().created


def test_newer_details_replace_what_waits() -> None:
    queue = UpdateQueue()
    queue.add(info(STARTING))
    queue.next()
    queue.sent()
    queue.add(info(ACTIVE, "one"))
    queue.add(info(ACTIVE, "two"))
    assert sent(queue) == [(Kind.UPDATE, ACTIVE, "two")]


def test_what_is_being_sent_is_not_replaced() -> None:
    queue = UpdateQueue()
    queue.add(info(STARTING))
    queue.next()
    queue.add(info(STARTING, "newer"))
    queue.sent()
    assert sent(queue) == [(Kind.UPDATE, STARTING, "newer")]


def test_what_could_not_be_sent_may_be_replaced_before_the_next_try() -> None:
    queue = UpdateQueue()
    queue.add(info(STARTING))
    queue.next()
    queue.unsent()
    queue.add(info(STARTING, "newer"))
    assert sent(queue) == [(Kind.CREATE, STARTING, "newer")]


def test_later_changes_of_the_senders_info_do_not_matter() -> None:
    queue = UpdateQueue()
    mine = info(STARTING)
    queue.add(mine)
    mine.status = pb.EgressStatus.EGRESS_ACTIVE
    assert sent(queue) == [(Kind.CREATE, STARTING, "")]


@given(st.lists(st.sampled_from(["add", "again", "try", "fail", "done"]), max_size=40))
def test_no_status_is_skipped_and_the_newest_state_arrives(steps: list[str]) -> None:
    queue = UpdateQueue()
    added: list[int] = []
    delivered: list[Report] = []
    sending: Report | None = None
    status = STARTING
    for number, step in enumerate(steps):
        if step in {"add", "again"}:
            status += step == "add" and bool(added) and status < 6
            added.append(status)
            queue.add(info(status, f"{number}"))
            newest = f"{number}"
        elif step == "try" and sending is None:
            sending = queue.next()
        elif sending is not None and step == "fail":
            queue.unsent()
            sending = None
        elif sending is not None and step == "done":
            queue.sent()
            delivered.append(sending)
            sending = None
    if sending is not None:
        queue.sent()
        delivered.append(sending)
    while (report := queue.next()) is not None:
        queue.sent()
        delivered.append(report)
    if added:
        assert [kind for kind, _ in groupby(delivered, key=lambda r: r.kind)] in (
            [Kind.CREATE],
            [Kind.CREATE, Kind.UPDATE],
        )
        assert [s for s, _ in groupby(r.info.status for r in delivered)] == [s for s, _ in groupby(added)]
        assert delivered[-1].info.error == newest
