"""Pictures into packets: H.264, VP8, VP9 or AV1, in the order in which they are shown."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable
from fractions import Fraction

import av
from av.video.frame import PictureType

from pyegress.clock import Monotonic
from pyegress.codecs import Codec
from pyegress.errors import Code, EgressError, Fault
from pyegress.media.encoder_settings import DEFAULT_GOP, ENCODERS, NVENC, options_for
from pyegress.media.rhythm import Rhythm
from pyegress.media.svt import SvtThreads
from pyegress.plan.encodings import Hardware, Quality, VideoCodec, VideoEncoding
from pyegress.rtp.av1_headers import ObuType, split_obus
from pyegress.rtp.codec_config import START_CODE, split_annexb
from pyegress.rtp.frame import EncodedFrame

logger = logging.getLogger(__name__)

#: Ticks per second of all video (RFC 6184 section 8.2.1 and its siblings).
VIDEO_CLOCK = 90_000
#: BT.709 primaries, transfer and matrix; MPEG range. The numbers of ITU-T H.273 and of FFmpeg.
_BT709, _LIMITED = 1, 1
#: Pixels per second that one thread encodes several times faster than they come. More threads gain nothing then.
_ONE_THREAD = 1280 * 720 * 30
_MOST_THREADS = 8


class VideoEncoder:
    """Encodes one picture per tick of `encoding.framerate`. Frames are yuv420p of the encoding's size, BT.709 limited.

    `threads` 0 of the encoding leaves their number to the size of the pictures and the cores of this process.
    `low_latency` gives every frame at once; without it they come out later, see `delay`.
    """

    def __init__(self, encoding: VideoEncoding, *, low_latency: bool = False) -> None:
        """Open the encoder. Raises EgressError when it refuses the encoding, or when there is no such hardware."""
        self.encoding = encoding
        self.codec: Codec = encoding.codec.codec
        self._size = encoding.width, encoding.height
        self._time_base = Fraction(1, encoding.framerate)
        interval = encoding.key_frame_interval
        self._rhythm = Rhythm(interval, encoding.framerate) if interval else None
        gop = self._rhythm.longest if self._rhythm is not None else DEFAULT_GOP
        self._threads = SvtThreads()
        #: Whether a card encodes.
        self.hardware = encoding.hardware is not Hardware.NONE
        try:
            self._context = self._open(gop, low_latency=low_latency)
        except EgressError as error:
            if encoding.hardware is not Hardware.AUTO:
                raise
            logger.info("%s; the processor does it", error.message)
            self.hardware = False
            self._context = self._open(gop, low_latency=low_latency)
        self._taken = self._given = 0

    @property
    def delay(self) -> int:
        """Frames that are inside the encoder now."""
        return self._taken - self._given

    def due(self, tick: int) -> bool:
        """Whether `tick` is one of a key frame by the encoding's interval."""
        return self._rhythm is not None and self._rhythm.falls_on(tick)

    def encode(self, frame: av.VideoFrame, tick: int, *, keyframe: bool = False) -> list[EncodedFrame]:
        """Encode the picture of tick `tick` (above the last one); give what is ready. The picture is copied.

        Key frames are where they are due, and where `keyframe` asks for one more: decoding, and a segment, can begin
        there, and nothing behind refers to what was before.
        """
        frame.pts = tick
        frame.time_base = self._time_base
        frame.pict_type = PictureType.I if keyframe or self.due(tick) else PictureType.NONE
        frame.colorspace = frame.color_primaries = frame.color_trc = _BT709
        frame.color_range = _LIMITED
        self._taken += 1
        return self._frames(self._threads.encode(self._context, frame))

    def flush(self) -> list[EncodedFrame]:
        """Give what is still inside. Nothing can follow."""
        return self._frames(self._threads.encode(self._context, None))

    def _open(self, gop: int, *, low_latency: bool) -> av.VideoCodecContext:
        return _open(self.encoding, gop, self._threads, low_latency=low_latency, hardware=self.hardware)

    def _frames(self, packets: Iterable[av.Packet[av.VideoStream]]) -> list[EncodedFrame]:
        frames: list[EncodedFrame] = []
        for packet in packets:
            assert packet.pts is not None
            self._given += 1
            frames.append(
                EncodedFrame(
                    self.codec,
                    _payload(self.codec, bytes(packet)),
                    round(packet.pts * VIDEO_CLOCK / self.encoding.framerate),
                    Monotonic(0.0),
                    packet.is_keyframe,
                    self._size if packet.is_keyframe else None,
                )
            )
        return frames


def check_hardware(encoding: VideoEncoding | None) -> None:
    """Raise the EgressError of a card that is asked for, and is not there or does not take the encoding."""
    if encoding is not None and encoding.hardware is Hardware.NVENC:
        _open(encoding, DEFAULT_GOP, SvtThreads(), low_latency=False, hardware=True)


def threads_for(encoding: VideoEncoding) -> int:
    """As many as the pictures need, where nobody says a number."""
    if encoding.threads:
        return encoding.threads
    work = encoding.width * encoding.height * encoding.framerate
    simple = encoding.quality is not Quality.HIGH and encoding.codec in (VideoCodec.H264, VideoCodec.VP8)
    if simple and work <= _ONE_THREAD:
        return 1
    return min(_MOST_THREADS, len(os.sched_getaffinity(0)))


def _open(
    encoding: VideoEncoding, gop: int, svt: SvtThreads, *, low_latency: bool, hardware: bool
) -> av.VideoCodecContext:
    threads = threads_for(encoding)
    name = NVENC if hardware else ENCODERS[encoding.codec]
    context = av.CodecContext.create(name, "w")
    assert isinstance(context, av.VideoCodecContext)
    context.width, context.height = encoding.width, encoding.height
    context.pix_fmt = "yuv420p"
    context.time_base = Fraction(1, encoding.framerate)
    context.framerate = Fraction(encoding.framerate)
    context.sample_aspect_ratio = Fraction(1)
    context.bit_rate = encoding.bitrate * 1000
    context.colorspace = context.color_primaries = context.color_trc = _BT709
    context.color_range = _LIMITED
    context.thread_count = threads
    context.options = options_for(encoding, gop=gop, threads=threads, low_latency=low_latency, hardware=hardware)
    try:
        svt.open(context)
    except (av.FFmpegError, ValueError) as error:
        if hardware:
            raise EgressError(
                f"H.264 cannot be encoded by an NVIDIA card here: {_nvidia_reason(error)}",
                remedy="Give this machine a card and its driver (libnvidia-encode), or choose hardware auto or none",
                field="hardware",
                code=Code.FAILED_PRECONDITION,
                fault=Fault.SERVER,
            ) from error
        raise EgressError(
            f"The {encoding.codec.codec.label} encoder refuses {encoding.width}x{encoding.height} at "
            f"{encoding.framerate} fps and {encoding.bitrate} kbit/s: {_reason(error)}",
            remedy="Choose another size, frame rate or bit rate",
            field="video_bitrate",
            code=Code.INVALID_ARGUMENT,
        ) from error
    return context


def _reason(error: Exception) -> str:
    """FFmpeg's errors repeat all options."""
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def _nvidia_reason(error: Exception) -> str:
    # What FFmpeg says when it finds no libcuda.
    return "there is no driver" if isinstance(error, PermissionError) else _reason(error)


def _payload(codec: Codec, data: bytes) -> bytes:
    """The packet in the form that EncodedFrame describes."""
    if codec is Codec.H264:
        return b"".join(START_CODE + nal for nal in split_annexb(data))
    if codec is Codec.AV1:
        return b"".join(obu.sized() for obu in split_obus(data) if obu.type != ObuType.TEMPORAL_DELIMITER)
    return data
