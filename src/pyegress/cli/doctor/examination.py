"""Runs the checks beside each other, and shows the findings as they come."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Coroutine, Sequence
from dataclasses import replace
from typing import Any

import typer
from rich.console import Console
from rich.text import Text

from pyegress.cli.config_check import check_config
from pyegress.cli.doctor.findings import Finding, Verdict, bad, code_of, good, warning
from pyegress.cli.doctor.machine_checks import check_machine
from pyegress.cli.doctor.redis_checks import check_redis
from pyegress.cli.doctor.server_checks import check_server
from pyegress.cli.doctor.storage_checks import check_storage
from pyegress.cli.exit_codes import ExitCode
from pyegress.service.config import ServiceConfig, completed, config_text, read_config
from pyegress.service.config_reader import Findings

_MARKS = {
    Verdict.GOOD: ("ok", "green"),
    Verdict.WARNING: ("warning", "yellow"),
    Verdict.BAD: ("BAD", "bold red"),
    Verdict.SKIPPED: ("-", "dim"),
}


def examine(
    path: str, *, join: bool, as_json: bool, url: str = "", api_key: str = "", api_secret: str = ""
) -> ExitCode:
    """Check everything and print it. Raises InvalidRequest when the configuration cannot be read at all."""
    text = config_text(path, "", os.environ)
    config = completed(read_config(text, Findings()), os.environ)
    config = replace(
        config,
        ws_url=config.ws_url or url,
        api_key=config.api_key or api_key,
        api_secret=config.api_secret or api_secret,
    )
    show = _Silent() if as_json else _Printed()
    findings = asyncio.run(_examine(config, text, path, join, show))
    if as_json:
        typer.echo(json.dumps([finding.as_json() for finding in findings], indent=2, ensure_ascii=False))
    else:
        show.summary(findings)
    return code_of(findings)


async def _examine(config: ServiceConfig, text: str, path: str, join: bool, show: _Silent) -> list[Finding]:
    checks: list[Coroutine[Any, Any, list[Finding]]] = [
        check_server(config, join=join),
        check_redis(config),
        asyncio.to_thread(check_machine, config),
        check_storage(config),
    ]
    findings = _configuration(text, path, config) if text else []
    show.add(findings)
    running = [asyncio.create_task(check) for check in checks]
    for task in running:
        found = await task
        show.add(found)
        findings += found
    return findings


def _configuration(text: str, path: str, config: ServiceConfig) -> list[Finding]:
    """What `config check` says, one finding for all."""
    # Server and keys have checks of their own.
    missing = {key for key in ("ws_url", "api_key", "api_secret") if not getattr(config, key)}
    problems = [problem for problem in check_config(text, os.environ) if problem.key not in missing]
    errors = [problem.text for problem in problems if problem.kind == "error"]
    name = path or "the configuration"
    remedy = f"pyegress config check {path} shows lines".replace("  ", " ")
    if errors:
        return [bad("configuration", "; ".join(errors), f"The service does not start with {name}.", remedy)]
    unknown = [problem.text for problem in problems if problem.serious]
    if unknown:
        return [warning("configuration", "; ".join(unknown), "Those keys do nothing.", remedy)]
    return [good("configuration", f"{name} can be used")]


class _Silent:
    """Shows nothing."""

    def add(self, findings: Sequence[Finding]) -> None:
        """Show some findings."""

    def summary(self, findings: Sequence[Finding]) -> None:
        """Show how it is as a whole."""


class _Printed(_Silent):
    """One paragraph for each finding."""

    def __init__(self) -> None:
        self._console = Console(highlight=False, soft_wrap=True)

    def add(self, findings: Sequence[Finding]) -> None:
        for finding in findings:
            mark, style = _MARKS[finding.verdict]
            line = Text(f"{mark:>7}  ", style=style)
            line.append(f"{finding.check}: ", style="bold")
            line.append(finding.found, style="")
            self._console.print(line)
            for text in (finding.meaning, finding.remedy):
                if text:
                    self._console.print(Text(f"         {text}", style="dim" if text is finding.meaning else ""))

    def summary(self, findings: Sequence[Finding]) -> None:
        count = {verdict: sum(finding.verdict is verdict for finding in findings) for verdict in Verdict}
        if not count[Verdict.BAD] and not count[Verdict.WARNING]:
            self._console.print("All is well.")
            return
        parts = [f"{count[Verdict.BAD]} bad", f"{count[Verdict.WARNING]} warnings"]
        self._console.print(f"{', '.join(parts)}; the rest is well.")
