from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyegress.outputs.rtmp.amf0 import EcmaArray, Value, decode, encode
from pyegress.rtp.errors import ProtocolError

pytestmark = pytest.mark.wire

VALUES: st.SearchStrategy[Value] = st.recursive(
    st.one_of(st.none(), st.booleans(), st.floats(allow_nan=False), st.text(max_size=20)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.text(min_size=1, max_size=8), inner, max_size=4)
    ),
    max_leaves=10,
)


@given(st.lists(VALUES, max_size=5))
def test_what_is_encoded_is_decoded(values: list[Value]) -> None:
    assert decode(encode(*values)) == values


def test_bytes_as_the_specification_has_them() -> None:
    assert encode("connect", 1) == bytes.fromhex("020007") + b"connect" + bytes.fromhex("003ff0000000000000")
    assert encode({"app": True}) == bytes.fromhex("03 0003") + b"app" + bytes.fromhex("0101 000009")
    assert encode(EcmaArray(a=None)) == bytes.fromhex("08 00000001 0001") + b"a" + bytes.fromhex("05 000009")
    assert encode("x" * 65536)[:5] == bytes.fromhex("0c 00010000")


def test_what_we_do_not_send_is_read() -> None:
    typed = bytes.fromhex("10 0003") + b"Foo" + bytes.fromhex("0001") + b"a" + bytes.fromhex("0101 000009")
    date = bytes.fromhex("0b 4059000000000000 0000")
    assert decode(typed + date + bytes.fromhex("06")) == [{"a": True}, 100.0, None]


@given(st.binary(max_size=60))
def test_garbage_is_refused(data: bytes) -> None:
    with suppress(ProtocolError):
        decode(data)


@pytest.mark.parametrize("data", ["00 00", "02 0005 61", "03 0001 61", "0a 00000002 05", "0d", "01", "03" * 40])
def test_broken_values(data: str) -> None:
    with pytest.raises(ProtocolError):
        decode(bytes.fromhex(data))


def test_nesting_is_bounded() -> None:
    with pytest.raises(ProtocolError):
        decode(bytes.fromhex("0a 00000001") * 100)
