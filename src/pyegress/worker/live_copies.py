"""What a recording does beside its engine where packets are copied live: key frames, codecs, the file."""

from __future__ import annotations

from collections.abc import Callable

from pyegress.clock import Monotonic, monotonic
from pyegress.codecs import Codec, Kind
from pyegress.media.copy_side import CopySide
from pyegress.outputs.copied_streams import OnPacket, SoundCopies, VideoCopies
from pyegress.plan.passthrough import live_of, no_copies
from pyegress.plan.recording_plan import FileOutput, RecordingPlan, SegmentOutput, StreamOutput
from pyegress.room.events import Participant, TrackPublication
from pyegress.rtp.frame import EncodedFrame
from pyegress.worker.copied_file import CopiedFile
from pyegress.worker.cut_requests import CutRequests
from pyegress.worker.delivery import Delivery
from pyegress.worker.feed import FanOut, Feed, TrackTarget
from pyegress.worker.media_recorder import recordable


class LiveCopies:
    """Methods on the event loop; none blocks. `file` gets its frames from the feeds that are made here."""

    def __init__(self, plan: RecordingPlan, delivery: Delivery, *, on_warning: Callable[[str], None]) -> None:
        self._kinds = plan.copied
        self._live = [live_of(output) for output in plan.outputs if isinstance(output, SegmentOutput | StreamOutput)]
        file = next((output for output in plan.outputs if isinstance(output, FileOutput)), None)
        self.file = CopiedFile(plan, file, delivery, on_warning=on_warning) if file is not None else None
        #: Seconds of segments, None without any.
        self._cut = min((output.duration for output in plan.outputs if isinstance(output, SegmentOutput)), default=None)
        #: By feed of pictures.
        self._cuts: dict[Feed, CutRequests] = {}
        self._feeds: list[Feed] = []

    def check_output(self) -> None:
        """Find out before joining what would fail later."""
        if self.file is not None:
            self.file.recorder.check_output()

    def joined(self, room_name: str, room_sid: str) -> None:
        """Room tokens are known."""
        if self.file is not None:
            self.file.recorder.joined(room_name, room_sid)

    def feed(self, participant: Participant, track: TrackPublication, target: TrackTarget, rank: int) -> Feed:
        """The feed of a track for `target`, and for the file. Raises EgressError when no output can have it."""
        self._check(recordable(participant, track))
        if self.file is not None:
            feed = self.file.recorder.feed(participant, track)
            feed.target = FanOut(feed.target, target)
        else:
            feed = Feed(participant, track, target, rank=rank, now=monotonic())
        self._feeds.append(feed)
        return feed

    def arrived(self, feed: Feed, frame: EncodedFrame) -> None:
        """A frame of a feed: perhaps a segment is due, which needs a key frame."""
        if self._cut is not None and feed.kind is Kind.VIDEO:
            cuts = self._cuts.setdefault(feed, CutRequests(self._cut))
            if cuts.due(frame):
                feed.request_keyframe(frame.arrival)

    def track_over(self, feed: Feed) -> None:
        """A track is over for good."""
        self._cuts.pop(feed, None)

    def tick(self, now: Monotonic) -> None:
        """Time passes."""
        if self.file is not None:
            self.file.recorder.tick(now)

    def request_keyframe(self) -> None:
        """Somebody begins."""
        for feed in self._feeds:
            feed.request_keyframe(monotonic())

    def sides(self, on_packet: OnPacket, *, want_keyframe: Callable[[], None]) -> dict[Kind, CopySide]:
        """What the engine hands the frames to; `want_keyframe` is called on its thread."""
        sides: dict[Kind, CopySide] = {}
        if Kind.VIDEO in self._kinds:
            sides[Kind.VIDEO] = VideoCopies(on_packet, want_keyframe=want_keyframe)
        if Kind.AUDIO in self._kinds:
            sides[Kind.AUDIO] = SoundCopies(on_packet)
        return sides

    def _check(self, codec: Codec) -> None:
        refusing = [live for live in self._live if codec not in live.value.copies]
        if codec.kind in self._kinds and len(refusing) == len(self._live) and self.file is None:
            raise no_copies(codec, refusing[0])
