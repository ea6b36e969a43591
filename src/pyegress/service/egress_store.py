"""The EgressInfo of every egress in a SQLite file: survives restarts, is listed by filter and page, forgets in time."""

from __future__ import annotations

import base64
import binascii
import sqlite3
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from livekit.protocol import egress as pb

from pyegress.errors import InvalidRequest
from pyegress.service.database import Database, Schema

#: Seconds for which an egress that has ended is kept.
RETENTION = 24 * 3600.0
#: Infos of one answer. Clients that know nothing of pages see this many, the newest.
PAGE_SIZE = 1000
_SCHEMA = Schema(
    what="egress store",
    field="database",
    version=1,
    tables=f"""
CREATE TABLE egress (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    egress_id TEXT NOT NULL UNIQUE,
    room_name TEXT NOT NULL,
    status INTEGER NOT NULL,
    announced INTEGER NOT NULL,
    ended_at INTEGER NOT NULL,
    info BLOB NOT NULL
) STRICT;
CREATE INDEX egress_room ON egress (room_name, seq);
CREATE INDEX egress_active ON egress (seq) WHERE status < {pb.EgressStatus.EGRESS_COMPLETE};
CREATE INDEX egress_ended ON egress (ended_at) WHERE ended_at > 0
""",
)
_PUT = """
INSERT INTO egress (egress_id, room_name, status, announced, ended_at, info) VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (egress_id) DO UPDATE
SET room_name = excluded.room_name, status = excluded.status, ended_at = excluded.ended_at, info = excluded.info
"""


class Change(Enum):
    """What storing an info changed."""

    NONE = "none"
    CREATED = "created"
    UPDATED = "updated"


@dataclass(frozen=True, slots=True)
class Stored:
    """What storing did. `announced` says whether webhooks are sent for this egress."""

    change: Change
    announced: bool


@dataclass(frozen=True, slots=True)
class Page:
    """Some infos, newest first, and the token of the next page, "" on the last."""

    infos: tuple[pb.EgressInfo, ...]
    next_token: str = ""


def is_final(info: pb.EgressInfo) -> bool:
    """Whether the egress has ended."""
    return info.status >= pb.EgressStatus.EGRESS_COMPLETE


class EgressStore:
    """Infos by egress id. All file access happens in one thread of its own.

    A final status stays: an update that would take it back is not stored. `path` may be ":memory:".
    """

    def __init__(self, path: Path | str, *, page_size: int = PAGE_SIZE) -> None:
        self._page_size = page_size
        self._database = Database(path, _SCHEMA)

    async def open(self) -> None:
        """Open the file. Raises EgressError."""
        await self._database.open()

    async def aclose(self) -> None:
        """Close the file after what is being written. May be called twice."""
        await self._database.aclose()

    async def put(self, info: pb.EgressInfo, *, announced: bool = False) -> Stored:
        """Store the newest info of an egress. `announced` is kept from the first of its infos."""
        return (await self.put_all([(info, announced)]))[0]

    async def put_all(self, infos: Sequence[tuple[pb.EgressInfo, bool]]) -> list[Stored]:
        """`put` for several infos and whether they are announced, in order; all are stored or none."""
        return await self._database.run(_put_all, infos)

    async def get(self, egress_id: str) -> pb.EgressInfo | None:
        """The info of one egress."""
        return await self._database.run(_get, egress_id)

    async def page(self, *, room_name: str = "", active: bool = False, page_token: str = "") -> Page:
        """Infos, newest first; `active` are those that have not ended. Raises InvalidRequest for a bad token."""
        return await self._database.run(_page, room_name, active, _before(page_token), self._page_size)

    async def active(self) -> list[pb.EgressInfo]:
        """All that have not ended, oldest first."""
        return await self._database.run(_active)

    async def forget(self, *, ended_before: int) -> int:
        """Remove what ended before this time, in Unix nanoseconds. Returns how many that were."""
        return await self._database.run(_forget, ended_before)


# In the store's thread


def _put_all(database: sqlite3.Connection, infos: Sequence[tuple[pb.EgressInfo, bool]]) -> list[Stored]:
    database.execute("BEGIN IMMEDIATE")
    try:
        stored = [_put(database, info, announced) for info, announced in infos]
        database.execute("COMMIT")
    except BaseException:
        database.execute("ROLLBACK")
        raise
    return stored


def _put(database: sqlite3.Connection, info: pb.EgressInfo, announced: bool) -> Stored:
    data = info.SerializeToString(deterministic=True)
    query = "SELECT status, announced, info FROM egress WHERE egress_id = ?"
    stored = database.execute(query, (info.egress_id,)).fetchone()
    if stored is not None:
        status, announced, before = stored[0], bool(stored[1]), stored[2]
        if before == data or (status >= pb.EgressStatus.EGRESS_COMPLETE and not is_final(info)):
            return Stored(Change.NONE, announced)
    database.execute(_PUT, (info.egress_id, info.room_name, info.status, announced, info.ended_at, data))
    return Stored(Change.CREATED if stored is None else Change.UPDATED, announced)


def _get(database: sqlite3.Connection, egress_id: str) -> pb.EgressInfo | None:
    found = database.execute("SELECT info FROM egress WHERE egress_id = ?", (egress_id,)).fetchone()
    return pb.EgressInfo.FromString(found[0]) if found else None


def _page(database: sqlite3.Connection, room_name: str, active: bool, before: int | None, size: int) -> Page:
    where = ["1"]
    values: list[str | int] = []
    if room_name:
        where.append("room_name = ?")
        values.append(room_name)
    if active:
        where.append(f"status < {pb.EgressStatus.EGRESS_COMPLETE}")
    if before is not None:
        where.append("seq < ?")
        values.append(before)
    query = f"SELECT seq, info FROM egress WHERE {' AND '.join(where)} ORDER BY seq DESC LIMIT ?"
    rows = database.execute(query, (*values, size + 1)).fetchall()
    infos = tuple(pb.EgressInfo.FromString(info) for _, info in rows[:size])
    return Page(infos, _token(rows[size - 1][0]) if len(rows) > size else "")


def _active(database: sqlite3.Connection) -> list[pb.EgressInfo]:
    query = f"SELECT info FROM egress WHERE status < {pb.EgressStatus.EGRESS_COMPLETE} ORDER BY seq"
    return [pb.EgressInfo.FromString(info) for (info,) in database.execute(query)]


def _forget(database: sqlite3.Connection, ended_before: int) -> int:
    return database.execute("DELETE FROM egress WHERE ended_at > 0 AND ended_at < ?", (ended_before,)).rowcount


def _token(seq: int) -> str:
    return base64.urlsafe_b64encode(f"before:{seq}".encode()).decode().rstrip("=")


def _before(token: str) -> int | None:
    """Which row the page of `token` comes before."""
    if not token:
        return None
    with suppress(binascii.Error, ValueError):
        word, _, seq = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)).decode().partition(":")
        if word == "before" and seq.isascii() and seq.isdecimal() and len(seq) < 19:
            return int(seq)
    raise InvalidRequest(
        "There is no such page", field="page_token", remedy="Send the next_page_token of the page before, unchanged"
    )
