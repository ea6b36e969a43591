"""Workers that outlived their supervisor: they record on, and say in the state directory where and how it ended.

`EGRESS_ID.PID.alone` is there while such a worker runs, `EGRESS_ID.json` when it has ended; both hold an EgressInfo.
"""

from __future__ import annotations

import logging
import os
import signal
from contextlib import suppress
from pathlib import Path

from google.protobuf.json_format import Parse, ParseError
from livekit.protocol import egress as pb

from pyegress.clock import wall
from pyegress.errors import Code
from pyegress.lifecycle.egress import conclude
from pyegress.lifecycle.outcome import Failure, Outcome
from pyegress.lifecycle.recording import EndReason
from pyegress.lifecycle.zygote_messages import WORKER_NAME

logger = logging.getLogger(__name__)


class LeftWorkers:
    """Looks into `directory` when asked. Blocking, but short."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        #: Those that run: egress id -> process and info.
        self._running: dict[str, tuple[int, pb.EgressInfo]] = {}
        #: Those that have ended and were not collected, by the file to remove.
        self._ended: dict[Path, pb.EgressInfo] = {}
        self.look()

    @property
    def running(self) -> dict[str, pb.EgressInfo]:
        """Infos of egresses that go on without us, by id."""
        return {egress_id: info for egress_id, (_, info) in self._running.items()}

    def info(self, egress_id: str) -> pb.EgressInfo | None:
        """What was last seen of an egress."""
        if egress_id in self._running:
            return self._running[egress_id][1]
        return next((info for info in self._ended.values() if info.egress_id == egress_id), None)

    def path_of(self, egress_id: str) -> str:
        """Where the worker of an egress writes its last info when nobody hears it."""
        return str(self._directory / f"{egress_id}.json")

    def stop(self, egress_id: str) -> None:
        """End one of `running` in order."""
        pid, _ = self._running[egress_id]
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)

    def collect(self) -> list[pb.EgressInfo]:
        """The last infos of those that have ended, each once."""
        self.look()
        ended, self._ended = self._ended, {}
        for path in ended:
            path.unlink(missing_ok=True)
        return list(ended.values())

    def look(self) -> None:
        """See who runs, and who has ended since."""
        self._running = {}
        for path in sorted(self._directory.glob("*.alone")):
            egress_id, _, pid = path.name.removesuffix(".alone").rpartition(".")
            done = self._directory / f"{egress_id}.json"
            if not done.exists() and (info := _read(path)) is not None:
                if _is_worker(int(pid)):
                    self._running[egress_id] = int(pid), info
                    continue
                crash = Failure(Code.INTERNAL, "The worker process ended unexpectedly after its supervisor had")
                self._ended[path] = conclude(info, Outcome(EndReason.FAILURE, error=crash), wall())[-1]
                continue
            path.unlink(missing_ok=True)
        for path in sorted(self._directory.glob("*.json")):
            if (info := _read(path)) is not None:
                self._ended[path] = info
            else:
                path.unlink(missing_ok=True)


def _read(path: Path) -> pb.EgressInfo | None:
    try:
        return Parse(path.read_text(), pb.EgressInfo(), ignore_unknown_fields=True)
    except (OSError, ParseError, ValueError) as error:
        logger.error("%s cannot be read (%s)", path, type(error).__name__)
        return None


def _is_worker(pid: int) -> bool:
    """Whether the process is a worker: its number may have been given to another one since."""
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip() == WORKER_NAME
    except OSError:
        return False
