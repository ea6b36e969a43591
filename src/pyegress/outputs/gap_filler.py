"""Silence for the time in which an audio track sends nothing, so that the file's clock is real time.

A mute, discontinuous transmission or loss leaves a hole between two packets. A filler sits in front of the file
writer: packets go in with their place on the file's clock, packets and silence come out back to back, never
overlapping. `fill_until` does the same while a gap still lasts, so that the file grows with time.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from pyegress.clock import Monotonic
from pyegress.codecs import Codec
from pyegress.outputs.opus import SHORTEST, opus_channels, opus_silence, opus_ticks
from pyegress.outputs.wav import G711_SILENCE
from pyegress.rtp.frame import EncodedFrame

#: G.711 silence comes in pieces of 20 ms, as speech does.
_G711_PIECE = 160
#: A packet may be moved by this much to follow its predecessor without overlap, ticks; beyond it is dropped. 10 ms is
#: far below what anyone sees between lips and voice.
OPUS_MAX_SHIFT = 480
_G711_MAX_SHIFT = 80

Placed = tuple[EncodedFrame, int]


class GapFiller(Protocol):
    """Turns packets with gaps into packets without. All places are ticks of the codec's clock from the file's start."""

    dropped: int

    @property
    def end(self) -> int:
        """Where the last packet given out ends; the next one begins there."""

    def packet(self, frame: EncodedFrame, pts: int) -> Iterator[Placed]:
        """Silence up to `pts`, then the packet itself; nothing if its time has been filled already."""

    def fill_until(self, ticks: int) -> Iterator[Placed]:
        """Silence that ends at `ticks` or less than one shortest packet before it. Nothing before the first packet,
        unless it was said where the audio begins."""

    def shift(self, ticks: int) -> None:
        """What has been given out is moved by so much: go on behind it."""


class OpusGapFiller:
    """Fills with digital silence in packets of 20 ms, the last ones shorter: Opus time comes in steps of 2.5 ms.

    A gap that is no multiple of 2.5 ms brings the packet behind it forward by the remainder; remainders never add up.
    `first` is where the file's audio begins: None for the first packet's own place, 0 for silence from the start.
    """

    __slots__ = ("_end", "_last", "_stereo", "dropped")

    def __init__(self, first: int | None = None) -> None:
        self._end = first
        self._last: EncodedFrame | None = None
        self._stereo = False
        #: Packets that came for a time which had been filled.
        self.dropped = 0

    @property
    def end(self) -> int:
        return self._end or 0

    def packet(self, frame: EncodedFrame, pts: int) -> Iterator[Placed]:
        if self._end is None:
            self._end = pts
        self._last = frame
        self._stereo = opus_channels(frame.payload) == 2
        yield from self._fill(pts)
        if self._end - pts > OPUS_MAX_SHIFT:
            self.dropped += 1
            return
        at = self._end
        self._end = at + opus_ticks(frame.payload)
        yield frame, at

    def fill_until(self, ticks: int) -> Iterator[Placed]:
        if self._end is not None:
            yield from self._fill(ticks)

    def shift(self, ticks: int) -> None:
        if self._end is not None:
            self._end += ticks

    def _fill(self, ticks: int) -> Iterator[Placed]:
        assert self._end is not None
        arrival = self._last.arrival if self._last is not None else Monotonic(0.0)
        while ticks - self._end >= SHORTEST:
            duration, payload = opus_silence(ticks - self._end, stereo=self._stereo)
            at = self._end
            self._end = at + duration
            yield EncodedFrame(Codec.OPUS, payload, at, arrival, duration=duration), at


class G711GapFiller:
    """Fills with the code of zero, to the sample. `first` as for Opus."""

    __slots__ = ("_end", "_last", "dropped")

    def __init__(self, first: int | None = None) -> None:
        self._end = first
        self._last: EncodedFrame | None = None
        self.dropped = 0

    @property
    def end(self) -> int:
        return self._end or 0

    def packet(self, frame: EncodedFrame, pts: int) -> Iterator[Placed]:
        if self._end is None:
            self._end = pts
        self._last = frame
        yield from self._fill(pts)
        if self._end - pts > _G711_MAX_SHIFT:
            self.dropped += 1
            return
        at = self._end
        self._end = at + len(frame.payload)
        yield frame, at

    def fill_until(self, ticks: int) -> Iterator[Placed]:
        if self._last is not None:
            yield from self._fill(ticks)

    def shift(self, ticks: int) -> None:
        if self._end is not None:
            self._end += ticks

    def _fill(self, ticks: int) -> Iterator[Placed]:
        assert self._end is not None
        assert self._last is not None
        codec = self._last.codec
        while ticks > self._end:
            duration = min(ticks - self._end, _G711_PIECE)
            at = self._end
            self._end = at + duration
            yield EncodedFrame(codec, G711_SILENCE[codec] * duration, at, self._last.arrival, duration=duration), at


def gap_filler(codec: Codec, first: int | None = None) -> GapFiller:
    """The filler for an audio codec."""
    return OpusGapFiller(first) if codec is Codec.OPUS else G711GapFiller(first)
