"""What a test may have left behind: tasks, threads, child processes, sockets, open files."""

from __future__ import annotations

import asyncio
import os
import threading
from dataclasses import dataclass
from typing import Self

import psutil

from pyegress.clock import monotonic

#: Threads that are not the test's: loops keep an executor until they are closed, and threads of native libraries
#: (the rtc SDK) that once called into Python stay visible as "Dummy".
_FOREIGN_THREADS = ("asyncio_", "Dummy-", "pytest_timeout")
#: Closing is asynchronous in places, for instance inside the rtc SDK.
GRACE = 5.0


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What this process holds at one moment. Files are open regular files, by path."""

    threads: frozenset[str]
    children: frozenset[str]
    sockets: frozenset[str]
    files: frozenset[str]

    @classmethod
    def take(cls) -> Self:
        sockets, files = _descriptors()
        threads = (t for t in threading.enumerate() if not t.name.startswith(_FOREIGN_THREADS))
        return cls(
            frozenset(f"{thread.name} ({thread.ident})" for thread in threads),
            frozenset(_describe(child) for child in psutil.Process().children(recursive=True)),
            sockets,
            files,
        )

    def grown_since(self, before: Snapshot) -> list[str]:
        """What is here and was not there `before`, in words."""
        grown = [
            ("threads", self.threads - before.threads),
            ("child processes", self.children - before.children),
            ("sockets", self.sockets - before.sockets),
            ("open files", self.files - before.files),
        ]
        return [f"{what}: {', '.join(sorted(new))}" for what, new in grown if new]


def wait_for_no_leaks(
    before: Snapshot, grace: float = GRACE, loop: asyncio.AbstractEventLoop | None = None
) -> list[str]:
    """What is still there `grace` seconds from now that was not there `before`; returns at once when nothing is.

    `loop`, which nobody runs at the time, gets its turns meanwhile: a transport that was closed in the test's last
    step gives its socket back in the loop's next one.
    """
    deadline = monotonic() + grace
    while (grown := Snapshot.take().grown_since(before)) and monotonic() < deadline:
        if loop:
            loop.run_until_complete(asyncio.sleep(0.02))
        else:
            threading.Event().wait(0.02)
    return grown


async def wait_for_no_tasks(before: set[asyncio.Task[object]], grace: float = 1.0) -> list[str]:
    """The tasks of this loop that are unfinished in `grace` seconds, without the caller and those of `before`."""
    own = asyncio.current_task()
    left = {task for task in asyncio.all_tasks() if task is not own and task not in before}
    if left:
        _, left = await asyncio.wait(left, timeout=grace)
    return sorted(repr(task) for task in left)


def _describe(process: psutil.Process) -> str:
    try:
        return f"{process.pid} {process.name()}"
    except psutil.NoSuchProcess:
        return f"{process.pid}"


def _descriptors() -> tuple[frozenset[str], frozenset[str]]:
    sockets, files = set(), set()
    named = _socket_names()
    for entry in os.scandir("/proc/self/fd"):
        try:
            target = os.readlink(entry.path)
        except OSError:  # the descriptor of the listing itself
            continue
        if target.startswith("socket:"):
            sockets.add(f"{target} {named.get(int(entry.name), '')}".rstrip())
        elif target.startswith("/") and not target.startswith(("/dev/", "/proc/", "/sys/")):
            files.add(target)
    return frozenset(sockets), frozenset(files)


def _socket_names() -> dict[int, str]:
    names = {}
    for connection in psutil.Process().net_connections("inet"):
        remote = f"->{connection.raddr.ip}:{connection.raddr.port}" if connection.raddr else ""
        local = f"{connection.laddr.ip}:{connection.laddr.port}" if connection.laddr else ""
        names[connection.fd] = f"{local}{remote}"
    return names
