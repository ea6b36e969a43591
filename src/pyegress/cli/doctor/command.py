"""`pyegress doctor`: looks at everything that a service needs, and says what each finding means."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

import typer

from pyegress.cli import exit_codes
from pyegress.cli.connection import ApiKey, ApiSecret, Url
from pyegress.cli.options import with_common_options
from pyegress.cli.wording import Wording

CODES = "\b\nExit codes (of the first bad finding; warnings are 0):\n" + exit_codes.table()


@dataclass(frozen=True, slots=True)
class Server:
    """Where livekit-server is, where a configuration does not say it."""

    url: Url = ""
    api_key: ApiKey = ""
    api_secret: ApiSecret = ""
    wording: Wording = field(default_factory=Wording)


@with_common_options(Server)
def doctor(
    server: Server,
    config: Annotated[
        str,
        typer.Option("--config", metavar="FILE", help="Of the service; else EGRESS_CONFIG_FILE.", show_default=False),
    ] = "",
    join: Annotated[
        bool, typer.Option("--join/--no-join", help="Join a room of our own for a moment, and look for a media path.")
    ] = True,
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as a list in JSON.")] = False,
) -> None:
    """Check what a service needs: server, keys, clocks, media path, Redis, disk, storage, programs, CPU.

    Nothing is changed: the room, the object and the files that it makes are removed again.

    \b
    Examples:
      pyegress doctor --config config.yaml
      pyegress doctor --url ws://localhost:7880 --json
    """
    from pyegress.cli.doctor.examination import examine
    from pyegress.cli.foreground import fail
    from pyegress.errors import EgressError

    try:
        code = examine(
            config, join=join, as_json=as_json, url=server.url, api_key=server.api_key, api_secret=server.api_secret
        )
    except EgressError as error:
        fail(error, server.wording)
        raise typer.Exit(exit_codes.of_error(error)) from None
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
    raise typer.Exit(code)
