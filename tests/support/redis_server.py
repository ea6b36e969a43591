"""A real redis-server of one's own: a free port, nothing kept on disk unless told so."""

from __future__ import annotations

import shutil
import socket
import subprocess
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

from pyegress.api.psrpc.redis_options import RedisOptions
from pyegress.clock import monotonic
from pyegress.demo.server import free_port

READY_TIMEOUT = 20.0


def why_unavailable() -> str:
    """Why there is no redis-server here; empty when there is one."""
    return "" if shutil.which("redis-server") else "no redis-server: run scripts/setup"


class RedisServer:
    """One redis-server process. The port survives `start` after `kill`. `settings` are lines of redis.conf."""

    def __init__(self, directory: Path, *settings: str, tls: bool = False, sentinel: bool = False) -> None:
        self.directory = directory
        self.port = free_port(socket.SOCK_STREAM)
        self.log_path = directory / "redis.log"
        self._settings = settings
        self._tls = tls
        self._sentinel = sentinel
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def options(self) -> RedisOptions:
        """How to reach it where it asks for no password and no TLS."""
        return RedisOptions(address=("127.0.0.1", self.port))

    def start(self) -> None:
        """Blocks until it listens."""
        self.directory.mkdir(parents=True, exist_ok=True)
        config = self.directory / "redis.conf"
        lines = [f"dir {self.directory}", f"logfile {self.log_path}", "bind 127.0.0.1"]
        lines += ["port 0", f"tls-port {self.port}"] if self._tls else [f"port {self.port}"]
        if not self._sentinel:
            lines += ['save ""', "appendonly no"]
        lines += self._settings
        config.write_text("\n".join(lines) + "\n")
        command = ["redis-server", str(config), *(["--sentinel"] if self._sentinel else [])]
        self._process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT
        )
        deadline = monotonic() + READY_TIMEOUT
        pause = threading.Event()
        while monotonic() < deadline and self._process.poll() is None:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            pause.wait(0.02)
        log = self.log_path.read_text(errors="replace") if self.log_path.exists() else ""
        raise AssertionError(f"redis-server did not start on port {self.port}\n{log[-2000:]}")

    def kill(self) -> None:
        """End it at once."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait(10.0)

    def command(self, *parts: str) -> str:
        """The answer of redis-cli, for servers without password and TLS."""
        done = subprocess.run(
            ["redis-cli", "-p", str(self.port), *parts], capture_output=True, text=True, timeout=10, check=True
        )
        return done.stdout.strip()
