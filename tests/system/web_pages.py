"""What the system tests of pages have in common: small recordings, and what may not be left of them."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

import pyegress
from pyegress.browser.programs import missing_programs
from tests.support.waiting import eventually

#: Small pictures: these tests are about content.
SMALL: dict[str, Any] = {"width": 640, "height": 360}
#: For a browser to be up on a busy machine, seconds.
STARTED = 60.0

needs_browser = pytest.mark.skipif(missing_programs() is not None, reason=str(missing_programs()))


def record(url: str, output: Path, **options: Any) -> pyegress.Recording:
    small = {} if options.get("audio_only") else SMALL
    return pyegress.record_web(url=url, output=output, **(small | options))


#: A file by path and inode: names of displays are used again and again, by whoever runs beside.
Trace = tuple[str, int]


def traces() -> frozenset[Trace]:
    """What browsers leave on a machine while they run: folders, displays, shared memory."""
    found = []
    for folder, beginnings in _LEFT.items():
        with suppress(FileNotFoundError):
            for entry in os.scandir(folder):
                if entry.name.startswith(beginnings):
                    with suppress(FileNotFoundError):
                        found.append((entry.path, entry.inode()))
    return frozenset(found)


_LEFT = {
    "/tmp": ("pyegress-page-", ".org.chromium", ".X"),
    "/tmp/.X11-unix": ("X",),
    "/dev/shm": ("pulse", ".org.chromium", ".com.google", "org.chromium"),
}


async def nothing_is_left(before: frozenset[Trace]) -> None:
    """Wait until what is new since `before` is gone: others may run pages too, and theirs end as well."""
    new = traces() - before
    await eventually(lambda: not (traces() & new), f"the end of {sorted(new)}", 60.0)


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
