"""Runs one command against the Egress API: prints what came of it, exits with the code that says so."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import typer
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from livekit.protocol import egress as pb

from pyegress.api.egress_client import EgressClient
from pyegress.cli import exit_codes
from pyegress.cli.connection import Reach
from pyegress.cli.egress_rows import COLUMNS, row
from pyegress.cli.foreground import fail
from pyegress.clock import wall
from pyegress.errors import EgressError, InvalidRequest
from pyegress.server.twirp import ServerAccess

T = TypeVar("T")


def call(reach: Reach, work: Callable[[EgressClient], Awaitable[T]]) -> T:
    """What `work` gives. An EgressError is said on standard error and ends the command with its exit code."""
    try:
        return asyncio.run(_with_client(reach, work))
    except EgressError as error:
        fail(error, reach.wording)
        raise typer.Exit(exit_codes.of_error(error)) from None
    except KeyboardInterrupt:
        raise typer.Exit(exit_codes.ExitCode.OK) from None


async def _with_client(reach: Reach, work: Callable[[EgressClient], Awaitable[T]]) -> T:
    client = EgressClient(access(reach))
    try:
        return await work(client)
    finally:
        await client.aclose()


def access(reach: Reach, name: str = "The Egress API") -> ServerAccess:
    """Where and as whom. Raises InvalidRequest for what is missing."""
    for given, option, variable in (
        (reach.url, "--url", "LIVEKIT_URL"),
        (reach.api_key, "--api-key", "LIVEKIT_API_KEY"),
        (reach.api_secret, "--api-secret", "LIVEKIT_API_SECRET"),
    ):
        if not given:
            raise InvalidRequest(
                f"{option} is missing", field=option, remedy=f"Give {option}, or set {variable} in the environment"
            )
    return ServerAccess(reach.url, reach.api_key, reach.api_secret, name)


def print_json(message: Message | Sequence[Message]) -> None:
    """Protobuf JSON, as the API gives it."""
    shown = [_plain(one) for one in message] if isinstance(message, Sequence) else _plain(message)
    typer.echo(json.dumps(shown, indent=2, ensure_ascii=False))


def print_info(info: pb.EgressInfo, *, as_json: bool) -> None:
    """What became of a call: one line, or the whole info as JSON."""
    if as_json:
        print_json(info)
        return
    shown = row(info, wall())
    parts = (shown.egress_id, shown.status, *shown.outputs, shown.details)
    typer.echo("  ".join(part for part in parts if part))


def print_table(infos: Sequence[pb.EgressInfo]) -> None:
    """A table without borders, cut nowhere: made to be read and to be searched."""
    from rich.console import Console

    from pyegress.cli.watch import table

    if not infos:
        typer.echo("No egress.", err=True)
        return
    console = Console(soft_wrap=True)
    if console.is_terminal:
        console.print(table(infos, wall()))
        return
    typer.echo("\t".join(COLUMNS))
    for info in infos:
        typer.echo("\t".join(cell.replace("\n", ",") for cell in row(info, wall()).cells))


def _plain(message: Message) -> object:
    return MessageToDict(message, preserving_proto_field_name=True)
