"""`pyegress config`: checks a configuration, prints an example and the table of all keys."""

from __future__ import annotations

from typing import Annotated

import typer

from pyegress.cli import exit_codes

_CODES = "\b\nExit codes:\n0  the service can run with it\n2  it cannot, or not as it was meant: unknown keys"

app = typer.Typer(no_args_is_help=True, help="Check and explain the configuration of the service.")


@app.command(epilog=_CODES)
def check(
    file: Annotated[
        str,
        typer.Argument(metavar="[FILE]", help="YAML; else EGRESS_CONFIG_BODY, EGRESS_CONFIG_FILE.", show_default=False),
    ] = "",
) -> None:
    """Say everything that is wrong with a configuration at once, with line and key. No value is shown.

    \b
    Examples:
      pyegress config check config.yaml
      EGRESS_CONFIG_BODY="$(cat config.yaml)" pyegress config check
    """
    import os

    from pyegress.cli.config_check import check_config
    from pyegress.cli.foreground import fail
    from pyegress.cli.wording import Wording
    from pyegress.errors import EgressError
    from pyegress.service.config import config_text

    try:
        text = config_text(file, "", os.environ)
    except EgressError as error:
        fail(error, Wording())
        raise typer.Exit(exit_codes.of_error(error)) from None
    problems = check_config(text, os.environ)
    for problem in problems:
        typer.echo(problem.line_of_text(file))
    if any(problem.serious for problem in problems):
        raise typer.Exit(exit_codes.ExitCode.USAGE)
    typer.echo("The configuration can be used.")


@app.command()
def example() -> None:
    """Print a configuration with every key and what it means.

    \b
    Example:
      pyegress config example > config.yaml
    """
    from pyegress.service.config_keys import example

    typer.echo(example(), nl=False)


@app.command()
def keys() -> None:
    """Print the table of all keys, as Markdown."""
    from pyegress.service.config_keys import markdown

    typer.echo(markdown(), nl=False)
