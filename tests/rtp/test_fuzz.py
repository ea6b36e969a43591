"""A short, always equal run of `bench/fuzz.py`: damaged bytes raise the declared error and nothing else."""

from __future__ import annotations

import tracemalloc

import pytest
from bench import fuzz

pytestmark = pytest.mark.wire


def test_damaged_bytes_raise_only_the_declared_error() -> None:
    """Some 60,000 packets: one case of a stream holds 30 of them."""
    refused = fuzz.run(6_000, seed=1)
    assert {"rtp", "rtcp", "red", "sdp"} <= refused.keys(), "the damage reaches the checks"


def test_nothing_is_kept_of_what_was_fed() -> None:
    fuzz.run(150, seed=2)
    tracemalloc.start()
    try:
        fuzz.run(150, seed=3)
        before, _ = tracemalloc.get_traced_memory()
        fuzz.run(300, seed=4)
        after, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < 128 * 1024
    assert peak - before < 8 << 20
