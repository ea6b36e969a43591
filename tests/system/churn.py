"""People who come and go, publish, mute and change their codecs at random, and what they remember of it."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from pyegress.clock import monotonic, wall
from pyegress.codecs import Codec
from pyegress.demo.publishers import Content, DemoParticipant
from pyegress.room.events import Source
from tests.support.analysis import read_packets
from tests.support.livekit_server import LiveKitServer
from tests.system.scenes import clip, prepare

CODECS = (Codec.VP8, Codec.H264, Codec.VP9)
#: How packets end that the recorder writes where nothing came.
_SILENCE = b"\xff\xfe"
SOURCES = (Source.CAMERA, Source.MICROPHONE, Source.SCREEN_SHARE)


@dataclass(slots=True)
class Publication:
    """One publication as its publisher knows it; times are monotonic seconds."""

    identity: str
    source: Source
    sid: str
    codec: Codec
    begun: float
    ended: float | None = None
    #: (muted, unmuted or None) in order.
    mutes: list[tuple[float, float | None]] = field(default_factory=list)

    def audible(self) -> list[tuple[float, float]]:
        """The stretches of time in which it sent."""
        assert self.ended is not None
        edges = [self.begun]
        for muted, unmuted in self.mutes:
            edges += [muted, self.ended if unmuted is None else unmuted]
        edges.append(self.ended)
        return [(start, end) for start, end in zip(edges[::2], edges[1::2], strict=True) if end > start]


class Churn:
    """Makes random changes in a room, seeded; `publications` is everything that was ever published."""

    def __init__(self, server: LiveKitServer, room: str, people: int, seed: int, *, phases: int = 2) -> None:
        """With more `phases` publishers answer requests for key frames sooner, and take longer to prepare."""
        self._server, self._room, self._phases = server, room, phases
        self._dice = random.Random(seed)
        self._names = [f"p{number}" for number in range(people)]
        self._there: dict[str, DemoParticipant] = {}
        self._live: dict[tuple[str, Source], Publication] = {}
        self.publications: list[Publication] = []
        self.changes: dict[str, int] = {}

    def prepare(self) -> None:
        """Encode what will be shown."""
        for name in self._names:
            for codec in CODECS:
                prepare(name, self._content(name, codec))

    async def run(self, changes: int, *, pause: float = 0.3) -> None:
        """Make so many changes; `pause` is their mean distance in seconds."""
        while sum(self.changes.values()) < changes:
            name = self._dice.choice(self._names)
            choices = self._choices(name)
            what = self._dice.choice(sorted(choices))
            await choices[what]()
            self.changes[what] = self.changes.get(what, 0) + 1
            await asyncio.sleep(self._dice.uniform(0.3, 1.7) * pause)

    async def leave_all(self) -> None:
        for name in list(self._there):
            await self._leave(name)

    def _choices(self, name: str) -> dict[str, Callable[[], Awaitable[None]]]:
        """The changes that a person can make now."""
        if name not in self._there:
            return {"join": lambda: self._join(name)}
        choices: dict[str, Callable[[], Awaitable[None]]] = {"leave": lambda: self._leave(name)}
        mine = [source for person, source in self._live if person == name]
        free = [source for source in self._sources(name) if source not in mine]
        if free:
            choices["publish"] = lambda: self._publish(name, self._dice.choice(free))
        if mine:
            source = self._dice.choice(mine)
            choices["unpublish"] = lambda: self._unpublish(name, source)
            muted = any(end is None for _, end in self._live[name, source].mutes)
            choices["unmute" if muted else "mute"] = lambda: self._toggle(name, source)
        if Source.CAMERA in mine:
            choices["codec"] = lambda: self._change_codec(name)
        return choices

    async def _join(self, name: str) -> None:
        content = self._content(name, self._dice.choice(CODECS))
        token = self._server.token(name, self._room)
        person = DemoParticipant(self._server.url, token, name, content, video=False, audio=False)
        self._there[name] = person
        await person.join()
        sources = self._sources(name)
        for source in self._dice.sample(sources, k=self._dice.randint(1, len(sources))):
            await self._publish(name, source)

    async def _leave(self, name: str) -> None:
        for source in [source for person, source in self._live if person == name]:
            self._over(name, source)
        await self._there.pop(name).leave()

    async def _publish(self, name: str, source: Source) -> None:
        person = self._there[name]
        codec = Codec.OPUS if source is Source.MICROPHONE else self._dice.choice(CODECS)
        content = person.content if codec is Codec.OPUS else self._content(name, codec)
        sid = await person.publish(source, content)
        publication = Publication(name, source, sid, codec, monotonic())
        self._live[name, source] = publication
        self.publications.append(publication)

    async def _unpublish(self, name: str, source: Source) -> None:
        self._over(name, source)
        await self._there[name].unpublish(source)

    async def _toggle(self, name: str, source: Source) -> None:
        person, mutes = self._there[name], self._live[name, source].mutes
        if mutes and mutes[-1][1] is None:
            person.unmute(source)
            mutes[-1] = (mutes[-1][0], monotonic())
        else:
            mutes.append((monotonic(), None))
            person.mute(source)

    async def _change_codec(self, name: str) -> None:
        await self._unpublish(name, Source.CAMERA)
        await self._publish(name, Source.CAMERA)

    def _sources(self, name: str) -> tuple[Source, ...]:
        """Every second person has no microphone: sound in pieces of 10 ms is what costs a publisher most."""
        silent = int(name[1:]) % 2 == 1
        return tuple(source for source in SOURCES if not (silent and source is Source.MICROPHONE))

    def _over(self, name: str, source: Source) -> None:
        self._live.pop((name, source)).ended = monotonic()

    def _content(self, name: str, codec: Codec) -> Content:
        return clip(codec, int(name[1:]), clip_seconds=4, phases=self._phases, bitrate=100_000)


def problems(directory: Path, publications: list[Publication], *, least: float, slack: float) -> list[str]:
    """What the folder of a recording of every track lacks.

    A publication must be there when it sent for `least` seconds on end; it may begin, pause and end `slack` seconds
    off.
    """
    index: dict[str, Any] = json.loads((directory / "index.json").read_text())
    zero = index["started_at"] - (wall() - monotonic())
    entries = {entry["track_id"]: entry for entry in index["tracks"]}
    found: list[str] = []
    for publication in publications:
        stretches = [(a, b) for a, b in publication.audible() if b - a >= least]
        what = f"{publication.source.value} of {publication.identity} ({publication.sid}, {publication.codec.label})"
        if not stretches:
            continue
        entry = entries.get(publication.sid)
        if entry is None or not entry["files"]:
            found.append(f"{what} was not recorded: it sent {stretches}")
            continue
        if entry["codec"] != publication.codec.label or entry["identity"] != publication.identity:
            found.append(f"{what} is {entry['codec']} of {entry['identity']} in the index")
        kind = publication.codec.kind.value
        times = [
            zero + file["start"] + (packet.pts or 0.0)
            for file in entry["files"]
            for packet in read_packets(directory / file["path"], "video" if kind == "video" else "audio")
            if not packet.data.endswith(_SILENCE)
        ]
        for start, end in stretches:
            inside = [at for at in times if start - 0.5 <= at <= end + 0.5]
            edges = [start, *inside, end]
            longest, at = max((after - before, before) for before, after in pairwise(edges))
            if longest > slack:
                ages = f"{start - zero:.1f}..{end - zero:.1f} s"
                found.append(f"{what} has nothing for {longest:.1f} s from {at - zero:.1f} s on; it sent {ages}")
    recorded = {file["path"] for entry in index["tracks"] for file in entry["files"]}
    there = {path.name for path in directory.iterdir()} - {"index.json"}
    if recorded != there:
        found.append(f"in the index {sorted(recorded - there)} only, in the folder {sorted(there - recorded)} only")
    return found
