"""What the native layouts decide for some rooms, as JSON: the web page's own implementation has to decide the same.

`python -m tests.layouts.web_arrangements` writes the file anew after a change of the layouts.
"""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

from pyegress.clock import Monotonic, Wall
from pyegress.layouts.arrangement import Arrangement, Initials, MutedPicture, Picture, Tile
from pyegress.layouts.arranger import Arranger
from pyegress.layouts.colour import Colour
from pyegress.layouts.geometry import Box, Rect, Size
from pyegress.layouts.layout import Layout
from pyegress.layouts.scene import Participant, Scene, Speaker, VideoSource, VideoTrack

FILE = Path(__file__).parents[2] / "templates" / "tests" / "arrangements.json"
SIZES = (Size(1280, 720), Size(1920, 1080), Size(720, 1280), Size(640, 360), Size(500, 281))
LAYOUTS = (
    *("grid", "speaker", "single-speaker", "", "grid-light", "speaker-light", "single-speaker-light"),
    *("grid?names=1&gap=8&radius=8&placeholders=1&speaking=1", "speaker?gap=6&names=1&placeholders=1&speaking=1"),
)
_CAMERAS = (Size(640, 360), Size(1280, 720), Size(360, 640), Size(480, 480), Size(0, 0))
_NAMES = ("Ada Lovelace", "grace-hopper", "", "李小龍", "bob  the builder", "Zoë")


def conversations() -> list[dict[str, Any]]:
    """Rooms that people come to, speak in, mute themselves in and leave, and what is drawn at each step."""
    stories = []
    for seed in range(18):
        chance = random.Random(seed)
        layout, size = LAYOUTS[seed % len(LAYOUTS)], SIZES[seed // 4 % len(SIZES)]
        arranger = Arranger(Layout.parse(layout), size)
        people: list[Participant] = []
        steps, now = [], 100.0
        most = (2, 4, 9, 30, 6, 14)[seed % 6]
        for number in range(14):
            now = round(now + chance.choice((0.2, 0.4, 0.4, 0.8, 2.0)), 3)
            people = _changed(people, chance, most, number, now)
            levels = {one.identity: chance.randint(1, 9) / 10 for one in people if chance.random() < 0.25}
            scene = Scene(tuple(people), tuple(Speaker(who, level) for who, level in levels.items()))
            arrangement = arranger.arrange(scene, Monotonic(now))
            steps.append({"now": now, "scene": _scene(people, levels), "arrangement": as_json(arrangement)})
        stories.append({"layout": layout, "size": {"width": size.width, "height": size.height}, "steps": steps})
    return stories


def _changed(people: list[Participant], chance: random.Random, most: int, number: int, now: float) -> list[Participant]:
    people = [one for one in people if chance.random() > 0.04]
    for _ in range(chance.choice((0, 1, 1, most // 6)) if number else 2):
        if len(people) < most:
            who = f"p{number}-{len(people)}"
            kind = "agent" if chance.random() < 0.1 else "standard"
            people.append(Participant(who, chance.choice(_NAMES), Wall(1000.0 + number), kind, False, ()))
    return [_with_tracks(one, chance, now) for one in people]


def _with_tracks(one: Participant, chance: random.Random, now: float) -> Participant:
    tracks = [track for track in one.tracks if chance.random() > 0.03]
    sources = {track.source for track in tracks}
    for source, share in ((VideoSource.CAMERA, 0.5), (VideoSource.SCREEN_SHARE, 0.01), (VideoSource.UNKNOWN, 0.01)):
        if source not in sources and chance.random() < share:
            sid = f"TR_{one.identity}_{source.value}_{round(now * 1000)}"
            tracks.append(VideoTrack(sid, source, False, chance.choice(_CAMERAS), Monotonic(now)))
    turned = tuple(
        VideoTrack(track.sid, track.source, track.muted != (chance.random() < 0.1), track.size, track.first_seen)
        for track in tracks
    )
    return Participant(one.identity, one.name, one.joined_at, one.kind, False, turned)


def _scene(people: list[Participant], levels: dict[str, float]) -> dict[str, Any]:
    return {
        "participants": [
            {
                "identity": one.identity,
                "name": one.name,
                "joinedAt": one.joined_at,
                "kind": one.kind,
                "tracks": [
                    {
                        "sid": track.sid,
                        "source": track.source.value,
                        "muted": track.muted,
                        "size": {"width": track.size.width, "height": track.size.height},
                        "firstSeen": track.first_seen,
                    }
                    for track in one.tracks
                ],
            }
            for one in people
        ],
        "speakers": levels,
    }


def as_json(arrangement: Arrangement) -> dict[str, Any]:
    """An arrangement as the page has it: boxes to a thousandth of a pixel, colours as CSS writes them."""
    return {"background": _colour(arrangement.background), "tiles": [_tile(tile) for tile in arrangement.tiles]}


def _tile(tile: Tile) -> dict[str, Any]:
    drawn: dict[str, Any] = {
        "key": tile.key,
        "identity": tile.identity,
        "rect": _box(tile.rect),
        "box": _box(tile.box),
        "content": _content(tile),
        "radius": tile.radius,
    }
    if tile.background is not None:
        drawn["background"] = _colour(tile.background)
    if tile.border is not None:
        drawn["border"] = tile.border.width
    if tile.label is not None:
        label = tile.label
        drawn["label"] = {"text": label.text, "area": _box(label.area), "size": label.size, "padding": label.padding}
    return drawn


def _content(tile: Tile) -> dict[str, Any]:
    match tile.content:
        case Picture(track_sid=sid, fit=fit):
            return {"type": "picture", "sid": sid, "fit": fit.value}
        case MutedPicture(track_sid=sid, glyph=glyph):
            return {"type": "muted", "sid": sid} | ({} if glyph is None else {"glyph": _box(glyph.rect)})
        case Initials(text=text, size=size):
            return {"type": "initials", "text": text, "size": size}


def _box(box: Box | Rect) -> dict[str, float]:
    numbers = {"x": box.x, "y": box.y, "width": box.width, "height": box.height}
    return {name: round(value, 3) for name, value in numbers.items()}


def _colour(colour: Colour) -> str:
    return f"#{colour.red:02x}{colour.green:02x}{colour.blue:02x}"


def text() -> str:
    """The file: one line for each step, so that a change can be read."""
    lines = []
    for story in conversations():
        head = json.dumps({"layout": story["layout"], "size": story["size"]})[:-1]
        steps = ",\n".join(json.dumps(step, ensure_ascii=False, separators=(",", ":")) for step in story["steps"])
        lines.append(f'{head}, "steps": [\n{steps}\n]}}')
    return "[\n" + ",\n".join(lines) + "\n]\n"


if __name__ == "__main__":
    FILE.write_text(text())
