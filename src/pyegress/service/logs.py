"""The service's log: one JSON object a line, or plain text, never with a secret of the configuration."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TextIO

from pyegress.service.config_sections import LOG_LEVELS

HIDDEN = "{secret}"
#: What records may carry beside their text.
ABOUT = ("egress_id", "room", "worker")
#: Shorter values are no secrets, and would cut words to pieces.
_LEAST = 4


class LogFormatter(logging.Formatter):
    """`as_json` or text; `secrets` are replaced wherever they stand."""

    def __init__(self, *, as_json: bool, secrets: Sequence[str] = ()) -> None:
        super().__init__()
        self._as_json = as_json
        self._secrets = sorted((secret for secret in secrets if len(secret) >= _LEAST), key=len, reverse=True)

    def format(self, record: logging.LogRecord) -> str:
        """One line of JSON, or text."""
        text = record.getMessage()
        if record.exc_info:
            text = f"{text}\n{self.formatException(record.exc_info)}"
        for secret in self._secrets:
            text = text.replace(secret, HIDDEN)
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        about = {name: value for name in ABOUT if (value := getattr(record, name, None))}
        if self._as_json:
            named = {"time": at, "level": record.levelname.lower(), "logger": record.name, "message": text}
            return json.dumps(named | about, ensure_ascii=False)
        told = " ".join(f"{name}={value}" for name, value in about.items())
        return f"{at} {record.levelname} {record.name}: {text}{f' ({told})' if told else ''}"


def configure_logging(
    level: str, *, as_json: bool, secrets: Sequence[str] = (), stream: TextIO | None = None
) -> logging.Handler:
    """Send the log to `stream` (standard error). `level` is a key of `LOG_LEVELS`."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(LogFormatter(as_json=as_json, secrets=secrets))
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(LOG_LEVELS[level.lower()])
    return handler
