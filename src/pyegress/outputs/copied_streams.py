"""Frames as they were published on the clock of an output: nothing is decoded, and one stream of a kind comes out.

Each class is a `media.copy_side.CopySide`. Of several tracks of a kind a newer one takes over with its first key frame,
any other once that has ended.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from pyegress.codecs import Codec, Kind
from pyegress.media.steps import Stage, Step
from pyegress.outputs.gap_filler import OpusGapFiller
from pyegress.rtp.frame import EncodedFrame

RATE = 48_000
#: A track that is muted or over, or one that is neither, has stopped when nothing of it came for so long, seconds.
_RESTING, _STALLED = 1.0, 5.0
#: What comes up to so long after a mute may be from before it, seconds.
_IN_FLIGHT = 0.3
#: How long one kind is waited for where the other has come, seconds: nobody may ever publish it.
PATIENCE = 5.0
#: How far the place of sound may move before it is placed anew, samples: 20 ms. Until then it goes by its own clock.
_MAX_MOVE = 960
#: Samples of a packet of silence: 20 ms.
_PACKET = 960

OnPacket = Callable[[Kind, EncodedFrame], None]


class _Turns:
    """Which of the tracks is copied."""

    def __init__(self) -> None:
        self._ranks: dict[str, int] = {}
        self._count = 0
        self.current: str | None = None

    def begin(self, track: str) -> None:
        """A track will bring frames."""
        if track not in self._ranks:
            self._count += 1
            self._ranks[track] = self._count

    def end(self, track: str) -> None:
        """It brings nothing more."""
        self._ranks.pop(track, None)

    @property
    def over(self) -> bool:
        """Whether the current one brings nothing more."""
        return self.current not in self._ranks

    def passes(self, track: str) -> bool:
        """Whether a frame that one can begin with is of the current track, or hands its track the turn."""
        if self.current is None or self.over or self._ranks.get(track, 0) > self._ranks[self.current]:
            self.current = track
        return track == self.current


class VideoCopies:
    """Pictures. Media thread only.

    While none come, the last key frame is repeated every second: players need pictures wherever there is sound, and
    whoever begins meanwhile something to begin with. After that only a key frame can go on, which is asked for when
    frames come again.
    """

    def __init__(self, on_packet: OnPacket, *, want_keyframe: Callable[[], None]) -> None:
        self._on_packet = on_packet
        self._want_keyframe = want_keyframe
        self._turns = _Turns()
        #: Since when tracks are muted.
        self._muted: dict[str, float] = {}
        self._keyframe: EncodedFrame | None = None
        self._broken = False
        #: The newest tick of 90 kHz that was given, and the newest second of a frame that came.
        self._last = -1
        self._at = 0.0
        self._frames = self._repeated = 0

    def begin(self, track: str) -> None:
        """A track will bring pictures."""
        self._turns.begin(track)

    def end(self, track: str) -> None:
        """Nothing more comes of a track."""
        self._turns.end(track)

    def mute(self, track: str, at: float) -> None:
        """A track is muted at second `at` of the output: what is from before is still on its way."""
        self._muted[track] = at

    def push(self, track: str, frame: EncodedFrame, at: float) -> None:
        """A frame of a track, captured at second `at` of the output."""
        if frame.keyframe:
            if not self._turns.passes(track):
                return
            self._keyframe, self._broken = frame, False
            if at > self._muted.get(track, at) + _IN_FLIGHT:
                del self._muted[track]
        elif track != self._turns.current:
            return
        elif self._broken:
            self._want_keyframe()
            return
        self._at = max(self._at, at)
        self._give(frame, at)

    def render(self, until: float) -> None:
        """All that lies before second `until` of the output has come."""
        if self._keyframe is None:
            return
        rate = self._keyframe.codec.clock_rate
        while True:
            resting = self._broken or self._turns.over or self._turns.current in self._muted
            newest = max(self._at, self._last / rate)
            if until - newest <= (_RESTING if resting else _STALLED):
                return
            self._broken = True
            self._repeated += 1
            # Sound has gone on meanwhile, and is not to be waited for.
            self._give(self._keyframe, newest + _RESTING if resting else until - _RESTING)

    def steps(self) -> list[Step]:
        counters: dict[str, float | str] = {"frames": self._frames, "repeated": self._repeated}
        return [Step(Stage.COMPOSITION, "copied pictures", counters)]

    def _give(self, frame: EncodedFrame, at: float) -> None:
        self._last = max(round(at * frame.codec.clock_rate), self._last + 1)
        self._frames += 1
        self._on_packet(Kind.VIDEO, replace(frame, timestamp=self._last))


class SoundCopies:
    """Opus packets back to back, with silence where there are none, from second 0 of the output on. Media thread only.

    Sound goes by its own sample clock, so that nothing has to be inserted or left out while it lasts.
    """

    def __init__(self, on_packet: OnPacket) -> None:
        self._on_packet = on_packet
        self._turns = _Turns()
        self._filler = OpusGapFiller(first=0)
        #: Place minus RTP time of the current track.
        self._offset: int | None = None
        self._packets = 0

    def begin(self, track: str) -> None:
        """A track will bring sound."""
        self._turns.begin(track)
        if track == self._turns.current:
            self._offset = None

    def end(self, track: str) -> None:
        """Nothing more comes of a track."""
        self._turns.end(track)

    def mute(self, track: str, at: float) -> None:
        """Silence comes by itself."""

    def push(self, track: str, frame: EncodedFrame, at: float) -> None:
        """A packet of a track, captured at second `at` of the output."""
        before = self._turns.current
        if frame.codec is not Codec.OPUS or not self._turns.passes(track):
            return
        place = round(at * RATE)
        if self._offset is None or track != before or abs(place - frame.timestamp - self._offset) > _MAX_MOVE:
            self._offset = place - frame.timestamp
        self._packets += 1
        for packet, pts in self._filler.packet(frame, max(0, frame.timestamp + self._offset)):
            self._on_packet(Kind.AUDIO, replace(packet, timestamp=pts))

    def render(self, until: float) -> None:
        """All that lies before second `until` of the output has come."""
        # In whole packets: what is left may still be filled by one that is late.
        missing = (round(until * RATE) - self._filler.end) // _PACKET
        if missing > 0:
            for packet, pts in self._filler.fill_until(self._filler.end + missing * _PACKET):
                self._on_packet(Kind.AUDIO, replace(packet, timestamp=pts))

    def steps(self) -> list[Step]:
        counters: dict[str, float | str] = {"packets": self._packets, "too late": self._filler.dropped}
        return [Step(Stage.COMPOSITION, "copied sound", counters)]
