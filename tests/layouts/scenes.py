"""Short ways to write scenes."""

from __future__ import annotations

from pyegress.clock import Monotonic, Wall
from pyegress.layouts.arrangement import Arrangement, Tile
from pyegress.layouts.arranger import Arranger
from pyegress.layouts.geometry import Size
from pyegress.layouts.layout import Layout
from pyegress.layouts.scene import Participant, Scene, Speaker, VideoSource, VideoTrack

HD = Size(1280, 720)
START = Monotonic(1000.0)


def at(seconds: float) -> Monotonic:
    """A moment of the simulated time."""
    return Monotonic(START + seconds)


def camera(sid: str, *, muted: bool = False, size: Size = Size(640, 360)) -> VideoTrack:  # noqa: B008  # frozen
    return VideoTrack(sid, VideoSource.CAMERA, muted, size)


def screen(sid: str, *, muted: bool = False) -> VideoTrack:
    return VideoTrack(sid, VideoSource.SCREEN_SHARE, muted, Size(1920, 1080))


def person(number: int, *tracks: VideoTrack, kind: str = "standard", hidden: bool = False) -> Participant:
    """Participant `P<number>`, who joined `number` seconds after the room began."""
    return Participant(f"P{number}", f"Person {number}", Wall(1e9 + number), kind, hidden, tracks)


def cameras(count: int) -> tuple[Participant, ...]:
    """Participants P0, P1, ... with the cameras C0, C1, ..."""
    return tuple(person(number, camera(f"C{number}")) for number in range(count))


def scene(*participants: Participant, speaking: dict[str, float] | None = None) -> Scene:
    """`speaking`: levels by identity."""
    return Scene(participants, tuple(Speaker(identity, level) for identity, level in (speaking or {}).items()))


def arranger(layout: str, size: Size = HD) -> Arranger:
    return Arranger(Layout.parse(layout), size)


def arrange(layout: str, *participants: Participant, size: Size = HD) -> Arrangement:
    """The first arrangement of a scene in which nobody speaks."""
    return arranger(layout, size).arrange(scene(*participants), START)


def keys(arrangement: Arrangement) -> list[str]:
    return [tile.key for tile in arrangement.tiles]


def tile(arrangement: Arrangement, key: str) -> Tile:
    return next(one for one in arrangement.tiles if one.key == key)


def corners(one: Tile) -> tuple[int, int, int, int]:
    """x, y, width, height of what is seen of a tile."""
    return one.rect.x, one.rect.y, one.rect.width, one.rect.height
