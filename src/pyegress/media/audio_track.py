"""One audio track on the session clock: packets in with their times, windows of stereo samples out.

Packets are decoded when they are due. Those that follow one another make a `Segment`; a segment ends where sound stops
(mute, DTX, a long loss) or where its place has moved too far to be caught up, and the next one is placed anew.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pyegress.codecs import Codec
from pyegress.media.audio_decoder import AudioDecoder, audio_decoder
from pyegress.media.audio_segment import Segment
from pyegress.rtp.frame import EncodedFrame

#: Samples per second of everything here.
RATE = 48_000
#: Beyond this sound is placed anew instead of being moved slowly, samples: 60 ms.
MAX_MOVE = 2880
#: Loss is concealed for at most this long, and an end of sound fades within this, samples.
CONCEALED, TAIL = 2880, 960
#: Below this nothing is moved, samples: 0.5 ms.
_TOLERANCE = 24
#: Packets that are kept when nobody reads, samples: 10 s.
_KEPT = 10 * RATE
#: Packets whose times decide where sound is placed, and those that decide how it is moved.
_PLACING, _MOVING = 25, 128
#: Packets that decide whether a time that is far off is meant.
_WITNESSES = 5
#: Windows between two looks at whether sound has to be moved.
_LOOK = 10
#: The least packets before sound is moved.
_ENOUGH = 25


@dataclass(slots=True)
class SoundCounters:
    """What became of a track: packets, but `silence` in samples."""

    decoded: int = 0
    concealed: int = 0
    fec: int = 0
    late: int = 0
    dropped: int = 0
    replaced: int = 0
    silence: int = 0


class _Queued(NamedTuple):
    frame: EncodedFrame
    #: RTP time in samples of 48 kHz, and session samples minus it.
    ticks: int
    offset: float
    duration: int


class AudioTrack:
    """A track's sound. `push` and `read` are called by one thread."""

    __slots__ = (
        "_codec",
        "_decoder",
        "_due",
        "_end",
        "_leaving",
        "_offset",
        "_past",
        "_playing",
        "_queue",
        "_reads",
        "_waiting",
        "counters",
    )

    def __init__(self, codec: Codec, decoder: AudioDecoder | None = None) -> None:
        self._codec = codec
        self._decoder = decoder or audio_decoder(codec)
        self._queue: deque[_Queued] = deque()
        #: Offsets of packets that have been played.
        self._past: deque[float] = deque(maxlen=_MOVING)
        self._playing: Segment | None = None
        self._leaving: list[Segment] = []
        #: RTP time (samples) that follows what is decoded, and the whole samples to the session clock in force.
        self._end = 0
        self._offset = 0
        #: Samples in the queue.
        self._waiting = 0
        self._reads = 0
        #: Session sample that is read next; None before the first read.
        self._due: int | None = None
        self.counters = SoundCounters()

    @property
    def drained(self) -> bool:
        """Whether everything that came has been read."""
        return not self._queue and self._playing is None and not self._leaving

    @property
    def damaged(self) -> int:
        """Packets that could not be decoded."""
        return self._decoder.damaged

    def push(self, frame: EncodedFrame, at: float) -> None:
        """A packet, in order, whose first sample belongs to `at` seconds of the session."""
        scale = RATE // self._codec.clock_rate
        ticks = frame.timestamp * scale
        packet = _Queued(frame, ticks, at * RATE - ticks, (frame.duration or 960 // scale) * scale)
        self._queue.append(packet)
        self._waiting += packet.duration
        while self._waiting > _KEPT:
            self._next()
            self.counters.dropped += 1

    def read(self, start: int, count: int) -> NDArray[np.float32] | None:
        """Samples (count, 2) from session sample `start`, where the last window ended; None for silence."""
        if self._due is not None and start < self._due:
            raise ValueError(f"sample {start} has been read: the next one is {self._due}")
        if self._due is not None and start > self._due:
            self._playing = None
            self._leaving.clear()
        self._due = start
        stop = start + count
        while self._advance(stop):
            pass
        segments = [*self._leaving, self._playing] if self._playing else self._leaving
        out: NDArray[np.float32] | None = None
        for segment in segments:
            if segment.at < stop:
                out = np.zeros((count, 2), np.float32) if out is None else out
                segment.read_into(out, start)
        self._due = stop
        self._leaving = [segment for segment in self._leaving if not segment.over]
        if self._playing is not None:
            self._reads += 1
            if self._reads % _LOOK == 0:
                self._follow(self._playing)
        if out is None:
            self.counters.silence += count
        return out

    def _advance(self, stop: int) -> bool:
        """One step towards what `stop` needs: decode, conceal, end or begin a segment. False when there is enough."""
        assert self._due is not None
        playing = self._playing
        if playing is not None and playing.needed(stop - playing.at) <= 0:
            return False
        if not self._queue:
            self._stop_playing()
            return False
        packet = self._queue[0]
        gap = packet.ticks - self._end
        if playing is None:
            return self._begin(packet, stop)
        if abs(self._place() - self._offset) > MAX_MOVE or gap < -CONCEALED:
            return self._replace(packet, stop)
        if gap + packet.duration <= 0:
            # The server's first silence after a mute has the time of the last packet. Decoded and cut off, it would end
            # the sound before it with a click.
            self._next()
            self.counters.late += 1
            return True
        lost = packet.frame.discontinuity
        if gap > (CONCEALED if lost else TAIL):
            if lost:
                self.counters.concealed += 1
                playing.append(self._faded(CONCEALED))
                self._end += CONCEALED
                playing.end()
                self._leave(playing)
            else:
                self._stop_playing()
            return self._begin(packet, stop)
        if gap > 0:
            playing.append(self._bridge(packet, gap))
        self._next()
        self._past.append(packet.offset)
        sound = self._decode(packet)
        self._end = max(self._end, packet.ticks + len(sound))
        playing.append(sound[-gap:] if gap < 0 else sound)
        return True

    def _begin(self, packet: _Queued, stop: int) -> bool:
        """Place a new segment, if it is due; what is too late for it goes."""
        assert self._due is not None
        offset = round(self._place())
        at = packet.ticks + offset - self._decoder.delay
        if at >= stop:
            return False
        self._next()
        if at + packet.duration <= self._due:
            self.counters.late += 1
            return True
        self._past.clear()
        self._past.append(packet.offset)
        recovered = None
        if packet.frame.discontinuity and at - packet.duration >= self._due:
            recovered = self._decoder.recover(packet.frame.payload, packet.duration)
        sound = self._decode(packet)
        self._end = packet.ticks + len(sound)
        if recovered is not None:
            self.counters.fec += 1
            at -= len(recovered)
            sound = np.concatenate((recovered, sound))
        if at < self._due:
            sound = sound[self._due - at :]
            at = self._due
        for segment in self._leaving:
            segment.cut(at)
        self._playing = Segment(at)
        self._playing.append(sound)
        self._offset = offset
        return True

    def _replace(self, packet: _Queued, stop: int) -> bool:
        """The place has moved too far: what plays ends, with a cross-fade if it reaches into its successor."""
        assert self._due is not None
        at = round(packet.ticks + self._place()) - self._decoder.delay
        if at + packet.duration <= self._due:
            self._next()
            self.counters.late += 1
            return True
        self.counters.replaced += 1
        self._stop_playing()
        return True if at < stop else not self._queue

    def _place(self) -> float:
        """Session samples minus RTP samples for the next packet.

        One packet whose time is out of line with those around it is not believed; what comes behind a step of all
        times (a stream that begins anew) says nothing about what comes before.
        """
        front = self._queue[0]
        offsets = [packet.offset for packet in islice(self._queue, _PLACING)]
        believable = front.offset - MAX_MOVE <= min(offsets) and max(offsets) <= front.offset + MAX_MOVE
        if believable and 2 * len(offsets) >= _WITNESSES:
            return _median(offsets)  # the usual: all agree, and are enough to be believed
        near = [offset for offset in offsets if abs(offset - front.offset) <= MAX_MOVE]
        around = offsets[:_WITNESSES]
        continuous = self._playing is not None and abs(front.ticks - self._end) <= CONCEALED
        if continuous:
            past = self._past
            around += [past[-1 - i] for i in range(min(_WITNESSES - len(around), len(past)))]
        alone = 2 * sum(abs(offset - front.offset) <= MAX_MOVE for offset in around) < len(around)
        believed = near
        if alone and (continuous or abs(_median(around) - front.offset) < RATE):
            believed = around if abs(front.offset - self._offset) > MAX_MOVE or not continuous else near
        return _median(believed)

    def _follow(self, playing: Segment) -> None:
        """Begin a correction when sound is not where its packets say that it belongs."""
        known = len(self._past) + len(self._queue)
        if playing.correcting or playing.ended or known < _ENOUGH:
            return
        offsets = sorted([*self._past, *(self._queue[i].offset for i in range(min(len(self._queue), _MOVING // 2)))])
        quarter = len(offsets) // 4
        inner = offsets[quarter : len(offsets) - quarter]
        error = sum(inner) / len(inner) - self._offset
        unsure = (inner[-1] - inner[0]) / len(offsets) ** 0.5
        if max(_TOLERANCE, unsure) < abs(error) <= 2 * MAX_MOVE:
            playing.correct(round(error))
            self._offset += round(error)

    def _next(self) -> None:
        self._waiting -= self._queue.popleft().duration

    def _decode(self, packet: _Queued) -> NDArray[np.float32]:
        self.counters.decoded += 1
        return self._decoder.decode(packet.frame.payload, packet.duration)

    def _bridge(self, packet: _Queued, gap: int) -> NDArray[np.float32]:
        """The `gap` samples before a packet: from its FEC, else concealed."""
        if packet.frame.discontinuity:
            recovered = self._decoder.recover(packet.frame.payload, gap)
            if recovered is not None:
                self.counters.fec += 1
                return recovered
        self.counters.concealed += 1
        return self._decoder.conceal(gap)

    def _faded(self, count: int) -> NDArray[np.float32]:
        """Concealment that goes to nothing."""
        sound = self._decoder.conceal(count)
        return sound * np.linspace(1, 0, len(sound), dtype=np.float32)[:, None]

    def _stop_playing(self) -> None:
        if (playing := self._playing) is not None:
            playing.append(self._faded(TAIL))
            playing.end()
            self._leave(playing)

    def _leave(self, segment: Segment) -> None:
        self._leaving.append(segment)
        self._playing = None


def _median(values: list[float]) -> float:
    return sorted(values)[len(values) // 2]
