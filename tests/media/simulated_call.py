"""Publishers with clocks of their own behind networks, in simulated time: what a timeline is tested with."""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count, pairwise

from pyegress.clock import Monotonic, Wall
from pyegress.codecs import Codec, Kind
from pyegress.media.playout import Playout
from pyegress.media.session_timeline import SessionTimeline

#: Our monotonic clock when the simulation's true time is 0.
LOCAL = 5000.0

Delay = Callable[[float], float]


def no_delay(at: float) -> float:
    return 0.0


def jitter(most: float, seed: int = 1) -> Delay:
    """Each packet up to `most` seconds late."""
    dice = random.Random(seed)
    return lambda at: dice.uniform(0.0, most)


def catching_up(late: float, within: float) -> Delay:
    """The first frames late by `late`, half of it gone after a twentieth of the time."""
    return lambda at: late * (max(0.0, 1 - at / (within / 20)) + max(0.0, 1 - at / within)) / 2


def stall(begin: float, length: float) -> Delay:
    """Nothing arrives for a while, then everything at once."""
    return lambda at: max(0.0, begin + length - at) if at >= begin else 0.0


@dataclass(eq=False)
class Publisher:
    """`ppm`: how much faster its clocks run than ours; `wall` is what its wall clock shows at true time 0."""

    name: str
    ppm: float = 0.0
    wall: float = 1_700_000_000.0
    #: When its wall clock is set, and by how much.
    step_at: float = float("inf")
    step: float = 0.0

    def sender_time(self, at: float) -> Wall:
        return Wall(self.wall + at * (1 + self.ppm * 1e-6) + (self.step if at >= self.step_at else 0.0))


@dataclass(eq=False)
class Track:
    """One track of a publisher; all times are true seconds. `ppm`: its RTP clock against its publisher's clock."""

    publisher: Publisher
    codec: Codec = Codec.OPUS
    begin: float = 0.0
    interval: float = 0.02
    transit: float = 0.03
    ppm: float = 0.0
    delay: Delay = no_delay
    loss: float = 0.0
    #: When reports come, and how wrong they are.
    first_report: float = 2.5
    report_error: Callable[[int], float] = lambda number: 0.0
    reports: bool = True
    #: From when to when nothing is sent.
    mutes: tuple[tuple[float, float], ...] = ()
    #: When its RTP time jumps, and by how much.
    jump_at: float = float("inf")
    jump: float = 0.0
    first_rtp: int = 1_000_000
    #: What came out: capture time, place.
    placed: list[tuple[float, float]] = field(default_factory=list)

    def rtp(self, at: float) -> int:
        ticks = at * (1 + (self.publisher.ppm + self.ppm) * 1e-6)
        return self.first_rtp + round((ticks + (self.jump if at >= self.jump_at else 0.0)) * self.codec.clock_rate)

    def captures(self, end: float) -> Iterator[float]:
        for number in count():
            at = self.begin + number * self.interval
            if at >= end:
                return
            if not any(begin <= at < over for begin, over in self.mutes):
                yield at

    def errors(self, begin: float = 0.0, end: float = float("inf"), *, transit: float | None = None) -> list[float]:
        """Place minus where it belongs, for captures between two moments."""
        least = self.transit if transit is None else transit
        return [at - LOCAL - capture - least for capture, at in self.placed if begin <= capture < end]


def mic(publisher: Publisher, **changes: object) -> Track:
    return Track(publisher, **{"first_rtp": 77_000, **changes})  # type: ignore[arg-type]


def camera(publisher: Publisher, **changes: object) -> Track:
    return Track(publisher, **{"codec": Codec.VP8, "interval": 1 / 30, "first_rtp": 900_000, **changes})  # type: ignore[arg-type]


class Call:
    """Feeds a timeline as the network would, and asks for places as rendering would: when frames are due."""

    def __init__(self, *tracks: Track, live: bool = False, round_every: float = 1 / 30) -> None:
        self.tracks = tracks
        self.timeline = SessionTimeline(exact=not live)
        self.playout = Playout(live=live)
        #: Each round: when, and up to which moment it renders.
        self.rounds: list[tuple[float, float | None]] = []
        #: Frames that came too late to be rendered.
        self.missed = 0
        self._round_every = round_every
        self._queues: dict[Track, list[tuple[float, int]]] = {}
        self._dice = random.Random(5)
        self._begun: set[Track] = set()
        #: When a track ends.
        self.ends: dict[Track, float] = {}

    def run(self, end: float, begin: float = 0.0) -> Call:
        """All that happens until `end`."""
        events: list[Iterator[tuple[float, int, str, Track | None, float]]] = []
        for track in self.tracks:
            events.append(self._frames(track, end))
            if track.reports:
                events.append(self._reports(track, end))
        events.append(iter((at, 2, "end", track, 0.0) for track, at in self.ends.items()))
        rounds = int((end - begin) / self._round_every)
        events.append(((n + 1) * self._round_every, 9, "round", None, 0.0) for n in range(rounds))
        for at, _, what, source, capture in heapq.merge(*events, key=lambda event: event[:2]):
            if source is None:
                self._round(at)
            elif what == "end":
                self.timeline.end_stream(source)
            elif what == "frame":
                self._frame(source, capture, at)
            else:
                self._report(source, capture, at)
        return self

    def flush(self, end: float) -> float | None:
        until = self.playout.flush(Monotonic(LOCAL + end), self.timeline)
        if until is not None:
            self._render(until)
        return until

    def _frames(self, track: Track, end: float) -> Iterator[tuple[float, int, str, Track | None, float]]:
        arrivals = []
        latest = 0.0
        for capture in track.captures(end):
            if self._dice.random() < track.loss:
                continue
            at = capture + track.transit + track.delay(capture - track.begin)
            latest = max(latest, at)  # frames come in order
            arrivals.append((latest, 1, "frame", track, capture))
        return iter(arrivals)

    def _reports(self, track: Track, end: float) -> Iterator[tuple[float, int, str, Track | None, float]]:
        number = 0
        while (at := track.begin + track.first_report + 3.0 * number) < end:
            yield at + 0.03, 0, "report", track, at
            number += 1

    def _begin(self, track: Track) -> None:
        if track not in self._begun:
            self._begun.add(track)
            self.timeline.begin_stream(track, track.publisher.name, track.codec)

    def _frame(self, track: Track, capture: float, at: float) -> None:
        self._begin(track)
        self.timeline.arrived(track, track.rtp(capture), Monotonic(LOCAL + at))
        self._queues.setdefault(track, []).append((capture, track.rtp(capture)))

    def _report(self, track: Track, capture: float, at: float) -> None:
        self._begin(track)
        wrong = track.report_error(round((capture - track.begin - track.first_report) / 3.0))
        sender_time = Wall(track.publisher.sender_time(capture) + wrong)
        self.timeline.report(track, sender_time, track.rtp(capture), Monotonic(LOCAL + at))

    def _round(self, at: float) -> None:
        before = self.rounds[-1][1] if self.rounds else None
        until = self.playout.until(Monotonic(LOCAL + at), self.timeline)
        self.rounds.append((at, until))
        if until is not None:
            self._render(until, before)

    def _render(self, until: float, before: float | None = None) -> None:
        for track, queue in self._queues.items():
            due = 0
            for capture, rtp in queue:
                place = self.timeline.place(track, rtp)
                if place >= until:
                    break
                if before is not None and place < before - 0.02:
                    self.missed += 1
                track.placed.append((capture, place))
                due += 1
            del queue[:due]


def apart(audio: Track, video: Track, begin: float = 0.0, end: float = float("inf")) -> float:
    """The largest A/V offset: how far what was captured together is placed apart, seconds."""
    assert audio.codec.kind is Kind.AUDIO
    sound = [(capture, at - capture) for capture, at in audio.placed if begin <= capture < end]
    worst, index = -1.0, 0
    for capture, at in video.placed:
        if not begin <= capture < end or not sound:
            continue
        while index + 1 < len(sound) and sound[index + 1][0] <= capture:
            index += 1
        if abs(sound[index][0] - capture) <= 0.05:
            worst = max(worst, abs(at - capture - sound[index][1]))
    assert worst >= 0, "nothing to compare"
    return worst


def steps(track: Track, begin: float = 0.0, end: float = float("inf")) -> float:
    """The largest deviation of the places' speed from the captures', seconds per second."""
    frames = [(capture, at) for capture, at in track.placed if begin <= capture < end]
    assert len(frames) > 2
    return max(abs((b - a) / (d - c) - 1) for (c, a), (d, b) in pairwise(frames))
