"""The `pyegress` command."""

from __future__ import annotations

from typing import Annotated

import typer

from pyegress.cli import egresses
from pyegress.cli.config import app as config_app
from pyegress.cli.doctor.command import CODES as DOCTOR_CODES
from pyegress.cli.doctor.command import doctor
from pyegress.cli.record import app as record_app
from pyegress.cli.serve import serve
from pyegress.cli.spool import app as spool_app

app = typer.Typer(
    name="pyegress",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="LiveKit Egress in Python: record LiveKit rooms, participants and tracks; serve and drive egresses.",
)
app.add_typer(record_app, name="record")
app.command(name="serve")(serve)
egresses.add_to(app)
app.add_typer(spool_app, name="spool")
app.command(name="doctor", epilog=DOCTOR_CODES)(doctor)
app.add_typer(config_app, name="config")


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version  # a megabyte that a service would keep

        typer.echo(f"pyegress {version('pyegress')}")
        raise typer.Exit


@app.callback()
def _root(
    show_version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    pass


def main() -> None:
    """Entry point of the console script."""
    app()
