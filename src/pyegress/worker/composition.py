"""One transcoded recording, or a live copy: the tracks of a plan, composed and mixed or as they are, in its outputs."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path

from livekit.protocol import egress as pb

from pyegress.clock import Monotonic, Wall, monotonic, wall
from pyegress.codecs import Codec, Kind
from pyegress.errors import EgressError, Fault, OutputFailed
from pyegress.lifecycle.outcome import StreamOutcome
from pyegress.lifecycle.timeline import TrackSpan
from pyegress.media.engine import MediaEngine
from pyegress.media.engine_messages import Begin, Blank, End, Frame, Message, Pause, Report, Resume
from pyegress.media.steps import Step
from pyegress.media.taps import PictureTap
from pyegress.media.video_encoder import check_hardware
from pyegress.outputs.file_writer import FileResult
from pyegress.outputs.images import Shown
from pyegress.outputs.muxer import StreamSpec
from pyegress.plan.file_names import waits_for_publisher
from pyegress.plan.recording_plan import RecordingPlan
from pyegress.plan.refusals import websocket_takes_no_video
from pyegress.plan.selection import OneTrack
from pyegress.plan.sources import Channel
from pyegress.room.events import (
    Participant,
    ParticipantJoined,
    RoomEvent,
    SenderReportSeen,
    TrackMuted,
    TrackPublication,
    TrackPublished,
    TrackUnmuted,
    TrackUpdated,
)
from pyegress.rtp.frame import EncodedFrame
from pyegress.worker.choice import channel_of
from pyegress.worker.composed_file import composed_file
from pyegress.worker.delivery import Delivery, InPlace
from pyegress.worker.encoded_outputs import EncodedOutputs, not_recording_yet
from pyegress.worker.feed import Feed
from pyegress.worker.live_copies import LiveCopies
from pyegress.worker.media_recorder import recordable
from pyegress.worker.output_sink import Source
from pyegress.worker.planned_files import check_files, named_files
from pyegress.worker.progress import Recorded, RecordedFile
from pyegress.worker.received import Entry, Opened, ReceivedLog, Staged
from pyegress.worker.stage import stage_of
from pyegress.worker.stop import Stop
from pyegress.worker.stream_specs import spec_of, too_slow

logger = logging.getLogger(__name__)


class Composition:
    """A `MediaRecorder` that encodes, or copies to segments and streams. Methods on the event loop; none blocks."""

    def __init__(
        self,
        plan: RecordingPlan,
        *,
        on_over: Callable[[Stop | EgressError], None],
        delivery: Delivery | None = None,
        received: ReceivedLog | None = None,
    ) -> None:
        """`on_over` ends the recording: with an error, or because nothing is left to record for.

        Raises InvalidRequest for a layout that cannot be. Without `delivery` files stay where they are written; with
        `received` what is not in them yet can be rendered by another process.
        """
        self._plan = plan
        self._delivery = delivery or InPlace()
        self._on_over = on_over
        self._received = received
        self._stage = stage_of(plan, on_warning=self.warn, on_change=lambda at, change: self._note(Staged(at, change)))
        self._copies = LiveCopies(plan, self._delivery, on_warning=self.warn) if plan.passthrough else None
        self._engine: MediaEngine | None = None
        self._outputs: EncodedOutputs | None = None
        self._feeds: list[Feed] = []
        self._tracks: dict[Feed, Participant] = {}
        self._channels: dict[str, Channel] = {}
        self._room = "", ""
        #: What came before there was a name.
        self._early: list[Message] = []
        self._begun: Monotonic | None = None
        self._utc_offset = wall() - monotonic()
        self.warnings: list[str] = []

    # -- what a session asks ----------------------------------------------------------------------------------------

    @property
    def started(self) -> bool:
        """Whether the first media has arrived."""
        return self._begun is not None

    @property
    def started_at(self) -> Wall | None:
        """Second 0 of the output in UTC; before it is known, when the first media arrived."""
        zero = self._engine.zero if self._engine is not None else None
        at = self._begun if zero is None else zero
        return None if at is None else self._utc(at)

    @property
    def bytes_written(self) -> int:
        return self._outputs.bytes_written if self._outputs is not None else 0

    @property
    def paths(self) -> list[Path]:
        return self._outputs.paths if self._outputs is not None else []

    @property
    def streams(self) -> tuple[StreamOutcome, ...]:
        return self._outputs.streams if self._outputs is not None else ()

    def steps(self) -> list[Step]:
        """From the decoders to the outputs."""
        engine, outputs = self._engine, self._outputs
        return [*(engine.steps() if engine is not None else ()), *(outputs.steps() if outputs is not None else ())]

    def elapsed(self, now: Monotonic) -> float:
        """Seconds since the first media."""
        return 0.0 if self._begun is None else max(0.0, now - self._begun)

    def warn(self, text: str) -> None:
        """Something that the user should know, once."""
        if text not in self.warnings:
            self.warnings.append(text)

    # -- what happens -----------------------------------------------------------------------------------------------

    def check_output(self) -> None:
        """Find out before joining what would fail later: no folder, no permission, a name that is taken, no card."""
        if self._copies is not None:
            self._copies.check_output()
        check_files(self._plan, self._delivery)
        if Kind.VIDEO in self._plan.encoded:
            check_hardware(self._plan.video)

    def joined(self, room_name: str, room_sid: str) -> None:
        """Room tokens are known: outputs can be named, and encoders made ready."""
        self._room = room_name, room_sid
        if self._copies is not None:
            self._copies.joined(room_name, room_sid)
        if not waits_for_publisher(self._plan):
            self._open()

    def _open(self, publisher: str = "") -> None:
        room_name, room_sid = self._room
        self._plan = named_files(self._plan, room_name, room_sid, self._delivery, publisher=publisher)
        self._note(Opened(room_name, room_sid, publisher, self._utc_offset))
        loop = asyncio.get_running_loop()
        source = Source(
            kinds=self._plan.encoded | self._plan.copied,
            spec_for=self._spec,
            started_at=lambda: self.started_at,
            describe=self._describe,
            request_keyframe=self._request_keyframe,
            sound_codec=self._sound_codec,
            copied=self._plan.copied,
            shown=self._shown,
        )
        self._outputs = outputs = EncodedOutputs(
            self._plan,
            source,
            self._delivery,
            metadata={"title": room_name, "encoder": "pyegress"},
            copied_file=self._copies.file if self._copies is not None else None,
            on_over=self._on_over,
            on_warning=self.warn,
        )

        def failed(error: BaseException) -> None:
            loop.call_soon_threadsafe(self._on_over, _translated(error))

        def keyframe() -> None:
            loop.call_soon_threadsafe(self._request_keyframe)

        self._engine = MediaEngine(
            video=self._plan.video,
            audio=self._plan.audio,
            director=self._stage.director if self._stage is not None else None,
            live=self._plan.live,
            on_packet=outputs.packet,
            on_failed=failed,
            encoded=self._plan.encoded,
            copies=self._copies.sides(outputs.packet, want_keyframe=keyframe) if self._copies is not None else None,
            pictures=[PictureTap(every, outputs.picture)] if (every := self._plan.image_interval) else [],
            on_sound=outputs.sound if self._plan.raw_sound else None,
        )
        early, self._early = self._early, []
        for message in early:
            self._engine.post(message)

    def feed(self, participant: Participant, track: TrackPublication) -> Feed:
        """The feed of a track that the plan wants. Raises EgressError when it cannot be recorded."""
        recordable(participant, track)
        # Whoever shows the pictures gives the name, else who is heard.
        if self._outputs is None and (track.kind is Kind.VIDEO or not self._plan.with_video):
            self._open(participant.identity)
        rank = len(self._feeds)
        if self._copies is not None:
            feed = self._copies.feed(participant, track, self, rank)
        else:
            feed = Feed(participant, track, self, rank=rank, now=monotonic())
        self._feeds.append(feed)
        self._tracks[feed] = participant
        if feed.kind is Kind.AUDIO:
            channel = channel_of(self._plan.source, participant, track, index=len(self._channels))
            self._channels[feed.track_id] = channel
            if track.muted:
                self._muted(feed.track_id, True, None)
        elif self._stage is not None:
            self._stage.added(feed, participant, monotonic())
        return feed

    def on_event(self, event: RoomEvent) -> None:
        """Anything that happens in the room."""
        match event:
            case ParticipantJoined(participant=participant):
                self._check_sound(*participant.tracks.values())
            case TrackPublished(track=track):
                self._check_sound(track)
            case TrackUpdated(track=track):
                for feed in self._feeds:
                    if feed.track_id == track.sid:
                        feed.size = track.size
            case _:
                pass
        if isinstance(event, TrackMuted):
            self._post(Blank(event.track.sid, event.at))
        if isinstance(event, TrackMuted | TrackUnmuted) and event.track.sid in self._channels:
            self._muted(event.track.sid, isinstance(event, TrackMuted), event.at)
        if self._stage is not None:
            self._stage.on_event(event)

    def room_empty(self, at: Monotonic | None) -> None:
        """Nobody is in the room since `at`; None: somebody is back."""
        if not self._plan.live:
            self._post(Resume(monotonic()) if at is None else Pause(at))

    def track_over(self, feed: Feed) -> None:
        """A track is over for good."""
        if self._copies is not None:
            self._copies.track_over(feed)

    def update_streams(self, request: pb.UpdateStreamRequest) -> None:
        """Add and remove destinations of the stream. Raises EgressError, also for parts of what was asked."""
        if self._outputs is None:
            raise not_recording_yet()
        self._outputs.update_streams(request)

    def tick(self, now: Monotonic) -> None:
        """Time passes; the media thread sees to that itself."""
        if self._received is not None and self._engine is not None:
            self._received.look(now, self._begun, self._engine.rendered)
        if self._copies is not None:
            self._copies.tick(now)

    def track_spans(self) -> tuple[TrackSpan, ...]:
        """Every publication that was recorded, in the order in which they came."""
        return tuple(filter(None, (feed.track_span(self._utc_offset) for feed in self._feeds)))

    async def finish(self, end: Monotonic | None) -> Recorded:
        """Render what is held, up to `end` or to the end of the media, and finish every output."""
        engine, outputs = self._engine, self._outputs
        if engine is None or outputs is None:
            self._forget_received()
            return Recorded()
        zero = engine.zero or self._begun
        if end is not None and zero is not None and self._plan.max_duration is not None:
            end = min(end, Monotonic(zero + self._plan.max_duration))
        if self._copies is not None and self._copies.file is not None:
            self._copies.file.end = end
        try:
            await asyncio.wrap_future(engine.finish(end))
        except Exception as error:
            # Said by on_failed already; what was encoded is kept.
            logger.debug("finishing after an error: %r", error)
        if text := too_slow(engine.stats):
            self.warn(text)
        recorded = await outputs.finish()
        self._forget_received()
        return recorded

    # -- TrackTarget ------------------------------------------------------------------------------------------------

    def begin_stream(self, feed: Feed, codec: Codec) -> None:
        channel = self._channels.get(feed.track_id, Channel.BOTH)
        self._post(Begin(feed.track_id, self._tracks[feed].sid, codec, channel))

    def frame(self, feed: Feed, frame: EncodedFrame) -> None:
        if self._begun is None:
            self._begun = frame.arrival
        self._post(Frame(feed.track_id, frame))
        if self._copies is not None:
            self._copies.arrived(feed, frame)
        if self._plan.raw_sound and feed.kind is Kind.AUDIO and self._outputs is not None:
            self._outputs.published(frame)

    def report(self, feed: Feed, report: SenderReportSeen) -> None:
        self._post(Report(feed.track_id, report.sender_time, report.timestamp, report.arrival))

    def end_stream(self, feed: Feed) -> None:
        now = monotonic()
        self._post(End(feed.track_id, now))
        if feed.kind is Kind.VIDEO and self._stage is not None:
            self._stage.removed(feed, now)

    # -- inside -----------------------------------------------------------------------------------------------------

    def _note(self, entry: Entry) -> None:
        if self._received is not None:
            self._received.note(entry)

    def _forget_received(self) -> None:
        if self._received is not None:
            self._received.drop()

    def _post(self, message: Message) -> None:
        self._note(message)
        if self._engine is not None:
            self._engine.post(message)
        else:
            self._early.append(message)

    def _muted(self, track_id: str, muted: bool, at: Monotonic | None) -> None:
        """Receivers of raw sound are told, by name of the track where there are several."""
        zero = self._engine.zero if self._engine is not None else None
        seconds = None if at is None or zero is None else at - zero
        if self._outputs is not None:
            self._outputs.muted(muted, seconds, track_id if len(self._channels) > 1 else "")

    def _check_sound(self, *tracks: TrackPublication) -> None:
        """A WebSocket for a track that turns out to be a picture: only the room tells."""
        source = self._plan.source
        if self._plan.raw_sound and isinstance(source, OneTrack):
            for track in tracks:
                if track.sid == source.track_id and track.kind is Kind.VIDEO:
                    self._on_over(websocket_takes_no_video(track.mime))

    def _sound_codec(self) -> Codec | None:
        codecs = {feed.codec for feed in self._feeds if feed.kind is Kind.AUDIO}
        return codecs.pop() if len(codecs) == 1 else None

    def _shown(self) -> Shown | None:
        """Any thread."""
        pictures = [feed for feed in tuple(self._feeds) if feed.kind is Kind.VIDEO]
        feed = self._stage.only(pictures) if self._stage is not None else None
        return Shown(feed.size, feed.picture_size) if feed is not None and all(feed.size) else None

    def _request_keyframe(self) -> None:
        """On the event loop."""
        if self._copies is not None:
            self._copies.request_keyframe()
        elif self._engine is not None:
            self._engine.request_keyframe()

    def _spec(self, first: EncodedFrame) -> StreamSpec:
        return spec_of(first, self._plan, self._engine)

    def _describe(self, result: FileResult, dropped: int) -> RecordedFile:
        started_at = self.started_at
        assert started_at is not None
        return composed_file(result, dropped, started_at, self._feeds)

    def _utc(self, at: Monotonic) -> Wall:
        return Wall(round(at + self._utc_offset, 6))


def _translated(error: BaseException) -> EgressError:
    if isinstance(error, EgressError):
        return error
    failure = OutputFailed(f"Composing failed: {error!r}", fault=Fault.OURS)
    failure.__cause__ = error
    return failure
