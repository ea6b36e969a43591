"""Decodes the encoded frames of one video stream, one picture out for each frame in."""

from __future__ import annotations

from typing import Any

import av

from pyegress.codecs import Codec
from pyegress.rtp.frame import EncodedFrame

#: FFmpeg's decoders. AV1 is dav1d's: FFmpeg's own "av1" is a shell around graphics hardware.
_DECODERS = {Codec.VP8: "vp8", Codec.VP9: "vp9", Codec.H264: "h264", Codec.H265: "hevc", Codec.AV1: "libdav1d"}
#: Their frames say which frames they need (temporal layers), so reception only lets decodable ones through.
_KNOW_THEIR_REFERENCES = frozenset({Codec.VP8, Codec.VP9})
#: livekit-server sends a black key frame of this size for a muted or ending VP8 and H.264 track.
PLACEHOLDER = (8, 8)


def is_placeholder(picture: av.VideoFrame) -> bool:
    """Whether it is the server's stand-in for a publisher's picture."""
    return (picture.width, picture.height) == PLACEHOLDER


class VideoDecoder:
    """Starts at a key frame, and again at one after whatever broke the references. Never raises for a bad frame."""

    def __init__(self, codec: Codec) -> None:
        if codec not in _DECODERS:
            raise ValueError(f"{codec.label} is no video")
        self.codec = codec
        #: Frames that could not be decoded, or only with parts missing; their pictures are not given out.
        self.damaged = 0
        #: Frames that were not decoded because they need others that are missing.
        self.skipped = 0
        #: Frames given to the decoder that it took.
        self.decoded = 0
        self._context = _open(codec)
        self._needs_keyframe = True
        self._dirty = False

    @property
    def needs_keyframe(self) -> bool:
        """Nothing can be decoded until a key frame comes."""
        return self._needs_keyframe

    def reset(self) -> None:
        """What comes next does not continue what was before."""
        self._needs_keyframe = self._dirty = True

    def decode(self, frame: EncodedFrame) -> list[av.VideoFrame]:
        """The pictures that this frame completes: one, or none for what cannot be shown.

        A picture's `pts` is the timestamp of its frame. Size, format and colours may change from one to the next.
        """
        if frame.discontinuity and not frame.keyframe and self.codec not in _KNOW_THEIR_REFERENCES:
            self.reset()
        if self._needs_keyframe and not frame.keyframe:
            self.skipped += 1
            return []
        if self._dirty:
            self._context.flush_buffers()
            self._dirty = False
        packet = av.Packet(frame.payload)
        packet.pts = packet.dts = frame.timestamp
        packet.is_keyframe = frame.keyframe
        try:
            pictures: list[av.VideoFrame] = self._context.decode(packet)
        except av.FFmpegError:
            return self._damage()
        if any(picture.is_corrupt for picture in pictures):
            return self._damage()
        self._needs_keyframe = False
        self.decoded += 1
        return pictures

    def _damage(self) -> list[av.VideoFrame]:
        self.damaged += 1
        self.reset()
        return []


def _open(codec: Codec) -> Any:
    context: Any = av.CodecContext.create(_DECODERS[codec], "r")
    # One thread: frame threads delay pictures, and tracks are many. Low delay: no picture waits for a later one.
    context.thread_count = 1
    context.flags |= av.codec.context.Flags.low_delay
    if codec is Codec.AV1:
        context.options = {"max_frame_delay": "1"}
    return context
