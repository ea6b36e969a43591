"""The demo: a real livekit-server, three participants, their recordings, and what is in them."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table

import pyegress
from pyegress.clock import wall
from pyegress.codecs import Codec
from pyegress.demo.cast import Cast, Person
from pyegress.demo.inspection import Inspection, inspect, write_contact_sheet, write_picture
from pyegress.demo.publishers import Content
from pyegress.demo.server import LiveKitServer

ROOM = "demo"
#: What the recording of the whole room is called.
TOGETHER = "room"
#: Seconds beyond its duration after which a recording counts as stuck.
_PATIENCE = 60.0
CAST = {
    "alice": Content(participant=1, codec=Codec.VP8),
    "bob": Content(participant=2, codec=Codec.H264),
    "carol": Content(participant=3, codec=Codec.VP9),
}


async def run_demo(*, duration: float = 15.0, output: Path = Path("recordings"), console: Console | None = None) -> int:
    """Record the demo's participants for `duration` seconds into a new folder in `output`; gives an exit code.

    Whatever was started is stopped at the end, also when the task is cancelled.
    """
    console = console or Console()
    started = datetime.fromtimestamp(wall(), UTC)
    folder = output / f"demo-{started:%Y%m%d-%H%M%S}"
    folder.mkdir(parents=True)
    with tempfile.TemporaryDirectory(prefix="pyegress-demo-") as scratch:
        async with AsyncExitStack() as stack:
            console.print("Starting livekit-server ...")
            server = stack.enter_context(LiveKitServer(Path(scratch)))
            console.print(f"  {server.url}")
            console.print("Three participants join the room and publish ...")
            people = [Person(name, server.token(name, ROOM), content) for name, content in CAST.items()]
            stack.enter_context(Cast(server.url, people))
            for name, content in CAST.items():
                console.print(f"  {name}: {content.codec.label} {content.size[0]}x{content.size[1]} and Opus")
            async with asyncio.timeout(duration + _PATIENCE):
                results = await _record(server, folder, duration, console)
    failed = _print_failures(results, console)
    paths = [file.path for result in results.values() for file in result.files]
    console.print("Decoding what was recorded ...")
    inspections = [await asyncio.to_thread(inspect, path) for path in paths]
    _print_table(inspections, console)
    sheet, picture = folder / "contact-sheet.png", folder / f"{TOGETHER}.png"
    await asyncio.to_thread(write_contact_sheet, inspections, sheet)
    pictures = [sheet]
    for one in inspections:
        if one.path.stem == TOGETHER and one.samples:
            await asyncio.to_thread(write_picture, one, picture)
            pictures.append(picture)
    console.print(f"\nFiles and pictures of them: {folder.resolve()}/", soft_wrap=True)
    console.print(f"  {' '.join(path.name for path in [*paths, *pictures])}", soft_wrap=True)
    return 1 if failed else 0


async def _record(
    server: LiveKitServer, folder: Path, duration: float, console: Console
) -> dict[str, pyegress.RecordingResult]:
    """Everybody as published, and all of them together."""
    told: dict[str, Any] = {"url": server.url, "api_key": server.api_key, "api_secret": server.api_secret}
    told |= {"room": ROOM, "duration": duration, "wait": 30.0}
    made = {name: pyegress.record_participant(identity=name, output=folder / name, copy=True, **told) for name in CAST}
    made[TOGETHER] = pyegress.record_room(output=folder / f"{TOGETHER}.mp4", layout="grid", **told)
    async with AsyncExitStack() as stack:
        recordings = {name: await stack.enter_async_context(recording) for name, recording in made.items()}
        columns = (TextColumn("Recording {task.description:<6}"), BarColumn(), TextColumn("{task.fields[state]}"))
        with Progress(*columns, console=console) as bars:
            watchers = [_watch(name, recording, bars, duration) for name, recording in recordings.items()]
            await asyncio.gather(*watchers)
        return {name: await recording.wait() for name, recording in recordings.items()}


async def _watch(name: str, recording: pyegress.Recording, bars: Progress, duration: float) -> None:
    bar = bars.add_task(name, total=duration, state="joining")
    async for progress in recording.progress():
        state = (
            f"{progress.elapsed:4.1f} s  {progress.bytes_written / 1000:6.0f} kB  {progress.bitrate / 1000:4.0f} kbit/s"
        )
        bars.update(bar, completed=progress.elapsed, state=progress.waiting_for or state)
    bars.update(bar, completed=duration)


def _print_failures(results: dict[str, pyegress.RecordingResult], console: Console) -> bool:
    failed = False
    for name, result in results.items():
        if result.error is not None or not result.files:
            failed = True
            console.print(f"{name}: {result.error or 'nothing was recorded'}", style="red", soft_wrap=True)
    return failed


def _print_table(inspections: Sequence[Inspection], console: Console) -> None:
    table = Table(box=None, pad_edge=False)
    for heading in ("file", "duration", "codecs", "resolution", "frames", "missing", "size"):
        table.add_column(heading, justify="left" if heading in ("file", "codecs") else "right")
    for one in inspections:
        size = f"{one.size[0]}x{one.size[1]}" if one.size else "-"
        table.add_row(
            one.path.name,
            f"{one.duration:.2f} s",
            " + ".join(one.codecs),
            size,
            str(one.pictures),
            "-" if one.missing is None else str(one.missing),
            f"{one.path.stat().st_size / 1000:.0f} kB",
        )
    console.print(table, soft_wrap=True)
