"""Splitting into NAL units and OBUs."""

from __future__ import annotations

import pytest

from tests.support.bitstream import split_annexb, split_lengths, split_nals, split_obus

pytestmark = pytest.mark.unit


def test_annexb_with_both_start_codes_and_trailing_zeros() -> None:
    assert split_annexb(b"\0\0\0\1\x67\x42\0\0\1\x68\0\0\0\0\1\x65\0\3") == [b"\x67\x42", b"\x68", b"\x65\0\3"]


def test_lengths() -> None:
    assert split_lengths(b"\0\0\0\2\x67\x42\0\0\0\1\x68") == [b"\x67\x42", b"\x68"]
    with pytest.raises(ValueError, match="9 bytes with 1 left"):
        split_lengths(b"\0\0\0\x09\x67")


def test_either_form_gives_the_same_units() -> None:
    assert split_nals(b"\0\0\1\x67\x42\0\0\1\x68\x11") == split_nals(b"\0\0\0\2\x67\x42\0\0\0\2\x68\x11")


def test_obus_with_and_without_size_fields_are_equal() -> None:
    sized = bytes([0x12, 0x00, 0x0A, 0x02, 1, 2, 0x32, 0x81, 0x01]) + bytes(129)
    unsized_last = bytes([0x0A, 0x02, 1, 2, 0x30]) + bytes(129)
    assert split_obus(sized) == split_obus(unsized_last) == [bytes([0x08, 1, 2]), b"\x30" + bytes(129)]


def test_obu_extension_byte_belongs_to_the_header() -> None:
    assert split_obus(bytes([0x36, 0x28, 0x01, 7])) == [bytes([0x34, 0x28, 7])]


def test_truncated_obu() -> None:
    with pytest.raises(ValueError, match="5 bytes with 1 left"):
        split_obus(bytes([0x0A, 0x05, 1]))
