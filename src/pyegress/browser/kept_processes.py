"""The processes of one recording, as the worker sees them: started, watched and ended through their keeper."""

from __future__ import annotations

import asyncio
import json
import logging
import shutil
import socket
import sys
import tempfile
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Self

from pyegress.browser import keeper
from pyegress.browser.failures import BrowserFailed
from pyegress.process_lines import read_lines

logger = logging.getLogger(__name__)

#: For a process to be started, seconds.
START_TIMEOUT = 20.0
#: For everything to be ended and removed.
END_TIMEOUT = 10.0
_LAST_WORDS = 30
_MESSAGE = 256 * 1024


class KeptProcesses:
    """A private folder and the processes that live in it. Made by `open`, ended by `aclose`."""

    def __init__(self, folder: Path, keeper: asyncio.subprocess.Process, control: socket.socket) -> None:
        self.folder = folder
        #: The end of each process by name: its status, negative for a signal.
        self.ended: dict[str, asyncio.Future[int]] = {}
        self.pids: dict[str, int] = {}
        self._keeper = keeper
        self._control = control
        self._starting: dict[str, asyncio.Future[int]] = {}
        self._last_words: dict[str, deque[str]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(control, self._hear)
        self._closed = False

    @classmethod
    async def open(cls) -> Self:
        """Make the folder, readable by nobody else, and start the keeper."""
        # Short: names of sockets may have 107 bytes.
        folder = Path(tempfile.mkdtemp(prefix="pyegress-page-"))
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        try:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-I",
                "-S",
                keeper.__file__,
                str(theirs.fileno()),
                str(folder),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
                # A terminal's Ctrl-C is for the recording, which then ends in order.
                start_new_session=True,
            )
        except BaseException:
            ours.close()
            shutil.rmtree(folder, ignore_errors=True)
            raise
        finally:
            theirs.close()
        return cls(folder, process, ours)

    async def start(
        self,
        name: str,
        argv: Sequence[str],
        environment: Mapping[str, str],
        descriptors: Mapping[int, int] | None = None,
    ) -> int:
        """Start a process; its pid. `descriptors` are ours by the numbers it gets. Raises BrowserFailed.

        What it writes on standard output and error is kept for `last_words`.
        """
        heard, said = socket.socketpair()
        words = self._last_words.setdefault(name, deque(maxlen=_LAST_WORDS))
        task = self._loop.create_task(self._read_words(name, heard, words), name=f"words of {name}")
        self._tasks.add(task)
        given = {1: said.fileno(), 2: said.fileno(), **(descriptors or {})}
        message = {"start": name, "argv": list(argv), "env": dict(environment), "fds": list(given)}
        started = self._starting[name] = self._loop.create_future()
        self.ended[name] = self._loop.create_future()
        try:
            socket.send_fds(self._control, [json.dumps(message).encode()], list(given.values()))
        except OSError as error:
            started.cancel()
            raise BrowserFailed(f"{argv[0]} cannot be started: {error.strerror}") from error
        finally:
            said.close()
        try:
            async with asyncio.timeout(START_TIMEOUT):
                self.pids[name] = await started
        except TimeoutError:
            raise BrowserFailed(f"{argv[0]} was not started within {START_TIMEOUT:g} s") from None
        return self.pids[name]

    def remove_at_end(self, *paths: str, lock: str = "") -> None:
        """Files and folders outside of the folder that must not stay; those of a `lock` as long as it names a process
        that was started here."""
        with suppress(OSError):
            self._control.send(json.dumps({"remove": paths, "lock": lock}).encode())

    def last_words(self, name: str) -> str:
        """The last lines that a process wrote."""
        return "\n".join(self._last_words.get(name, ()))

    async def aclose(self) -> None:
        """End every process and remove the folder. Idempotent, bounded."""
        if self._closed:
            return
        self._closed = True
        self._loop.remove_reader(self._control)
        self._control.close()
        try:
            async with asyncio.timeout(END_TIMEOUT):
                await self._keeper.wait()
        except TimeoutError:
            logger.error("the processes of a page did not end within %g s", END_TIMEOUT)
            with suppress(ProcessLookupError):
                self._keeper.kill()
            await self._keeper.wait()
        finally:
            # The keeper did so, unless it was killed itself.
            shutil.rmtree(self.folder, ignore_errors=True)
            self._is_over()
            for task in self._tasks:
                task.cancel()
            if self._tasks:
                await asyncio.wait(self._tasks)

    def _hear(self) -> None:
        try:
            data = self._control.recv(_MESSAGE)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._loop.remove_reader(self._control)
            self._is_over()
            return
        message = json.loads(data)
        if (name := message.get("started")) is not None:
            _settle(self._starting[name], message["pid"])
        elif (name := message.get("failed")) is not None:
            future = self._starting[name]
            if not future.done():
                future.set_exception(BrowserFailed(f"{name} cannot be started: {message['error']}"))
        elif (name := message.get("ended")) is not None:
            _settle(self.ended[name], message["status"])

    def _is_over(self) -> None:
        """The keeper is gone, and with it everything."""
        for name, ended in self.ended.items():
            _settle(ended, -9)
            starting = self._starting[name]
            if not starting.done():
                starting.set_exception(BrowserFailed(f"{name} cannot be started: its keeper was killed"))
                starting.exception()

    async def _read_words(self, name: str, heard: socket.socket, words: deque[str]) -> None:
        def tell(text: str) -> None:
            words.append(text)
            logger.debug("%s: %s", name, text)

        await read_lines(heard, tell)


def _settle(future: asyncio.Future[int], value: int) -> None:
    if not future.done():
        future.set_result(value)
