"""Free space where the service writes: too little is warned of, and less lets it take no new egress.

What runs is never ended for it: a disk that is full ends a recording by itself, with what fitted.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from enum import IntEnum
from pathlib import Path

from pyegress.errors import Code, EgressError, Fault
from pyegress.service.config_sections import DiskSection
from pyegress.storage.spool import disk_space

logger = logging.getLogger(__name__)

_MEGABYTE = 1e6


class Room(IntEnum):
    """How much space there is."""

    ENOUGH = 0
    LITTLE = 1
    NONE = 2


class DiskGuard:
    """Looks when `sample` is called; blocking, but short."""

    def __init__(self, section: DiskSection, folders: Sequence[Path]) -> None:
        self._section = section
        self._folders = tuple(dict.fromkeys(folders))
        #: Bytes that are free, by folder.
        self.free: dict[Path, int] = {}
        self._room = Room.ENOUGH
        #: Bytes where there are least.
        self.least = 0
        self._where = Path()

    def sample(self) -> None:
        """Look at the disks. A change for the worse is logged, and so is the end of it."""
        for folder in self._folders:
            try:
                self.free[folder] = disk_space(folder).free
            except OSError as error:
                logger.debug("the space of %s is not known: %s", folder, error)
        if not self.free:
            return
        self._where, self.least = min(self.free.items(), key=lambda item: item[1])
        room = self._judge(self.least)
        if room is not self._room:
            level = logging.INFO if room is Room.ENOUGH else logging.WARNING if room is Room.LITTLE else logging.ERROR
            words = {
                Room.ENOUGH: "there is enough space again",
                Room.LITTLE: "the disk is filling up",
                Room.NONE: "no new egress is taken",
            }
            logger.log(level, "%s: %.0f MB are free in %s", words[room], self.least / _MEGABYTE, self._where)
        self._room = room

    @property
    def refusal(self) -> EgressError | None:
        """Why no new egress can be taken; None when one can."""
        if self._room is not Room.NONE:
            return None
        return EgressError(
            f"The disk of this node is full: {self.least / _MEGABYTE:.0f} MB are free in {self._where}",
            field="disk.refuse_below",
            code=Code.RESOURCE_EXHAUSTED,
            fault=Fault.SERVER,
            retryable=True,
            remedy="Free space there (`pyegress spool list` shows what waits), or ask another node",
        )

    def _judge(self, free: int) -> Room:
        if free < self._section.refuse_below:
            return Room.NONE
        return Room.LITTLE if free < self._section.warn_below else Room.ENOUGH
