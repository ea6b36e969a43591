"""Pages that crash, hang and grow: noticed, loaded again, told of; and a recorder that is killed."""

from __future__ import annotations

import asyncio
import re
import sys
from contextlib import suppress
from functools import partial
from itertools import groupby
from pathlib import Path

import av
import psutil
import pytest

import pyegress
from pyegress.clock import monotonic
from pyegress.lifecycle.recording import EndReason, RecordingState
from pyegress.plan.browser_options import BrowserOptions
from pyegress.process_tree import descendants
from tests.support.analysis import numbers_of, read_pictures
from tests.support.page_server import PageServer
from tests.support.waiting import eventually
from tests.system.web_pages import is_active, kill_all, needs_browser, nothing_is_left, processes_of, record, traces

pytestmark = [pytest.mark.system, needs_browser]


def runs_of(numbers: list[int]) -> list[list[int]]:
    """Frame numbers from each beginning of a page on."""
    runs: list[list[int]] = []
    for number in numbers:
        if not runs or number < runs[-1][-1]:
            runs.append([])
        runs[-1].append(number)
    return runs


async def test_a_page_in_trouble_is_loaded_again_and_the_file_goes_on(tmp_path: Path) -> None:
    """It crashes, never comes back to itself, and takes all memory; the process that draws for it crashes too."""
    before = traces()
    async with PageServer() as server:
        loads: list[int] = []

        def drawn(loaded: int) -> bool:
            """Whether the page was loaded so often, and has drawn some pictures since."""
            loads[:] = list(dict.fromkeys(report["load"] for report in server.reports))
            last = [report for report in server.reports if report["load"] == loads[-1]] if loads else []
            return len(loads) == loaded and len(last) >= 3

        async def goes_on(loaded: int, after: str) -> None:
            await eventually(lambda: drawn(loaded), f"pictures {after}: {loads}", 40.0)
            # What is on the screen now is to be in the file.
            here = recording.now.elapsed + 0.5
            await eventually(lambda: recording.now.elapsed > here, "some more of it")

        browser = BrowserOptions(memory=900_000_000, reloads=5)
        url = server.url("/frames?drawn=1&orders=1")
        async with record(url, tmp_path / "page.mp4", browser=browser) as recording:
            await is_active(recording)
            await goes_on(1, "of the page")
            kill_all("renderer")
            await goes_on(2, "after a crash")
            server.orders.append("loop")
            begun = monotonic()
            await goes_on(3, "after it hung")
            assert monotonic() - begun < 25.0
            server.orders.append("grow")
            await goes_on(4, "after it took too much memory")
            kill_all("gpu-process")
            seen, killed = len(server.reports), recording.now.elapsed
            await eventually(lambda: len(server.reports) >= seen + 3, "pictures by another process", 40.0)
            await goes_on(4, "by another process")
            recording.stop()
            result = await recording.wait()
    assert (result.state, result.reason) == (RecordingState.COMPLETE, EndReason.STOPPED)
    troubles = [warning for warning in result.warnings if "loaded again" in warning]
    for words in ("crashed", "hung for more than 4 s", "took more memory"):
        assert any(words in trouble for trouble in troubles), f"{words}: {troubles}"
    pictures = read_pictures(tmp_path / "page.mp4")
    runs = runs_of(numbers_of(pictures))
    assert len(runs) == 4, [(run[0], run[-1]) for run in runs]
    assert all(len(set(run)) >= 3 for run in runs), [(run[0], run[-1]) for run in runs]
    assert len({picture.number for picture in pictures if picture.at > killed}) >= 3
    await nothing_is_left(before)


#: Of another site than the page: it has a process of its own, with a worker by which that is found.
FRAME = """<body style="margin:0"><script>new Worker(URL.createObjectURL(new Blob(["setInterval(() => 0, 1000)"])));
</script><iframe src="/frames?drawn=1&participant={load}" style="border:0;width:100vw;height:100vh;display:block">"""
SERVICE = 'self.addEventListener("install", () => self.skipWaiting());'


def renderer_of_worker() -> psutil.Process | None:
    """The process of whoever has a dedicated worker, which is a thread there."""
    return next((renderer for renderer in processes_of("renderer") if _has_worker(renderer.pid)), None)


def _has_worker(pid: int) -> bool:
    names = []
    with suppress(OSError):
        for thread in Path(f"/proc/{pid}/task").iterdir():
            with suppress(OSError):
                names.append((thread / "comm").read_text())
    return any(name.startswith("DedicatedWorker") for name in names)


def _filed(path: Path) -> set[int | None]:
    with suppress(av.FFmpegError):  # it has no picture yet
        return {picture.participant for picture in read_pictures(path)}
    return set()


async def is_filed(recording: pyegress.Recording, path: Path, load: int, within: float = 60.0) -> None:
    """Wait until a picture of a load is in the file, which on a busy machine is long after it was drawn."""
    with suppress(TimeoutError):
        async with asyncio.timeout(within):
            while load not in await asyncio.to_thread(_filed, path):
                # The longer the file is, the seldomer it is read: the recording shares the processor with us.
                later = 1.0 + 1.3 * recording.now.elapsed
                await eventually(partial(_reached, recording, later), f"{later:.1f} s recorded", within)
            return
    raise AssertionError(f"no picture of load {load} in the file within {within:g} s")


def _reached(recording: pyegress.Recording, second: float) -> bool:
    return recording.now.elapsed >= second


async def test_a_frame_of_another_site_that_crashes_alone_is_loaded_again_with_its_page(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The page's own crash counts once, though its frames end with it; what it writes when it is left counts not.

    When it has been loaded again as often as it may, the recording goes on without the frame.
    """
    async with PageServer() as server:
        elsewhere = server.url("/framed").replace("127.0.0.1", "localhost")
        server.pages |= {"/framed": FRAME.format(load=1), "/service.js": SERVICE}
        server.pages["/page"] = f"""<body style="margin:0"><script>
        navigator.serviceWorker.register("/service.js");
        addEventListener("pagehide", () => console.log("END_RECORDING"));</script>
        <iframe src="{elsewhere}?token=ofnobody" style="border:0;width:100vw;height:100vh;display:block"></iframe>"""

        async def goes_on(loaded: int, after: str) -> None:
            """It draws, and its pictures, which say the number of the load, are recorded."""

            def drawn() -> bool:
                loads = list(dict.fromkeys(report["load"] for report in server.reports))
                newest = [report for report in server.reports if report["load"] == loads[-1]] if loads else []
                return len(loads) == loaded and len(newest) >= 3 and renderer_of_worker() is not None

            await eventually(drawn, f"pictures {after}: {server.asked}", 40.0)
            await is_filed(recording, tmp_path / "page.mp4", loaded)
            server.pages["/framed"] = FRAME.format(load=loaded + 1)

        browser = BrowserOptions(reloads=2)
        # An address with a fragment, to which a page that lives would go without being loaded.
        async with record(server.url("/page#part"), tmp_path / "page.mp4", browser=browser) as recording:
            await is_active(recording)
            await goes_on(1, "of the page")
            framing = renderer_of_worker()
            assert framing is not None
            framing.kill()
            await goes_on(2, "after the frame crashed")
            kill_all("renderer")
            await goes_on(3, "after all crashed")
            framing = renderer_of_worker()
            assert framing is not None
            framing.kill()
            await eventually(lambda: "stays as it is" in caplog.text, "a word about the frame", 40.0)
            later = recording.now.elapsed + 1.0
            await eventually(partial(_reached, recording, later), "more of it", 40.0)
            recording.stop()
            result = await recording.wait()
        assert (result.state, result.reason) == (RecordingState.COMPLETE, EndReason.STOPPED)
        assert server.asked["/page"] == server.asked["/framed"] == 3
    assert [warning for warning in result.warnings if "loaded again" in warning] == [
        "The page lost a frame of localhost to a crash, and was loaded again",
        "The page crashed, and was loaded again",
        "The page lost a frame of localhost to a crash, and stays as it is: it was loaded again 2 times",
    ]
    shown = [picture.participant for picture in read_pictures(tmp_path / "page.mp4") if picture.number is not None]
    assert [load for load, _ in groupby(shown)] == [1, 2, 3]


async def test_a_page_that_goes_on_crashing_ends_the_recording_with_its_file(tmp_path: Path) -> None:
    async with PageServer() as server:
        server.orders.append("grow")
        browser = BrowserOptions(memory=700_000_000, reloads=0)
        async with record(server.url("/frames?orders=1"), tmp_path / "page.mp4", browser=browser) as recording:
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
