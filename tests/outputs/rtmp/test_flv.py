"""Copied pictures as RTMP messages: what is announced when, and where a receiver may begin."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pyegress.clock import Monotonic
from pyegress.codecs import Codec, Kind
from pyegress.outputs.muxer import StreamSpec
from pyegress.outputs.rtmp.chunks import MessageType
from pyegress.outputs.rtmp.flv import FlvPackager, video_config
from pyegress.plan.encodings import AudioCodec, AudioEncoding
from pyegress.rtp.codec_config import START_CODE, h264_type, split_annexb
from pyegress.rtp.frame import EncodedFrame
from tests.outputs.media import video

pytestmark = pytest.mark.media

AUDIO = AudioEncoding(AudioCodec.AAC, 64, 48_000)
BOTH = frozenset(Kind)


def described(frame: EncodedFrame) -> StreamSpec:
    return StreamSpec(Codec.AAC, None, frame, rate=48_000, config=b"\x11\x90")


def sound(seconds: float) -> EncodedFrame:
    return EncodedFrame(Codec.AAC, b"aac", round(seconds * 48_000), Monotonic(0.0))


def test_another_size_is_announced_in_the_stream() -> None:
    packager = FlvPackager(BOTH, None, AUDIO, described)
    small, large = video(Codec.H264, 3), video(Codec.H264, 3, (320, 180))
    units = [packager.package(Kind.VIDEO, frame) for frame in (*small, *small, *large)]
    assert [bool(unit.announcement) for unit in units] == [True, *[False] * 5, True, False, False]
    assert units[6].announcement == video_config(large[0])
    assert [unit.start for unit in units] == [frame.keyframe for frame in (*small, *small, *large)]
    said = dict(packager.preamble())
    assert said[MessageType.VIDEO] == video_config(large[0])
    assert b"width" in said[MessageType.DATA]


def test_a_key_frame_without_parameter_sets_goes_on_with_those_that_are_known() -> None:
    packager = FlvPackager(BOTH, None, AUDIO, described)
    first = video(Codec.H264, 1)[0]
    bare = [nal for nal in split_annexb(first.payload) if h264_type(nal) not in (7, 8)]
    packager.package(Kind.VIDEO, first)
    unit = packager.package(Kind.VIDEO, replace(first, payload=b"".join(START_CODE + nal for nal in bare)))
    assert (unit.start, unit.announcement) == (True, b"")


def test_sound_is_a_beginning_only_when_pictures_have_not_come_for_long() -> None:
    packager = FlvPackager(BOTH, None, AUDIO, described)
    assert [packager.package(Kind.AUDIO, sound(at)).start for at in (0.0, 4.9, 5.1)] == [False, False, True]
    packager.package(Kind.VIDEO, video(Codec.H264, 1)[0])
    assert not packager.package(Kind.AUDIO, sound(6.0)).start
    alone = FlvPackager(frozenset({Kind.AUDIO}), None, AUDIO, described)
    assert alone.package(Kind.AUDIO, sound(0.0)).start
