"""Pages that crash, hang and grow: noticed, loaded again, told of; and a recorder that is killed."""

from __future__ import annotations

import asyncio
import re
import sys
from itertools import pairwise
from pathlib import Path

import psutil
import pytest

from pyegress.clock import monotonic
from pyegress.lifecycle.recording import EndReason, RecordingState
from pyegress.plan.browser_options import BrowserOptions
from pyegress.process_tree import descendants
from tests.support.analysis import numbers_of, read_pictures
from tests.support.page_server import PageServer
from tests.support.waiting import eventually
from tests.system.web_pages import is_active, needs_browser, nothing_is_left, record, renderers, traces

pytestmark = [pytest.mark.system, needs_browser]

#: Takes memory until somebody ends it.
GROWING = """<script>window.kept = [];
setInterval(() => { for (let i = 0; i < 8; i++) window.kept.push(new Uint8Array(4e6).fill(i + 1)); }, 50);</script>"""


async def test_a_page_that_crashes_and_hangs_is_loaded_again_and_the_file_goes_on(tmp_path: Path) -> None:
    before = traces()
    async with PageServer() as server:
        browser = BrowserOptions(hang_timeout=3.0)
        async with record(server.url("/frames?report=1"), tmp_path / "page.mp4", browser=browser) as recording:
            await is_active(recording)
            for renderer in renderers():
                renderer.kill()
            await eventually(lambda: len(server.reports) >= 2, "the page to be loaded again", 30.0)

            # It is another page now, which hangs; the one after that works.
            for renderer in renderers():
                renderer.suspend()
            begun = monotonic()
            await eventually(lambda: len(server.reports) >= 3, "the page that hung to be loaded again", 40.0)
            assert monotonic() - begun < 20.0
            # What the page draws now is to be in the file.
            here = recording.now.elapsed + 1.5
            await eventually(lambda: recording.now.elapsed > here, "some more of it")
            recording.stop()
            result = await recording.wait()
    assert (result.state, result.reason) == (RecordingState.COMPLETE, EndReason.STOPPED)
    assert any("crashed, and was loaded again" in warning for warning in result.warnings)
    assert any("hung" in warning for warning in result.warnings)
    numbers = numbers_of(read_pictures(tmp_path / "page.mp4"))
    restarts = sum(after < former for former, after in pairwise(numbers))
    assert restarts >= 1
    await nothing_is_left(before)


async def test_a_page_that_goes_on_crashing_ends_the_recording_with_its_file(tmp_path: Path) -> None:
    async with PageServer() as server:
        server.pages["/growing"] = GROWING
        browser = BrowserOptions(memory=700_000_000, reloads=0)
        async with record(server.url("/growing"), tmp_path / "page.mp4", browser=browser) as recording:
            result = await recording.wait()
    assert result.state is RecordingState.FAILED
    assert re.search(r"took more memory than it may|crashed", str(result.error))
    assert result.files
    assert read_pictures(tmp_path / "page.mp4")


async def test_a_recorder_that_is_killed_leaves_nothing_but_its_file(tmp_path: Path) -> None:
    before = traces()
    output = tmp_path / "page.mp4"
    async with PageServer() as server:
        command = [sys.executable, "-m", "pyegress", "record", "web", "--url", server.url("/frames")]
        process = await asyncio.create_subprocess_exec(
            *(*command, "-o", str(output), "--width", "640", "--height", "360"),
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        written = lambda: output.exists() and output.stat().st_size > 20_000  # noqa: E731
        await eventually(written, "a file that grows", 60.0)
        family = descendants(process.pid)
        assert len(family) > 5
        process.kill()
        await process.wait()
        await eventually(lambda: not any(map(psutil.pid_exists, family)), "the end of the browser", 20.0)
    await nothing_is_left(before)
    assert read_pictures(output)
