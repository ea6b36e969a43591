"""What nobody may read: every secret that tests use, looked for in all that the service writes for others.

Servers tell their secrets here, services where they write. After each test the log of this process, the logs of
services, their spools, and the pages that they show are searched. Configurations hold secrets, and are not looked at.
"""

from __future__ import annotations

import logging
import re
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from tests.support.files import files_below

#: Shorter ones may be in anything by chance.
_SHORTEST = 12
#: A signed token: header and claims are JSON objects, in base64.
_TOKEN = re.compile(r"eyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]{20,}")
_PAGE_TIMEOUT = 5.0
#: Media, and what is not text, is not searched; nor is more of a file than this, bytes.
_MEDIA = "media"
_MOST = 16 << 20


class Secrecy(logging.Handler):
    """One for all tests of a process."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self._secrets: dict[str, str] = {}
        self._places: dict[Path, None] = {}
        self._shown: list[str] = []

    def keep(self, secret: str, what: str) -> str:
        """`secret` may not be shown from now on; it is given back."""
        if len(secret) >= _SHORTEST:
            self._secrets[secret] = what
        return secret

    def watch(self, *places: Path) -> None:
        """Files, or folders with all that is in them, that a service writes."""
        self._places.update(dict.fromkeys(places))

    def look(self, text: str, where: str) -> None:
        """Search a text."""
        found = [what for secret, what in self._secrets.items() if secret in text]
        found += ["a token"] if _TOKEN.search(text) else []
        self._shown += [f"{what} in {where}" for what in found]

    def look_at_page(self, url: str) -> None:
        """Search a page of a service, if it is there."""
        with suppress(OSError), urllib.request.urlopen(url, timeout=_PAGE_TIMEOUT) as page:
            self.look(page.read().decode(errors="replace"), url)

    def emit(self, record: logging.LogRecord) -> None:
        self.look(self.format(record), f"the log: {record.name}, {record.filename}:{record.lineno}")

    def found(self) -> list[str]:
        """What was shown since the last call, and is shown in the places that are watched."""
        for place in self._places:
            for path in _files(place):
                with suppress(OSError), path.open("rb") as file:
                    self.look(file.read(_MOST).decode(errors="replace"), str(path))
        self._places.clear()
        shown, self._shown = list(dict.fromkeys(self._shown)), []
        return shown


def _files(place: Path) -> Iterator[Path]:
    if place.is_file():
        yield place
    for path in files_below(place):
        if _MEDIA not in path.relative_to(place).parts:
            yield path


SECRECY = Secrecy()
