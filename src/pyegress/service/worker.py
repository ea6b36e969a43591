"""One worker process as its supervisor sees it: spawned, spoken with over a socket pair, watched, killed."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress

from pyegress.errors import Code, EgressError
from pyegress.lifecycle.json_lines import BadLine, encode
from pyegress.lifecycle.outcome import Failure
from pyegress.lifecycle.worker_messages import (
    LINE_LIMIT,
    Finish,
    FromWorker,
    Launch,
    LogLine,
    Ready,
    ToWorker,
    from_worker,
)
from pyegress.process_lines import read_lines
from pyegress.service.zygote import UNKNOWN, Child, Zygote

logger = logging.getLogger(__name__)

#: For everything to be loaded; machines that start many at once are slow.
READY_TIMEOUT = 60.0
#: A worker that says nothing for so long hangs. It says something every second.
SILENCE_TIMEOUT = 60.0
#: How long a process may take to end after it has closed its side.
EXIT_TIMEOUT = 10.0
#: Lines: the stacks of some threads, and what was said before.
_LAST_WORDS = 100


class Worker:
    """A process that runs. Made by `spawn`; `aclose` when done."""

    def __init__(
        self, process: Child, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, errors: socket.socket
    ) -> None:
        """`errors` is where its standard error can be read."""
        self._process = process
        self._reader = reader
        self._writer = writer
        #: What it said last on standard error: native code that aborts says why there.
        self._last_words: deque[str] = deque(maxlen=_LAST_WORDS)
        #: What its log lines are about.
        self._about: dict[str, object] = {"worker": process.pid}
        reading = read_lines(errors, self._last_words.append)
        self._listening = asyncio.create_task(reading, name=f"standard error of worker {process.pid}")

    @classmethod
    async def spawn(cls, zygote: Zygote, *, loaded: bool) -> Worker:
        """Start a process, `loaded` with what encodes; `ready` waits for it. Raises EgressError."""
        ours, theirs = socket.socketpair()
        heard, said = socket.socketpair()
        try:
            process = await zygote.spawn(theirs, said, loaded=loaded)
            reader, writer = await asyncio.open_connection(sock=ours, limit=LINE_LIMIT)
        except BaseException:
            ours.close()
            heard.close()
            raise
        finally:
            theirs.close()
            said.close()
        return cls(process, reader, writer, heard)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process.returncode is None

    async def ready(self) -> None:
        """Wait until it has loaded everything. Raises EgressError."""
        try:
            async with asyncio.timeout(READY_TIMEOUT):
                message = await self._next()
        except TimeoutError:
            message = None
        if not isinstance(message, Ready):
            self.kill()
            await self._process.wait()
            raise EgressError(
                f"The worker process failed to start ({self._death()})",
                remedy="The log of the service has what it said",
                retryable=True,
            )

    def launch(self, launch: Launch, about: Mapping[str, object]) -> None:
        """Have it record. `about` goes with every log line of it."""
        self._about |= about
        self.send(launch)

    def finish(self, finish: Finish) -> None:
        """Have it finish what another one left."""
        self._about["egress_id"] = finish.launch.egress_id
        self.send(finish)

    def send(self, message: ToWorker) -> None:
        """Say something; a process that is gone does not hear it."""
        if not self._writer.is_closing():
            self._writer.write(encode(message))

    async def messages(self) -> AsyncIterator[FromWorker]:
        """What it says until it ends; its log lines are logged here. A process that hangs is killed."""
        while True:
            try:
                async with asyncio.timeout(SILENCE_TIMEOUT):
                    message = await self._next()
            except TimeoutError:
                logger.error(
                    "worker %d has said nothing for %g s and is killed", self.pid, SILENCE_TIMEOUT, extra=self._about
                )
                self._last_words.append(f"it said nothing for {SILENCE_TIMEOUT:g} s")
                self.kill()
                continue
            except BadLine:
                logger.error("worker %d said something unknown", self.pid, extra=self._about)
                continue
            if message is None:
                return
            if isinstance(message, LogLine):
                logging.getLogger(message.logger).log(message.level, "%s", message.text, extra=self._about)
            else:
                yield message

    async def crash(self) -> Failure:
        """Why it ended without an outcome; waits for its end."""
        try:
            async with asyncio.timeout(EXIT_TIMEOUT):
                await self._process.wait()
                await self._listening
        except TimeoutError:
            self.kill()
            await self._process.wait()
        for line in self._last_words:
            logger.error("worker %d: %s", self.pid, line, extra=self._about)
        return Failure(
            Code.INTERNAL,
            f"The worker process ended unexpectedly ({self._death()}); what was recorded until then is in its file",
            "Look into the log of the service; SIGKILL usually means that the machine ran out of memory",
        )

    def kill(self) -> None:
        """End it at once."""
        self._process.kill()

    async def aclose(self) -> None:
        """Close our side, and wait for the end of a process that is ending by itself or has nothing to do."""
        self._writer.close()
        with suppress(OSError):
            await self._writer.wait_closed()
        try:
            async with asyncio.timeout(EXIT_TIMEOUT):
                await self._process.wait()
        except TimeoutError:
            self.kill()
            await self._process.wait()
        await self._listening

    async def _next(self) -> FromWorker | None:
        with suppress(ConnectionError):
            if line := await self._reader.readline():
                return from_worker(line)
        return None

    def _death(self) -> str:
        code = self._process.returncode
        if code is None:
            return "it runs on"
        if code == UNKNOWN:
            return "nobody saw how"
        if code < 0:
            return f"signal {-code}, {signal.Signals(-code).name}"
        return f"exit code {code}"
