"""What a check found: how it is, what that means, and what to do."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from enum import Enum
from typing import Any

from pyegress.cli import exit_codes
from pyegress.cli.exit_codes import ExitCode
from pyegress.errors import EgressError


class Verdict(Enum):
    GOOD = "good"
    #: It works, but not all of it, or not as well as it could.
    WARNING = "warning"
    BAD = "bad"
    #: There was nothing to look at, or what it needs is bad already.
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Finding:
    """One check: `found` is what was seen, `meaning` what follows, `remedy` what to do, `code` for what is bad."""

    check: str
    verdict: Verdict
    found: str
    meaning: str = ""
    remedy: str = ""
    code: ExitCode = ExitCode.OK

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        told = asdict(self) | {"verdict": self.verdict.value}
        del told["code"]
        return told


def good(check: str, found: str, meaning: str = "") -> Finding:
    """All is well."""
    return Finding(check, Verdict.GOOD, found, meaning)


def warning(check: str, found: str, meaning: str, remedy: str) -> Finding:
    """Something is worth knowing."""
    return Finding(check, Verdict.WARNING, found, meaning, remedy)


def bad(check: str, found: str, meaning: str, remedy: str, code: ExitCode = ExitCode.USAGE) -> Finding:
    """The service cannot work."""
    return Finding(check, Verdict.BAD, found, meaning, remedy, code)


def failed(check: str, error: EgressError, meaning: str) -> Finding:
    """An error that a check met."""
    return bad(check, error.message, meaning, error.remedy, exit_codes.of_error(error))


def skipped(check: str, why: str) -> Finding:
    """Not looked at."""
    return Finding(check, Verdict.SKIPPED, why)


def code_of(findings: Iterable[Finding]) -> ExitCode:
    """The exit code of all: that of the first bad one."""
    return next((finding.code for finding in findings if finding.verdict is Verdict.BAD), ExitCode.OK)
