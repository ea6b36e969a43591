"""Where segments begin and end, and what is written at once: pure decisions about samples.

With video a segment begins at the first key frame of each stretch of `duration` seconds, sound alone is cut at the
packet there. Key frames of copies come when they come: there a segment begins with the first that comes about
`duration` after the last, and sound from before the first picture is left out. Pieces are what reaches the disk at
once, and the parts of low latency HLS. Ticks are those of the leading stream, which is video if there is some.
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
#: Segments of copies may be so much shorter than planned, seconds: their key frames come some time after they are asked
#: for.
EARLY = 0.3


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
    #: ... and its streams are announced anew.
    renewed: bool = False


@dataclass(frozen=True, slots=True)
class _Boundary:
    #: Where what follows begins, and where what was before ends.
    at: int
    end: int
    #: The stream whose ticks these are.
    lead: int
    cut: bool
    discontinuity: bool = False
    renewed: bool = False


class Segmenter:
    """Takes the samples of each stream in order, gives pieces in order."""

    def __init__(self, specs: Sequence[StreamSpec], *, duration: float, piece: float, copies: bool = False) -> None:
        """`duration` of segments, and at most of pieces, in seconds. `copies` says whose key frames there are."""
        self._duration_seconds, self._piece_seconds = duration, piece
        self._copies = copies
        self._rates: list[int] = []
        self._priming: list[int] = []
        self._pending: list[deque[Sample]] = []
        self._newest: list[int] = []
        for spec in specs:
            self.add(spec)
        kinds = [spec.codec.kind for spec in specs]
        video = Kind.VIDEO in kinds
        self._follow(kinds.index(Kind.VIDEO) if video else 0, video=video)
        #: Planned ends of pieces that other streams have not reached yet.
        self._boundaries: deque[_Boundary] = deque()
        #: Where the open segment and the newest piece begin, as planned.
        self._segment: int | None = None
        self._piece_start = 0
        #: The same of what was given, and where the first segment begins.
        self._given: _Boundary | None = None
        self._first: _Boundary | None = None

    def add(self, spec: StreamSpec) -> None:
        """A further stream, which has not begun."""
        self._rates.append(spec.clock_rate)
        self._priming.append(spec.priming)
        self._pending.append(deque())
        self._newest.append(-1)

    def _follow(self, lead: int, *, video: bool) -> None:
        """Go by this stream."""
        self._lead, self._video = lead, video
        rate = self._rate = self._rates[lead]
        self._duration, self._piece = round(self._duration_seconds * rate), round(self._piece_seconds * rate)
        self._step = rate // _FIRST_GUESS

    def push(
        self, stream: int, sample: Sample, *, discontinuity: bool = False, renewed: bool = False
    ) -> Iterator[Piece]:
        """The next sample of a stream. A `pts` that is not above the last one becomes the next tick.

        `renewed`: from it on, which is a key frame, streams are announced anew. Pictures that begin so are followed.
        """
        pending, newest = self._pending[stream], self._newest[stream]
        sample.pts = max(sample.pts, newest + 1)
        if pending and not discontinuity:
            pending[-1].duration = sample.pts - newest
        if renewed and stream != self._lead:
            self._follow(stream, video=True)
        if stream == self._lead:
            if not sample.duration:
                sample.duration = min(sample.pts - newest, self._rate) if newest >= 0 else self._step
            if self._segment is None and self._video and not sample.keyframe:
                return  # nothing can be shown of it
            end = pending[-1].pts + pending[-1].duration if pending else sample.pts
            self._plan(sample, end, discontinuity, renewed)
        self._newest[stream] = sample.pts
        if not self._is_before(stream, sample):
            pending.append(sample)
        yield from self._ready()

    def finish(self) -> Iterator[Piece]:
        """What is left, as the end of the last segment."""
        while self._boundaries:
            yield self._take(self._boundaries.popleft())
        if any(self._pending) and self._given is not None:
            lead = self._pending[self._lead]
            end = lead[-1].pts + lead[-1].duration if lead else self._given.at
            yield self._take(_Boundary(end, end, self._lead, cut=True), everything=True)

    def _plan(self, sample: Sample, end: int, discontinuity: bool, renewed: bool) -> None:
        at = sample.pts
        if self._segment is None:
            self._segment = self._piece_start = at
            self._given = self._first = _Boundary(at, at, self._lead, cut=True, renewed=renewed)
            for stream, pending in enumerate(self._pending):
                while pending and self._is_before(stream, pending[0]):
                    pending.popleft()
            return
        cut = sample.keyframe and (discontinuity or renewed or self._due(at))
        if cut:
            self._segment = at
        elif at + sample.duration - self._piece_start <= self._piece + _ROUNDING:
            return
        self._piece_start = at
        boundary = _Boundary(at, end if discontinuity else at, self._lead, cut, discontinuity or renewed, renewed)
        self._boundaries.append(boundary)

    def _is_before(self, stream: int, sample: Sample) -> bool:
        """Whether a sample of a copy is over before the first picture: its segment would be longer than it says."""
        if not self._copies or self._first is None or stream == self._first.lead:
            return False
        return sample.pts + sample.duration <= self._elsewhere(self._first, stream) + self._priming[stream]

    def _due(self, at: int) -> bool:
        """Whether a segment that began before may end at a key frame."""
        assert self._segment is not None
        if self._copies and self._video:
            return at - self._segment >= self._duration - EARLY * self._rate
        return self._stretch(at) > self._stretch(self._segment)

    def _stretch(self, at: int) -> int:
        """Which stretch of `duration` seconds a time lies in; priming counts before the first."""
        return (at - self._priming[self._lead] + _ROUNDING) // self._duration

    def _ready(self) -> Iterator[Piece]:
        while self._boundaries and self._reached(self._boundaries[0]):
            yield self._take(self._boundaries.popleft())

    def _reached(self, boundary: _Boundary) -> bool:
        """Whether every stream is so far, or too far behind to be waited for."""
        lead = boundary.lead
        if (self._newest[lead] - boundary.at) > MAX_BEHIND * self._rates[lead]:
            return True
        return all(
            newest - priming >= self._elsewhere(boundary, stream)
            for stream, (newest, priming) in enumerate(zip(self._newest, self._priming, strict=True))
        )

    def _elsewhere(self, boundary: _Boundary, stream: int) -> int:
        """Where a boundary is on the clock of another stream, priming left out, rounded up."""
        lead = boundary.lead
        return -(-(boundary.at - self._priming[lead]) * self._rates[stream] // self._rates[lead])

    def _take(self, boundary: _Boundary, *, everything: bool = False) -> Piece:
        assert self._given is not None
        batch: list[tuple[Sample, ...]] = []
        for stream, pending in enumerate(self._pending):
            until = self._elsewhere(boundary, stream) + self._priming[stream]
            samples: list[Sample] = []
            while pending and (everything or pending[0].pts < until):
                samples.append(pending.popleft())
            batch.append(tuple(samples))
        begin, self._given = self._given, boundary
        lead = batch[begin.lead]
        return Piece(
            batch=tuple(batch),
            start=self._seconds(begin.at, begin.lead),
            end=self._seconds(boundary.end, boundary.lead),
            begins=begin.cut,
            ends=boundary.cut,
            independent=bool(lead) and lead[0].keyframe,
            discontinuity=begin.discontinuity,
            renewed=begin.renewed,
        )

    def _seconds(self, at: int, lead: int) -> float:
        return (at - self._priming[lead]) / self._rates[lead]
