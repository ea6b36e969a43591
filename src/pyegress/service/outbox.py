"""What others have still to be told, kept in a file: it is told by the next service when this one is killed."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from pyegress.errors import EgressError
from pyegress.service.database import Database, Schema

_SCHEMA = Schema(
    what="outbox",
    field="state_directory",
    version=1,
    tables="""
CREATE TABLE waiting (
    kind TEXT NOT NULL,
    lane TEXT NOT NULL,
    position INTEGER NOT NULL,
    body BLOB NOT NULL,
    PRIMARY KEY (kind, lane, position)
) STRICT, WITHOUT ROWID
""",
)
#: Seconds before a write that failed is tried again.
_RETRY = 1.0

_log = logging.getLogger(__name__)


class Outbox:
    """Lanes of one `kind`: what waits in each, in order. Nothing here blocks, or raises because of the disk."""

    def __init__(self, path: Path | str, kind: str) -> None:
        self._database = Database(path, _SCHEMA)
        self._kind = kind
        #: Lanes that differ from the file.
        self._changed: dict[str, tuple[bytes, ...]] = {}
        self._waiters: list[asyncio.Future[None]] = []
        self._writing: asyncio.Task[None] | None = None
        self._closing = False

    async def open(self) -> dict[str, list[bytes]]:
        """What an earlier service left, by lane, those that waited longest first. Raises EgressError."""
        await self._database.open()
        return await self._database.run(_load, self._kind)

    def save(self, lane: str, bodies: Iterable[bytes]) -> None:
        """This is all that waits in a lane now."""
        self._changed[lane] = tuple(bodies)
        if self._writing is None or self._writing.done():
            self._writing = asyncio.get_running_loop().create_task(self._write(), name=f"outbox of {self._kind}")

    def settled(self) -> asyncio.Future[None]:
        """Done when all that was saved until now is in the file."""
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if self._writing is None or self._writing.done():
            waiter.set_result(None)
        else:
            self._waiters.append(waiter)
        return waiter

    async def aclose(self) -> None:
        """Close the file after what is being written. May be called twice."""
        self._closing = True
        if self._writing is not None:
            await asyncio.wait({self._writing})
        await self._database.aclose()

    async def _write(self) -> None:
        while self._changed or self._waiters:
            changed, self._changed = self._changed, {}
            waiters, self._waiters = self._waiters, []
            try:
                if changed:
                    await self._database.run(_save, self._kind, changed)
            except EgressError as error:
                _log.error("what is told late would be lost at a crash: %s", error)
                self._changed = changed | self._changed
                if self._closing:
                    self._changed = {}
            finally:
                for waiter in waiters:
                    if not waiter.done():
                        waiter.set_result(None)
            if self._changed and not self._waiters and not self._closing:
                await asyncio.sleep(_RETRY)


def _load(database: sqlite3.Connection, kind: str) -> dict[str, list[bytes]]:
    lanes: dict[str, list[bytes]] = {}
    for lane, body in database.execute(
        "SELECT lane, body FROM waiting WHERE kind = ? ORDER BY lane, position", (kind,)
    ):
        lanes.setdefault(lane, []).append(body)
    return lanes


def _save(database: sqlite3.Connection, kind: str, lanes: Mapping[str, Sequence[bytes]]) -> None:
    database.execute("BEGIN IMMEDIATE")
    try:
        for lane, bodies in lanes.items():
            database.execute("DELETE FROM waiting WHERE kind = ? AND lane = ?", (kind, lane))
            database.executemany(
                "INSERT INTO waiting (kind, lane, position, body) VALUES (?, ?, ?, ?)",
                [(kind, lane, position, body) for position, body in enumerate(bodies)],
            )
        database.execute("COMMIT")
    except BaseException:
        database.execute("ROLLBACK")
        raise
