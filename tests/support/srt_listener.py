"""A real SRT listener of one's own: srt-live-transmit, which writes what it is sent into a file."""

from __future__ import annotations

import shutil
import socket
import subprocess
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

from pyegress.clock import monotonic
from pyegress.demo.server import free_port

READY_TIMEOUT = 20.0


def why_unavailable() -> str:
    """Why there is no SRT listener here; empty when there is one."""
    return "" if shutil.which("srt-live-transmit") else "no srt-live-transmit: run scripts/setup"


class SrtListener:
    """One process, which listens at the same port when it is started again, then writing another file."""

    def __init__(self, directory: Path, *, passphrase: str = "") -> None:
        self.port = free_port(socket.SOCK_DGRAM)
        self.files: list[Path] = []
        self._directory = directory
        self._passphrase = passphrase
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    @property
    def url(self) -> str:
        """As the listener wants to be called."""
        query = f"?passphrase={self._passphrase}" if self._passphrase else ""
        return f"srt://127.0.0.1:{self.port}{query}"

    def start(self) -> None:
        """Blocks until it listens."""
        self._directory.mkdir(parents=True, exist_ok=True)
        path = self._directory / f"received-{len(self.files)}.ts"
        self.files.append(path)
        query = "mode=listener" + (f"&passphrase={self._passphrase}" if self._passphrase else "")
        with path.open("wb") as received:
            self._process = subprocess.Popen(
                ["srt-live-transmit", "-q", "-loglevel:fatal", f"srt://127.0.0.1:{self.port}?{query}", "file://con"],
                stdin=subprocess.DEVNULL,
                stdout=received,
                stderr=subprocess.DEVNULL,
            )
        deadline = monotonic() + READY_TIMEOUT
        pause = threading.Event()
        while monotonic() < deadline and self._process.poll() is None:
            if f":{self.port:04X} " in Path("/proc/net/udp").read_text():
                return
            pause.wait(0.02)
        raise AssertionError(f"srt-live-transmit did not start on port {self.port}")

    def stop(self) -> None:
        """End it in order: what it was sent is in its file."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(10.0)

    def kill(self) -> None:
        """End it at once."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait(10.0)
