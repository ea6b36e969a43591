"""How an object is cut into parts."""

from __future__ import annotations

from itertools import accumulate, islice

import pytest

from pyegress.storage.digests import PART
from pyegress.storage.parted import FIRST, part_bytes, sizes_of_parts

pytestmark = pytest.mark.unit

MIB = 1024 * 1024


def test_parts_are_cut_by_one_table() -> None:
    assert list(islice(sizes_of_parts(1000, FIRST), 3)) == [1000 + FIRST, PART, PART]
    # S3 takes 10000 parts of at least 5 MiB, and objects of 5 TB that nobody records.
    sizes = list(islice(sizes_of_parts(0, FIRST), 10_000))
    assert min(sizes) >= 5 * MIB
    assert max(sizes) <= 96 * MIB
    assert list(accumulate(sizes))[-1] > 400e9
    assert sizes[1:] == [part_bytes(number) for number in range(2, 10_001)]
