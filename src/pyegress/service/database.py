"""A SQLite file of our own, used in one thread: what must survive the end of the process, however it comes."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

from pyegress.errors import Code, EgressError

_P = ParamSpec("_P")
_R = TypeVar("_R")


@dataclass(frozen=True, slots=True)
class Schema:
    """The tables of version `version`. `what` errors call the file, `field` the key of the configuration for it."""

    what: str
    field: str
    version: int
    tables: str


class Database:
    """Made closed. A commit survives the end of the process at once, and a power cut within a checkpoint."""

    def __init__(self, path: Path | str, schema: Schema) -> None:
        """`path` may be ":memory:"."""
        self._path = path
        self._schema = schema
        self._thread: ThreadPoolExecutor | None = None
        self._connection: sqlite3.Connection | None = None

    async def open(self) -> None:
        """Open the file, which is made when missing (readable for its owner only). Raises EgressError."""
        if self._thread is not None:
            return
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=self._schema.what.replace(" ", "-"))
        try:
            loop = asyncio.get_running_loop()
            self._connection = await loop.run_in_executor(self._thread, _open, self._path, self._schema)
        except (sqlite3.Error, OSError) as error:
            self._thread.shutdown()
            self._thread = None
            raise EgressError(
                f"The {self._schema.what} {self._path} cannot be opened: {error}",
                field=self._schema.field,
                remedy=f"Let it be in a directory that may be written, or remove a file that is no {self._schema.what}",
            ) from None

    async def aclose(self) -> None:
        """Close the file after what is being written. May be called twice."""
        thread, self._thread = self._thread, None
        connection, self._connection = self._connection, None
        if thread is None:
            return
        if connection is not None:
            await asyncio.get_running_loop().run_in_executor(thread, connection.close)
        thread.shutdown()

    async def run(
        self, work: Callable[Concatenate[sqlite3.Connection, _P], _R], *args: _P.args, **kwargs: _P.kwargs
    ) -> _R:
        """What `work` gives, which gets the connection, in the file's thread. Raises EgressError."""
        if self._thread is None or self._connection is None:
            raise EgressError(
                f"The {self._schema.what} is closed",
                code=Code.UNAVAILABLE,
                remedy="The service is ending: ask again later",
            )
        connection = self._connection
        try:
            return await asyncio.get_running_loop().run_in_executor(
                self._thread, lambda: work(connection, *args, **kwargs)
            )
        except sqlite3.Error as error:
            raise EgressError(
                f"The {self._schema.what} {self._path} failed: {error}",
                field=self._schema.field,
                remedy="Check the disk that it is on",
            ) from None


def _open(path: Path | str, schema: Schema) -> sqlite3.Connection:
    if path != ":memory:":
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
    # Opened here and used in this thread only, except when the interpreter closes it.
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=10.0)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("BEGIN IMMEDIATE")  # both doors may open one file at the same time
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version == 0:
            for statement in schema.tables.split(";"):
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {schema.version}")
        elif version != schema.version:
            raise sqlite3.DatabaseError(f"it has version {version}, this pyegress reads version {schema.version}")
        connection.execute("COMMIT")
    except BaseException:
        connection.close()
        raise
    return connection
