"""`pyegress serve` as operators run it: a process with a configuration file, and what it said."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import psutil

from pyegress.lifecycle.zygote_messages import WORKER_NAME
from tests.support.livekit_server import LiveKitServer, free_port
from tests.support.redis_server import RedisServer
from tests.support.secrecy import SECRECY
from tests.support.waiting import eventually

#: Busy machines take seconds to import; nobody waits this long when all is well.
STARTED, ENDED = 60.0, 60.0
#: Tests run many small recordings at once: admission is a subject of its own.
CHEAP = dict.fromkeys(
    ("room_composite_cpu_cost", "participant_cpu_cost", "track_composite_cpu_cost", "track_cpu_cost"), 0.01
)


class ServiceProcess:
    """One node. Files go to `files`, its state to `folder`; ports survive a restart. `config` is merged over ours."""

    def __init__(
        self,
        folder: Path,
        server: LiveKitServer,
        redis: RedisServer | None = None,
        *,
        http: bool = False,
        **config: Any,
    ) -> None:
        self.folder = folder
        self.files = folder / "files"
        self.http_port = free_port(socket.SOCK_STREAM)
        self.health_port, self.metrics_port, self.debug_port = (free_port(socket.SOCK_STREAM) for _ in range(3))
        self.log_path = folder / "service.log"
        self._process: subprocess.Popen[bytes] | None = None
        folder.mkdir(parents=True, exist_ok=True)
        SECRECY.keep(server.api_secret, "the API secret")
        SECRECY.watch(self.log_path, folder / "state")
        whole: dict[str, Any] = {
            "ws_url": server.url,
            "api_key": server.api_key,
            "api_secret": server.api_secret,
            "health_port": self.health_port,
            "prometheus_port": self.metrics_port,
            "debug_port": self.debug_port,
            "local_directory": str(self.files),
            "state_directory": str(folder / "state"),
            "cpu_cost": CHEAP,
        }
        if redis is not None:
            whole["redis"] = {"address": redis.address}
        if http:
            whole["api"] = {"port": self.http_port}
        self._config = folder / "config.yaml"
        self._config.write_text(json.dumps(_merged(whole, config)))

    @property
    def http_url(self) -> str:
        """Where the Egress API is."""
        return f"http://127.0.0.1:{self.http_port}"

    @property
    def log(self) -> str:
        """Everything that it wrote, over restarts."""
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def look_at_pages(self) -> None:
        """Nothing of its health and its figures may be secret."""
        for port, page in ((self.health_port, ""), (self.metrics_port, "metrics"), (self.debug_port, "debug")):
            SECRECY.look_at_page(f"http://127.0.0.1:{port}/{page}")

    def accepted(self) -> list[str]:
        """The egresses that it took, by its log."""
        lines = [json.loads(line) for line in self.log.splitlines() if line.startswith("{")]
        return [line["egress_id"] for line in lines if line["message"].startswith("accepted: ")]

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def processes(self) -> list[psutil.Process]:
        """Everything below it: the zygote, and the workers of egresses."""
        return psutil.Process(self.pid).children(recursive=True)

    def workers(self) -> list[psutil.Process]:
        """The processes of its egresses, and spares."""
        found = []
        for process in self.processes():
            with suppress(psutil.NoSuchProcess):
                if process.name() == WORKER_NAME and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
        return found

    async def start(self) -> None:
        """Wait until its doors are open."""
        said = self.log.count("serves: ")
        self._process = process = self._spawned()
        await eventually(
            lambda: self.log.count("serves: ") > said or process.poll() is not None, "the service serves", STARTED
        )
        assert self.running, self.log

    def _spawned(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "pyegress", "serve", "--config", str(self._config)]
        with self.log_path.open("ab") as log:
            return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)

    def signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    async def ended(self, within: float = ENDED) -> int:
        """Wait for its end; its exit code."""
        process = self._process
        assert process is not None
        await eventually(lambda: process.poll() is not None, f"the service ended; {self.log[-2000:]}", within)
        return int(process.returncode)

    async def kill(self, *, workers: bool) -> None:
        """SIGKILL; with its `workers` it is as if the machine were gone."""
        victims = self.processes() if workers else []
        self.signal(signal.SIGKILL)
        for victim in victims:
            with suppress(psutil.NoSuchProcess):
                victim.kill()
        await self.ended()


@asynccontextmanager
async def serving(
    folder: Path, server: LiveKitServer, redis: RedisServer | None = None, *, http: bool = False, **config: Any
) -> AsyncIterator[ServiceProcess]:
    """A node that serves; ended in order, with its log in the failure when it does not end well."""
    service = ServiceProcess(folder, server, redis, http=http, **config)
    try:
        await service.start()
        yield service
    finally:
        if service.running:
            await asyncio.to_thread(service.look_at_pages)
            service.signal(signal.SIGINT)
            try:
                code = await service.ended()
            except BaseException:
                await service.kill(workers=True)
                raise
            assert code == 0, service.log[-4000:]
    assert "Traceback" not in service.log, service.log


async def until_nothing_runs(service: ServiceProcess, within: float = 20.0) -> None:
    """Wait until no egress has a process any more."""
    await eventually(lambda: not service.workers(), f"no worker is left of {service.workers()}", within)


def _merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        below = merged.get(key)
        merged[key] = _merged(below, value) if isinstance(below, dict) and isinstance(value, Mapping) else value
    return merged
