"""The demo: a real livekit-server, three participants, a service driven by LiveKit's SDK, and what it recorded."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from livekit import api
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.table import Table

from pyegress.clock import wall
from pyegress.codecs import Codec
from pyegress.demo.cast import Cast, Person
from pyegress.demo.inspection import Inspection, inspect, write_contact_sheet, write_picture
from pyegress.demo.publishers import Content
from pyegress.demo.server import LiveKitServer
from pyegress.demo.service import DemoService

ROOM = "demo"
#: What the recording of the whole room is called.
TOGETHER = "room"
#: Seconds beyond its duration after which a recording counts as stuck.
_PATIENCE = 60.0
#: Seconds between looks at how the egresses stand.
_LOOK = 0.5
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
            console.print("Starting pyegress serve ...")
            service = stack.enter_context(DemoService(server, folder, Path(scratch)))
            console.print(f"  {service.url}, driven by LiveKit's Python SDK")
            async with asyncio.timeout(duration + _PATIENCE):
                infos = await _record(server, service, duration, console)
    failed = _print_failures(infos, console)
    paths = [Path(file.location) for info in infos for file in info.file_results if file.size]
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
    server: LiveKitServer, service: DemoService, duration: float, console: Console
) -> list[api.EgressInfo]:
    """Every camera as it was published, and everybody together. The last infos."""
    cameras = await _cameras(server)
    async with api.LiveKitAPI(service.url, server.api_key, server.api_secret) as lk:
        room = api.RoomCompositeEgressRequest(
            room_name=ROOM,
            layout="grid",
            file_outputs=[api.EncodedFileOutput(filepath=f"{TOGETHER}.mp4", disable_manifest=True)],
        )
        started = {TOGETHER: await lk.egress.start_room_composite_egress(room)}
        for name, track_id in sorted(cameras.items()):
            track = api.TrackEgressRequest(
                room_name=ROOM,
                track_id=track_id,
                file=api.DirectFileOutput(filepath="{publisher_identity}", disable_manifest=True),
            )
            started[name] = await lk.egress.start_track_egress(track)
        columns = (TextColumn("Recording {task.description:<6}"), BarColumn(), TextColumn("{task.fields[state]}"))
        with Progress(*columns, console=console) as bars:
            egress_ids = [info.egress_id for info in started.values()]
            tasks = {
                info.egress_id: bars.add_task(name, total=duration, state="starting") for name, info in started.items()
            }
            await _follow(lk, tasks, bars, lambda infos: all(_seconds(info) >= duration for info in infos))
            await asyncio.gather(*map(partial(_stop, lk), egress_ids))
            infos = await _follow(lk, tasks, bars, lambda infos: all(map(_over, infos)))
        return [infos[started[name].egress_id] for name in [*sorted(cameras), TOGETHER]]


async def _cameras(server: LiveKitServer) -> dict[str, str]:
    """The camera track of everybody, once livekit-server tells of it."""
    while True:
        people = await server.participants(ROOM)
        cameras = {
            one.identity: track.sid for one in people for track in one.tracks if track.source == api.TrackSource.CAMERA
        }
        if len(cameras) == len(CAST):
            return cameras
        await asyncio.sleep(_LOOK)


async def _follow(
    lk: api.LiveKitAPI, tasks: Mapping[str, TaskID], bars: Progress, done: Callable[[list[api.EgressInfo]], bool]
) -> dict[str, api.EgressInfo]:
    """Show how the egresses stand until `done`, or until they have ended."""
    while True:
        listed = (await lk.egress.list_egress(api.ListEgressRequest())).items
        infos = {info.egress_id: info for info in listed}
        for egress_id, bar in tasks.items():
            info = infos[egress_id]
            status = api.EgressStatus.Name(info.status).removeprefix("EGRESS_").lower()
            size = sum(file.size for file in info.file_results)
            state = f"{status:<8} {_seconds(info):4.1f} s  {size / 1000:6.0f} kB" if size else info.details or status
            bars.update(bar, completed=_seconds(info), state=state)
        if done(list(infos.values())) or all(map(_over, infos.values())):
            return infos
        await asyncio.sleep(_LOOK)


async def _stop(lk: api.LiveKitAPI, egress_id: str) -> None:
    # One that has ended by itself says so in its info.
    with suppress(api.TwirpError):
        await lk.egress.stop_egress(api.StopEgressRequest(egress_id=egress_id))


def _seconds(info: api.EgressInfo) -> float:
    return max((file.duration for file in info.file_results), default=0) / 1e9


def _over(info: api.EgressInfo) -> bool:
    return info.status >= api.EgressStatus.EGRESS_COMPLETE


def _print_failures(infos: Sequence[api.EgressInfo], console: Console) -> bool:
    failed = [info for info in infos if info.status != api.EgressStatus.EGRESS_COMPLETE]
    for info in failed:
        console.print(f"{info.egress_id}: {info.error or info.details}", style="red", soft_wrap=True)
    return bool(failed)


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
