"""How encoders' streams introduce themselves to a file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyegress.clock import Monotonic
from pyegress.outputs.muxer import StreamSpec
from pyegress.plan.encodings import VideoEncoding
from pyegress.rtp.frame import EncodedFrame

if TYPE_CHECKING:  # whoever copies has no encoder and does not load FFmpeg
    from pyegress.media.audio_encoder import AudioEncoder


def video_stream(encoding: VideoEncoding, first: EncodedFrame, *, title: str = "") -> StreamSpec:
    """The stream of a VideoEncoder; `first` is its first frame, which has the parameter sets."""
    size = encoding.width, encoding.height
    return StreamSpec(encoding.codec.codec, size, first, title=title, bitrate=encoding.bitrate * 1000, bt709=True)


def audio_stream(encoder: AudioEncoder, *, title: str = "") -> StreamSpec:
    """The stream of an AudioEncoder, known before its first packet. Write each packet at its own `timestamp`."""
    return StreamSpec(
        encoder.codec,
        None,
        EncodedFrame(encoder.codec, b"", 0, Monotonic(0.0)),
        title=title,
        rate=encoder.rate,
        priming=encoder.priming,
        config=encoder.config,
        bitrate=encoder.bitrate,
    )
