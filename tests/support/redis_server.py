"""A real redis-server of one's own: a free port, nothing kept on disk unless told so."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from pyegress.api.psrpc.redis_options import RedisOptions
from tests.support.server_process import ServerProcess


def why_unavailable() -> str:
    """Why there is no redis-server here; empty when there is one."""
    return "" if shutil.which("redis-server") else "no redis-server: run scripts/setup"


class RedisServer(ServerProcess):
    """One redis-server process. The port survives `start` after `kill`. `settings` are lines of redis.conf."""

    def __init__(self, directory: Path, *settings: str, tls: bool = False, sentinel: bool = False) -> None:
        super().__init__(directory)
        self._settings = settings
        self._tls = tls
        self._sentinel = sentinel

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def options(self) -> RedisOptions:
        """How to reach it where it asks for no password and no TLS."""
        return RedisOptions(address=("127.0.0.1", self.port))

    def command(self) -> list[str]:
        config = self.directory / "redis.conf"
        lines = [f"dir {self.directory}", "bind 127.0.0.1"]
        lines += ["port 0", f"tls-port {self.port}"] if self._tls else [f"port {self.port}"]
        if not self._sentinel:
            lines += ['save ""', "appendonly no"]
        lines += self._settings
        config.write_text("\n".join(lines) + "\n")
        return ["redis-server", str(config), *(["--sentinel"] if self._sentinel else [])]

    def ask(self, *parts: str) -> str:
        """The answer of redis-cli, for servers without password and TLS."""
        done = subprocess.run(
            ["redis-cli", "-p", str(self.port), *parts], capture_output=True, text=True, timeout=10, check=True
        )
        return done.stdout.strip()
