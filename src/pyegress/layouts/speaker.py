"""Who is the main speaker: the reference's order, with a hold that keeps the main picture from flickering.

The SFU reports speakers every 400 ms, so two people who talk at once overtake each other at that rate, and a cough
is a speaker for one report. Here whoever comes first has to stay first for a while before the main picture follows,
and speech shorter than that is not remembered.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import NewType, Protocol

from pyegress.clock import Monotonic

#: Seconds that a speaker has to stay first before becoming the main one.
HOLD = 0.6

#: What decides between two pictures when neither is ahead by speech; smaller is first.
Seniority = NewType("Seniority", tuple[int, float, float])


class Candidate(Protocol):
    """A picture that can be the main one."""

    @property
    def key(self) -> str: ...
    @property
    def identity(self) -> str: ...
    @property
    def seniority(self) -> Seniority: ...


@dataclass(frozen=True, slots=True)
class Voice:
    """What is known of a participant's speech."""

    speaking: bool = False
    #: Linear, 0..1; 0 when silent.
    level: float = 0.0
    #: When the participant last *started* to speak; None for never.
    spoke_at: Monotonic | None = None

    @property
    def rank(self) -> tuple[int, float]:
        """Sorts speakers by level, then those who spoke by how late they started, then the others; smaller is first."""
        if self.speaking:
            return 0, -self.level
        return (2, 0.0) if self.spoke_at is None else (1, -self.spoke_at)


SILENT = Voice()


@dataclass(slots=True)
class _Speech:
    """A stretch of speech that goes on."""

    started: Monotonic
    level: float


class SpeakerPicker:
    """Follows the speakers of a room and picks the main one. `now` never goes back."""

    def __init__(self, hold: float = HOLD) -> None:
        self._hold = hold
        self._speech: dict[str, _Speech] = {}
        self._spoke_at: dict[str, Monotonic] = {}
        self._main: str | None = None
        self._challenger: str | None = None
        self._challenged_at = Monotonic(0.0)

    def hear(self, levels: Mapping[str, float], now: Monotonic) -> None:
        """Take note of everybody who speaks at `now`: level (0..1) by identity. Who is not in it is silent."""
        for identity in [known for known in self._speech if known not in levels]:
            speech = self._speech.pop(identity)
            if now >= speech.started + self._hold:
                self._spoke_at[identity] = speech.started
        for identity, level in levels.items():
            if identity in self._speech:
                self._speech[identity].level = level
            else:
                self._speech[identity] = _Speech(now, level)

    def keep(self, identities: Collection[str]) -> None:
        """Forget everybody else: who comes back has not spoken yet."""
        for identity in [known for known in self._speech if known not in identities]:
            del self._speech[identity]
        for identity in [known for known in self._spoke_at if known not in identities]:
            del self._spoke_at[identity]

    def is_speaking(self, identity: str) -> bool:
        """As the server says it, without any hold."""
        return identity in self._speech

    def heard(self, identity: str) -> Voice:
        """The voice as the server reports it."""
        speech = self._speech.get(identity)
        if speech is None:
            return Voice(spoke_at=self._spoke_at.get(identity))
        return Voice(True, speech.level, speech.started)

    def settled(self, identity: str, now: Monotonic) -> Voice:
        """The voice without speech that is younger than the hold."""
        speech = self._speech.get(identity)
        if speech is not None and now >= speech.started + self._hold:
            return Voice(True, speech.level, speech.started)
        return Voice(spoke_at=self._spoke_at.get(identity))

    def pick(self, candidates: Sequence[Candidate], now: Monotonic) -> str | None:
        """The key of the main picture among `candidates`; None when there are none.

        Who comes first by speech has to stay first for the hold. What else changes the order (the main picture goes
        away or is muted, somebody joins) counts at once.
        """
        voices = {candidate.identity: self.heard(candidate.identity) for candidate in candidates}
        first = min(candidates, key=lambda c: (voices[c.identity].rank, c.seniority), default=None)
        main = next((candidate for candidate in candidates if candidate.key == self._main), None)
        if first is None or main is None or first.key == main.key:
            return self._settle(first)
        if voices[first.identity].rank == voices[main.identity].rank:
            # The server rounds levels, and reports two who start at once together: no reason to move.
            return self._settle(first if voices[main.identity] == SILENT else main)
        if self._challenger != first.key:
            self._challenger = first.key
            self._challenged_at = now
        return self._settle(first) if now >= self._challenged_at + self._hold else main.key

    def next_change(self, now: Monotonic) -> Monotonic | None:
        """When `pick` or `settled` will answer differently though nothing happens; None for not before an event."""
        times = [Monotonic(speech.started + self._hold) for speech in self._speech.values()]
        if self._challenger is not None:
            times.append(Monotonic(self._challenged_at + self._hold))
        return min((time for time in times if time > now), default=None)

    def _settle(self, main: Candidate | None) -> str | None:
        self._main = None if main is None else main.key
        self._challenger = None
        return self._main
