"""Which egresses count as lost."""

from __future__ import annotations

import pytest
from livekit.protocol import egress as pb

from pyegress.api.psrpc.orphans import OrphanPolicy, OrphanWatch, lost
from pyegress.clock import Wall

pytestmark = pytest.mark.unit

POLICY = OrphanPolicy(interval=20.0, rounds=3, age=60.0)
NOW = Wall(1_000_000.0)


def active(egress_id: str, changed: float = 500.0) -> pb.EgressInfo:
    return pb.EgressInfo(
        egress_id=egress_id, status=pb.EgressStatus.EGRESS_ACTIVE, updated_at=round((NOW - changed) * 1e9)
    )


def rounds(watch: OrphanWatch, infos: list[pb.EgressInfo], owned: set[str], times: int) -> list[list[str]]:
    return [[info.egress_id for info in watch.round(infos, owned, NOW)] for _ in range(times)]


def test_several_rounds_without_an_owner_are_needed() -> None:
    assert rounds(OrphanWatch(POLICY), [active("EG_a"), active("EG_b")], {"EG_b"}, 4) == [[], [], ["EG_a"], ["EG_a"]]


def test_an_owner_that_comes_back_starts_the_count_again() -> None:
    watch = OrphanWatch(POLICY)
    rounds(watch, [active("EG_a")], set(), 2)
    rounds(watch, [active("EG_a")], {"EG_a"}, 1)
    assert rounds(watch, [active("EG_a")], set(), 3) == [[], [], ["EG_a"]]


def test_a_round_that_could_not_be_made_starts_the_count_again() -> None:
    watch = OrphanWatch(POLICY)
    rounds(watch, [active("EG_a")], set(), 2)
    watch.start_over()
    assert rounds(watch, [active("EG_a")], set(), 2) == [[], []]


def test_what_changed_lately_is_left_alone() -> None:
    assert rounds(OrphanWatch(POLICY), [active("EG_a", changed=30.0)], set(), 5) == [[]] * 5


def test_the_final_state_of_a_lost_egress() -> None:
    info = active("EG_a")
    info.room_composite.room_name = "meeting"
    info.stream_results.add(url="rtmp://x", status=pb.StreamInfo.Status.ACTIVE)
    final = lost(info, NOW)
    assert final.status == pb.EgressStatus.EGRESS_FAILED
    assert final.ended_at == final.updated_at == round(NOW * 1e9)
    assert "gone" in final.error
    assert final.error_code == 500
    assert final.details == "End reason: Failure"
    assert final.stream_results[0].status == pb.StreamInfo.Status.FAILED
    assert final.room_composite.room_name == "meeting"
    assert info.status == pb.EgressStatus.EGRESS_ACTIVE
