from __future__ import annotations

from itertools import pairwise

import pytest

from pyegress.clock import Monotonic
from pyegress.codecs import Codec
from pyegress.outputs.hls.segmenter import MAX_BEHIND, Piece, Segmenter
from pyegress.outputs.muxer import Sample, StreamSpec
from pyegress.rtp.frame import EncodedFrame

pytestmark = pytest.mark.unit

VIDEO, AUDIO = 0, 1
FPS, PACKET = 30, 1024


def spec(codec: Codec, rate: int = 0, priming: int = 0) -> StreamSpec:
    return StreamSpec(codec, None, EncodedFrame(codec, b"", 0, Monotonic(0.0)), rate=rate, priming=priming)


H264, AAC = spec(Codec.H264), spec(Codec.AAC, 48_000)


def picture(number: int, *, key: bool = False) -> Sample:
    return Sample(number * 3000, 0, b"v%d" % number, key)


def packet(number: int) -> Sample:
    return Sample(number * PACKET, PACKET, b"a%d" % number, True)


class Cutting:
    """A segmenter and the pieces that it gave."""

    def __init__(self, *specs: StreamSpec, duration: float = 2.0, piece: float = 0.5, copies: bool = False) -> None:
        self.segmenter = Segmenter(specs, duration=duration, piece=piece, copies=copies)
        self.pieces: list[Piece] = []

    def push(self, stream: int, sample: Sample, *, discontinuity: bool = False, renewed: bool = False) -> None:
        self.pieces.extend(self.segmenter.push(stream, sample, discontinuity=discontinuity, renewed=renewed))

    def finish(self) -> None:
        self.pieces.extend(self.segmenter.finish())

    @property
    def segments(self) -> list[tuple[float, float]]:
        """Start and end of each."""
        starts = [piece.start for piece in self.pieces if piece.begins]
        ends = [piece.end for piece in self.pieces if piece.ends]
        assert len(starts) == len(ends)
        return list(zip(starts, ends, strict=True))

    def payloads(self, stream: int) -> list[bytes]:
        return [sample.payload for piece in self.pieces for sample in piece.batch[stream]]


def play(cutting: Cutting, seconds: float, keys: set[int], *, video_late: float = 0.0) -> None:
    """Pictures and sound in the order of their time, pictures so much later than sound."""
    entries = [(n / FPS + video_late, VIDEO, n) for n in range(round(seconds * FPS))]
    entries += [(n * PACKET / 48_000, AUDIO, n) for n in range(round(seconds * 48_000 / PACKET))]
    for _, stream, number in sorted(entries):
        cutting.push(stream, picture(number, key=number in keys) if stream == VIDEO else packet(number))


@pytest.mark.parametrize("late", [0.0, 0.4, -0.4])
def test_segments_begin_with_the_key_frames_at_their_time(late: float) -> None:
    cutting = Cutting(H264, AAC)
    play(cutting, 5.0, {0, 60, 120}, video_late=late)
    cutting.finish()
    assert cutting.segments == [(0.0, 2.0), (2.0, 4.0), (4.0, pytest.approx(5.0))]
    assert cutting.payloads(VIDEO) == [b"v%d" % n for n in range(150)]
    assert cutting.payloads(AUDIO) == [b"a%d" % n for n in range(round(5 * 48_000 / PACKET))]
    for piece in cutting.pieces:
        assert piece.independent == piece.begins
        assert all(piece.start <= sample.pts / 48_000 < piece.end for sample in piece.batch[AUDIO] if not piece.ends)
        assert piece.end - piece.start <= 0.5 + 1e-9


def test_pieces_lie_side_by_side_and_are_of_equal_length() -> None:
    cutting = Cutting(H264, AAC, piece=0.5)
    play(cutting, 4.0, {0, 60})
    cutting.finish()
    assert [piece.end - piece.start for piece in cutting.pieces] == pytest.approx([0.5] * 8)
    assert all(before.end == after.start for before, after in pairwise(cutting.pieces))


def test_key_frames_between_cut_nothing() -> None:
    """A stream that was added asks for one at any moment."""
    cutting = Cutting(H264, AAC)
    play(cutting, 5.0, {0, 17, 60, 75, 120, 130})
    cutting.finish()
    assert [start for start, _ in cutting.segments] == [0.0, 2.0, 4.0]


def test_a_late_key_frame_moves_one_border_and_not_those_behind() -> None:
    cutting = Cutting(H264, AAC)
    play(cutting, 6.5, {0, 62, 120, 180})
    cutting.finish()
    assert [start for start, _ in cutting.segments] == pytest.approx([0.0, 62 / 30, 4.0, 6.0])


def test_a_missing_key_frame_makes_a_segment_longer() -> None:
    cutting = Cutting(H264, AAC)
    play(cutting, 7.0, {0, 180})
    cutting.finish()
    assert cutting.segments[0] == (0.0, 6.0)


def test_pictures_before_the_first_key_frame_are_nothing() -> None:
    cutting = Cutting(H264, AAC)
    play(cutting, 2.0, {10})
    cutting.finish()
    assert cutting.payloads(VIDEO)[0] == b"v10"
    [segment] = cutting.segments
    assert segment == pytest.approx((1 / 3, 2.0))


def test_sound_alone_is_cut_at_the_next_packet() -> None:
    cutting = Cutting(AAC)
    for number in range(300):
        cutting.push(0, packet(number))
    cutting.finish()
    lengths = [end - start for start, end in cutting.segments]
    assert lengths[:3] == pytest.approx([94 * PACKET / 48_000] * 2 + [93 * PACKET / 48_000], abs=0.022)
    assert sum(lengths) == pytest.approx(300 * PACKET / 48_000)


def test_priming_lies_before_second_0() -> None:
    cutting = Cutting(H264, spec(Codec.OPUS, 48_000, priming=312), duration=1.0)
    for number in range(100):
        cutting.push(AUDIO, Sample(number * 960, 960, b"a%d" % number, True))
        for picture_number in (number * 3 // 5,) if number % 5 in (0, 2, 4) else ():
            cutting.push(VIDEO, picture(picture_number, key=picture_number % 30 == 0))
    first = [sample for piece in cutting.pieces if piece.start < 1.0 for sample in piece.batch[AUDIO]]
    assert first[-1].pts - 312 < 48_000 <= first[-1].pts - 312 + 960


def test_a_frame_lasts_until_the_next_one() -> None:
    cutting = Cutting(H264, duration=10.0, piece=10.0)
    for number in (0, 1, 5, 6):
        cutting.push(VIDEO, picture(number, key=number == 0))
    cutting.finish()
    assert [sample.duration for sample in cutting.pieces[0].batch[VIDEO]] == [3000, 12_000, 3000, 3000]


def test_what_was_dropped_is_no_part_of_a_segment() -> None:
    cutting = Cutting(H264, duration=2.0)
    for number in range(20):
        cutting.push(VIDEO, picture(number, key=number == 0))
    for number in range(45, 70):
        cutting.push(VIDEO, picture(number, key=number == 45), discontinuity=number == 45)
    cutting.finish()
    before, after = cutting.segments
    assert (*before, *after) == pytest.approx((0.0, 20 / 30, 1.5, 70 / 30))
    assert [piece.discontinuity for piece in cutting.pieces if piece.begins] == [False, True]


def test_sound_that_stays_away_is_not_waited_for() -> None:
    cutting = Cutting(H264, AAC, duration=1.0)
    cutting.push(AUDIO, packet(0))
    for number in range(round((MAX_BEHIND + 2.5) * FPS)):
        cutting.push(VIDEO, picture(number, key=number % FPS == 0))
    assert [piece.start for piece in cutting.pieces if piece.begins] == [0.0, 1.0]


def test_segments_of_copies_begin_with_the_key_frames_that_come() -> None:
    cutting = Cutting(H264, AAC, copies=True)
    # Asked for when two seconds have passed; one comes a little early, one of its own in between.
    play(cutting, 9.0, {0, 66, 121, 150, 185})
    cutting.finish()
    assert [at for ends in cutting.segments for at in ends[:1]] == pytest.approx([0.0, 2.2, 121 / 30, 185 / 30])
    assert cutting.payloads(AUDIO) == [b"a%d" % number for number in range(422)]


def test_streams_that_are_announced_anew_begin_a_segment() -> None:
    cutting = Cutting(H264, AAC, copies=True)
    for number in range(150):
        cutting.push(VIDEO, picture(number, key=number in (0, 45, 105)), renewed=number == 45)
        for sound in range(number * 1600 // PACKET, (number + 1) * 1600 // PACKET):
            cutting.push(AUDIO, packet(sound))
    cutting.finish()
    assert cutting.segments == [(0.0, 1.5), (1.5, 3.5), (3.5, pytest.approx(5.0))]
    begins = [piece for piece in cutting.pieces if piece.begins]
    assert [(piece.renewed, piece.discontinuity) for piece in begins] == [(False, False), (True, True), (False, False)]
    assert begins[1].batch[AUDIO][0].pts >= 1.5 * 48_000 > begins[1].batch[AUDIO][0].pts - PACKET


def test_pictures_that_come_after_sound_alone_lead() -> None:
    cutting = Cutting(AAC, copies=True)
    sound, pictures, begin = 0, 1, 120 * PACKET / 48_000
    entries = [(number * PACKET / 48_000, sound, number) for number in range(230)]
    entries += [(begin + number / FPS, pictures, number) for number in range(60)]
    for at, stream, number in sorted(entries):
        if stream == sound:
            cutting.push(sound, packet(number))
            continue
        if not number:
            cutting.segmenter.add(H264)
        shown = Sample(round(at * 90_000), 0, b"v%d" % number, number in (0, 40))
        cutting.push(pictures, shown, renewed=not number)
    cutting.finish()
    starts = [piece.start for piece in cutting.pieces if piece.begins]
    assert starts[:3] == pytest.approx([0.0, 94 * PACKET / 48_000, begin], abs=1e-4)
    assert [piece.renewed for piece in cutting.pieces if piece.begins][:3] == [False, False, True]
    assert cutting.payloads(sound) == [b"a%d" % number for number in range(230)]
    before = [piece for piece in cutting.pieces if piece.start < begin - 1e-4]
    assert not any(batch for piece in before for batch in piece.batch[1:])


def test_sound_from_before_the_first_picture_of_a_copy_is_left_out() -> None:
    cutting = Cutting(H264, AAC, copies=True)
    play(cutting, 3.0, {0, 60}, video_late=0.0)
    late = Cutting(H264, AAC, copies=True)
    for number in range(100):
        late.push(AUDIO, packet(number))
        if number == 60:
            late.push(VIDEO, Sample(90_000, 0, b"v", True))
    late.push(VIDEO, Sample(2 * 90_000, 0, b"v", False))
    late.finish()
    assert cutting.payloads(AUDIO)[0] == b"a0"
    # The one that reaches into the first picture is heard.
    assert late.payloads(AUDIO) == [b"a%d" % number for number in range(46, 100)]
    assert late.segments[0][0] == 1.0
