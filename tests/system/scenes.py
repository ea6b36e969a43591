"""What the scenes of the system tests have in common: small content, credentials, waiting for a recording to grow."""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypedDict

import pyegress
from pyegress.codecs import Codec
from pyegress.demo.clips import ClipSpec, load_clip
from pyegress.demo.publishers import Content, DemoParticipant
from tests.support.analysis import Numbers, Picture, check_numbers, numbers_of
from tests.support.livekit_server import LiveKitServer
from tests.support.waiting import eventually

SMALL = (320, 180)
#: Frames before the pre-encoded content repeats, and its frame rate.
CLIP, FPS = 240, 30


class Access(TypedDict):
    url: str
    api_key: str
    api_secret: str


def access(server: LiveKitServer, url: str = "") -> Access:
    """What a recording needs to reach the server, perhaps by another address."""
    return Access(url=url or server.url, api_key=server.api_key, api_secret=server.api_secret)


def clip(codec: Codec = Codec.VP8, participant: int = 3, **changes: Any) -> Content:
    """Pre-encoded content that costs next to nothing to publish; key frames soon after they are asked for."""
    arguments: dict[str, Any] = {"size": SMALL, "encoded": True, "clip_seconds": CLIP // FPS, "gop": 1, "phases": 3}
    return Content(participant=participant, codec=codec, **(arguments | changes))


def prepare(name: str, content: Content) -> None:
    """Encode the clip of a participant before anything is timed."""
    load_clip(
        ClipSpec(
            name=name,
            participant=content.participant,
            codec=content.codec,
            size=content.size,
            fps=content.fps,
            bitrate=content.bits,
            seconds=content.clip_seconds,
            gop=content.gop,
            phases=content.phases,
        )
    )


@asynccontextmanager
async def publishing(
    server: LiveKitServer, room: str, identity: str = "ada", content: Content | None = None, **tracks: bool
) -> AsyncIterator[DemoParticipant]:
    """A participant who publishes, by default pre-encoded VP8 and sound."""
    token = server.token(identity, room)
    async with DemoParticipant(server.url, token, identity, content or clip(), **tracks) as participant:
        yield participant


async def recorded(recording: pyegress.Recording, seconds: float, within: float = 30.0) -> None:
    """Wait until so many seconds of media are recorded."""
    await eventually(lambda: recording.now.elapsed >= seconds, f"{seconds:g} s recorded; {recording.now}", within)


async def finished(recording: pyegress.Recording, within: float = 30.0) -> pyegress.RecordingResult:
    """Wait for a recording that ends by itself."""
    async with asyncio.timeout(within):
        return await recording.wait()


def the_file(result: pyegress.RecordingResult) -> Path:
    """The only file of a recording that went well, as far as the machine allowed."""
    result.check()
    assert told_off(result) == []
    (file,) = result.files
    assert file.warnings == ()
    return file.path


def told_off(result: pyegress.RecordingResult) -> list[str]:
    """Warnings, without the one that tests on a busy machine must live with: benches judge left-out pictures."""
    return [text for text in result.warnings if not text.startswith("The machine could not keep up")]


def counted(pictures: list[Picture], length: int = CLIP) -> list[int]:
    """The frame numbers of a clip that repeats, counted on over the repetitions."""
    counted: list[int] = []
    for number in numbers_of(pictures):
        before = counted[-1] if counted else number
        # The nearest continuation: up to half a clip may be missing.
        counted.append(before + (number - before + length // 2) % length - length // 2)
    return counted


def drift(pictures: list[Picture], length: int = CLIP) -> list[float]:
    """By how much each picture of a repeating clip is later in the file than its number says, seconds; 0 on average
    over the first second."""
    numbers = counted(pictures, length)
    lags = [picture.at - number / FPS for picture, number in zip(pictures, numbers, strict=True)]
    usual = statistics.median(lags[:FPS])
    return [lag - usual for lag in lags]


def count(pictures: list[Picture]) -> Numbers:
    """What is missing or doubled in the pictures of a repeating clip; every picture must have a number."""
    assert None not in {picture.number for picture in pictures}, "a picture that nobody published"
    return check_numbers(counted(pictures))


def record(
    server: LiveKitServer, room: str, output: Path, identity: str = "ada", **arguments: Any
) -> pyegress.Recording:
    """A recording of one participant."""
    where: dict[str, Any] = {"room": room, "identity": identity, "output": output, **access(server)}
    return pyegress.record_participant(**({"copy": True} | where | arguments))
