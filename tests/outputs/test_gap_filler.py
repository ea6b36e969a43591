from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyegress.clock import Monotonic
from pyegress.codecs import Codec
from pyegress.outputs.gap_filler import OPUS_MAX_SHIFT, G711GapFiller, OpusGapFiller, Placed, gap_filler
from pyegress.outputs.opus import SHORTEST, opus_ticks
from pyegress.rtp.frame import EncodedFrame

pytestmark = pytest.mark.unit

STEREO_SPEECH = bytes((0x7C, 1, 2, 3))  # hybrid, fullband, 20 ms, stereo
MONO_SPEECH = bytes((0x78, 1, 2, 3))


def packet(payload: bytes = MONO_SPEECH) -> EncodedFrame:
    return EncodedFrame(Codec.OPUS, payload, 0, Monotonic(5.0), duration=opus_ticks(payload))


def spans(placed: list[Placed]) -> list[tuple[int, int]]:
    return [(pts, pts + opus_ticks(frame.payload)) for frame, pts in placed]


def assert_back_to_back(placed: list[Placed]) -> None:
    covered = spans(placed)
    for (_, end), (start, _) in pairwise(covered):
        assert end == start


def test_packets_that_follow_each_other_pass_unchanged() -> None:
    filler = OpusGapFiller()
    frames = [packet() for _ in range(5)]
    out = [placed for n, frame in enumerate(frames) for placed in filler.packet(frame, 7000 + n * 960)]
    assert out == [(frame, 7000 + n * 960) for n, frame in enumerate(frames)]
    assert filler.end == 7000 + 5 * 960


def test_a_gap_is_filled_with_the_fewest_silent_packets_of_its_channels() -> None:
    filler = OpusGapFiller()
    list(filler.packet(packet(STEREO_SPEECH), 0))
    out = list(filler.packet(packet(STEREO_SPEECH), 960 + 2 * 960 + 480 + 240 + 120))
    assert [frame.payload.hex() for frame, _ in out] == [*["fcfffe"] * 2, "f4fffe", "ecfffe", "e4fffe", "7c010203"]
    assert_back_to_back(out)
    assert [frame.duration for frame, _ in out] == [960, 960, 480, 240, 120, 960]
    mono = OpusGapFiller()
    list(mono.packet(packet(), 0))
    assert [frame.payload.hex() for frame, _ in mono.packet(packet(), 1920)] == ["f8fffe", "78010203"]


def test_a_remainder_brings_the_packet_forward_and_never_adds_up() -> None:
    filler = OpusGapFiller()
    at = 0
    for _ in range(1000):
        out = list(filler.packet(packet(), at))
        assert 0 <= at - out[-1][1] < SHORTEST
        at += 960 + 2000 + 77
    assert filler.dropped == 0


def test_silence_from_the_start_when_asked() -> None:
    filler = OpusGapFiller(first=0)
    out = list(filler.packet(packet(), 1920))
    assert spans(out) == [(0, 960), (960, 1920), (1920, 2880)]


def test_fill_until_grows_with_time_and_the_next_packet_follows() -> None:
    filler = OpusGapFiller()
    assert list(filler.fill_until(48_000)) == []  # nothing is known about the track yet
    list(filler.packet(packet(), 0))
    first = list(filler.fill_until(5000))
    assert spans(first)[0][0] == 960
    assert spans(first)[-1][1] == filler.end
    assert 0 <= 5000 - filler.end < SHORTEST
    assert list(filler.fill_until(5000)) == []
    assert list(filler.fill_until(100)) == []
    second = list(filler.packet(packet(), 9600))
    assert_back_to_back([*first, *second])
    assert second[-1][1] == 9600


def test_an_hour_of_mute_is_given_out_piece_by_piece() -> None:
    filler = OpusGapFiller()
    list(filler.packet(packet(), 0))
    hour = iter(filler.fill_until(48_000 * 3600))
    assert next(hour)[1] == 960
    count = 1 + sum(1 for _ in hour)
    assert count == 3600 * 50 - 1
    assert filler.end == 48_000 * 3600


def test_a_packet_whose_time_is_filled_is_dropped_a_slightly_early_one_moved() -> None:
    filler = OpusGapFiller()
    list(filler.packet(packet(), 0))
    list(filler.fill_until(9600))
    assert list(filler.packet(packet(), 9600 - OPUS_MAX_SHIFT - 1)) == []
    assert filler.dropped == 1
    assert [pts for _, pts in filler.packet(packet(), 9600 - OPUS_MAX_SHIFT)] == [9600]
    assert filler.dropped == 1


@settings(max_examples=60, derandomize=True)
@given(
    st.lists(
        st.tuples(st.booleans(), st.integers(-500, 20_000), st.sampled_from([MONO_SPEECH, STEREO_SPEECH])), max_size=40
    )
)
def test_output_is_always_gapless_and_close_to_its_time(steps: list[tuple[bool, int, bytes]]) -> None:
    filler = OpusGapFiller()
    out: list[Placed] = []
    at = 1000
    for fill, gap, payload in steps:
        if fill:
            out += filler.fill_until(at)
            continue
        given_out = list(filler.packet(packet(payload), at))
        if given_out:
            assert -OPUS_MAX_SHIFT <= at - given_out[-1][1] < SHORTEST
        out += given_out
        at += 960 + gap
    assert_back_to_back(out)


@pytest.mark.parametrize(("codec", "zero"), [(Codec.PCMU, 0xFF), (Codec.PCMA, 0xD5)])
def test_g711_is_filled_to_the_sample(codec: Codec, zero: int) -> None:
    filler = gap_filler(codec)
    assert isinstance(filler, G711GapFiller)
    frame = EncodedFrame(codec, bytes(160), 0, Monotonic(0.0), duration=160)
    list(filler.packet(frame, 40))
    assert list(gap_filler(codec).fill_until(1000)) == []
    out = list(filler.packet(frame, 40 + 160 + 331))
    assert [(f.payload, pts) for f, pts in out] == [
        (bytes([zero]) * 160, 200),
        (bytes([zero]) * 160, 360),
        (bytes([zero]) * 11, 520),
        (bytes(160), 531),
    ]
    assert sum(len(f.payload) for f, _ in filler.fill_until(10_691)) == 10_000
    assert list(filler.packet(frame, 10_000)) == []
    assert filler.dropped == 1
