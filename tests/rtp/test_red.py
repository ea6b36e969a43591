"""RFC 2198: blocks and their headers."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyegress.rtp import red
from pyegress.rtp.errors import ProtocolError
from pyegress.rtp.red import RedBlock

pytestmark = pytest.mark.wire


def test_the_wire_form() -> None:
    blocks = [RedBlock(111, 1920, b"old"), RedBlock(111, 960, b""), RedBlock(111, 0, b"new!")]
    data = bytes.fromhex("ef1e0003ef0f00006f") + b"oldnew!"
    assert red.build(blocks) == data
    assert red.parse(data) == blocks


def test_only_the_primary() -> None:
    assert red.parse(b"\x6fabc") == [RedBlock(111, 0, b"abc")]


@pytest.mark.parametrize(
    "data",
    [
        pytest.param("", id="empty"),
        pytest.param("ef", id="header_truncated"),
        pytest.param("ef1e0003", id="primary_header_missing"),
        pytest.param("ef1e00036f6162", id="redundant_block_truncated"),
        pytest.param("ef000000" * 40 + "6f61", id="too_many_blocks"),
    ],
)
def test_damaged_payloads_are_refused(data: str) -> None:
    with pytest.raises(ProtocolError):
        red.parse(bytes.fromhex(data))


@pytest.mark.parametrize(
    "blocks",
    [
        pytest.param([], id="no_primary"),
        pytest.param([RedBlock(111, 16_384, b"a"), RedBlock(111, 0, b"b")], id="offset_too_far"),
        pytest.param([RedBlock(111, 960, bytes(1024)), RedBlock(111, 0, b"b")], id="block_too_long"),
    ],
)
def test_what_does_not_fit_is_not_written(blocks: list[RedBlock]) -> None:
    with pytest.raises(ProtocolError):
        red.build(blocks)


@settings(max_examples=100, derandomize=True, deadline=None)
@given(
    st.lists(st.builds(RedBlock, st.integers(0, 127), st.integers(0, 16_383), st.binary(max_size=1023)), max_size=4),
    st.builds(RedBlock, st.integers(0, 127), st.just(0), st.binary(max_size=1500)),
)
def test_reading_undoes_writing(redundancy: list[RedBlock], primary: RedBlock) -> None:
    assert red.parse(red.build([*redundancy, primary])) == [*redundancy, primary]
