"""Pre-encoded loops: decodable across phases, kept on disk."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
import pytest

from pyegress.codecs import Codec
from pyegress.demo import clips
from pyegress.demo.clips import Clip, ClipFrame, ClipSpec, encode_clip, load_clip
from pyegress.demo.stamp import read_stamp
from tests.support.analysis import luma_of
from tests.support.bitstream import split_annexb

pytestmark = pytest.mark.media

_DECODERS = {Codec.VP8: "vp8", Codec.VP9: "vp9", Codec.H264: "h264", Codec.H265: "hevc", Codec.AV1: "libdav1d"}


def _spec(codec: Codec) -> ClipSpec:
    return ClipSpec("alice", 5, codec, size=(160, 90), fps=15, bitrate=60_000, seconds=4, gop=2, phases=3)


def _numbers(codec: Codec, frames: list[ClipFrame]) -> list[int | None]:
    decoder: Any = av.CodecContext.create(_DECODERS[codec], "r")
    decoder.thread_count = 1
    decoded = [picture for frame in frames for picture in decoder.decode(av.Packet(frame.data))]
    stamps = [read_stamp(luma_of(picture)) for picture in [*decoded, *decoder.decode(None)]]
    return [stamp.number if stamp and stamp.participant == 5 else None for stamp in stamps]


@pytest.mark.parametrize("codec", list(_DECODERS))
def test_content_goes_on_when_the_phase_changes_at_a_keyframe(codec: Codec) -> None:
    clip = encode_clip(_spec(codec))
    assert [[i for i, frame in enumerate(phase) if frame.keyframe] for phase in clip.phases] == [
        [0, 30],
        [0, 10, 40],
        [0, 20, 50],
    ]
    assert [clip.phase_with_keyframe(index) for index in (60, 70, 11, 20)] == [0, 1, None, 2]
    path = [*clip.phases[0][:40], *clip.phases[1][40:], *clip.phases[2][:15]]
    assert _numbers(codec, path) == [*range(60), *range(15)]


def test_h264_keyframes_carry_their_parameter_sets() -> None:
    clip = encode_clip(_spec(Codec.H264))
    types = [[nal[0] & 0x1F for nal in split_annexb(frame.data)] for frame in clip.phases[1] if frame.keyframe]
    # SPS, PPS and IDR slice, RFC 6184 section 1.3; a SEI may lie between.
    assert all([kind for kind in kinds if kind != 6] == [7, 8, 5] for kinds in types)


def test_clips_are_encoded_once_and_damaged_files_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path))
    encoded: list[ClipSpec] = []

    def counted(spec: ClipSpec) -> Clip:
        encoded.append(spec)
        return encode_clip(spec)

    monkeypatch.setattr(clips, "encode_clip", counted)
    first = load_clip.__wrapped__(_spec(Codec.VP8))
    assert load_clip.__wrapped__(_spec(Codec.VP8)) == first
    assert len(encoded) == 1
    (stored,) = tmp_path.rglob("*.clip")
    stored.write_bytes(stored.read_bytes()[:-100])
    again = load_clip.__wrapped__(_spec(Codec.VP8))
    # libvpx's realtime mode looks at the clock: another encoding may have other bytes.
    assert [len(phase) for phase in again.phases] == [len(phase) for phase in first.phases]
    assert load_clip.__wrapped__(_spec(Codec.VP8)) == again
    assert len(encoded) == 2
