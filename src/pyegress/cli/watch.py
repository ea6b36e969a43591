"""`pyegress watch`: a live table on a terminal, a line for every change elsewhere."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Self

import typer
from livekit.protocol import egress as pb
from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from pyegress.api.egress_client import EgressClient
from pyegress.cli.egress_rows import COLUMNS, is_over, row
from pyegress.cli.exit_codes import ExitCode, of_error
from pyegress.clock import Wall, wall
from pyegress.errors import Code, EgressError, NotFound

#: For how long egresses that have ended stay in the table of all.
_SHOWN_AFTER = 30.0


def table(infos: Sequence[pb.EgressInfo], now: Wall) -> Table:
    """The egresses as a table of `rich`."""
    shown = Table(box=None, pad_edge=False, header_style="bold")
    for column in COLUMNS:
        right = column in ("elapsed", "size")
        shown.add_column(
            column,
            justify="right" if right else "left",
            no_wrap=right or column in ("egress", "status"),
            overflow="fold",
        )
    for info in infos:
        one = row(info, now)
        cells = [Text(cell) for cell in one.cells]
        cells[1].stylize(one.style)
        shown.add_row(*cells)
    return shown


async def watch_egresses(
    client: EgressClient, egress_ids: Sequence[str], *, room_name: str = "", interval: float = 1.0
) -> ExitCode:
    """Show egresses until those that are named have ended, or for ever. The code says how the worst of them ended.

    A server that does not answer for a while is waited for. Raises EgressError for a first answer that does not come.
    """
    console = Console()
    infos = await _look(client, egress_ids, room_name)
    if missing := set(egress_ids) - {info.egress_id for info in infos}:
        raise NotFound(
            f"There is no egress {', '.join(sorted(missing))}",
            field="egress_id",
            remedy="See pyegress list; egresses that ended long ago are forgotten",
        )
    with _Board(console) if console.is_terminal else _Lines() as display:
        while True:
            display.show(infos)
            if egress_ids and all(is_over(info) for info in infos):
                break
            await asyncio.sleep(interval)
            try:
                infos = await _look(client, egress_ids, room_name)
            except EgressError as error:
                if not error.retryable:
                    raise
                typer.echo(f"pyegress: {error.message}", err=True)
    return max((_ended(info) for info in infos), default=ExitCode.OK)


async def _look(client: EgressClient, egress_ids: Sequence[str], room_name: str) -> list[pb.EgressInfo]:
    if egress_ids:
        found = await asyncio.gather(*(client.list_all(egress_id=egress_id) for egress_id in egress_ids))
        return [info for infos in found for info in infos]
    now = wall()
    infos = await client.list_all(room_name=room_name, limit=1000)
    return [info for info in infos if not is_over(info) or now - info.ended_at / 1e9 < _SHOWN_AFTER]


def _ended(info: pb.EgressInfo) -> ExitCode:
    if info.status == pb.EgressStatus.EGRESS_ABORTED:
        return ExitCode.NOTHING_RECORDED
    if info.status != pb.EgressStatus.EGRESS_FAILED:
        return ExitCode.OK
    code = next((code for code in Code if code.http == info.error_code), Code.INTERNAL)
    return of_error(EgressError(info.error, code=code))


class _Board:
    """The table, drawn in place."""

    def __init__(self, console: Console) -> None:
        self._live = Live(console=console, auto_refresh=False)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def show(self, infos: Sequence[pb.EgressInfo]) -> None:
        self._live.update(table(infos, wall()), refresh=True)


class _Lines:
    """Plain lines: one for each change of status or details."""

    def __init__(self) -> None:
        self._shown: dict[str, tuple[str, str]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def show(self, infos: Sequence[pb.EgressInfo]) -> None:
        for info in reversed(infos):
            one = row(info, wall())
            if self._shown.get(one.egress_id) != (one.status, one.details):
                self._shown[one.egress_id] = one.status, one.details
                parts = (one.egress_id, one.status, one.elapsed, *one.outputs, one.size, one.details)
                typer.echo("  ".join(part for part in parts if part))
