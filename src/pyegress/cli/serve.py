"""`pyegress serve`: the service in the foreground, from its configuration to the end of its last recording."""

from __future__ import annotations

from typing import Annotated

import typer


def serve(
    config: Annotated[
        str,
        typer.Option("--config", metavar="FILE", help="YAML; else EGRESS_CONFIG_FILE.", show_default=False),
    ] = "",
    config_body: Annotated[
        str,
        typer.Option("--config-body", metavar="YAML", help="Its text; else EGRESS_CONFIG_BODY.", show_default=False),
    ] = "",
) -> None:
    """Serve egress requests: from livekit-server over Redis, or directly over HTTP.

    \b
    SIGTERM takes nothing new and waits for what runs; SIGINT, or a second SIGTERM, ends recordings in order, now.
    """
    from pyegress.cli import exit_codes
    from pyegress.cli.foreground import fail
    from pyegress.cli.serving import run_service
    from pyegress.cli.wording import Wording
    from pyegress.errors import EgressError

    try:
        run_service(config, config_body)
    except EgressError as error:
        fail(error, Wording())
        raise typer.Exit(exit_codes.of_error(error)) from None
