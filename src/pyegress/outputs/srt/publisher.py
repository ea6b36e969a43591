"""SRT as a stream output: one transport stream for all listeners."""

from __future__ import annotations

from collections.abc import Callable

from pyegress.clock import Monotonic
from pyegress.codecs import Codec, Kind
from pyegress.outputs.copied_streams import PATIENCE
from pyegress.outputs.hls.mpeg_ts import MpegTs
from pyegress.outputs.muxer import Sample, StreamSpec
from pyegress.outputs.srt.connection import TIMEOUT, SrtConnection
from pyegress.outputs.streaming.unit import Unit
from pyegress.plan.stream_urls import Destination
from pyegress.rtp.frame import EncodedFrame

#: Seconds between tables where there are no key frames that bring them.
_TABLES = 0.1


class SrtPublisher:
    """A `streaming.group.Publisher` of H.264 and AAC in MPEG-TS. The tables come with every key frame."""

    def __init__(
        self, kinds: frozenset[Kind], spec_for: Callable[[EncodedFrame], StreamSpec], *, timeout: float = TIMEOUT
    ) -> None:
        self._kinds = kinds
        self._spec_for = spec_for
        self._timeout = timeout
        self._specs: dict[Kind, StreamSpec] = {}
        self._muxer: MpegTs | None = None
        self._tables_at = float("-inf")

    def package(self, kind: Kind, frame: EncodedFrame) -> Unit:
        if frame.keyframe and self._begins(kind, frame):
            self._open(frame)
        if self._muxer is None:
            # Nothing can be decoded before the first key frame.
            return Unit(kind, 0.0, False, b"")
        spec = self._specs[kind]
        seconds = frame.timestamp / spec.clock_rate
        start = frame.keyframe and (kind is Kind.VIDEO or self._tables_due(seconds))
        sample = Sample(frame.timestamp + spec.priming, frame.duration, frame.payload, frame.keyframe)
        payload = self._muxer.piece([[sample] if each is kind else [] for each in self._specs])
        return Unit(kind, seconds, start, (self._muxer.begin_segment() if start else b"") + payload)

    async def connect(self, target: Destination) -> SrtConnection:
        return await SrtConnection.open(target.ingest, target.shown, timeout=self._timeout)

    def _begins(self, kind: Kind, frame: EncodedFrame) -> bool:
        """Whether the stream is announced at this frame, or, where it is copied, announced as another one."""
        if kind is Kind.VIDEO:
            known = self._specs.get(kind)
            return known is None or known.codec is not frame.codec
        if self._muxer is not None:
            return False
        rate = frame.codec.clock_rate or self._spec_for(frame).clock_rate
        return Kind.VIDEO not in self._kinds or frame.timestamp > PATIENCE * rate

    def _open(self, first: EncodedFrame) -> None:
        self._specs.clear()
        if first.codec.kind is Kind.VIDEO:
            self._specs[Kind.VIDEO] = self._spec_for(first)
        if Kind.AUDIO in self._kinds:
            self._specs[Kind.AUDIO] = self._spec_for(EncodedFrame(Codec.AAC, b"", 0, Monotonic(0.0)))
        self._muxer = MpegTs(list(self._specs.values()))

    def _tables_due(self, seconds: float) -> bool:
        """Sound alone: a listener may begin anywhere, and needs the tables."""
        if Kind.VIDEO in self._specs or seconds - self._tables_at < _TABLES:
            return False
        self._tables_at = seconds
        return True
