"""The zygote as its supervisor sees it: asked for workers, told of their ends, replaced when it is gone."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import sys
from collections import deque
from contextlib import suppress

from pyegress.errors import EgressError
from pyegress.lifecycle.json_lines import BadLine, encode
from pyegress.lifecycle.zygote_messages import KEPT_OUT, LIMIT, Exited, Spawn, from_zygote

logger = logging.getLogger(__name__)

#: For a zygote that has to load everything first; machines that start many at once are slow.
ANSWER_TIMEOUT = 60.0
#: The code of a process whose end nobody saw.
UNKNOWN = 255


class Child:
    """A worker's process, which is a child of the zygote."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._exited: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        try:
            # Its number may be given to another process as soon as the zygote has seen its end.
            self._handle = os.pidfd_open(pid)
        except OSError:
            self._handle = -1

    @property
    def returncode(self) -> int | None:
        """As in `subprocess`; None while it runs."""
        return self._exited.result() if self._exited.done() else None

    async def wait(self) -> None:
        """Wait for its end."""
        await asyncio.shield(self._exited)

    def kill(self) -> None:
        """End it at once."""
        if self._handle >= 0 and not self._exited.done():
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._handle, signal.SIGKILL)

    def exited(self, code: int) -> None:
        """It is over."""
        if not self._exited.done():
            self._exited.set_result(code)
            self._close()

    def orphaned(self) -> None:
        """Nobody will tell its code: only that it is over can be seen."""
        if self._exited.done():
            return
        if self._handle < 0:
            self.exited(UNKNOWN)
        else:
            asyncio.get_running_loop().add_reader(self._handle, self.exited, UNKNOWN)

    def _close(self) -> None:
        if self._handle >= 0:
            asyncio.get_running_loop().remove_reader(self._handle)
            os.close(self._handle)
            self._handle = -1


class Zygote:
    """`forked`: one that was made before the event loop began. Else, and when that is gone, one is started."""

    def __init__(self, forked: tuple[int, socket.socket] | None = None) -> None:
        self._forked = forked
        self._control: socket.socket | None = None
        self._listening: asyncio.Task[None] | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._children: dict[int, Child] = {}
        #: Who waits for an answer, in the order in which they asked; who is cancelled meanwhile does not wait any more.
        self._asked: deque[asyncio.Future[Child]] = deque()
        self._turn = asyncio.Lock()
        self._closed = False

    async def start(self) -> None:
        """Have one. Idempotent."""
        if self._control is not None:
            return
        if self._forked is not None:
            _, control = self._forked
        else:
            control = await self._execute()
        control.setblocking(False)
        self._control = control
        self._listening = asyncio.create_task(self._listen(control), name="listen to the zygote")

    async def spawn(self, link: socket.socket, errors: socket.socket, *, loaded: bool) -> Child:
        """A worker with these sockets, of which `errors` becomes its standard error. Raises EgressError."""
        async with self._turn:
            for _ in range(2):
                await self.start()
                assert self._control is not None
                answer: asyncio.Future[Child] = asyncio.get_running_loop().create_future()
                try:
                    socket.send_fds(self._control, [encode(Spawn(loaded))], [link.fileno(), errors.fileno()])
                    self._asked.append(answer)
                    async with asyncio.timeout(ANSWER_TIMEOUT):
                        return await answer
                except (OSError, _Gone):
                    await self._lost()
                except TimeoutError:
                    await self._lost()
                    break
            raise EgressError(
                "No worker process could be started",
                remedy="The log of the service says why; a machine without memory or process numbers left is usual",
                retryable=True,
            )

    async def aclose(self) -> None:
        """Let it go; workers go on. Idempotent."""
        self._closed = True
        if self._forked is not None and self._control is None:
            self._control = self._forked[1]
        await self._lost()
        for child in list(self._children.values()):
            child.exited(UNKNOWN)
        self._children.clear()

    def _begun(self, pid: int) -> None:
        """The first of those who asked has a worker, which nobody waits for if that one was cancelled: it ends then."""
        child = self._children[pid] = Child(pid)
        answer = self._asked.popleft() if self._asked else None
        if answer is not None and not answer.done():
            answer.set_result(child)

    def _nobody_answers(self) -> None:
        while self._asked:
            if not (answer := self._asked.popleft()).done():
                answer.set_exception(_Gone())

    def _over(self, pid: int, code: int) -> None:
        child = self._children.pop(pid, None)
        if child is not None:
            child.exited(code)

    async def _execute(self) -> socket.socket:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        environment = {name: value for name, value in os.environ.items() if not name.startswith(KEPT_OUT)}
        try:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                # Nothing is imported from the folder that we happen to be started in.
                "-P",
                "-m",
                "pyegress.worker.zygote",
                str(theirs.fileno()),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
                env=environment,
                # A terminal's Ctrl-C is for the supervisor, who then ends its workers in order.
                start_new_session=True,
            )
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        return ours

    async def _listen(self, control: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        with suppress(OSError):
            while line := await loop.sock_recv(control, LIMIT):
                try:
                    message = from_zygote(line)
                except BadLine:
                    logger.error("the zygote said something unknown")
                    continue
                if isinstance(message, Exited):
                    self._over(message.pid, message.code)
                else:
                    self._begun(message.pid)
        if not self._closed:
            logger.error("the zygote is gone; workers go on, and another one is started when it is needed")
        for child in self._children.values():
            child.orphaned()
        self._nobody_answers()

    async def _lost(self) -> None:
        """Close our side, and see the end of the process."""
        control, self._control = self._control, None
        listening, self._listening = self._listening, None
        if listening is not None:
            listening.cancel()
            await asyncio.wait({listening})
        self._nobody_answers()
        for child in self._children.values():
            child.orphaned()
        if control is not None:
            control.close()
        forked, self._forked = self._forked, None
        if forked is not None:
            await asyncio.to_thread(_reap, forked[0])
        process, self._process = self._process, None
        if process is not None:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()


class _Gone(Exception):
    """The zygote ended before it answered."""


def _reap(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    with suppress(ChildProcessError):
        os.waitpid(pid, 0)
