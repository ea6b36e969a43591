"""`pyegress spool list, retry, export, drop`: what is recorded and not delivered yet, with or without a service."""

from __future__ import annotations

from typing import Annotated

import typer

from pyegress.cli import exit_codes

_CODES = "\b\nExit codes:\n0  done\n2  a bad option\n4  no such egress\n7  something could not be delivered or written"

app = typer.Typer(
    no_args_is_help=True,
    help="Look after what is recorded and not delivered yet, with or without a running service.",
)

Config = Annotated[
    str,
    typer.Option("--config", metavar="FILE", help="YAML of the service; else EGRESS_CONFIG_FILE.", show_default=False),
]
Folder = Annotated[
    str,
    typer.Option("--spool", metavar="DIR", help="Another spool than that of the configuration.", show_default=False),
]
EgressId = Annotated[str, typer.Argument(metavar="EGRESS_ID", help="EG_…", show_default=False)]
EgressIds = Annotated[list[str], typer.Argument(metavar="EGRESS_ID...", help="EG_…", show_default=False)]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]


@app.command(name="list", epilog=_CODES)
def list_(config: Config = "", spool: Folder = "", as_json: AsJson = False) -> None:
    """Show every egress of the spool: its state, what waits, why, and when it is tried again.

    \b
    Examples:
      pyegress spool list
      pyegress spool list --json | jq '.[] | select(.state == "uploading") | .reason'
    """
    from pyegress.cli.spool_work import SpoolWork, print_list

    with SpoolWork.opened(config, spool) as work:
        print_list(work.rows(), as_json=as_json)


@app.command(epilog=_CODES)
def retry(
    egress_id: EgressIds,
    request: Annotated[
        str,
        typer.Option(
            "--request",
            metavar="FILE",
            help="The request in JSON, for credentials that were not kept.",
            show_default=False,
        ),
    ] = "",
    config: Config = "",
    spool: Folder = "",
    as_json: AsJson = False,
) -> None:
    """Finish and deliver egresses now, here; the service tells its clients what came of it.

    \b
    Examples:
      pyegress spool retry EG_nAsKoKzPvnUd --config config.yaml
      pyegress spool retry EG_nAsKoKzPvnUd --request request.json
    """
    from pyegress.cli.spool_work import SpoolWork

    with SpoolWork.opened(config, spool) as work:
        whole = [work.retry(each, request, as_json=as_json) for each in egress_id]
        if not all(whole):
            raise typer.Exit(exit_codes.ExitCode.OUTPUT)


@app.command(epilog=_CODES)
def export(
    egress_id: EgressId,
    folder: Annotated[str, typer.Argument(metavar="DIR", help="Where copies are put.", show_default=False)],
    config: Config = "",
    spool: Folder = "",
    as_json: AsJson = False,
) -> None:
    """Copy what was recorded into a folder, as ordinary seekable files. The spool stays as it is.

    \b
    Example:
      pyegress spool export EG_nAsKoKzPvnUd rescued
    """
    from pyegress.cli.spool_work import SpoolWork

    with SpoolWork.opened(config, spool) as work:
        work.export(egress_id, folder, as_json=as_json)


@app.command(epilog=_CODES)
def drop(
    egress_id: EgressIds,
    undelivered: Annotated[
        bool, typer.Option("--undelivered", help="Also what is not delivered: it is lost then.")
    ] = False,
    config: Config = "",
    spool: Folder = "",
    as_json: AsJson = False,
) -> None:
    """Remove egresses from the spool, with all that it holds of them.

    \b
    Examples:
      pyegress spool drop EG_nAsKoKzPvnUd
      pyegress spool drop EG_nAsKoKzPvnUd --undelivered
    """
    from pyegress.cli.spool_work import SpoolWork

    with SpoolWork.opened(config, spool) as work:
        work.drop(egress_id, undelivered=undelivered, as_json=as_json)
