"""Everything that can be said of a configuration without starting anything."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass

from pyegress.cli.doors import wants_http
from pyegress.errors import EgressError, InvalidRequest
from pyegress.service.config import ServiceConfig, completed, read_config, require_server
from pyegress.service.config_reader import WRONG, Findings
from pyegress.service.config_text import line_of, lines_of
from pyegress.service.recording_rules import rule_errors


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing to say. `kind`: error, warning (an unknown key) or note (a key without effect)."""

    kind: str
    key: str
    text: str
    line: int | None = None

    @property
    def serious(self) -> bool:
        return self.kind != "note"

    def line_of_text(self, file: str) -> str:
        """`FILE:LINE: kind: text`, as compilers write it."""
        where = file or "configuration"
        return f"{where}:{self.line}: {self.kind}: {self.text}" if self.line else f"{where}: {self.kind}: {self.text}"


def check_config(text: str, environment: Mapping[str, str]) -> list[Problem]:
    """What is wrong, by line; no value is shown."""
    findings = Findings()
    config = completed(read_config(text, findings), environment)
    lines = lines_of(text)
    if not any(error.field == "" for error in findings.errors):
        for error in _cross_checks(config):
            if all(error.field != known.field for known in findings.errors):
                findings.errors.append(error)
    problems = [Problem("error", error.field, _said(error), line_of(error, lines)) for error in findings.errors]
    problems += [Problem("warning", key, said, lines.get(key)) for key, said in findings.warnings]
    problems += [Problem("note", key, said, lines.get(key)) for key, said in findings.notes]
    return sorted(problems, key=lambda problem: (problem.line or 0, problem.key))


def _said(error: InvalidRequest) -> str:
    return str(error).removeprefix(WRONG)


def _cross_checks(config: ServiceConfig) -> Iterator[InvalidRequest]:
    """What would keep the service from opening its doors."""
    yield from require_server(config)
    yield from rule_errors([dict(rule) for rule in config.auto_egress])
    if config.redis is not None:
        yield from _error_of(lambda: _redis(config))
    if wants_http(config):
        yield from _error_of(lambda: _http(config))


def _redis(config: ServiceConfig) -> object:
    from pyegress.api.psrpc.redis_options import RedisOptions

    return RedisOptions.from_mapping(asdict(config.redis)) if config.redis is not None else None


def _http(config: ServiceConfig) -> object:
    from pyegress.api.twirp_settings import configured

    return configured(config)


def _error_of(work: Callable[[], object]) -> Iterator[InvalidRequest]:
    try:
        work()
    except InvalidRequest as error:
        yield error
    except EgressError as error:
        yield InvalidRequest(error.message, field=error.field, remedy=error.remedy)
