"""Where segments begin and end, and what is written at once: pure decisions about samples.

With video a segment begins at the first key frame of each stretch of `duration` seconds, sound alone is cut at the
packet there. Pieces are what reaches the disk at once, and the parts of low latency HLS. Ticks are those of the leading
stream, which is video if there is some.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pyegress.codecs import Kind
from pyegress.outputs.muxer import Sample, StreamSpec

#: Other streams are waited for this long, seconds of media: what comes later lies in a later piece.
MAX_BEHIND = 5.0
#: Ticks may be rounded.
_ROUNDING = 2
#: Until a second frame tells, a picture is taken to last 1/30 s.
_FIRST_GUESS = 30


@dataclass(frozen=True, slots=True)
class Piece:
    """What is written at once: the samples of each stream, and where it lies, in seconds of the output."""

    batch: tuple[tuple[Sample, ...], ...]
    start: float
    end: float
    #: It is the first of its segment.
    begins: bool
    #: It is the last of its segment.
    ends: bool
    #: It begins with a key frame.
    independent: bool
    #: Its segment does not continue what was before.
    discontinuity: bool = False


@dataclass(frozen=True, slots=True)
class _Boundary:
    #: Where what follows begins, and where what was before ends.
    at: int
    end: int
    cut: bool
    discontinuity: bool


class Segmenter:
    """Takes the samples of each stream in order, gives pieces in order."""

    def __init__(self, specs: Sequence[StreamSpec], *, duration: float, piece: float) -> None:
        """`duration` of segments, and at most of pieces, in seconds."""
        kinds = [spec.codec.kind for spec in specs]
        self._lead = kinds.index(Kind.VIDEO) if Kind.VIDEO in kinds else 0
        self._rates = [spec.clock_rate for spec in specs]
        self._priming = [spec.priming for spec in specs]
        rate = self._rates[self._lead]
        self._rate, self._duration, self._piece = rate, round(duration * rate), round(piece * rate)
        self._step = rate // _FIRST_GUESS
        self._video = kinds[self._lead] is Kind.VIDEO
        self._pending: list[deque[Sample]] = [deque() for _ in specs]
        self._newest = [-1] * len(specs)
        #: Planned ends of pieces that other streams have not reached yet.
        self._boundaries: deque[_Boundary] = deque()
        #: Where the open segment and the newest piece begin, as planned.
        self._segment: int | None = None
        self._piece_start = 0
        #: The same of what was given.
        self._given: _Boundary | None = None

    def push(self, stream: int, sample: Sample, *, discontinuity: bool = False) -> Iterator[Piece]:
        """The next sample of a stream. A `pts` that is not above the last one becomes the next tick."""
        pending, newest = self._pending[stream], self._newest[stream]
        sample.pts = max(sample.pts, newest + 1)
        if pending and not discontinuity:
            pending[-1].duration = sample.pts - newest
        if stream == self._lead:
            if not sample.duration:
                sample.duration = min(sample.pts - newest, self._rate) if newest >= 0 else self._step
            if self._segment is None and self._video and not sample.keyframe:
                return  # nothing can be shown of it
            end = pending[-1].pts + pending[-1].duration if pending else sample.pts
            self._plan(sample, end, discontinuity)
        pending.append(sample)
        self._newest[stream] = sample.pts
        yield from self._ready()

    def finish(self) -> Iterator[Piece]:
        """What is left, as the end of the last segment."""
        while self._boundaries:
            yield self._take(self._boundaries.popleft())
        if any(self._pending) and self._given is not None:
            lead = self._pending[self._lead]
            end = lead[-1].pts + lead[-1].duration if lead else self._given.at
            yield self._take(_Boundary(end, end, cut=True, discontinuity=False), everything=True)

    def _plan(self, sample: Sample, end: int, discontinuity: bool) -> None:
        at = sample.pts
        if self._segment is None:
            self._segment = self._piece_start = at
            self._given = _Boundary(at, at, cut=True, discontinuity=False)
            return
        cut = sample.keyframe and (discontinuity or self._stretch(at) > self._stretch(self._segment))
        if cut:
            self._segment = at
        elif at + sample.duration - self._piece_start <= self._piece + _ROUNDING:
            return
        self._piece_start = at
        self._boundaries.append(_Boundary(at, end if discontinuity else at, cut, discontinuity))

    def _stretch(self, at: int) -> int:
        """Which stretch of `duration` seconds a time lies in; priming counts before the first."""
        return (at - self._priming[self._lead] + _ROUNDING) // self._duration

    def _ready(self) -> Iterator[Piece]:
        while self._boundaries and self._reached(self._boundaries[0]):
            yield self._take(self._boundaries.popleft())

    def _reached(self, boundary: _Boundary) -> bool:
        """Whether every stream is so far, or too far behind to be waited for."""
        if (self._newest[self._lead] - boundary.at) > MAX_BEHIND * self._rate:
            return True
        return all(
            newest - priming >= self._elsewhere(boundary.at, stream)
            for stream, (newest, priming) in enumerate(zip(self._newest, self._priming, strict=True))
        )

    def _elsewhere(self, at: int, stream: int) -> int:
        """A time of the leading stream, priming left out, on the clock of another, rounded up."""
        return -(-(at - self._priming[self._lead]) * self._rates[stream] // self._rate)

    def _take(self, boundary: _Boundary, *, everything: bool = False) -> Piece:
        assert self._given is not None
        batch: list[tuple[Sample, ...]] = []
        for stream, pending in enumerate(self._pending):
            until = self._elsewhere(boundary.at, stream) + self._priming[stream]
            samples: list[Sample] = []
            while pending and (everything or pending[0].pts < until):
                samples.append(pending.popleft())
            batch.append(tuple(samples))
        begin, self._given = self._given, boundary
        lead = batch[self._lead]
        return Piece(
            batch=tuple(batch),
            start=self._seconds(begin.at),
            end=self._seconds(boundary.end),
            begins=begin.cut,
            ends=boundary.cut,
            independent=bool(lead) and lead[0].keyframe,
            discontinuity=begin.discontinuity,
        )

    def _seconds(self, at: int) -> float:
        return (at - self._priming[self._lead]) / self._rate
