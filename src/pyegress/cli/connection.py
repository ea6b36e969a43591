"""Where a server is and who we are there: options that many commands share."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

import typer

from pyegress.cli.wording import Wording

PANEL = "Connection"

Url = Annotated[
    str,
    typer.Option(
        envvar="LIVEKIT_URL",
        help="LiveKit server, e.g. ws://localhost:7880.",
        show_default=False,
        rich_help_panel=PANEL,
    ),
]
ApiKey = Annotated[
    str, typer.Option(envvar="LIVEKIT_API_KEY", help="API key.", show_default=False, rich_help_panel=PANEL)
]
ApiSecret = Annotated[
    str,
    typer.Option(
        envvar="LIVEKIT_API_SECRET",
        help="API secret; safer in the environment, where other users do not see it.",
        show_default=False,
        rich_help_panel=PANEL,
    ),
]


@dataclass(frozen=True, slots=True)
class Reach:
    """How the Egress API is reached, at either door."""

    url: Annotated[
        str,
        typer.Option(
            envvar="LIVEKIT_URL",
            help="Who is asked: livekit-server (ws://localhost:7880) or pyegress itself (http://localhost:7985).",
            show_default=False,
            rich_help_panel=PANEL,
        ),
    ] = ""
    api_key: ApiKey = ""
    api_secret: ApiSecret = ""
    wording: Wording = field(default_factory=Wording)
