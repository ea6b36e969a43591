from __future__ import annotations

from itertools import product

import pytest

from pyegress.lifecycle.recording import IllegalMove, Lifecycle, RecordingState, legal

pytestmark = pytest.mark.unit

S = RecordingState
LEGAL = {
    (S.STARTING, S.WAITING),
    (S.STARTING, S.ENDING),
    (S.WAITING, S.ACTIVE),
    (S.WAITING, S.ENDING),
    (S.ACTIVE, S.ENDING),
    (S.ENDING, S.COMPLETE),
    (S.ENDING, S.ABORTED),
    (S.ENDING, S.FAILED),
}


def test_the_table_of_moves() -> None:
    assert {move for move in product(S, S) if legal(*move)} == LEGAL


def test_final_states_have_no_way_out() -> None:
    assert {state for state in S if state.final} == {S.COMPLETE, S.ABORTED, S.FAILED}


def test_a_life_is_remembered() -> None:
    life = Lifecycle()
    life.move(S.WAITING, "joined")
    life.move(S.ENDING, "stopped")
    life.move(S.ABORTED, "nothing came")
    assert life.state is S.ABORTED
    assert life.moves == [
        (S.STARTING, S.WAITING, "joined"),
        (S.WAITING, S.ENDING, "stopped"),
        (S.ENDING, S.ABORTED, "nothing came"),
    ]


def test_no_way_back() -> None:
    life = Lifecycle()
    life.move(S.ENDING, "stopped")
    with pytest.raises(IllegalMove, match="ending -> active: media"):
        life.move(S.ACTIVE, "media")
    assert life.state is S.ENDING
