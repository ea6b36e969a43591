"""The pictures of one output: from the tracks' frames to the encoder and to whoever wants them as they are drawn."""

from __future__ import annotations

from collections import deque
from collections.abc import Container, Sequence

from pyegress.clock import Monotonic
from pyegress.layouts.geometry import Size
from pyegress.media.canvas import Canvas
from pyegress.media.director import Director
from pyegress.media.encoder_thread import EncoderThread
from pyegress.media.engine_messages import Blank, End, EngineStats
from pyegress.media.steps import Stage, Step, counted
from pyegress.media.taps import PictureTap, PictureTaps
from pyegress.media.thinning import Thinning
from pyegress.media.video_track import VideoTrack
from pyegress.plan.encodings import VideoEncoding
from pyegress.rtp.frame import EncodedFrame

#: In time without anybody in the room, pictures come this many seconds apart.
_GAP_STEP = 1.0
#: From, to on the recorder's clock.
Span = tuple[Monotonic, Monotonic]


class PictureSide:
    """Renders tick by tick. Media thread only, but for `request_keyframe`."""

    def __init__(
        self,
        encoding: VideoEncoding,
        director: Director,
        encoder: EncoderThread | None,
        taps: Sequence[PictureTap],
        stats: EngineStats,
        ended: Container[str],
    ) -> None:
        """Without an `encoder` only the taps get pictures. `ended`: tracks that are over and have not begun again."""
        #: The next tick to be rendered.
        self.tick = 0
        self.rate = encoding.framerate
        self._director = director
        self._canvas = Canvas(Size(encoding.width, encoding.height))
        self._encoder = encoder
        self._taps = PictureTaps(taps, encoding.framerate)
        self._stats = stats
        self._ended = ended
        self._thinning = Thinning()
        self._tracks: dict[str, VideoTrack] = {}
        #: Mutes and ends that the output has not come to yet, in the order of time.
        self._changes: deque[Blank | End] = deque()
        #: Tracks with another picture than was drawn last.
        self._changed: set[str] = set()

    def request_keyframe(self) -> None:
        """The next picture that is encoded becomes a key frame, see `EncoderThread`. Any thread."""
        if self._encoder is not None:
            self._encoder.request_keyframe()

    def begin(self, track: str) -> None:
        """A track will bring pictures."""
        if track not in self._tracks:
            self._tracks[track] = VideoTrack(1 / self.rate)

    def push(self, track: str, frame: EncodedFrame, first: bool, at: float) -> None:
        """A frame of a track, captured at second `at` of the output; the `first` of a stream begins anew."""
        if (pictures := self._tracks.get(track)) is not None:
            if first:
                pictures.begin_stream()
            pictures.push(frame, at)

    def change(self, change: Blank | End) -> None:
        """A track is muted or over, as soon as the output has come to that moment. In the order of time."""
        self._changes.append(change)

    def render(self, zero: Monotonic, gap: Span) -> None:
        """The next tick. Second 0 of the output is `zero`; in the `gap` nobody is there."""
        tick, self.tick = self.tick, self.tick + 1
        second = tick / self.rate
        at = Monotonic(zero + second)
        wanted = self._taps.due(tick)
        if not (wanted or (self._encoder is not None and self._encoder.due(tick))):
            if gap[0] < at < gap[1] and tick % round(_GAP_STEP * self.rate):
                return
            if not self._thinning.takes(tick, self._stats.lag):
                self._stats.dropped = self._thinning.dropped
                return
        while self._changes and self._changes[0].at <= at:
            self._take(self._changes.popleft())
        self._changed.update(sid for sid, track in self._tracks.items() if track.advance(second))
        if not wanted and self._encoder is None:
            return
        pictures = {sid: track.picture for sid, track in self._tracks.items() if track.picture is not None}
        arrangement = self._director.arrangement(at, pictures.__contains__)
        picture = self._canvas.compose(arrangement, pictures, self._changed, second)
        self._changed.clear()
        if self._encoder is not None:
            self._encoder.submit(picture, tick)
        if wanted:
            expected = any(track.expecting for track in self._tracks.values())
            self._taps.offer(picture, tick, shows=not arrangement.track_sids.isdisjoint(pictures), expected=expected)
        self._stats.pictures += 1

    def render_to(self, seconds: float, zero: Monotonic, gap: Span) -> None:
        """Each tick that begins before the end of the output at `seconds`, at least one."""
        while self.tick == 0 or self.tick / self.rate < seconds - 1e-6:
            self.render(zero, gap)

    def steps(self) -> list[Step]:
        """The decoders and the picture that they are drawn into. Any thread."""
        decoders = [
            Step(Stage.DECODER, track, {**counted(pictures.counters), "waiting": pictures.waiting})
            for track, pictures in list(self._tracks.items())
        ]
        stats = self._stats
        size = f"{self._canvas.size.width}x{self._canvas.size.height}"
        counters: dict[str, float | str] = {
            "pictures": stats.pictures,
            "dropped": stats.dropped,
            "lag s": round(stats.lag, 3),
        }
        return [*decoders, Step(Stage.COMPOSITION, f"picture {size} at {self.rate:g} fps", counters)]

    def close(self) -> None:
        """Nothing more is rendered: encode what waits. Raises what the encoder raised."""
        self._taps.finish()
        if self._encoder is not None:
            self._encoder.close()

    def abort(self) -> None:
        """After an error: end the encoder's thread, with what it has."""
        if self._encoder is not None:
            self._encoder.abort()

    def _take(self, change: Blank | End) -> None:
        if isinstance(change, Blank):
            if (track := self._tracks.get(change.track)) is not None:
                track.blank()
        elif change.track in self._ended:
            self._tracks.pop(change.track, None)
