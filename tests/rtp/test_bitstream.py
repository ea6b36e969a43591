from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyegress.rtp.bitstream import BitReader, read_leb128, unescape, write_leb128
from pyegress.rtp.errors import ProtocolError
from tests.rtp.bit_writer import BitWriter, escape

pytestmark = pytest.mark.unit


@settings(derandomize=True, max_examples=100)
@given(st.lists(st.tuples(st.integers(1, 64), st.integers(0, (1 << 64) - 1)), max_size=30), st.integers(0, 3))
def test_bits_are_read_as_written(fields: list[tuple[int, int]], start: int) -> None:
    writer = BitWriter()
    for count, value in fields:
        writer.u(count, value % (1 << count))
    reader = BitReader(bytes(start) + writer.done(), start)
    assert [reader.bits(count) for count, _ in fields] == [value % (1 << count) for count, value in fields]


@settings(derandomize=True, max_examples=100)
@given(st.lists(st.integers(-(2**31) + 1, 2**31 - 1), max_size=20))
def test_exp_golomb_is_read_as_written(values: list[int]) -> None:
    data = BitWriter().se(*values).ue(*map(abs, values)).done()
    reader = BitReader(data)
    assert [reader.signed() for _ in values] == values
    assert [reader.unsigned() for _ in values] == [abs(value) for value in values]


def test_skipping_moves_like_reading() -> None:
    reader = BitReader(bytes.fromhex("0f5a"))
    reader.skip(6)
    assert (reader.bits(4), reader.flag(), reader.flag()) == (0b1101, False, True)


@pytest.mark.parametrize("count", [9, 100, 1 << 40])
def test_the_end_is_not_crossed(count: int) -> None:
    with pytest.raises(ProtocolError):
        BitReader(b"\xff").bits(count)
    with pytest.raises(ProtocolError):
        BitReader(b"\xff").skip(count)
    with pytest.raises(ProtocolError):
        BitReader(b"\xff", 2).bits(0)


@pytest.mark.parametrize("data", [b"", bytes(3), bytes(100), bytes(4) + b"\x40" + bytes(10)])
def test_exp_golomb_without_end_is_refused(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        BitReader(data).unsigned()


@settings(derandomize=True, max_examples=200)
@given(st.lists(st.sampled_from([0, 0, 0, 1, 2, 3, 4, 0xFF]), max_size=40).map(bytes))
def test_emulation_prevention_is_undone(rbsp: bytes) -> None:
    assert unescape(escape(rbsp)) == rbsp


@settings(derandomize=True, max_examples=100)
@given(st.integers(0, (1 << 32) - 1), st.binary(max_size=3))
def test_leb128_is_read_as_written(value: int, before: bytes) -> None:
    data = before + write_leb128(value) + b"\xff"
    assert read_leb128(data, len(before)) == (value, len(data) - 1)


def test_leb128_may_be_longer_than_it_needs() -> None:
    assert read_leb128(b"\x85\x80\x80\x00", 0) == (5, 4)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="leb128_missing"),
        pytest.param(b"\x80\x80", id="leb128_truncated"),
        pytest.param(b"\x80" * 8 + b"\x00", id="leb128_overlong"),
        pytest.param(b"\xff\xff\xff\xff\x7f", id="leb128_over_32_bits"),
    ],
)
def test_impossible_leb128_is_refused(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        read_leb128(data, 0)
