"""Records as users do, by `pyegress record` in a process of its own, and measures that process."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.machine import Quiet, usage

from pyegress.clock import monotonic
from pyegress.demo.server import LiveKitServer


@dataclass(frozen=True, slots=True)
class Used:
    """What the recorder used: cores, MB, threads; `foreign` is the cores of others meanwhile."""

    cores: float
    rss: float
    pss: float
    threads: int
    foreign: float


def record(
    server: LiveKitServer, arguments: Sequence[str], log: Path, *, settle: float, seconds: float, tail: float
) -> Used:
    """Record, measure for `seconds` after `settle`, and go on for `tail`. Raises RuntimeError with what it logged."""
    keys = {"LIVEKIT_URL": server.url, "LIVEKIT_API_KEY": server.api_key, "LIVEKIT_API_SECRET": server.api_secret}
    command = [sys.executable, "-m", "pyegress", "record", *arguments, "--duration", f"{settle + seconds + tail:g}s"]
    with (
        log.open("w") as file,
        subprocess.Popen(command, env=os.environ | keys, stdout=file, stderr=subprocess.STDOUT) as recorder,
    ):
        try:
            time.sleep(settle)
            if recorder.poll() is not None:
                raise RuntimeError(log.read_text())
            quiet, started, before = Quiet(), monotonic(), usage(recorder.pid)
            time.sleep(seconds)
            if recorder.poll() is not None:
                raise RuntimeError(log.read_text())
            after, elapsed, foreign = usage(recorder.pid), monotonic() - started, quiet.foreign()
            if recorder.wait(60) != 0:
                raise RuntimeError(log.read_text())
        finally:
            recorder.kill()
    return Used((after.cpu - before.cpu) / elapsed, after.rss, after.pss, round(after.threads), foreign)
