"""H.264 and AAC in the form of FLV tags, which RTMP carries without the tags' headers.

Video File Format Specification version 10, annex E.4.2 and E.4.3. Made once for all destinations.
"""

from __future__ import annotations

from collections.abc import Callable

from pyegress.clock import Monotonic
from pyegress.codecs import Codec, Kind
from pyegress.outputs.copied_streams import PATIENCE
from pyegress.outputs.muxer import StreamSpec
from pyegress.outputs.rtmp.amf0 import EcmaArray, Value, encode
from pyegress.outputs.rtmp.chunks import MessageType
from pyegress.outputs.streaming.unit import Unit
from pyegress.plan.encodings import AudioEncoding, VideoEncoding
from pyegress.rtp.codec_config import H264_PPS, H264_SPS, avc_config, h264_type, length_prefixed, split_annexb
from pyegress.rtp.frame import EncodedFrame

#: CodecID 7 with FrameType 1 (key) or 2 (inter).
_AVC_KEY, _AVC_INTER = 0x17, 0x27
#: SoundFormat 10 (AAC), and what is always said beside it: 44 kHz, 16 bits, stereo. Decoders read the config instead.
_AAC = 0xAF
_CONFIG, _MEDIA = 0, 1
_H264_AUD = 9


def metadata(video: VideoEncoding | None, audio: AudioEncoding | None, size: tuple[int, int] | None = None) -> bytes:
    """`onMetaData` as publishers send it, what a data message holds. `size` is that of copied pictures, in pixels."""
    members: dict[str, Value] = {"encoder": "pyegress"}
    if size is not None:
        members |= {"width": size[0], "height": size[1], "videocodecid": 7}
    elif video is not None:
        members |= {
            "width": video.width,
            "height": video.height,
            "framerate": video.framerate,
            "videodatarate": video.bitrate,
            "videocodecid": 7,
        }
    if audio is not None:
        members |= {
            "audiodatarate": audio.bitrate,
            "audiosamplerate": audio.sample_rate,
            "audiosamplesize": 16,
            "stereo": True,
            "audiochannels": 2,
            "audiocodecid": 10,
        }
    return encode("@setDataFrame", "onMetaData", EcmaArray(members))


def audio_config(config: bytes) -> bytes:
    """The tag with the AudioSpecificConfig."""
    return bytes((_AAC, _CONFIG)) + config


def audio_tag(frame: EncodedFrame) -> bytes:
    """The tag of one AAC packet."""
    return bytes((_AAC, _MEDIA)) + frame.payload


def video_config(frame: EncodedFrame) -> bytes:
    """The tag with the parameter sets of a key frame. Raises ProtocolError when it has none."""
    nals = split_annexb(frame.payload)
    sps = list(dict.fromkeys(nal for nal in nals if h264_type(nal) == H264_SPS))
    pps = list(dict.fromkeys(nal for nal in nals if h264_type(nal) == H264_PPS))
    return bytes((_AVC_KEY, _CONFIG, 0, 0, 0)) + avc_config(sps, pps)


def has_config(frame: EncodedFrame) -> bool:
    """Whether a key frame comes with parameter sets: those of encoders do, and nearly all that are published."""
    return {H264_SPS, H264_PPS} <= {h264_type(nal) for nal in split_annexb(frame.payload)}


def video_tag(frame: EncodedFrame) -> bytes:
    """The tag of one picture, without what the configuration has said. There are no B-frames: composition time 0."""
    said = (H264_SPS, H264_PPS, _H264_AUD)
    nals = [nal for nal in split_annexb(frame.payload) if h264_type(nal) not in said]
    return bytes((_AVC_KEY if frame.keyframe else _AVC_INTER, _MEDIA, 0, 0, 0)) + length_prefixed(nals)


class FlvPackager:
    """Packets of the `kinds` as RTMP messages. `spec_for` describes the stream that an encoder's packet begins.

    Pictures without an encoding of theirs are copies: they may come late, and change.
    """

    def __init__(
        self,
        kinds: frozenset[Kind],
        video: VideoEncoding | None,
        audio: AudioEncoding | None,
        spec_for: Callable[[EncodedFrame], StreamSpec],
    ) -> None:
        self._pictures = Kind.VIDEO in kinds
        self._video = video
        self._audio = audio
        self._spec_for = spec_for
        self._video_config = b""
        self._audio_config = b""
        #: Pixels of copied pictures.
        self._size: tuple[int, int] | None = None

    def package(self, kind: Kind, frame: EncodedFrame) -> Unit:
        """A `streaming.group.Packager`: H.264 and AAC; pictures decide where a receiver may begin, if there are any."""
        if self._audio is not None and not self._audio_config:
            described = self._spec_for(EncodedFrame(Codec.AAC, b"", 0, Monotonic(0.0)))
            self._audio_config = audio_config(described.config)
        if kind is Kind.AUDIO:
            assert self._audio is not None
            seconds = frame.timestamp / self._audio.sample_rate
            return Unit(kind, seconds, self._sound_starts(seconds), audio_tag(frame))
        announcement = b""
        anew = frame.keyframe and (not self._video_config or has_config(frame))
        if anew and (config := video_config(frame)) != self._video_config:
            announcement = self._video_config = config
            self._size = frame.size if self._video is None else None
        return Unit(kind, frame.timestamp / frame.codec.clock_rate, frame.keyframe, video_tag(frame), announcement)

    def _sound_starts(self, seconds: float) -> bool:
        """Whether a receiver may begin with sound: there are no pictures, or none come."""
        if not self._pictures:
            return True
        return self._video is None and not self._video_config and seconds > PATIENCE

    def preamble(self) -> list[tuple[MessageType, bytes]]:
        """What comes before the first unit."""
        messages = [
            (MessageType.DATA, metadata(self._video, self._audio, self._size)),
            (MessageType.VIDEO, self._video_config),
            (MessageType.AUDIO, self._audio_config),
        ]
        return [(kind, payload) for kind, payload in messages if payload]
