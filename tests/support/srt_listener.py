"""A real SRT listener of one's own: srt-live-transmit, which writes what it is sent into a file."""

from __future__ import annotations

import shutil
import socket
from pathlib import Path
from typing import IO

from tests.support.server_process import ServerProcess


def why_unavailable() -> str:
    """Why there is no SRT listener here; empty when there is one."""
    return "" if shutil.which("srt-live-transmit") else "no srt-live-transmit: run scripts/setup"


class SrtListener(ServerProcess):
    """One process, which listens at the same port when it is started again, then writing another file."""

    transport = socket.SOCK_DGRAM

    def __init__(self, directory: Path, *, passphrase: str = "") -> None:
        super().__init__(directory)
        self.files: list[Path] = []
        self._passphrase = passphrase

    @property
    def url(self) -> str:
        """As the listener wants to be called."""
        query = f"?passphrase={self._passphrase}" if self._passphrase else ""
        return f"srt://127.0.0.1:{self.port}{query}"

    def command(self) -> list[str]:
        query = "mode=listener" + (f"&passphrase={self._passphrase}" if self._passphrase else "")
        return ["srt-live-transmit", "-q", "-loglevel:fatal", f"srt://127.0.0.1:{self.port}?{query}", "file://con"]

    def output(self) -> IO[bytes]:
        """What is received; all of it is there when it was ended in order."""
        self.files.append(self.directory / f"received-{len(self.files)}.ts")
        return self.files[-1].open("wb")

    def listening(self) -> bool:
        return f":{self.port:04X} " in Path("/proc/net/udp").read_text()
