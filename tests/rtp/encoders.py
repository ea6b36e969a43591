"""Real frames from real encoders, and FFmpeg's own RTP packets of them."""

from __future__ import annotations

import functools
import io
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import av
import numpy as np
from av.audio import AudioStream
from av.video import VideoStream

from pyegress.codecs import Codec
from pyegress.media.svt import SvtThreads

RATE = 30
WIDTH, HEIGHT = 200, 120

_ENCODERS: dict[Codec, tuple[str, dict[str, str]]] = {
    Codec.VP8: ("libvpx", {"deadline": "realtime", "cpu-used": "8", "lag-in-frames": "0"}),
    Codec.VP9: ("libvpx-vp9", {"deadline": "realtime", "cpu-used": "8", "lag-in-frames": "0"}),
    Codec.H264: ("libx264", {"preset": "ultrafast", "tune": "zerolatency", "x264-params": "sliced-threads=0"}),
    Codec.H265: ("libx265", {"preset": "ultrafast", "tune": "zerolatency", "x265-params": "log-level=none:pools=1"}),
    Codec.AV1: ("libsvtav1", {"preset": "11", "svtav1-params": "pred-struct=1:lookahead=0:lp=1:rc=2"}),
    Codec.OPUS: ("libopus", {"frame_duration": "20"}),
    Codec.PCMU: ("pcm_mulaw", {}),
    Codec.PCMA: ("pcm_alaw", {}),
}
VIDEO_CODECS = (Codec.VP8, Codec.VP9, Codec.H264, Codec.H265, Codec.AV1)
DECODERS = {Codec.VP8: "vp8", Codec.VP9: "vp9", Codec.H264: "h264", Codec.H265: "hevc", Codec.AV1: "libdav1d"}


@dataclass(frozen=True, slots=True)
class Encoded:
    """What an encoder put out for one frame, and the RTP packets that FFmpeg made of it."""

    data: bytes
    keyframe: bool
    packets: tuple[bytes, ...]


class _PacketSink(io.RawIOBase):
    """FFmpeg's RTP muxer flushes after each packet: every write is one packet, RTP or RTCP."""

    def __init__(self) -> None:
        self.packets: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self.packets.append(bytes(data))
        return len(data)

    def take_rtp(self) -> tuple[bytes, ...]:
        packets, self.packets = self.packets, []
        return tuple(packet for packet in packets if not 200 <= packet[1] <= 207)


@functools.cache
def encode_video(
    codec: Codec, *, frames: int = 6, mtu: int = 1200, size: tuple[int, int] = (WIDTH, HEIGHT), options: str = ""
) -> tuple[Encoded, ...]:
    """`frames` noisy pictures, the fourth one forced to be a key frame; `options` are added to x264-params."""
    name, settings = _ENCODERS[codec]
    if options:
        settings = settings | {"x264-params": settings["x264-params"] + ":" + options}
    random = np.random.default_rng(7)
    sink = _PacketSink()
    out: list[Encoded] = []
    options_of_rtp = {"packetsize": str(mtu), "strict": "-2"}
    with av.open(sink, "w", format="rtp", options=options_of_rtp) as container:
        stream = container.add_stream(name, rate=RATE, options=settings)
        assert isinstance(stream, VideoStream)
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p"
        stream.bit_rate = 3_000_000
        stream.codec_context.thread_count = 1
        threads = SvtThreads()
        threads.open(stream.codec_context)
        pending: list[Any] = []
        for index in range(frames):
            noise = random.integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
            frame = av.VideoFrame.from_ndarray(noise, format="rgb24")
            frame.pts, frame.time_base = index, Fraction(1, RATE)
            if index == 3:
                frame.pict_type = av.video.frame.PictureType.I
            pending += threads.encode(stream, frame)
        pending += threads.encode(stream, None)
        for packet in pending:
            data, keyframe = bytes(packet), packet.is_keyframe
            container.mux(packet)
            out.append(Encoded(data, keyframe, sink.take_rtp()))
    return tuple(out)


@functools.cache
def encode_audio(codec: Codec, *, milliseconds: int = 200, options: str = "") -> tuple[Encoded, ...]:
    """A tone. `options` is the Opus frame duration in milliseconds."""
    name, settings = _ENCODERS[codec]
    if options:
        settings = settings | {"frame_duration": options}
    rate = codec.clock_rate
    layout = "stereo" if codec is Codec.OPUS else "mono"
    sink = _PacketSink()
    out: list[Encoded] = []
    with av.open(sink, "w", format="rtp", options={"packetsize": "1200"}) as container:
        stream = container.add_stream(name, rate=rate, options=settings)
        assert isinstance(stream, AudioStream)
        stream.layout = layout
        samples = rate * milliseconds // 1000
        tone = (8000 * np.sin(2 * np.pi * 440 * np.arange(samples) / rate)).astype(np.int16)
        channels = 2 if codec is Codec.OPUS else 1
        resampler = av.AudioResampler(format=stream.format.name, layout=layout, rate=rate, frame_size=rate // 50)
        frame = av.AudioFrame.from_ndarray(np.repeat(tone, channels).reshape(1, -1), format="s16", layout=layout)
        frame.sample_rate = rate
        pending: list[Any] = []
        for part in [*resampler.resample(frame), *resampler.resample(None)]:
            pending += stream.encode(part)
        pending += stream.encode(None)
        for packet in pending:
            data = bytes(packet)
            container.mux(packet)
            out.append(Encoded(data, True, sink.take_rtp()))
    return tuple(out)


def decode(codec: Codec, frames: list[bytes]) -> list[tuple[int, int]]:
    """The sizes of the pictures that FFmpeg decodes from `frames`."""
    context = av.CodecContext.create(DECODERS[codec], "r")
    sizes = []
    for data in frames:
        sizes += [(picture.width, picture.height) for picture in context.decode(av.Packet(data))]  # type: ignore[attr-defined]
    sizes += [(picture.width, picture.height) for picture in context.decode(None)]  # type: ignore[attr-defined]
    return sizes
