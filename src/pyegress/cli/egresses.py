"""`pyegress start, stop, list, update-layout, update-stream, watch`: egresses of a service, at either door."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pyegress.cli import exit_codes
from pyegress.cli.connection import Reach
from pyegress.cli.options import with_common_options

if TYPE_CHECKING:
    from pyegress.plan.form import EgressRequest

# Help is answered without protobuf, an event loop and HTTP: what needs them is imported where it runs.

_CODES = "\b\nExit codes:\n" + exit_codes.table()
#: The keys of `plan.request_json.REQUEST_TYPES`.
TYPES = ("room-composite", "web", "participant", "track-composite", "track", "egress")

AsJson = Annotated[bool, typer.Option("--json", help="Print the whole info as JSON.")]
EgressId = Annotated[str, typer.Argument(metavar="EGRESS_ID", help="EG_…", show_default=False)]
EgressIds = Annotated[list[str], typer.Argument(metavar="EGRESS_ID...", help="EG_…", show_default=False)]
Room = Annotated[str, typer.Option("--room", "-r", help="Only those of this room.", show_default=False)]


@with_common_options(Reach)
def start(
    reach: Reach,
    request: Annotated[
        str, typer.Argument(metavar="REQUEST.json", help="The request; - is standard input.", show_default=False)
    ],
    type_: Annotated[
        str, typer.Option("--type", help=f"{', '.join(TYPES)}. [default: what its fields say]", show_default=False)
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Start an egress from a request in JSON, the same that `lk egress start --type …` takes.

    \b
    Examples:
      pyegress start request.json
      pyegress start --type participant participant.json --url http://localhost:7985
      echo '{"room_name": "standup", "file_outputs": [{"filepath": "{room_name}-{time}.mp4"}]}' | pyegress start -
    """
    from pyegress.cli.egress_calls import call, print_info
    from pyegress.cli.foreground import fail
    from pyegress.errors import EgressError

    try:
        asked = _read_request(request, type_)
    except EgressError as error:
        fail(error, reach.wording)
        raise typer.Exit(exit_codes.of_error(error)) from None
    print_info(call(reach, lambda client: client.start(asked)), as_json=as_json)


@with_common_options(Reach)
def stop(reach: Reach, egress_id: EgressIds, as_json: AsJson = False) -> None:
    """End egresses in order: what they have recorded is finished and kept.

    \b
    Example:
      pyegress stop EG_nAsKoKzPvnUd
    """
    from pyegress.cli.egress_calls import call, print_info

    for each in egress_id:
        print_info(call(reach, lambda client, each=each: client.stop(each)), as_json=as_json)  # type: ignore[misc]


@with_common_options(Reach)
def list_(
    reach: Reach,
    room: Room = "",
    egress_id: Annotated[str, typer.Option("--id", help="Only this egress.", show_default=False)] = "",
    active: Annotated[bool, typer.Option("--active", help="Only those that have not ended.")] = False,
    limit: Annotated[int, typer.Option("--limit", min=0, help="At most so many, the newest; 0 is all.")] = 100,
    as_json: Annotated[bool, typer.Option("--json", help="Print the whole infos as a list in JSON.")] = False,
) -> None:
    """List egresses, the newest first.

    \b
    Examples:
      pyegress list --active
      pyegress list --room standup --json
    """
    from pyegress.cli.egress_calls import call, print_json, print_table

    infos = call(reach, lambda client: client.list_all(room_name=room, egress_id=egress_id, active=active, limit=limit))
    if as_json:
        print_json(infos)
    else:
        print_table(infos)
    if egress_id and not infos:
        raise typer.Exit(exit_codes.ExitCode.NOT_FOUND)


@with_common_options(Reach)
def update_layout(
    reach: Reach,
    egress_id: EgressId,
    layout: Annotated[str, typer.Argument(metavar="LAYOUT", help='grid, speaker, single-speaker, "grid?names=1", …')],
    as_json: AsJson = False,
) -> None:
    """Change the layout of a room composite while it is recorded.

    \b
    Example:
      pyegress update-layout EG_nAsKoKzPvnUd speaker
    """
    from pyegress.cli.egress_calls import call, print_info

    print_info(call(reach, lambda client: client.update_layout(egress_id, layout)), as_json=as_json)


@with_common_options(Reach)
def update_stream(
    reach: Reach,
    egress_id: EgressId,
    add: Annotated[
        list[str] | None, typer.Option("--add", metavar="URL", help="Send there too; may be repeated.")
    ] = None,
    remove: Annotated[
        list[str] | None, typer.Option("--remove", metavar="URL", help="Send there no more; may be repeated.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Add and remove destinations of a running stream.

    \b
    Example:
      pyegress update-stream EG_nAsKoKzPvnUd --add rtmp://live.example.com/app/KEY --remove rtmp://old/app/KEY
    """
    from pyegress.cli.egress_calls import call, print_info

    if not (add or remove):
        raise typer.BadParameter("Give --add or --remove", param_hint="--add")
    info = call(reach, lambda client: client.update_stream(egress_id, add=add or (), remove=remove or ()))
    print_info(info, as_json=as_json)


@with_common_options(Reach)
def watch(
    reach: Reach,
    egress_id: Annotated[
        list[str] | None,
        typer.Argument(metavar="[EGRESS_ID]...", help="Which; all that run when left out.", show_default=False),
    ] = None,
    room: Room = "",
    interval: Annotated[float, typer.Option("--interval", min=0.1, help="Seconds between looks.")] = 1.0,
) -> None:
    """Watch egresses: status, time, outputs, bytes, and what they wait for.

    Ends with Ctrl-C, or when those that are named have ended; the exit code says how. Sizes grow live where pyegress
    itself is asked; livekit-server learns them at the end.

    \b
    Examples:
      pyegress watch
      pyegress watch EG_nAsKoKzPvnUd
    """
    from pyegress.cli.egress_calls import call
    from pyegress.cli.watch import watch_egresses

    code = call(
        reach,
        lambda client: watch_egresses(client, egress_id or (), room_name=room, interval=interval),
    )
    raise typer.Exit(code)


def add_to(app: typer.Typer) -> None:
    """The commands of this module."""
    for name, command in (
        ("start", start),
        ("stop", stop),
        ("list", list_),
        ("update-layout", update_layout),
        ("update-stream", update_stream),
        ("watch", watch),
    ):
        app.command(name=name, epilog=_CODES)(command)


def _read_request(name: str, type_: str) -> EgressRequest:
    """The request in a file, or on standard input. Raises InvalidRequest."""
    import json

    from pyegress.errors import InvalidRequest
    from pyegress.plan.request_json import request_from_json
    from pyegress.plan.request_type import guess_type

    try:
        text = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
    except OSError as error:
        raise InvalidRequest(
            f"{name} cannot be read: {error.strerror}", field="request", remedy="Name a file with the request in JSON"
        ) from None
    if not type_:
        try:
            type_ = guess_type(json.loads(text))
        except (ValueError, RecursionError):
            type_ = TYPES[0]  # whatever it should be: the error below says where it is no JSON
    return request_from_json(type_, text)
