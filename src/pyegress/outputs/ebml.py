"""EBML elements (RFC 8794) and the Matroska element identifiers (RFC 9559) that WebM files here consist of."""

from __future__ import annotations

import struct
from collections.abc import Iterator

EBML = b"\x1a\x45\xdf\xa3"
EBML_VERSION = b"\x42\x86"
EBML_READ_VERSION = b"\x42\xf7"
EBML_MAX_ID_LENGTH = b"\x42\xf2"
EBML_MAX_SIZE_LENGTH = b"\x42\xf3"
DOC_TYPE = b"\x42\x82"
DOC_TYPE_VERSION = b"\x42\x87"
DOC_TYPE_READ_VERSION = b"\x42\x85"
VOID = b"\xec"

SEGMENT = b"\x18\x53\x80\x67"
SEEK_HEAD = b"\x11\x4d\x9b\x74"
SEEK = b"\x4d\xbb"
SEEK_ID = b"\x53\xab"
SEEK_POSITION = b"\x53\xac"

INFO = b"\x15\x49\xa9\x66"
TIMESTAMP_SCALE = b"\x2a\xd7\xb1"
DURATION = b"\x44\x89"
DATE_UTC = b"\x44\x61"
TITLE = b"\x7b\xa9"
MUXING_APP = b"\x4d\x80"
WRITING_APP = b"\x57\x41"

TRACKS = b"\x16\x54\xae\x6b"
TRACK_ENTRY = b"\xae"
TRACK_NUMBER = b"\xd7"
TRACK_UID = b"\x73\xc5"
TRACK_TYPE = b"\x83"
FLAG_LACING = b"\x9c"
LANGUAGE = b"\x22\xb5\x9c"
TRACK_NAME = b"\x53\x6e"
CODEC_ID = b"\x86"
CODEC_PRIVATE = b"\x63\xa2"
CODEC_DELAY = b"\x56\xaa"
SEEK_PRE_ROLL = b"\x56\xbb"
VIDEO = b"\xe0"
PIXEL_WIDTH = b"\xb0"
PIXEL_HEIGHT = b"\xba"
COLOUR = b"\x55\xb0"
MATRIX_COEFFICIENTS = b"\x55\xb1"
COLOUR_RANGE = b"\x55\xb9"
TRANSFER_CHARACTERISTICS = b"\x55\xba"
PRIMARIES = b"\x55\xbb"
AUDIO = b"\xe1"
SAMPLING_FREQUENCY = b"\xb5"
CHANNELS = b"\x9f"

CLUSTER = b"\x1f\x43\xb6\x75"
TIMESTAMP = b"\xe7"
SIMPLE_BLOCK = b"\xa3"

CUES = b"\x1c\x53\xbb\x6b"
CUE_POINT = b"\xbb"
CUE_TIME = b"\xb3"
CUE_TRACK_POSITIONS = b"\xb7"
CUE_TRACK = b"\xf7"
CUE_CLUSTER_POSITION = b"\xf1"
CUE_RELATIVE_POSITION = b"\xf0"

TAGS = b"\x12\x54\xc3\x67"
TAG = b"\x73\x73"
TARGETS = b"\x63\xc0"
SIMPLE_TAG = b"\x67\xc8"
TAG_NAME = b"\x45\xa3"
TAG_STRING = b"\x44\x87"

#: An eight-byte size of all ones: the element goes on to the end of the file (RFC 8794 section 6.2).
UNKNOWN_SIZE = b"\x01\xff\xff\xff\xff\xff\xff\xff"


def size_of(length: int) -> bytes:
    """The shortest size field for `length` (RFC 8794 section 4)."""
    for width in range(1, 9):
        if length < (1 << 7 * width) - 1:
            return (length | 1 << 7 * width).to_bytes(width, "big")
    raise ValueError(f"no EBML size holds {length}")


def long_size_of(length: int) -> bytes:
    """The eight-byte size field for `length`, which can take the place of UNKNOWN_SIZE."""
    return (length | 1 << 56).to_bytes(8, "big")


def element(identifier: bytes, *content: bytes) -> bytes:
    """An element with its size."""
    body = b"".join(content)
    return b"".join((identifier, size_of(len(body)), body))


def unsigned(identifier: bytes, value: int) -> bytes:
    """An unsigned integer element, as short as it goes (at least one byte)."""
    return element(identifier, value.to_bytes(max(1, (value.bit_length() + 7) // 8), "big"))


def double(identifier: bytes, value: float) -> bytes:
    """An eight-byte float element."""
    return element(identifier, struct.pack(">d", value))


def text(identifier: bytes, value: str) -> bytes:
    """A UTF-8 element."""
    return element(identifier, value.encode())


def void(total: int) -> bytes:
    """A Void element of exactly `total` bytes (2 to 128)."""
    return VOID + size_of(total - 2) + bytes(total - 2)


def read_header(data: bytes, start: int = 0) -> tuple[bytes, int | None, int]:
    """(identifier, size, start of content) of the element at `start`; the size is None where it is unknown."""
    id_width = 9 - data[start].bit_length()
    identifier = bytes(data[start : start + id_width])
    at = start + id_width
    width = 9 - data[at].bit_length()
    value = int.from_bytes(data[at : at + width], "big") & ((1 << 7 * width) - 1)
    return identifier, None if value == (1 << 7 * width) - 1 else value, at + width


def elements(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """(identifier, content) of each element in `data`."""
    at = 0
    while at < len(data):
        identifier, size, content = read_header(data, at)
        assert size is not None
        yield identifier, data[content : content + size]
        at = content + size
