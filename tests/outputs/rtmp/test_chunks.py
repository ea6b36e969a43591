from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyegress.outputs.rtmp.chunks import (
    MAX_MESSAGE,
    ChunkReader,
    ChunkStream,
    Message,
    MessageType,
    to_chunks,
)
from pyegress.rtp.errors import ProtocolError

pytestmark = pytest.mark.wire


def size_of(chunk_size: int) -> bytes:
    message = Message(MessageType.SET_CHUNK_SIZE, chunk_size.to_bytes(4, "big"))
    return to_chunks(message, ChunkStream.CONTROL, 128)


@given(
    st.lists(st.tuples(st.binary(max_size=700), st.integers(0, 2**32 - 1), st.sampled_from(ChunkStream)), max_size=6),
    st.integers(1, 300),
    st.integers(1, 40),
)
def test_what_is_chunked_is_read(contents: list[tuple[bytes, int, ChunkStream]], chunk_size: int, piece: int) -> None:
    messages = [Message(MessageType.VIDEO, payload, at, 1) for payload, at, _ in contents]
    data = size_of(chunk_size) + b"".join(
        to_chunks(message, chunk_stream, chunk_size)
        for message, (_, _, chunk_stream) in zip(messages, contents, strict=True)
    )
    reader = ChunkReader()
    read = [message for at in range(0, len(data), piece) for message in reader.feed(data[at : at + piece])]
    assert read == messages


def test_bytes_as_the_specification_has_them() -> None:
    """Section 5.3.2.2: a video message of 307 bytes in three chunks."""
    payload = bytes(range(256)) + bytes(51)
    data = to_chunks(Message(9, payload, 1000, 1), ChunkStream.VIDEO, 128)
    assert data[:12] == bytes.fromhex("06 0003e8 000133 09 01000000")
    assert data[12 + 128 : 12 + 129] == b"\xc6"
    assert len(data) == 12 + 128 + 1 + 128 + 1 + 51


def test_short_headers_of_servers() -> None:
    """Types 1, 2 and 3 leave out what is as before; messages of two chunk streams are interleaved."""
    reader = ChunkReader()
    first = bytes.fromhex("03 000064 000002 08 01000000 6161")
    one = bytes.fromhex("43 00000a 000003 09 626262")
    two = bytes.fromhex("83 000005 636363")
    three = bytes.fromhex("c3 646464")
    assert reader.feed(first + one + two + three) == [
        Message(8, b"aa", 100, 1),
        Message(9, b"bbb", 110, 1),
        Message(9, b"ccc", 115, 1),
        Message(9, b"ddd", 120, 1),
    ]


def test_chunk_streams_interleave_and_wide_ids_are_read() -> None:
    reader = ChunkReader()
    long = Message(9, bytes(200), 0, 1)
    data = to_chunks(long, ChunkStream.VIDEO, 128)
    begun, rest = data[: 12 + 128], data[12 + 128 :]
    between = bytes.fromhex("00 10 000000 000001 08 00000000 61") + bytes.fromhex(
        "01 10 02 000000 000001 08 00000000 62"
    )
    assert reader.feed(begun + between + rest) == [Message(8, b"a"), Message(8, b"b"), long]


def test_an_abort_forgets_half_a_message() -> None:
    reader = ChunkReader()
    begun = to_chunks(Message(9, bytes(200), 0, 1), ChunkStream.VIDEO, 128)[: 12 + 128]
    abort = to_chunks(Message(MessageType.ABORT, (6).to_bytes(4, "big")), ChunkStream.CONTROL, 128)
    after = Message(9, b"new", 5, 1)
    assert reader.feed(begun + abort + to_chunks(after, ChunkStream.VIDEO, 128)) == [after]


@pytest.mark.parametrize(
    "data",
    [
        pytest.param("83 000000", id="nothing to continue"),
        pytest.param("03 000000 ffffff 09 00000000", id="too long"),
        pytest.param("02 000000 000004 01 00000000 00000000", id="chunks of nothing"),
    ],
)
def test_what_no_server_may_send(data: str) -> None:
    assert MAX_MESSAGE < 0xFFFFFF
    with pytest.raises(ProtocolError):
        ChunkReader().feed(bytes.fromhex(data))


@given(st.binary(max_size=300))
def test_garbage_is_read_or_refused(data: bytes) -> None:
    with suppress(ProtocolError):
        ChunkReader().feed(data)
