"""The `pyegress` command as a new user runs it: a process of its own, with what it says and how it ends."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import signal
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pyegress.demo.server import LiveKitServer
from tests.support.waiting import eventually

#: Busy machines take seconds to import; nobody waits this long when all is well.
STARTED, ENDED = 40.0, 30.0


def environment(server: LiveKitServer | None = None, **more: str) -> dict[str, str]:
    """The environment of a command; with a server, what it takes to reach it."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("LIVEKIT_", "COLUMNS"))}
    if server is not None:
        clean |= {
            "LIVEKIT_URL": server.url,
            "LIVEKIT_API_KEY": server.api_key,
            "LIVEKIT_API_SECRET": server.api_secret,
        }
    return clean | more


@dataclass(frozen=True, slots=True)
class Ended:
    """What came of a command."""

    code: int
    out: str
    err: str
    seconds: float

    @property
    def result(self) -> dict[str, Any]:
        """What `--json` printed."""
        loaded: dict[str, Any] = json.loads(self.out)
        return loaded


class Command:
    """A command that runs. `err` is what it has said so far on standard error, or on its terminal."""

    def __init__(self, process: asyncio.subprocess.Process, secrets: Sequence[str]) -> None:
        self.process = process
        self.out = self.err = ""
        self._secrets = secrets
        self._loop = asyncio.get_running_loop()
        self._begun = self._loop.time()
        self.readers: list[asyncio.Task[None]] = []

    @property
    def rss(self) -> int:
        """Resident memory now, bytes."""
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
        raise AssertionError("no VmRSS")

    async def says(self, text: str, within: float = STARTED) -> None:
        """Wait until it says so; fails when it ends before."""

        def said() -> bool:
            assert text in self.err or self.process.returncode is None, f"it ended without saying {text!r}: {self.err}"
            return text in self.err

        await eventually(said, f"{text!r} in {self.err!r}", within)

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    async def ended(self, within: float = ENDED) -> Ended:
        """Wait for its end; no secret and no traceback may have been shown."""
        try:
            async with asyncio.timeout(within):
                code = await self.process.wait()
                await asyncio.gather(*self.readers)
        except TimeoutError:
            raise AssertionError(f"it did not end within {within:g} s; it said {self.err!r}") from None
        for text in (self.out, self.err):
            assert "Traceback" not in text, text
            assert not [secret for secret in self._secrets if secret in text], "it shows a secret"
        return Ended(code, self.out, self.err, self._loop.time() - self._begun)

    async def read(self, stream: asyncio.StreamReader, name: str) -> None:
        # A terminal whose other end is closed gives an error, not an end.
        with suppress(OSError):
            while piece := await stream.read(4096):
                setattr(self, name, getattr(self, name) + piece.decode(errors="replace"))


# Whoever runs the tests under nohup, or in the background, has us ignore these, and our children with us.
signal.signal(signal.SIGHUP, signal.SIG_DFL)
signal.signal(signal.SIGINT, signal.default_int_handler)


@asynccontextmanager
async def pyegress(
    *arguments: object,
    server: LiveKitServer | None = None,
    env: Mapping[str, str] | None = None,
    secrets: Sequence[str] = (),
    terminal: bool = False,
    prefix: Sequence[str] = (),
    cwd: Path | None = None,
) -> AsyncIterator[Command]:
    """Run `pyegress arguments`; killed at the end if it still runs. `terminal`: standard error is one."""
    command = [*prefix, sys.executable, "-m", "pyegress", *map(str, arguments)]
    hidden = (*secrets, *((server.api_secret,) if server is not None else ()))
    leader = follower = -1
    if terminal:
        leader, follower = pty.openpty()
    process = await asyncio.create_subprocess_exec(
        *command,
        env=dict(env) if env is not None else environment(server),
        cwd=cwd,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=follower if terminal else asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    running = Command(process, hidden)
    transport: asyncio.BaseTransport | None = None
    try:
        assert process.stdout is not None
        streams = [(process.stdout, "out")]
        if terminal:
            os.close(follower)
            reader = asyncio.StreamReader()
            protocol = asyncio.StreamReaderProtocol(reader)
            transport, _ = await asyncio.get_running_loop().connect_read_pipe(
                lambda: protocol, os.fdopen(leader, "rb", 0)
            )
            streams.append((reader, "err"))
        else:
            assert process.stderr is not None
            streams.append((process.stderr, "err"))
        running.readers = [asyncio.create_task(running.read(stream, name)) for stream, name in streams]
        yield running
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        if transport is not None:
            transport.close()
        for task in running.readers:
            task.cancel()
        await asyncio.gather(*running.readers, return_exceptions=True)


async def run(*arguments: object, within: float = ENDED, **more: Any) -> Ended:
    """Run a command to its end."""
    async with pyegress(*arguments, **more) as command:
        return await command.ended(within)
