"""Segments of both formats as FFmpeg reads them."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import av
import pytest

from pyegress.codecs import Codec
from pyegress.outputs.hls.mpeg_ts import CLOCK, ORIGIN, PACKET
from pyegress.plan.encodings import AudioCodec, VideoCodec
from pyegress.plan.recording_plan import SegmentFormat
from pyegress.rtp.codec_config import START_CODE, split_annexb
from pyegress.rtp.frame import EncodedFrame
from tests.media.encoding import clicks, stamps
from tests.outputs.hls.streams import CLICKS, FPS, SECONDS, Made, encoded, segments
from tests.outputs.media import decode_video, spec_of
from tests.outputs.media import video as copied_video

pytestmark = pytest.mark.media

TS, FMP4 = SegmentFormat.MPEG_TS, SegmentFormat.FMP4
PAIRS = [
    (TS, VideoCodec.H264, AudioCodec.AAC),
    (TS, VideoCodec.H264, AudioCodec.MP3),
    (FMP4, VideoCodec.H264, AudioCodec.AAC),
    (FMP4, VideoCodec.AV1, AudioCodec.OPUS),
    (FMP4, VideoCodec.VP9, AudioCodec.OPUS),
]
each_pair = pytest.mark.parametrize(
    ("format_", "seen", "said"), PAIRS, ids=[f"{f.name}-{v.name}-{a.name}" for f, v, a in PAIRS]
)


def origin(format_: SegmentFormat) -> float:
    """Where second 0 of the output lies on the clock of the segments."""
    return ORIGIN / CLOCK if format_ is TS else 0.0


@each_pair
def test_pictures_and_sound_go_on_over_the_borders(
    tmp_path: Path, format_: SegmentFormat, seen: VideoCodec, said: AudioCodec
) -> None:
    made = segments(format_, encoded(seen, said))
    assert made.durations == [1.0] * SECONDS
    path = made.whole(tmp_path)
    zero = origin(format_)
    shown = stamps(path)
    assert [number for _, number in shown] == list(range(SECONDS * FPS))
    assert all(abs(at - zero - number / FPS) < 1e-4 for at, number in shown), shown[:5]
    late = clicks(path, [zero + at for at in CLICKS])
    # MP3 in a transport stream has no word for its priming; its decoder adds its own delay.
    assert all(abs(delay) < (15 if said is AudioCodec.MP3 else 1.0) for delay in late), late


@each_pair
def test_every_segment_begins_with_a_key_frame_and_plays_alone(
    tmp_path: Path, format_: SegmentFormat, seen: VideoCodec, said: AudioCodec
) -> None:
    made = segments(format_, encoded(seen, said))
    for number in range(SECONDS):
        path = made.alone(tmp_path, number)
        shown = stamps(path)
        assert [found for _, found in shown] == list(range(number * FPS, (number + 1) * FPS))
        with av.open(str(path)) as container:
            packets = [
                (packet.stream.type, float(packet.pts * packet.time_base), packet.is_keyframe)
                for packet in container.demux()
                if packet.pts is not None
            ]
        keyframes = [key for kind, _, key in packets if kind == "video"]
        assert keyframes == [True] + [False] * (FPS - 1)
        sound = [at for kind, at, _ in packets if kind == "audio"]
        begin = origin(format_) + number
        # Up to the priming of the codec, and one packet across the border.
        assert begin - 0.03 < sound[0] < begin + 0.03
        assert begin + 0.95 < sound[-1] < begin + 1.0


@pytest.mark.parametrize("format_", [TS, FMP4])
def test_sound_alone_is_cut_on_packets(tmp_path: Path, format_: SegmentFormat) -> None:
    made = segments(format_, encoded(None, AudioCodec.AAC), duration=2.0)
    packet = 1024 / 48_000
    assert len(made.durations) == 3
    assert made.durations[:2] == pytest.approx([2.0, 2.0], abs=packet)
    assert sum(made.durations) == pytest.approx(SECONDS, abs=1e-6)
    late = clicks(made.whole(tmp_path), [origin(format_) + at for at in CLICKS])
    assert all(abs(delay) < 1.0 for delay in late), late
    if format_ is TS:
        assert_conforms(made, sound_only=True)


def test_pictures_alone(tmp_path: Path) -> None:
    made = segments(TS, encoded(VideoCodec.H264, None), duration=2.0)
    assert made.durations == [2.0, 2.0, 1.0]
    assert [number for _, number in stamps(made.whole(tmp_path))] == list(range(SECONDS * FPS))


def test_a_transport_stream_conforms() -> None:
    assert_conforms(segments(TS, encoded(VideoCodec.H264, AudioCodec.AAC)))


def assert_conforms(made: Made, *, sound_only: bool = False) -> None:
    """Counters without a hole over all segments, tables in front, clock references often enough and before times."""
    counters: dict[int, int] = {}
    clocks: list[int] = []
    times: list[int] = []
    for segment in made.segments:
        assert len(segment) % PACKET == 0
        pids = []
        for at in range(0, len(segment), PACKET):
            packet = segment[at : at + PACKET]
            assert packet[0] == 0x47
            pid, counter = int.from_bytes(packet[1:3], "big") & 0x1FFF, packet[3] & 0xF
            assert counters.get(pid, counter - 1) & 0xF == counter - 1 & 0xF, f"hole in PID {pid:#x}"
            counters[pid] = counter
            pids.append(pid)
            payload = 4
            if packet[3] & 0x20:
                payload += 1 + packet[4]
                if packet[4] and packet[5] & 0x10:
                    clocks.append(int.from_bytes(packet[6:11], "big") >> 7)
            if pid >= 0x100 and pid < 0x1000 and packet[1] & 0x40:
                stamp = packet[payload + 9 : payload + 14]
                times.append(
                    (stamp[0] >> 1 & 7) << 30 | stamp[1] << 22 | stamp[2] >> 1 << 15 | stamp[3] << 7 | stamp[4] >> 1
                )
                assert times[-1] > clocks[-1]
        assert pids[:3] == [0, 0x1000, 0x100]
    assert times == sorted(times)
    assert all(0 < after - before <= CLOCK // 10 for before, after in pairwise(clocks))
    assert len(times) > (200 if sound_only else 300)


@pytest.mark.parametrize("codec", [Codec.H264, Codec.H265])
def test_copies_have_parameter_sets_in_every_segment(tmp_path: Path, codec: Codec) -> None:
    """Publishers send them once; whoever begins with a later segment needs them there."""
    published = copied_video(codec, 75)
    sets = (1, 2, 3) if codec is Codec.H265 else (7, 8)

    def bare(frame: EncodedFrame) -> EncodedFrame:
        kinds = [
            (nal[0] >> 1 & 0x3F) - 31 if codec is Codec.H265 else nal[0] & 0x1F for nal in split_annexb(frame.payload)
        ]
        kept = [nal for nal, kind in zip(split_annexb(frame.payload), kinds, strict=True) if kind not in sets]
        return replace(frame, payload=b"".join(START_CODE + nal for nal in kept))

    frames = (published[0], *map(bare, published[1:]))
    assert frames[25].keyframe
    assert len(frames[25].payload) < len(published[25].payload)
    made = segments(TS, ((spec_of(frames),), (frames,)))
    assert made.durations == [1.0] * 3
    for number in range(3):
        assert len(decode_video(made.alone(tmp_path, number))) == 25
