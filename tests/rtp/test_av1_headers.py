from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyegress.rtp.av1_headers import (
    Obu,
    ObuType,
    SequenceHeader,
    read_sequence_header,
    split_obu,
    split_obus,
    starts_with_shown_key_frame,
)
from pyegress.rtp.errors import ProtocolError
from tests.rtp.sps import av1_sequence

pytestmark = pytest.mark.unit

SEQUENCE = read_sequence_header(av1_sequence())


def test_sequence_header() -> None:
    assert (
        SequenceHeader(
            profile=0,
            level=5,
            tier=0,
            bit_depth=8,
            monochrome=False,
            subsampling_x=True,
            subsampling_y=True,
            chroma_sample_position=1,
            width=640,
            height=360,
            still=False,
        )
        == SEQUENCE
    )
    assert SEQUENCE.size == (640, 360)


@pytest.mark.parametrize(
    ("timing", "display_delay", "operating_points", "level", "frame_ids", "order_hint", "force_tools"),
    list(itertools.product([False, True], [False, True], [1, 3], [5, 12], [False, True], [False, True], [False, True])),
)
def test_every_branch_of_the_sequence_header(
    timing: bool,
    display_delay: bool,
    operating_points: int,
    level: int,
    frame_ids: bool,
    order_hint: bool,
    force_tools: bool,
) -> None:
    header = read_sequence_header(
        av1_sequence(
            timing=timing,
            decoder_model=timing and display_delay,
            display_delay=display_delay,
            operating_points=operating_points,
            level=level,
            tier=1,
            frame_ids=frame_ids,
            order_hint=order_hint,
            force_tools=force_tools,
            position=2,
        )
    )
    assert (header.size, header.level, header.tier) == ((640, 360), level, int(level > 7))
    assert header.chroma_sample_position == 2


@pytest.mark.parametrize(
    ("profile", "depth", "monochrome", "colours", "subsampling"),
    [
        (0, 8, False, None, (1, 1)),
        (0, 10, False, (9, 16, 9), (1, 1)),
        (0, 10, True, None, (1, 1)),
        (1, 8, False, None, (0, 0)),
        (1, 10, False, (1, 13, 0), (0, 0)),
        (2, 8, False, None, (1, 0)),
        (2, 10, False, None, (1, 0)),
        (2, 12, False, None, (1, 1)),
        (2, 12, False, None, (1, 0)),
        (2, 12, False, None, (0, 0)),
    ],
)
def test_colour_configurations(
    profile: int,
    depth: int,
    monochrome: bool,
    colours: tuple[int, int, int] | None,
    subsampling: tuple[int, int],
) -> None:
    header = read_sequence_header(
        av1_sequence(profile=profile, depth=depth, monochrome=monochrome, colours=colours, subsampling=subsampling)
    )
    assert (header.profile, header.bit_depth, header.monochrome) == (profile, depth, monochrome)
    assert (header.subsampling_x, header.subsampling_y) == subsampling
    assert header.chroma_sample_position == (1 if subsampling == (1, 1) and not monochrome else 0)


def test_still_picture_header() -> None:
    header = read_sequence_header(av1_sequence(still=True))
    assert (header.still, header.size, header.level) == (True, (640, 360), 5)
    assert starts_with_shown_key_frame(Obu(ObuType.FRAME, b"\x30", b""), header)


@pytest.mark.parametrize(
    ("first", "key"),
    [
        (0b0_00_1_0000, True),
        (0b0_00_0_0000, False),
        (0b0_01_1_0000, False),
        (0b0_10_1_0000, False),
        (0b1_000_0000, False),
    ],
    ids=["shown_key", "hidden_key", "inter", "intra_only", "show_existing"],
)
def test_key_frames(first: int, key: bool) -> None:
    assert starts_with_shown_key_frame(Obu(ObuType.FRAME, b"\x30", bytes((first,))), SEQUENCE) == key


def test_obus_with_and_without_size_are_the_same() -> None:
    plain, sized = split_obu(b"\x30abc"), split_obu(b"\x32\x03abc")
    assert plain == sized == Obu(ObuType.FRAME, b"\x30", b"abc")
    assert plain.sized() == b"\x32\x03abc"
    extended = split_obu(b"\x36\x48\x81\x00x")
    assert extended == Obu(ObuType.FRAME, b"\x34\x48", b"x")
    assert extended.sized() == b"\x36\x48\x01x"


def test_a_temporal_unit_is_its_obus() -> None:
    data = b"\x12\x00" + b"\x0a\x02ab" + b"\x32\x81\x00c" + b"\x30rest"
    assert [obu.type for obu in split_obus(data)] == [2, 1, 6, 6]
    assert [obu.payload for obu in split_obus(data)] == [b"", b"ab", b"c", b"rest"]


@pytest.mark.parametrize(
    "element",
    [
        pytest.param("", id="av1_obu_empty"),
        pytest.param("b000", id="av1_obu_forbidden_bit"),
        pytest.param("34", id="av1_obu_extension_missing"),
        pytest.param("32", id="av1_obu_size_missing"),
        pytest.param("3205aabb", id="av1_obu_longer_than_element"),
        pytest.param("3201aabb", id="av1_obu_shorter_than_element"),
        pytest.param("32808080808080808000", id="av1_obu_size_overlong"),
    ],
)
def test_impossible_obus_are_refused(element: str) -> None:
    with pytest.raises(ProtocolError):
        split_obu(bytes.fromhex(element))


@pytest.mark.parametrize("length", range(len(av1_sequence()) - 1))
def test_truncated_sequence_header_is_refused(length: int) -> None:
    with pytest.raises(ProtocolError):
        read_sequence_header(av1_sequence()[:length])


def test_unknown_profile_is_refused() -> None:
    with pytest.raises(ProtocolError):
        read_sequence_header(b"\x60" + bytes(20))


@settings(derandomize=True, max_examples=300)
@given(st.binary(max_size=60))
def test_random_bytes_are_read_or_refused(data: bytes) -> None:
    try:
        size = read_sequence_header(data).size
    except ProtocolError:
        return
    assert all(0 < side <= 65536 for side in size)
