"""What the media engine is told, in the order in which it happens, and what it counts."""

from __future__ import annotations

from dataclasses import dataclass

from pyegress.clock import Monotonic, Wall
from pyegress.codecs import Codec
from pyegress.plan.sources import Channel
from pyegress.rtp.frame import EncodedFrame


@dataclass(frozen=True, slots=True)
class Begin:
    """A media stream of a track begins, the first or another: timestamps before and after are unrelated."""

    track: str
    publisher: str
    codec: Codec
    channel: Channel = Channel.BOTH


@dataclass(frozen=True, slots=True)
class Frame:
    """The next frame of a track."""

    track: str
    frame: EncodedFrame


@dataclass(frozen=True, slots=True)
class Report:
    """A sender report of a track's stream (RFC 3550 section 6.4.1)."""

    track: str
    sender_time: Wall
    timestamp: int
    arrival: Monotonic


@dataclass(frozen=True, slots=True)
class Blank:
    """A track is muted since `at`: video shows nothing until its next key frame."""

    track: str
    at: Monotonic


@dataclass(frozen=True, slots=True)
class End:
    """Nothing more comes of a track."""

    track: str
    at: Monotonic


@dataclass(frozen=True, slots=True)
class Pause:
    """Nobody is there since `at`: the output stands still there."""

    at: Monotonic


@dataclass(frozen=True, slots=True)
class Resume:
    """Somebody is back at `at`: the time since the pause is filled."""

    at: Monotonic


@dataclass(frozen=True, slots=True)
class Finish:
    """The output ends at `end`, or (None) with the media."""

    end: Monotonic | None


@dataclass(frozen=True, slots=True)
class Passed:
    """It is `at` now: for an engine whose clock is the messages it gets, of a recording that is rendered again."""

    at: Monotonic


Message = Begin | Frame | Report | Blank | End | Pause | Resume
Order = Passed | Finish


@dataclass(slots=True)
class EngineStats:
    """Counters of one composition. Written by the media thread, read by anybody."""

    #: Pictures that were rendered.
    pictures: int = 0
    #: Pictures left out because the machine could not keep up.
    dropped: int = 0
    #: Seconds by which rendering is behind its goal.
    lag: float = 0.0
