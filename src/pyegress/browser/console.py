"""What a page writes to its console: its signals, and its complaints, kept for whoever asks why. Pure."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable
from typing import Any

from pyegress.plan.stream_urls import redact_page_url

START, END = "START_RECORDING", "END_RECORDING"

_KEPT = 20
_LINE = 300
_URL = re.compile(r"\b(?:https?|wss?)://[^\s\"'<>)\]]+")
_JWT = re.compile(r"\beyJ[\w-]{5,}\.[\w-]+(?:\.[\w-]*)?")
_NAMED = re.compile(
    r"(?i)(\b(?:access_?token|token|api_?key|secret|password|passwd|authorization|bearer)\b[\"']?\s*[:=]?\s*[\"']?)"
    r"(?!\s)([\w.~+/=-]{6,})"
)
HIDDEN = "{hidden}"


def redact(text: str) -> str:
    """A line without tokens, keys and passwords, as far as they can be told."""
    text = _URL.sub(lambda match: redact_page_url(match.group()), text)
    text = _JWT.sub(HIDDEN, text)
    return _NAMED.sub(lambda match: match.group(1) + HIDDEN, text)


class Console:
    """The newest complaints of a page, redacted and cut."""

    def __init__(self) -> None:
        self._lines: deque[str] = deque(maxlen=_KEPT)

    def add(self, kind: str, text: str) -> str:
        """Keep a line; the same one again counts once. Returns it as it is kept."""
        line = redact(f"{kind}: {' '.join(text.split())}")
        line = line if len(line) <= _LINE else line[: _LINE - 1] + "…"
        if line in self._lines:
            self._lines.remove(line)
        self._lines.append(line)
        return line

    @property
    def lines(self) -> tuple[str, ...]:
        """Oldest first."""
        return tuple(self._lines)

    def summary(self, most: int = 3) -> str:
        """The newest lines as the end of a sentence, "" when there are none."""
        newest = list(self._lines)[-most:]
        return f"; on its console: {' | '.join(newest)}" if newest else ""


def signal_of(arguments: Iterable[dict[str, Any]]) -> str:
    """START or END when one of the arguments of a console call is just that, else ""."""
    values = [argument.get("value") for argument in arguments]
    return next((signal for signal in (START, END) if signal in values), "")


def console_text(arguments: Iterable[dict[str, Any]]) -> str:
    """The arguments of a console call (Runtime.RemoteObject) as one text."""
    return " ".join(str(one.get("value", one.get("description", one.get("type", "")))) for one in arguments)


def exception_text(details: dict[str, Any]) -> str:
    """Runtime.ExceptionDetails as one text: its first line, which says what, and where."""
    exception = details.get("exception", {})
    text = str(exception.get("description") or exception.get("value") or details.get("text", "an exception"))
    where = f" ({details['url']}:{details.get('lineNumber', 0) + 1})" if details.get("url") else ""
    return text.splitlines()[0] + where
