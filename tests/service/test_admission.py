from __future__ import annotations

import pytest

from pyegress.clock import Monotonic
from pyegress.errors import Code
from pyegress.service.admission import CALM_TICKS, DECLARED_FOR, OVERLOADED_TICKS, Admission, Load, Machine
from pyegress.service.config_sections import CostSection

pytestmark = pytest.mark.unit

T0 = Monotonic(100.0)
FOUR = Machine(4.0)


def admission(*loads: Load, **costs: float) -> Admission:
    section = CostSection(**costs)  # type: ignore[arg-type]
    return Admission(section, {f"EG_{index}": load for index, load in enumerate(loads)})


def test_an_idle_machine_is_all_there() -> None:
    assert admission().refusal(4.0, FOUR, T0) is None
    refusal = admission().refusal(4.1, FOUR, T0)
    assert refusal is not None
    assert (refusal.code, refusal.retryable) == (Code.UNAVAILABLE, True)
    assert "not enough CPU" in refusal.message


def test_what_was_declared_counts_until_it_can_be_measured() -> None:
    busy = admission(Load(2.0, T0, cores=0.1))
    assert busy.available(FOUR, T0) == pytest.approx(4 * 0.8 - 2.0)
    assert busy.available(FOUR, Monotonic(T0 + DECLARED_FOR)) == pytest.approx(4 * 0.8 - 0.1)
    assert busy.refusal(1.3, FOUR, T0) is not None
    assert busy.refusal(1.3, FOUR, Monotonic(T0 + DECLARED_FOR)) is None


def test_what_is_measured_counts_when_it_is_more() -> None:
    assert admission(Load(0.5, T0, cores=3.0)).available(FOUR, T0) == pytest.approx(0.2)


def test_the_load_that_is_bid() -> None:
    assert admission().after(1.0, FOUR, T0) == 0.25
    assert admission(Load(2.0, T0)).after(1.0, FOUR, T0) == 0.75
    assert admission(Load(9.0, T0)).after(1.0, FOUR, T0) == 1.0


def test_memory() -> None:
    roomy, tight = Machine(4.0, memory=2.4), Machine(4.0, memory=2.5)
    limited = admission(max_memory=4.0, memory_cost=0.5)
    assert limited.refusal(0.1, roomy, T0) is None
    refusal = limited.refusal(0.1, tight, T0)
    assert refusal is not None
    assert "memory" in refusal.message
    assert admission().refusal(0.1, tight, T0) is None


def overloaded() -> Admission:
    """Both take more than was said, and together all there is."""
    return admission(Load(0.5, T0, cores=1.9), Load(2.0, T0, cores=2.1))


def test_egresses_that_overload_the_machine_lose_who_takes_more_than_was_said() -> None:
    two = overloaded()
    assert [two.overloaded(FOUR) for _ in range(OVERLOADED_TICKS)] == [None] * (OVERLOADED_TICKS - 1) + ["EG_0"]
    assert two.overloaded(FOUR) is None, "the count begins anew"


def test_calm_ticks_end_the_count() -> None:
    two = overloaded()
    for _ in range(OVERLOADED_TICKS - 1):
        assert two.overloaded(FOUR) is None
    for _ in range(CALM_TICKS):
        assert two.overloaded(Machine(8.0)) is None
    assert two.overloaded(FOUR) is None


@pytest.mark.parametrize(
    "loads",
    [
        (Load(0.5, T0, cores=4.0),),
        # As was said, and admitted.
        (Load(2.0, T0, cores=2.0), Load(2.5, T0, cores=2.0)),
        # Somebody else makes the machine slow.
        (Load(0.5, T0, cores=0.6), Load(0.5, T0, cores=0.1)),
    ],
)
def test_who_is_never_stopped(loads: tuple[Load, ...]) -> None:
    node = admission(*loads)
    assert [node.overloaded(FOUR) for _ in range(3 * OVERLOADED_TICKS)] == [None] * 3 * OVERLOADED_TICKS


def test_who_holds_most_memory_goes() -> None:
    small, big = Load(1.0, T0, memory=0.3), Load(1.0, T0, memory=0.9)
    limited = admission(small, big, max_memory=1.0)
    assert limited.out_of_memory(Machine(4.0, memory=0.9)) is None
    assert limited.out_of_memory(Machine(4.0, memory=1.2)) == "EG_1"
    assert admission(small, big).out_of_memory(Machine(4.0, memory=99.0)) is None
