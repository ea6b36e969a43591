"""A real RTMP server of one's own: nginx with its RTMP module on a free port."""

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
_MODULES = Path("/usr/lib/nginx/modules")

_CONFIG = """
daemon off;
master_process off;
load_module {modules}/ngx_rtmp_module.so;
error_log {directory}/error.log info;
pid {directory}/nginx.pid;
events {{ worker_connections 64; }}
rtmp {{
    server {{
        listen 127.0.0.1:{port};
        access_log off;
        chunk_size 4096;
        application live {{ live on; wait_key on; }}
        application recorded {{ live on; record all; record_path {directory}; record_unique on; record_suffix .flv; }}
        application closed {{ live on; deny publish all; }}
    }}
}}
"""


def nginx() -> str | None:
    """The nginx that is installed."""
    return shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")


def why_unavailable() -> str:
    """Why there is no RTMP server here; empty when there is one."""
    return "" if nginx() and (_MODULES / "ngx_rtmp_module.so").exists() else "no nginx with RTMP: run scripts/setup"


class RtmpServer:
    """One nginx process, which listens at the same port when it is started again.

    Applications: `live`, `recorded` (what is published is written into FLV files, see `recordings`), `closed`.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.port = free_port(socket.SOCK_STREAM)
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    def url(self, key: str, application: str = "live") -> str:
        return f"rtmp://127.0.0.1:{self.port}/{application}/{key}"

    def recordings(self, key: str) -> list[Path]:
        """What was published as `key` to the application `recorded`, a file for each time, oldest first."""
        return sorted(self.directory.glob(f"{key}-*.flv"), key=lambda path: path.stat().st_ctime_ns)

    @property
    def log(self) -> str:
        path = self.directory / "error.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def start(self) -> None:
        """Blocks until it listens."""
        self.directory.mkdir(parents=True, exist_ok=True)
        config = self.directory / "nginx.conf"
        config.write_text(_CONFIG.format(modules=_MODULES, directory=self.directory, port=self.port))
        program = nginx()
        assert program is not None
        self._process = subprocess.Popen(
            [program, "-p", str(self.directory), "-c", str(config), "-e", str(self.directory / "error.log")],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline = monotonic() + READY_TIMEOUT
        pause = threading.Event()
        while monotonic() < deadline and self._process.poll() is None:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            pause.wait(0.02)
        raise AssertionError(f"nginx did not start on port {self.port}\n{self.log[-2000:]}")

    def kill(self) -> None:
        """End it at once."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait(10.0)
