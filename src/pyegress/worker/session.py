"""One recording, copied or encoded, from join to finished files: wires room, files, timers and `EndPolicy`."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from pyegress.clock import Monotonic, monotonic
from pyegress.errors import EgressError, RoomConnectionFailed
from pyegress.lifecycle.recording import EndReason, Lifecycle, RecordingState
from pyegress.media.steps import Step
from pyegress.plan.copy_plan import CopyPlan
from pyegress.plan.recording_plan import RecordingPlan
from pyegress.room.events import (
    Disconnected,
    Participant,
    ParticipantJoined,
    ParticipantLeft,
    ParticipantUpdated,
    Reconnected,
    Reconnecting,
    RoomEvent,
    SubscriptionFailed,
    TrackMuted,
    TrackPublication,
    TrackPublished,
    TrackUnmuted,
    TrackUnpublished,
)
from pyegress.room.room import Room
from pyegress.room.transport import DatagramSeam, TransportState
from pyegress.worker.ending import EndPolicy
from pyegress.worker.feed import Feed
from pyegress.worker.index_file import IndexWriter
from pyegress.worker.joining import check_token, join_unless
from pyegress.worker.looks import Looks
from pyegress.worker.media_recorder import MediaRecorder
from pyegress.worker.presence import Presence
from pyegress.worker.progress import Progress, RecordingResult
from pyegress.worker.recorder import Recorder
from pyegress.worker.silence import SilenceWatch
from pyegress.worker.stop import Stop, end_of_media, result_of, run_to_its_end
from pyegress.worker.terms import terms_of
from pyegress.worker.waiting import describe_room, missing_error, waiting_text

logger = logging.getLogger(__name__)


class RecordingSession:
    """Runs one plan that joins a room. `run` once; `stop` at any time, on the same event loop."""

    def __init__(
        self,
        plan: CopyPlan | RecordingPlan,
        *,
        make_recorder: Callable[[Callable[[Stop | EgressError], None]], MediaRecorder] | None = None,
        on_progress: Callable[[Progress], None] | None = None,
        seam: DatagramSeam | None = None,
    ) -> None:
        """`make_recorder(on_over)` makes the files (copies have their own); `seam` impairs datagrams, for tests."""
        self.plan = plan
        self._terms = terms_of(plan)
        self._seam = seam
        self.lifecycle = Lifecycle()
        self._on_progress = on_progress
        self._inbox: asyncio.Queue[RoomEvent | Stop | EgressError] = asyncio.Queue()
        self._room: Room | None = None
        self._feeds: dict[str, Feed] = {}
        #: Feeds whose end was dealt with.
        self._over: set[Feed] = set()
        self._given_up: set[Feed] = set()
        self._silence = SilenceWatch()
        self._recorder: MediaRecorder
        self._index: IndexWriter | None = None
        if make_recorder is not None:
            self._recorder = make_recorder(self._inbox.put_nowait)
        elif isinstance(plan, CopyPlan):
            copies = Recorder(plan, on_error=self._inbox.put_nowait)
            self._recorder = copies
            if plan.many_files:
                self._index = IndexWriter(copies)
        else:
            raise ValueError("who makes the files of a plan that encodes?")
        #: See `MediaRecorder`.
        self.update_streams = self._recorder.update_streams
        self._policy = EndPolicy(self._terms.source, self._terms.grace)
        self._presence = Presence()
        self._begun = monotonic()
        self._looks = Looks()
        self._waiting_for = ""
        self._end_reason: EndReason | None = None
        #: What keeps the media away, as far as we were told.
        self._hindrance = ""
        #: Why the connection was lost last.
        self._lost = ""
        self._lost_at: Monotonic | None = None

    @property
    def _room_name(self) -> str:
        return self._room.name if self._room is not None else self._terms.connection.room

    def stop(self, reason: EndReason = EndReason.STOPPED, details: str = "") -> None:
        """Ask for an ordinary end: no more media is taken, files are finished. Idempotent."""
        self._inbox.put_nowait(Stop(reason, details))

    def progress(self) -> Progress:
        """A snapshot of now."""
        now = monotonic()
        room = self._room
        waiting = self._waiting_for
        if room is not None and self.lifecycle.state is RecordingState.WAITING:
            going = [feed for feed in self._feeds.values() if not feed.ended]
            waiting = waiting_text(self._terms, going, media_connected=room.media_state is TransportState.CONNECTED)
        return Progress(
            state=self.lifecycle.state,
            elapsed=self._recorder.elapsed(now),
            bytes_written=self._recorder.bytes_written,
            tracks=tuple(feed.progress(now) for feed in self._feeds.values() if not feed.ended),
            waiting_for=waiting,
            seen=describe_room(room.participants) if room is not None and waiting else (),
            reconnecting=self._policy.reconnecting,
            end_reason=self._end_reason,
            paths=tuple(self._recorder.paths),
            streams=self._recorder.streams,
            started_at=self._recorder.started_at,
            spans=self._recorder.track_spans(),
        )

    def steps(self) -> list[Step]:
        """What it is made of behind its sources."""
        return self._recorder.steps()

    async def run(self) -> RecordingResult:
        """Record until the end. Errors do not raise: they are in the result, beside what was recorded."""
        return await run_to_its_end(self._record, self._finish)

    async def _record(self) -> Stop:
        self._report()
        check_token(self._terms.connection)  # before folders are made for nothing
        self._recorder.check_output()
        room = await join_unless(self._next_stop(), self._terms, on_waiting=self._say_waiting, seam=self._seam)
        if isinstance(room, Stop):
            return room
        self._room = room
        self._recorder.joined(room.name, room.sid)
        self._move(RecordingState.WAITING, f"joined room {room.name!r}")
        self._waiting_for = ""
        self._begun = monotonic()
        room.add_listener(self._inbox.put_nowait)
        for participant in list(room.participants.values()):
            self._recorder.on_event(ParticipantJoined(self._begun, participant))
            self._arrived(participant)
        return await self._follow()

    async def _next_stop(self) -> Stop:
        while not isinstance(message := await self._inbox.get(), Stop):
            pass
        return message

    async def _follow(self) -> Stop:
        """Handle events and ticks until one of them is the end."""
        loop = asyncio.get_running_loop()
        while True:
            waiting = self.lifecycle.state is RecordingState.WAITING
            try:
                async with asyncio.timeout_at(self._looks.at(loop.time(), waiting=waiting)):
                    message = await self._inbox.get()
            except TimeoutError:
                self._look_for_media()
                stop = self._tick(monotonic()) if self._looks.ticks(loop.time()) else None
            else:
                match message:
                    case Stop():
                        stop = message
                    case EgressError():
                        stop = Stop(EndReason.FAILURE, error=message)
                    case _:
                        stop = self._on_event(message)
            if stop is not None:
                return stop

    def _on_event(self, event: RoomEvent) -> Stop | None:
        self._recorder.on_event(event)
        match event:
            case ParticipantJoined(participant=participant):
                self._arrived(participant)
            case ParticipantUpdated(participant=participant):
                self._seen(participant)
            case ParticipantLeft(participant=participant):
                if self._presence.left(participant, event.at):
                    self._recorder.room_empty(event.at)
                for sid in participant.tracks:
                    self._gone(sid, event.at)
                self._policy.participant_left(participant.identity, event.at)
            case TrackPublished(participant=participant, track=track):
                self._offered(participant, track)
            case TrackUnpublished(track=track):
                self._gone(track.sid, event.at)
            case TrackMuted(track=track) | TrackUnmuted(track=track):
                if feed := self._feeds.get(track.sid):
                    feed.set_muted(track.muted, event.at)
            case SubscriptionFailed(track_sid=sid, error=error, final=final):
                return self._refused(sid, error, final)
            case Reconnecting(cause=cause):
                self._policy.connection_lost()
                self._lost = cause
                self._lost_at = event.at
            case Reconnected():
                self._policy.connection_back(event.at)
                self._lost_at = None
                for feed in self._feeds.values():
                    feed.expect_from(event.at)
            case Disconnected(error=error, reason=reason):
                return Stop(EndReason.FAILURE if error else EndReason.SOURCE_CLOSED, reason.replace("_", " "), error)
        return self._source_over(event.at)

    def _arrived(self, participant: Participant) -> None:
        self._policy.participant_there(participant.identity)
        self._seen(participant)
        for track in participant.tracks.values():
            self._offered(participant, track)

    def _seen(self, participant: Participant) -> None:
        if self._presence.there(participant):
            self._recorder.room_empty(None)

    def _offered(self, participant: Participant, track: TrackPublication) -> None:
        """A publication is there: record it if it is wanted. What cannot be does not end a recording that has begun."""
        assert self._room is not None
        source = track.source.value
        known = self._feeds.get(track.sid)
        try:
            wanted = self._terms.choice.takes(participant, track)
            if not (wanted or self._policy.replaces_lost(participant.identity, source)):
                return
            if known is not None and not known.ended:
                return
            feed = self._recorder.feed(participant, track)
            self._feeds[track.sid] = feed
            feed.subscription = self._room.subscribe(track.sid, feed)
            self._looks.expect_media(asyncio.get_running_loop().time())
        except EgressError as error:
            if not self._recorder.started and not self._terms.follows_room:
                raise
            self._recorder.warn(f"The {source} of {participant.identity!r} is not recorded: {error}")
            return
        self._policy.track_taken(track.sid, participant.identity, source)
        logger.info("recording %s of %r (%s, %s)", source, participant.identity, track.sid, track.mime)

    def _gone(self, sid: str, now: Monotonic) -> None:
        feed = self._feeds.get(sid)
        if feed is not None and feed not in self._over:
            self._over.add(feed)
            feed.end()
            self._recorder.track_over(feed)
            logger.info("%s of %r ended (%s)", feed.source, feed.identity, sid)
        self._policy.track_gone(sid, now)

    def _refused(self, sid: str, error: EgressError, final: bool) -> Stop | None:
        """The server does not send us a track that it announced."""
        if sid not in self._feeds:
            return None
        if not final:
            self._hindrance = str(error)
            self._recorder.warn(str(error))
            return None
        self._gone(sid, monotonic())
        self._recorder.warn(str(error))
        if self._recorder.started or self._terms.follows_room:
            return self._source_over(monotonic())
        return Stop(EndReason.FAILURE, error=error)

    def _look_for_media(self) -> None:
        if self.lifecycle.state is RecordingState.WAITING and self._recorder.started:
            self._move(RecordingState.ACTIVE, "first media arrived")
            self._report()

    def _tick(self, now: Monotonic) -> Stop | None:
        self._recorder.tick(now)
        self._find_given_up(now)
        self._watch_silence(now)
        if self._index is not None and self._recorder.started:
            self._index.tick(now, self._room_name)
        self._report()
        return self._limit_reached(now) or self._source_over(now) or self._waited_too_long(now)

    def _limit_reached(self, now: Monotonic) -> Stop | None:
        duration, size = self._terms.duration, self._terms.max_file_size
        if duration is not None and self._recorder.elapsed(now) >= duration + self._terms.latency:
            return Stop(EndReason.LIMIT_REACHED, "the duration is reached")
        if size is not None and self._recorder.bytes_written >= size:
            return Stop(EndReason.LIMIT_REACHED, "the file size is reached")
        return None

    def _source_over(self, now: Monotonic) -> Stop | None:
        over = self._policy.over(now)
        return Stop(EndReason.SOURCE_CLOSED, over) if over is not None else None

    def _waited_too_long(self, now: Monotonic) -> Stop | None:
        """Nothing has arrived: the source is missing, or its media does not get through. A muted track may wait."""
        limit = self._terms.wait
        room = self._room
        if room is None or limit is None or self._recorder.started:
            return None
        waiting = [feed for feed in self._feeds.values() if not feed.ended]
        if now - self._begun < limit or (waiting and all(feed.is_muted for feed in waiting)):
            return None
        if room.media_error is not None:
            return Stop(EndReason.FAILURE, error=room.media_error)
        if self._policy.reconnecting:
            remedy = "Check that livekit-server runs, and that UDP from it gets through"
            return Stop(EndReason.FAILURE, error=RoomConnectionFailed(self._lost, remedy=remedy))
        error = missing_error(
            self._terms,
            room.name,
            room.participants,
            waiting,
            limit,
            media_connected=room.media_state is TransportState.CONNECTED,
            hindrance=self._hindrance,
        )
        return Stop(EndReason.FAILURE, error=error)

    def _find_given_up(self, now: Monotonic) -> None:
        """Tracks that ended without an event: the room gives a track up when we fail on its frames."""
        ended = {feed for feed in self._feeds.values() if feed.ended and feed not in self._over}
        for feed in ended & self._given_up:
            self._recorder.warn(f"The {feed.source} of {feed.identity!r} was given up after an error inside pyegress")
            self._gone(feed.track_id, now)
        # Only at the second look: the event may be on its way.
        self._given_up = ended

    def _watch_silence(self, now: Monotonic) -> None:
        """Say so when a track that should send does not."""
        if self._policy.reconnecting:
            return
        elapsed = self._recorder.elapsed(now) if self._recorder.started else None
        for text in self._silence.warnings(self._feeds.values(), now, elapsed):
            self._recorder.warn(text)

    async def _finish(self, stop: Stop) -> RecordingResult:
        self._end_reason = stop.reason
        self._move(RecordingState.ENDING, stop.details or stop.reason.value)
        self._waiting_for = ""
        self._report()
        now = monotonic()
        for feed in self._feeds.values():
            feed.end()
        started = self._recorder.started
        end = end_of_media(stop, self._terms, self._presence, self._policy, self._lost_at, now)
        room = self._room
        name, sid = self._room_name, room.sid if room is not None else ""
        try:
            recorded = await self._recorder.finish(end)
            if self._index is not None and started:
                await self._index.finish(name)
        finally:
            if room is not None:
                await room.aclose()
        error = stop.error or self._late_error() or next(iter(recorded.errors), None)
        ours = self._recorder
        result = result_of(
            stop,
            recorded,
            error,
            started_at=ours.started_at,
            warnings=ours.warnings,
            tracks=ours.track_spans(),
            room_name=name,
            room_sid=sid,
        )
        self._move(result.state, stop.details or result.reason.value)
        self._report()
        return result

    def _late_error(self) -> EgressError | None:
        """An error of the files that came while they were finished."""
        while not self._inbox.empty():
            if isinstance(message := self._inbox.get_nowait(), EgressError):
                return message
        return None

    def _say_waiting(self, what: str) -> None:
        self._waiting_for = what
        self._report()

    def _move(self, new: RecordingState, reason: str) -> None:
        logger.info("%s -> %s: %s", self.lifecycle.state.value, new.value, reason)
        self.lifecycle.move(new, reason)

    def _report(self) -> None:
        if self._on_progress is not None:
            self._on_progress(self.progress())
