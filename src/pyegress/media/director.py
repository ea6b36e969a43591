"""What a composition shows at each moment: pure, told what changes and when, asked at every tick of the output.

Changes come with the moment at which they were learned of. Pictures are drawn some time later than they arrive, so a
change waits until the output has come to its moment too: a mute and the pictures before it stay in step.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from pyegress.clock import Monotonic
from pyegress.layouts.arrangement import Arrangement
from pyegress.layouts.arranger import Arranger
from pyegress.layouts.geometry import Size
from pyegress.layouts.layout import Layout
from pyegress.layouts.scene import Scene
from pyegress.layouts.single import single_picture


class Director(Protocol):
    """Decides what is drawn."""

    def arrangement(self, now: Monotonic, has_picture: Callable[[str], bool]) -> Arrangement:
        """What is drawn at `now`, which never goes back. `has_picture` tells whether a track can be drawn.

        The same object comes again as long as nothing has changed.
        """


class RoomDirector:
    """Draws a whole room by a layout."""

    def __init__(self, layout: Layout, size: Size) -> None:
        self._arranger = Arranger(layout, size)
        self._changes: deque[tuple[Monotonic, Scene | Layout]] = deque()
        self._scene = Scene()
        self._arrangement: Arrangement | None = None
        self._due: Monotonic | None = None

    def change(self, at: Monotonic, change: Scene | Layout) -> None:
        """The room looks otherwise from `at` on, or another layout is asked for. In the order of time."""
        self._changes.append((at, change))

    def arrangement(self, now: Monotonic, has_picture: Callable[[str], bool]) -> Arrangement:
        stale = self._arrangement is None or (self._due is not None and self._due <= now)
        while self._changes and self._changes[0][0] <= now:
            _, change = self._changes.popleft()
            if isinstance(change, Layout):
                self._arranger.change_layout(change)
            else:
                self._scene = change
            stale = True
        if stale or self._arrangement is None:
            arrangement = self._arranger.arrange(self._scene, now)
            self._due = self._arranger.next_change(now)
            if arrangement != self._arrangement:
                self._arrangement = arrangement
        assert self._arrangement is not None
        return self._arrangement


@dataclass(slots=True)
class _Candidate:
    sid: str
    identity: str
    rank: int
    order: int
    muted: bool


@dataclass(frozen=True, slots=True)
class CandidateChanged:
    """A track that may be shown came, went (`rank` None), was muted or unmuted. The lowest rank is wanted most."""

    sid: str
    identity: str
    rank: int | None
    muted: bool = False


@dataclass(slots=True)
class SingleDirector:
    """Draws one picture: of the track that is wanted most among those that have one, of equals the newest."""

    size: Size
    _changes: deque[tuple[Monotonic, CandidateChanged]] = field(default_factory=deque)
    _candidates: dict[str, _Candidate] = field(default_factory=dict)
    _count: int = 0
    _shown: str | None = None
    _arrangement: Arrangement | None = None

    def change(self, at: Monotonic, change: CandidateChanged) -> None:
        """Something about a candidate changes at `at`. In the order of time."""
        self._changes.append((at, change))

    def arrangement(self, now: Monotonic, has_picture: Callable[[str], bool]) -> Arrangement:
        while self._changes and self._changes[0][0] <= now:
            self._take(self._changes.popleft()[1])
        best = min(
            (one for one in self._candidates.values() if not one.muted and has_picture(one.sid)),
            key=lambda one: (one.rank, -one.order),
            default=None,
        )
        shown = best.sid if best is not None else None
        if self._arrangement is None or shown != self._shown:
            self._shown = shown
            self._arrangement = single_picture(self.size, shown, best.identity if best is not None else "")
        return self._arrangement

    def _take(self, change: CandidateChanged) -> None:
        if change.rank is None:
            self._candidates.pop(change.sid, None)
            return
        known = self._candidates.get(change.sid)
        if known is None:
            self._count += 1
            known = _Candidate(change.sid, change.identity, change.rank, self._count, change.muted)
            self._candidates[change.sid] = known
        known.rank, known.muted = change.rank, change.muted
