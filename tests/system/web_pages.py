"""What the system tests of pages have in common: small recordings, and what may not be left of them."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import psutil
import pytest

import pyegress
from pyegress.browser.programs import missing_programs
from pyegress.clock import monotonic
from pyegress.worker.progress import RecordingResult
from tests.support.waiting import eventually

#: Small pictures: these tests are about content.
SMALL: dict[str, Any] = {"width": 640, "height": 360}
#: For a browser to be up on a busy machine, seconds.
STARTED = 60.0

needs_browser = pytest.mark.skipif(missing_programs() is not None, reason=str(missing_programs()))


def record(url: str, output: Path, **options: Any) -> pyegress.Recording:
    small = {} if options.get("audio_only") else SMALL
    return pyegress.record_web(url=url, output=output, **(small | options))


@dataclass(frozen=True, slots=True)
class Traces:
    """What a browser leaves on a machine while it runs."""

    folders: frozenset[str]
    displays: frozenset[str]
    memory: frozenset[str]

    @classmethod
    def take(cls) -> Self:
        return cls(
            frozenset(name for name in os.listdir("/tmp") if name.startswith(("pyegress-page-", ".org.chromium"))),
            frozenset(_listed("/tmp/.X11-unix")) | {name for name in os.listdir("/tmp") if name.endswith("-lock")},
            frozenset(_listed("/dev/shm")),
        )


def _listed(folder: str) -> list[str]:
    return os.listdir(folder) if os.path.isdir(folder) else []


async def is_active(recording: pyegress.Recording) -> None:
    """Wait until it records; fails when it ends before."""

    def active() -> bool:
        state = recording.now.state
        assert not state.final, f"it ended: {recording.result}"
        return state.value == "active"

    await eventually(active, f"a recording: {recording.now}", STARTED)


def renderers() -> list[psutil.Process]:
    """The processes of ours that draw pages."""
    found = []
    for process in psutil.Process().children(recursive=True):
        try:
            if any(argument == "--type=renderer" for argument in process.cmdline()):
                found.append(process)
        except psutil.Error:
            continue
    return found


async def timed(run: Callable[[], Any]) -> tuple[RecordingResult, float]:
    begun = monotonic()
    result = await run()
    return result, monotonic() - begun
