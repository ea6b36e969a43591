"""What the system tests of pages have in common: small recordings, and what may not be left of them."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

import pyegress
from pyegress.browser.browser import Browser
from pyegress.browser.page import Page
from pyegress.browser.programs import missing_programs
from pyegress.plan.browser_options import BrowserOptions
from tests.support.waiting import eventually

#: Small pictures: these tests are about content.
SMALL: dict[str, Any] = {"width": 640, "height": 360}
#: For a browser to be up on a busy machine, seconds.
STARTED = 60.0

needs_browser = pytest.mark.skipif(missing_programs() is not None, reason=str(missing_programs()))


@asynccontextmanager
async def a_page(width: int = 640, height: int = 360, **options: Any) -> AsyncIterator[Page]:
    """A tab of a browser of its own."""
    chosen = BrowserOptions(load_tries=1, **options)
    browser = await Browser.open(chosen, width=width, height=height, framerate=30, udp=False)
    page = Page(browser, chosen, on_signal=lambda signal: None, on_warning=lambda text: None)
    try:
        await page.attach()
        yield page
    finally:
        await page.aclose()
        await browser.aclose()


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
    "/dev/shm": ("pyegress-page-", "pulse", ".org.chromium", ".com.google", "org.chromium"),
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


def processes_of(kind: str) -> list[psutil.Process]:
    """Chromium's processes of a kind below ours: renderer, gpu-process."""
    found = []
    for process in psutil.Process().children(recursive=True):
        try:
            if any(argument == f"--type={kind}" for argument in process.cmdline()):
                found.append(process)
        except psutil.Error:
            continue
    return found


def kill_all(kind: str) -> None:
    """Kill them at once; some end by themselves when others are gone."""
    for process in processes_of(kind):
        with suppress(psutil.NoSuchProcess):
            process.kill()
