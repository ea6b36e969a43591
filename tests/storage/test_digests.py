"""Checksums that storages tell."""

from __future__ import annotations

import hashlib

import pytest

from pyegress.storage.digests import MOST_PARTS, PART, Digests, part_size

pytestmark = pytest.mark.unit


def test_etags_of_one_and_of_many_parts() -> None:
    digests = Digests()
    digests.add(b"hello ")
    digests.add(b"world")
    parts = hashlib.md5(hashlib.md5(b"hello ").digest() + hashlib.md5(b"world").digest()).hexdigest() + "-2"
    assert digests.size == 11
    assert digests.matches(f'"{parts.upper()}"')
    assert not digests.matches(f'"{parts[:-1]}3"')
    assert list(digests.sizes) == [6, 5]
    assert digests.last == hashlib.md5(b"world").hexdigest()
    one = Digests()
    one.add(b"hello world")
    assert one.matches(f'"{hashlib.md5(b"hello world").hexdigest()}"')
    assert not one.same(digests), "other parts"
    again = Digests()
    again.add(memoryview(b"hello "))
    assert not again.same(digests)
    again.add(b"world")
    assert again.same(digests)
    assert not digests.matches("0x8D1")
    assert not digests.matches(None)


def test_parts_are_as_few_as_s3_allows() -> None:
    assert part_size(0) == part_size(10 * PART) == PART
    assert part_size(PART * MOST_PARTS) == PART
    huge = PART * MOST_PARTS * 3
    assert huge / part_size(huge) <= MOST_PARTS
