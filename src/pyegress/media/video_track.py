"""The pictures of one video track on the output's clock: queued encoded, decoded when they are due."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import av

from pyegress.media.pacing import Pacer
from pyegress.media.video_decoder import VideoDecoder, is_placeholder
from pyegress.rtp.frame import EncodedFrame

#: Most that waits to be due: some ten seconds of a busy 1080p stream. A timeline that leads further is wrong.
MAX_WAITING_BYTES = 16 << 20
MAX_WAITING_FRAMES = 1200
#: Publishers send nothing while muted. What comes this many seconds after the frame before was made after the mute.
_PAUSE = 0.5


@dataclass(slots=True)
class VideoCounters:
    """What became of the frames of a track, and of the ticks of the output."""

    #: Frames decoded, shown or not.
    decoded: int = 0
    #: Pictures that came to be seen.
    shown: int = 0
    #: Frames passed over: not decoded because a later key frame was due too, or because they needed missing ones.
    skipped: int = 0
    #: Ticks at which the last picture was shown once more.
    held: int = 0
    #: Frames that could not be decoded.
    damaged: int = 0
    #: Frames thrown away because too much was waiting.
    dropped: int = 0
    #: Pictures that stand for a muted track.
    placeholders: int = 0


@dataclass(frozen=True, slots=True)
class _Waiting:
    frame: EncodedFrame
    at: float
    #: The first of a stream that does not continue the one before.
    first: bool


class VideoTrack:
    """One track of the room. All calls come from one thread; times are session seconds, `period` is 1 / output fps."""

    def __init__(self, period: float) -> None:
        self.counters = VideoCounters()
        self._pacer = Pacer(period)
        self._decoder: VideoDecoder | None = None
        self._waiting: deque[_Waiting] = deque()
        self._bytes = 0
        self._picture: av.VideoFrame | None = None
        self._changed = False
        self._begun = True
        #: Nothing is shown until a key frame, or a pause, proves that it was made after `blank`.
        self._blank = False
        self._last_at: float | None = None

    @property
    def picture(self) -> av.VideoFrame | None:
        """What is seen now, as decoded: any size, format and colours, which `Canvas` converts where it is drawn.

        None before the first picture and after `blank`.
        """
        return self._picture

    @property
    def expecting(self) -> bool:
        """Whether there is no picture although the track is not known to be muted: its first one is on its way."""
        return self._picture is None and not self._blank

    @property
    def waiting(self) -> int:
        """Frames that were pushed and are not due yet."""
        return len(self._waiting)

    def begin_stream(self) -> None:
        """What is pushed from now on comes from another encoder or connection, and begins with a key frame.

        The last picture stays until the new stream's first. A change of codec needs no call.
        """
        self._begun = True

    def push(self, frame: EncodedFrame, at: float) -> None:
        """Queue a frame, in decoding order, captured at `at`."""
        if self._waiting and self._waiting[-1].frame.codec is not frame.codec:
            self._begun = True
        self._waiting.append(_Waiting(frame, at, self._begun))
        self._begun = False
        self._bytes += len(frame.payload)
        if self._bytes > MAX_WAITING_BYTES or len(self._waiting) > MAX_WAITING_FRAMES:
            self._make_room()

    def blank(self) -> None:
        """No picture any more (mute, unpublish), until there is one that was made later: a key frame's, or one that
        follows a pause in what was sent. Frames that were on their way at the mute are decoded, not shown."""
        self._changed |= self._picture is not None
        self._picture = None
        self._blank = True

    def advance(self, tick: float) -> bool:
        """Go to the output tick `tick`; whether `picture` is another one than after the call before."""
        count = self._pacer.due(tick, (waiting.at for waiting in self._waiting))
        self.counters.held += count == 0 and self._picture is not None
        if count:
            shown = self._decode([self._take() for _ in range(count)])
            if shown is not None:
                self._picture = shown
                self.counters.shown += 1
                self._changed = True
        changed, self._changed = self._changed, False
        return changed

    def _take(self) -> _Waiting:
        taken = self._waiting.popleft()
        self._bytes -= len(taken.frame.payload)
        return taken

    def _decode(self, due: list[_Waiting]) -> av.VideoFrame | None:
        """The newest picture of what is due, if any may be shown."""
        # What comes before a key frame that is due as well is not needed: neither seen nor referred to.
        start = max((index for index, waiting in enumerate(due) if waiting.frame.keyframe), default=0)
        self.counters.skipped += start
        shown: av.VideoFrame | None = None
        for waiting in due[start:]:
            self._note_pause(waiting)
            for picture in self._decode_one(waiting):
                if is_placeholder(picture):
                    self.counters.placeholders += 1
                elif not self._blank:
                    shown = picture
        return shown

    def _decode_one(self, waiting: _Waiting) -> list[av.VideoFrame]:
        frame = waiting.frame
        if self._decoder is None or self._decoder.codec is not frame.codec:
            self._decoder = VideoDecoder(frame.codec)
        elif waiting.first:
            self._decoder.reset()
        decoder, counters = self._decoder, self.counters
        before = (decoder.decoded, decoder.skipped, decoder.damaged)
        pictures = decoder.decode(frame)
        counters.decoded += decoder.decoded - before[0]
        counters.skipped += decoder.skipped - before[1]
        counters.damaged += decoder.damaged - before[2]
        if frame.keyframe and not all(is_placeholder(picture) for picture in pictures):
            self._blank = False
        return pictures

    def _note_pause(self, waiting: _Waiting) -> None:
        if self._blank and self._last_at is not None and waiting.at - self._last_at >= _PAUSE:
            self._blank = False
        self._last_at = waiting.at

    def _make_room(self) -> None:
        """Throw away the oldest group of pictures, so that decoding goes on at a key frame."""
        while self._waiting:
            self._take()
            self.counters.dropped += 1
            if self._waiting and self._waiting[0].frame.keyframe:
                return
            small = self._bytes <= MAX_WAITING_BYTES // 2 and len(self._waiting) <= MAX_WAITING_FRAMES // 2
            if small:
                break
        if self._waiting:  # no key frame among them: what is left refers to what is gone
            head = self._waiting.popleft()
            self._waiting.appendleft(_Waiting(head.frame, head.at, True))
