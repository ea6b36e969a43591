"""`pyegress serve`: the service in the foreground, from its configuration to the end of its last recording."""

from __future__ import annotations

from typing import Annotated

import typer


def serve(
    config: Annotated[
        str,
        typer.Option(
            "--config", envvar="EGRESS_CONFIG_FILE", metavar="FILE", help="Configuration (YAML).", show_default=False
        ),
    ] = "",
    config_body: Annotated[
        str,
        typer.Option(
            "--config-body", envvar="EGRESS_CONFIG_BODY", metavar="YAML", help="Goes before a file.", show_default=False
        ),
    ] = "",
) -> None:
    """Serve egress requests: from livekit-server over Redis, or directly over HTTP.

    \b
    SIGTERM takes nothing new and waits for what runs; SIGINT, or a second SIGTERM, ends recordings in order, now.
    """
    from pyegress.cli import exit_codes
    from pyegress.cli.foreground import fail
    from pyegress.cli.serving import run_service
    from pyegress.errors import EgressError

    try:
        run_service(config, config_body)
    except EgressError as error:
        fail(error)
        raise typer.Exit(exit_codes.of_error(error)) from None
