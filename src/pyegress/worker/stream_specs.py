"""How the streams of an encoding begin, whoever encodes: a composition or the capture of a page."""

from __future__ import annotations

from typing import Protocol

from pyegress.codecs import Kind
from pyegress.media.audio_encoder import AudioEncoder
from pyegress.media.engine_messages import EngineStats
from pyegress.outputs.encoded_streams import audio_stream, video_stream
from pyegress.outputs.muxer import StreamSpec
from pyegress.plan.recording_plan import RecordingPlan
from pyegress.rtp.frame import EncodedFrame


class Encoding(Protocol):
    """What encodes."""

    @property
    def audio_encoder(self) -> AudioEncoder | None: ...


def spec_of(first: EncodedFrame, plan: RecordingPlan, encoding: Encoding | None) -> StreamSpec:
    """The stream that an encoder's first packet begins, or the first that is copied."""
    if first.codec.published and first.codec.kind in plan.copied:
        return StreamSpec(codec=first.codec, size=first.size, first=first)
    if first.codec.kind is Kind.VIDEO:
        assert plan.video is not None
        return video_stream(plan.video, first)
    encoder = encoding.audio_encoder if encoding is not None else None
    assert encoder is not None
    return audio_stream(encoder)


def too_slow(stats: EngineStats) -> str:
    """What the user should know of pictures that were left out, "" when there were none."""
    if not stats.dropped:
        return ""
    return (
        f"The machine could not keep up: {stats.dropped} of {stats.dropped + stats.pictures} pictures were left out "
        "(fewer pixels, fewer frames per second or quality=economy cost less)"
    )
