"""A pyegress service of one's own: `pyegress serve` with the Egress API over HTTP, no Redis, ended in order."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

from pyegress.clock import monotonic
from pyegress.demo.server import LiveKitServer, ServerFailed, free_port

READY_TIMEOUT = 60.0
#: Recordings that still run are finished before the service ends.
STOP_TIMEOUT = 60.0


class DemoService:
    """One service beside a livekit-server. Files go to `folder`, what it keeps and its log to `scratch`. Blocks."""

    def __init__(self, server: LiveKitServer, folder: Path, scratch: Path) -> None:
        self.port = free_port(socket.SOCK_STREAM)
        self.log_path = scratch / "pyegress.log"
        self._config = scratch / "pyegress.yaml"
        self._config.write_text(
            json.dumps(
                {
                    "ws_url": server.url,
                    "api_key": server.api_key,
                    "api_secret": server.api_secret,
                    "api": {"port": self.port},
                    "local_directory": str(folder.resolve()),
                    "state_directory": str(scratch / "state"),
                }
            )
        )
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """What LiveKit's SDKs are pointed at."""
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        """Start; returns when it listens. Raises ServerFailed."""
        with self.log_path.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "pyegress", "serve", "--config", str(self._config)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
                # What the configuration says is not to be mixed with what the user's shell says.
                env={name: value for name, value in os.environ.items() if not name.startswith(("LIVEKIT_", "EGRESS_"))},
                start_new_session=True,
            )
        try:
            self._wait_ready(self._process)
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def _wait_ready(self, process: subprocess.Popen[bytes]) -> None:
        deadline, pause = monotonic() + READY_TIMEOUT, threading.Event()
        while monotonic() < deadline and process.poll() is None:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            pause.wait(0.05)
        log = self.log_path.read_text(errors="replace")
        raise ServerFailed(f"pyegress serve did not start:\n{log[-2000:]}")

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(signal.SIGINT)
        try:
            process.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
