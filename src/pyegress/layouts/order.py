"""In which order pictures come, and how that order changes without making tiles jump."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from pyegress.layouts.scene import Participant, Scene, VideoSource, VideoTrack
from pyegress.layouts.speaker import Seniority, Voice

_CLASSES = {VideoSource.SCREEN_SHARE: 0, VideoSource.CAMERA: 1, VideoSource.UNKNOWN: 2}


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that wants a tile: a video publication, or (`track` None) a person without one."""

    participant: Participant
    track: VideoTrack | None

    @property
    def key(self) -> str:
        """The track's sid; a person's placeholder has a key that no sid can be."""
        return self.track.sid if self.track is not None else f"participant/{self.participant.identity}"

    @property
    def identity(self) -> str:
        return self.participant.identity

    @property
    def source(self) -> VideoSource:
        """A placeholder stands where the camera would."""
        return self.track.source if self.track is not None else VideoSource.CAMERA

    @property
    def seniority(self) -> Seniority:
        """Enabled cameras before muted ones before placeholders, then by the time of joining."""
        if self.track is None:
            return Seniority((2, self.participant.joined_at, 0.0))
        return Seniority((int(self.track.muted), self.participant.joined_at, self.track.first_seen))


def entries_of(scene: Scene, *, placeholders: bool) -> list[Entry]:
    """Everything in the scene that is drawn. One entry for each publication: a camera and a screen share are two."""
    entries: list[Entry] = []
    for participant in scene.participants:
        if participant.hidden:
            continue
        entries += [Entry(participant, track) for track in participant.tracks]
        if placeholders and not participant.tracks and participant.is_person:
            entries.append(Entry(participant, None))
    return entries


def sort_order(entries: Iterable[Entry], voice: Callable[[str], Voice]) -> list[Entry]:
    """Screen shares by the sharer's joining, then cameras by speech and seniority, then the rest as it came."""

    def key(entry: Entry) -> tuple[int, tuple[int, float], tuple[int, float, float]]:
        kind = _CLASSES[entry.source]
        if entry.source is VideoSource.CAMERA:
            return kind, voice(entry.identity).rank, entry.seniority
        joined_at = entry.participant.joined_at if entry.source is VideoSource.SCREEN_SHARE else 0.0
        return kind, (0, 0.0), (0, joined_at, 0.0)

    return sorted(entries, key=key)


def stable_order(shown: Sequence[str], wanted: Sequence[str], page: int) -> list[str]:
    """Bring `shown` to the pages of `wanted` with as little movement as possible.

    Within a page everybody keeps their place; who belongs on another page changes places with somebody who belongs
    here. New keys come last, those that are gone leave no hole. When somebody comes at the very moment when
    somebody goes, so that the number does not grow, the order starts afresh: components-core cannot keep it either,
    and this is what happens to the strip of the speaker layout whenever the main picture changes.
    """
    joined = [key for key in wanted if key not in shown]
    if joined and len(shown) >= len(wanted):
        return list(wanted)
    order = [*shown, *joined]
    for start in range(0, len(wanted), page):
        here, goal = order[start : start + page], wanted[start : start + page]
        arriving = [key for key in goal if key not in here]
        leaving = [key for key in here if key not in goal]
        if len(arriving) == len(leaving):
            for comes, goes in zip(arriving, leaving, strict=True):
                a, b = order.index(comes), order.index(goes)
                order[a], order[b] = goes, comes
    return [key for key in order if key in wanted]


class StableOrder:
    """Remembers an order between updates; another page size starts it afresh."""

    def __init__(self) -> None:
        self._page = 0
        self._keys: list[str] = []

    def update(self, wanted: Sequence[str], page: int) -> list[str]:
        """The keys of `wanted` in the order to show them in."""
        self._keys = stable_order(self._keys, wanted, page) if page == self._page else list(wanted)
        self._page = page
        return list(self._keys)
