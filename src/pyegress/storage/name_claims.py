"""Names that egresses of this machine are writing: each is claimed by one egress until it has ended.

A claim is a file in a hidden folder of the spool, named by the hash of what is claimed, with the egress in it. It holds
as long as that egress has a folder in the spool that is not done: also for what a crash left and what is delivered
later. Egresses of other machines are not known here: see `overwrite`.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from contextlib import suppress
from pathlib import Path

from pyegress.errors import Code, OutputFailed
from pyegress.storage.journal_entries import SpoolState
from pyegress.storage.spool import SpoolFolder

_FOLDER = ".names"


class NameClaims:
    """The claims of one egress. Methods block, shortly."""

    def __init__(self, folder: SpoolFolder) -> None:
        self._egress_id = folder.path.name
        self._spool = folder.path.parent
        self._held: dict[str, Path] = {}

    def take(self, name: str) -> None:
        """Claim `name`, as `written_names` tells it. Raises OutputFailed when an egress that has not ended has it."""
        if name in self._held:
            return
        place = self._spool / _FOLDER / hashlib.sha256(name.encode()).hexdigest()
        place.parent.mkdir(exist_ok=True, mode=0o700)
        with place.open("a+") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.seek(0)
            owner = file.read().strip()
            if owner and owner != self._egress_id and self._lives(owner):
                raise OutputFailed(
                    f"Egress {owner} writes {name.partition(':')[2]!r}",
                    field="filepath",
                    code=Code.ALREADY_EXISTS,
                    remedy="Choose another name, for instance with {time} in it, or wait for the end of that egress",
                )
            file.seek(0)
            file.truncate()
            file.write(self._egress_id)
        self._held[name] = place

    def release(self) -> None:
        """Give every claim back. Idempotent."""
        for place in self._held.values():
            with suppress(OSError):
                if place.read_text().strip() == self._egress_id:
                    os.unlink(place)
        self._held.clear()

    def _lives(self, egress_id: str) -> bool:
        folder = SpoolFolder(self._spool / egress_id)
        return folder.path.exists() and (folder.busy or folder.record().state is not SpoolState.DONE)
