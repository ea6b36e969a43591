"""The pictures of a screen on the ticks of an output: each picture once, where it comes at the output's rate.

A screen is looked at when something was drawn, not by a timer: a page that draws 30 pictures a second would else meet
the 30 looks a second now before and now after it has drawn, and be seen twice or not at all. The picture's time is that
of the drawing, and `Pacer` says on which tick it is shown.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

import av

from pyegress.media.capture_sources import Screen
from pyegress.media.encoder_thread import EncoderThread
from pyegress.media.engine_messages import EngineStats
from pyegress.media.pacing import STICKY_REACH, Pacer
from pyegress.media.screen_format import ScreenFormat
from pyegress.media.taps import PictureTap, PictureTaps
from pyegress.media.thinning import Thinning

#: Of the output's period: a screen that changes again sooner, and then again, is drawn faster than the output's rate.
#: Just above half, so that of a page that draws twice as fast every other picture is taken. One that does so once had a
#: picture that came late, as of a video whose pictures fall between two of Chromium's.
_TOO_SOON = 0.6
#: ... and what was drawn too soon and stayed is taken after this much.
_STAYED = 1.1
#: Seconds beyond what the pacer needs: for a look that comes late.
_MARGIN = 0.01
#: How often a picture is read at most: who draws faster than can be read has no whole ones.
_READS = 3


class CapturePictures:
    """Looks, paces and hands out. The screen's thread, but for `request_keyframe`; times are seconds of the output."""

    def __init__(
        self,
        screen: Screen,
        rate: int,
        encoder: EncoderThread | None,
        taps: Sequence[PictureTap],
        stats: EngineStats,
        *,
        now: Callable[[], float],
        rest: Callable[[float], object],
    ) -> None:
        """`now` gives the second of the output, `rest` waits so many seconds. Without `encoder` only taps are fed."""
        #: The next tick to be rendered.
        self.tick = 0
        self._screen = screen
        self._format = ScreenFormat(screen.width, screen.height)
        self._rate = rate
        self._period = 1 / rate
        self._delay = STICKY_REACH * self._period + _MARGIN
        self._encoder = encoder
        self._taps = PictureTaps(taps, rate)
        self._stats = stats
        self._now = now
        self._rest = rest
        self._pacer = Pacer(self._period)
        self._thinning = Thinning()
        #: What was seen and not shown yet, with its time.
        self._waiting: deque[tuple[float, av.VideoFrame]] = deque()
        self._shown: av.VideoFrame | None = None
        self._looked = 0.0
        #: The screen changes faster than the output, and not only once: it is looked at no sooner than after a rest.
        self._crowded = self._short = False
        #: It is too soon to look again.
        self._resting = False
        #: Something was drawn too soon.
        self._missed = False

    def begin(self) -> None:
        """Second 0: whatever the screen shows is its picture."""
        _, self._shown = self._picture()
        self._looked = 0.0

    def step(self) -> None:
        """Look, or render the tick that is due, or wait for one of both, at most a period."""
        now = self._now()
        due = self.tick * self._period + self._delay - now
        if due <= 0:
            self._render(-due)
            return
        if self._resting:
            rest = self._looked + _TOO_SOON * self._period - now
            if rest > 0:
                self._rest(min(rest, due))
                return
            self._resting = False
            self._missed = self._crowded = self._screen.wait(0.0)
            if self._missed:
                self._screen.reset()
        patience = due
        if self._missed:
            patience = min(due, max(0.0, self._looked + _STAYED * self._period - now))
        if self._screen.wait(patience) or (self._missed and patience < due):
            self._look()

    @property
    def rendered(self) -> float:
        """Seconds of the output that are rendered."""
        return self.tick / self._rate

    def render_to(self, seconds: float) -> None:
        """Each tick before the end of the output at `seconds`, at least one, with what was seen."""
        while self.tick == 0 or self.tick / self._rate < seconds - 1e-6:
            self._render(0.0)

    def request_keyframe(self) -> None:
        """The next picture that is encoded becomes a key frame, see `EncoderThread`. Any thread."""
        if self._encoder is not None:
            self._encoder.request_keyframe()

    def close(self) -> None:
        """Nothing more is rendered: encode what waits. Raises what the encoder raised."""
        self._taps.finish()
        if self._encoder is not None:
            self._encoder.close()

    def abort(self) -> None:
        """After an error: end the encoder's thread, with what it has."""
        if self._encoder is not None:
            self._encoder.abort()

    def _look(self) -> None:
        at, picture = self._picture()
        self._waiting.append((at, picture))
        short = at - self._looked < _TOO_SOON * self._period
        self._crowded = self._crowded or (short and self._short)
        self._looked, self._short, self._resting, self._missed = at, short, self._crowded, False

    def _picture(self) -> tuple[float, av.VideoFrame]:
        """The screen as it is now, and when that is. What is drawn while it is read would be half on it: read again."""
        for _ in range(_READS):
            at = self._now()
            self._screen.reset()
            picture = self._format.convert(self._screen.pixels)
            if self._screen.untouched():
                break
        return at, picture

    def _render(self, lag: float) -> None:
        tick, self.tick = self.tick, self.tick + 1
        self._stats.lag = lag
        for _ in range(self._pacer.due(tick * self._period, [at for at, _ in self._waiting])):
            _, self._shown = self._waiting.popleft()
        assert self._shown is not None
        wanted = self._taps.due(tick)
        needed = wanted or (self._encoder is not None and self._encoder.due(tick))
        if not needed and not self._thinning.takes(tick, lag):
            self._stats.dropped = self._thinning.dropped
            return
        if self._encoder is not None:
            self._encoder.submit(self._shown, tick)
        if wanted:
            self._taps.offer(self._shown, tick, shows=True, expected=False)
        self._stats.pictures += 1
