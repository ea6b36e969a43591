"""The media thread of a composition: encoded frames of many tracks in, one encoded picture and one sound out.

The event loop posts what arrives and what changes; everything from decoding to mixing happens here, in one thread. The
output is rendered some time behind the present (`Playout`), video and sound each up to the same moment. Pictures go
to the encoder's own thread; when that cannot follow, pictures are left out evenly and counted, sound never is.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future

from pyegress.clock import Monotonic, monotonic
from pyegress.codecs import Kind
from pyegress.media.audio_encoder import AudioEncoder
from pyegress.media.copy_side import CopySide
from pyegress.media.director import Director
from pyegress.media.encoder_thread import EncoderThread
from pyegress.media.engine_messages import (
    Begin,
    Blank,
    End,
    EngineStats,
    Finish,
    Frame,
    Message,
    Order,
    Passed,
    Pause,
    Report,
    Resume,
)
from pyegress.media.picture_side import PictureSide
from pyegress.media.playout import Playout
from pyegress.media.session_timeline import SessionTimeline
from pyegress.media.sound_side import SoundSide
from pyegress.media.steps import Step
from pyegress.media.taps import PictureTap, SoundTap
from pyegress.media.video_encoder import VideoEncoder
from pyegress.plan.encodings import AudioEncoding, VideoEncoding
from pyegress.rtp.frame import EncodedFrame

logger = logging.getLogger(__name__)

#: The mix is made at this rate, Hz.
MIX_RATE = 48_000
#: Seconds between rounds. A thread that slept finds its caches cold, so it is cheaper to do much at a time; only
#: somebody who watches live wants every picture at once.
FILE_ROUND, LIVE_ROUND = 0.2, 0.01
#: Sound is rendered in blocks of this many samples: 100 ms, or 20 ms for somebody who listens live.
_FILE_BLOCK, _LIVE_BLOCK = 4800, 960
#: Seconds between looks while it is not known yet where to begin.
_STARTING_ROUND = 0.05
#: ... and while the output stands still.
_STANDING_ROUND = 0.1
#: Pictures rendered before the inbox is looked at again, when there is much to catch up.
_TICKS_PER_ROUND = 8
#: Frames are handed to their tracks this long before they are due: a lost packet is repaired from the one behind it.
_AHEAD = 0.15
#: How long a picture is taken to last when nothing follows, seconds.
_PICTURE = 1 / 30
_BOTH = frozenset(Kind)


class MediaEngine:
    """Composes the tracks of one egress. `post` from the event loop's thread, `finish` once.

    `on_packet` gets encoded frames of the output in the order of their time, from threads of the engine; timestamps in
    90 kHz for video, in the encoding's sample rate for audio. Only the kinds in `encoded` have an encoder; `pictures`
    and `on_sound` get what is rendered as it is, on the media thread. Kinds in `copies` are not composed: their frames
    go there with their places. `on_failed` is called once, from such a thread.
    A `live` output begins half a second after the first media, and stays that far behind the present.
    """

    def __init__(
        self,
        *,
        video: VideoEncoding | None,
        audio: AudioEncoding | None,
        director: Director | None,
        live: bool,
        on_packet: Callable[[Kind, EncodedFrame], None],
        on_failed: Callable[[BaseException], None],
        encoded: frozenset[Kind] = _BOTH,
        copies: Mapping[Kind, CopySide] | None = None,
        pictures: Sequence[PictureTap] = (),
        on_sound: SoundTap | None = None,
        timeline: SessionTimeline | None = None,
        clock: Callable[[], Monotonic] = monotonic,
    ) -> None:
        self.stats = EngineStats()
        self._clock = clock
        self._on_packet = on_packet
        self._on_failed = on_failed
        self._timeline = timeline or SessionTimeline(exact=not live)
        self._playout = Playout(live=live)
        self._inbox: deque[Message | Order] = deque()
        self._wake = threading.Event()
        #: Frames that are not due yet, by track: their place may still change. With each, whether it begins a stream.
        self._held: dict[str, deque[tuple[EncodedFrame, bool]]] = {}
        #: Tracks whose next frame begins a stream.
        self._first: set[str] = set()
        self._zero: Monotonic | None = None
        self._paused_at: Monotonic | None = None
        #: Up to when was rendered in the last round.
        self._rendered: Monotonic | None = None
        #: Time without anybody in the room that is being filled: from, to.
        self._gap = (Monotonic(0.0), Monotonic(0.0))
        #: Tracks that have ended and not begun again.
        self._ended: set[str] = set()
        #: End of the newest media, on the output's clock.
        self._media_end = Monotonic(0.0)
        self._director, self._live = director, live
        self._round, self._block = (LIVE_ROUND, _LIVE_BLOCK) if live else (FILE_ROUND, _FILE_BLOCK)
        self._video_encoding, self._audio_encoding = video, audio
        self._encoded, self._taps, self._on_sound = encoded, pictures, on_sound
        self._copies = dict(copies or {})
        self._video: PictureSide | None = None
        self._audio: SoundSide | None = None
        self._done: Future[None] = Future()
        self._thread = threading.Thread(target=self._run, name="media", daemon=True)
        self._thread.start()

    @property
    def zero(self) -> Monotonic | None:
        """The moment of the output's second 0; None before rendering begins."""
        return self._zero

    @property
    def rendered(self) -> Monotonic | None:
        """Up to when was rendered; None before rendering begins."""
        return self._rendered

    @property
    def audio_encoder(self) -> AudioEncoder | None:
        """The encoder of the sound, once the media thread has opened it; None if nobody wants encoded sound."""
        return self._audio.encoder if self._audio is not None else None

    def request_keyframe(self) -> None:
        """Make the next picture a key frame: somebody begins to watch. Several who ask at once get the same one, half a
        second after any other at the earliest. Any thread; never blocks."""
        if self._video is not None:
            self._video.request_keyframe()

    def steps(self) -> list[Step]:
        """Decoders, picture and mix with their counters. Any thread."""
        sides = [side for side in (self._video, self._audio, *self._copies.values()) if side is not None]
        return [step for side in sides for step in side.steps()]

    def post(self, message: Message | Passed) -> None:
        """Something arrived or changed. Any thread; never blocks."""
        self._inbox.append(message)

    def finish(self, end: Monotonic | None) -> Future[None]:
        """Render what is held, up to `end` or (None) to the end of the media, and flush the encoders. Idempotent."""
        self._inbox.append(Finish(end))
        self._wake.set()
        return self._done

    # -- the media thread -----------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            self._open()
            while (finish := self._drain()) is None:
                rest = self._render_until(self._goal(self._clock()))
                if rest > 0:
                    self._wake.wait(rest)
            self._finish(finish.end)
            self._done.set_result(None)
        except BaseException as error:
            logger.exception("the media thread failed")
            self._on_failed(error)
            self._abandon()
            self._done.set_exception(error)

    def _open(self) -> None:
        if self._video_encoding is not None:
            assert self._director is not None
            encoder = self._video_encoder(self._video_encoding) if Kind.VIDEO in self._encoded else None
            self._video = PictureSide(
                self._video_encoding, self._director, encoder, self._taps, self.stats, ended=self._ended
            )
        if self._audio_encoding is not None:
            speaker = AudioEncoder(self._audio_encoding) if Kind.AUDIO in self._encoded else None
            self._audio = SoundSide(speaker, self._on_sound, self._on_packet, self._block)

    def _video_encoder(self, encoding: VideoEncoding) -> EncoderThread:
        return EncoderThread(
            VideoEncoder(encoding, low_latency=self._live),
            on_frame=lambda frame: self._on_packet(Kind.VIDEO, frame),
        )

    def _abandon(self) -> None:
        if self._video is not None:
            self._video.abort()

    def _drain(self) -> Finish | None:
        inbox = self._inbox
        while inbox:
            match inbox.popleft():
                case Frame() as message:
                    self._frame(message)
                case Report(track=track) as report:
                    self._timeline.report(track, report.sender_time, report.timestamp, report.arrival)
                case Begin() as begin:
                    self._begin(begin)
                case Blank() as blank:
                    self._timeline.muted(blank.track, blank.at)
                    if self._video is not None:
                        self._video.change(blank)
                    for copies in self._copies.values():
                        copies.mute(blank.track, blank.at - self._zero if self._zero is not None else 0.0)
                case End() as end:
                    self._end(end)
                case Pause(at=at):
                    self._paused_at = at
                case Resume(at=at):
                    if self._paused_at is not None:
                        self._gap, self._paused_at = (self._paused_at, at), None
                case Passed(at=at):
                    self._pass(at)
                case Finish() as finish:
                    return finish
        return None

    def _pass(self, at: Monotonic) -> None:
        """Render what is due at `at`, where the clock then stands."""
        self._clock = lambda: at
        while not self._render_until(self._goal(at)):
            pass

    def _begin(self, begin: Begin) -> None:
        self._timeline.begin_stream(begin.track, begin.publisher, begin.codec)
        self._ended.discard(begin.track)
        self._held.setdefault(begin.track, deque())
        self._first.add(begin.track)
        if (copies := self._copies.get(begin.codec.kind)) is not None:
            copies.begin(begin.track)
        elif begin.codec.kind is Kind.VIDEO and self._video is not None:
            self._video.begin(begin.track)
        elif begin.codec.kind is Kind.AUDIO and self._audio is not None:
            self._audio.begin(begin)

    def _end(self, end: End) -> None:
        self._timeline.end_stream(end.track)
        self._ended.add(end.track)
        if self._video is not None:
            self._video.change(end)

    def _frame(self, message: Frame) -> None:
        frame, track = message.frame, message.track
        self._timeline.arrived(track, frame.timestamp, frame.arrival)
        first = track in self._first
        self._first.discard(track)
        self._held[track].append((frame, first))

    def _hand_out(self, zero: Monotonic, until: float) -> None:
        """Give the tracks the frames that lie before `until`."""
        place = self._timeline.place
        over = []
        for track, held in self._held.items():
            while held and (at := place(track, held[0][0].timestamp)) <= until:
                frame, first = held.popleft()
                length = frame.duration / frame.codec.clock_rate or _PICTURE
                self._media_end = max(self._media_end, Monotonic(at + length))
                if (copies := self._copies.get(frame.codec.kind)) is not None:
                    copies.push(track, frame, at - zero)
                    continue
                side = self._video if frame.codec.kind is Kind.VIDEO else self._audio
                if side is not None:
                    side.push(track, frame, first, at - zero)
            if not held and track in self._ended:
                over.append(track)
        for track in over:
            del self._held[track]
            for copies in self._copies.values():
                copies.end(track)
            if self._audio is not None:
                self._audio.remove(track)

    def _goal(self, now: Monotonic) -> Monotonic | None:
        """Up to when may be rendered; None before anything may."""
        until = self._playout.until(now, self._timeline)
        self._zero = self._playout.zero
        return until if until is None or self._paused_at is None else min(until, self._paused_at)

    def _render_until(self, until: Monotonic | None) -> float:
        """Render what is due. Returns the seconds until there is more to do, 0 when there is already."""
        zero = self._zero
        if until is None or zero is None:
            return _STARTING_ROUND
        standing, self._rendered = until == self._rendered, until
        seconds = until - zero
        self._hand_out(zero, until + _AHEAD)
        if self._audio is not None:
            self._audio.render(int(seconds * MIX_RATE))
        for copies in self._copies.values():
            copies.render(seconds)
        video = self._video
        if video is None:
            return max(self._round, self._block / MIX_RATE)
        last = int(seconds * video.rate)  # the tick at or before that moment
        filling = zero + video.tick / video.rate < self._gap[1]
        self.stats.lag = 0.0 if filling else (last - video.tick + 1) / video.rate
        for _ in range(_TICKS_PER_ROUND):
            if video.tick > last:
                return max(self._round, _STANDING_ROUND if standing else video.tick / video.rate - seconds)
            video.render(zero, self._gap)
        return 0.0

    def _finish(self, end: Monotonic | None) -> None:
        """Everything that is held, at once."""
        self._playout.flush(self._clock() if end is None else end, self._timeline)
        self._zero = zero = self._playout.zero
        if zero is not None:
            self._hand_out(zero, float("inf") if end is None else end + _AHEAD)
            last = self._media_end if end is None else end
            if self._paused_at is not None:
                last = min(last, self._paused_at)
            self._render_to_end(zero, max(0.0, last - zero))
        if self._audio is not None:
            self._audio.close()
        if self._video is not None:
            self._video.close()

    def _render_to_end(self, zero: Monotonic, seconds: float) -> None:
        if self._audio is not None:
            self._audio.render_to(round(seconds * MIX_RATE))
        for copies in self._copies.values():
            copies.render(seconds)
        if self._video is not None:
            self.stats.lag = 0.0
            self._video.render_to(seconds, zero, self._gap)
