"""A real server of a test's own, as a process: started on a free port, waited for, killed, started again."""

from __future__ import annotations

import socket
import subprocess
import threading
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from pyegress.clock import monotonic
from pyegress.demo.server import free_port

READY_TIMEOUT = 30.0
_STOP_TIMEOUT = 10.0


class ServerProcess(ABC):
    """One process. The port survives `start` after `kill`. Used as a context manager, or by `start` and `kill`."""

    #: Of the port that is listened at.
    transport = socket.SOCK_STREAM

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.port = free_port(self.transport)
        self.log_path = directory / "server.log"
        self._process: subprocess.Popen[bytes] | None = None

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.port})"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    @abstractmethod
    def command(self) -> Sequence[str]:
        """What is run, once everything it needs has been written."""

    def listening(self) -> bool:
        """Whether it answers."""
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def output(self) -> IO[bytes]:
        """Where what it says goes: the log."""
        return self.log_path.open("ab")

    def start(self) -> None:
        """Blocks until it listens."""
        self.directory.mkdir(parents=True, exist_ok=True)
        command = self.command()
        with self.output() as output, self.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=log, cwd=self.directory
            )
        deadline = monotonic() + READY_TIMEOUT
        pause = threading.Event()
        while monotonic() < deadline and self._process.poll() is None:
            if self.listening():
                return
            pause.wait(0.02)
        raise AssertionError(f"{self!r} did not start\n{self.log_tail()}")

    def stop(self) -> None:
        """End it in order."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(_STOP_TIMEOUT)

    def kill(self) -> None:
        """End it at once."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait(_STOP_TIMEOUT)

    def log_tail(self) -> str:
        """The end of what it said."""
        return self.log_path.read_text(errors="replace")[-4000:] if self.log_path.exists() else ""
