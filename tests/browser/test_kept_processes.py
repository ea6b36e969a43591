"""The keeper: nothing outlives whoever started it."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import psutil
import pytest

from pyegress.browser.failures import BrowserFailed
from pyegress.browser.kept_processes import KeptProcesses
from pyegress.process_tree import descendants
from tests.support.waiting import eventually

pytestmark = pytest.mark.system

ENVIRONMENT = {"PATH": os.environ["PATH"]}
#: A child in a session of its own, whose parent is gone: only a subreaper still has it.
STRAY = "import os, time\nif os.fork() == 0:\n os.setsid()\n print(os.getpid(), flush=True)\n time.sleep(600)\n"


def gone(pid: int) -> bool:
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


async def test_everything_ends_and_the_folder_with_it() -> None:
    processes = await KeptProcesses.open()
    folder = processes.folder
    assert folder.stat().st_mode & 0o777 == 0o700
    pid = await processes.start("sleeper", ["sleep", "600"], ENVIRONMENT)
    await processes.start("stray", [sys.executable, "-c", STRAY], ENVIRONMENT)
    assert await processes.ended["stray"] == 0
    await eventually(lambda: processes.last_words("stray"), "what the stray said")
    stray = int(processes.last_words("stray"))
    assert not gone(stray)
    (folder / "file").touch()
    outside = f"{folder}.outside"
    os.close(os.open(outside, os.O_CREAT))
    processes.remove_at_end(outside)
    await processes.aclose()
    await processes.aclose()
    assert gone(pid)
    assert gone(stray)
    assert not folder.exists()
    assert os.path.basename(outside) not in os.listdir(folder.parent)
    assert await processes.ended["sleeper"] == -signal.SIGTERM or await processes.ended["sleeper"] == -9


async def test_what_is_somebody_elses_by_now_stays(tmp_path: Path) -> None:
    """Numbers of X displays are taken again as soon as they are free."""
    processes = await KeptProcesses.open()
    pid = await processes.start("sleeper", ["sleep", "600"], ENVIRONMENT)
    for name, owner in (("ours", pid), ("theirs", os.getpid())):
        (tmp_path / f"{name}-lock").write_text(f"{owner:10}\n")
        (tmp_path / name).touch()
        processes.remove_at_end(str(tmp_path / name), lock=str(tmp_path / f"{name}-lock"))
    processes.remove_at_end(str(tmp_path / "nobody's"), lock=str(tmp_path / "no-lock"))
    (tmp_path / "nobody's").touch()
    await processes.aclose()
    assert sorted(os.listdir(tmp_path)) == ["nobody's", "ours-lock", "theirs", "theirs-lock"]


async def test_a_process_is_told_by_its_end() -> None:
    processes = await KeptProcesses.open()
    try:
        await processes.start("false", ["sh", "-c", "echo words >&2; exit 3"], ENVIRONMENT)
        assert await processes.ended["false"] == 3
        await eventually(lambda: processes.last_words("false") == "words", "its last words")
        with pytest.raises(BrowserFailed, match="No such file"):
            await processes.start("nothing", ["/no/such/program"], ENVIRONMENT)
    finally:
        await processes.aclose()


async def test_who_ends_at_once_is_told_too() -> None:
    processes = await KeptProcesses.open()
    try:
        for number in range(60):
            await processes.start(str(number), ["true"], ENVIRONMENT)
            async with asyncio.timeout(10):
                assert await processes.ended[str(number)] == 0
    finally:
        await processes.aclose()


async def test_descriptors_get_their_numbers() -> None:
    processes = await KeptProcesses.open()
    read, write = os.pipe()
    try:
        await processes.start("echo", ["sh", "-c", "echo hello >&7"], ENVIRONMENT, {7: write})
        os.close(write)
        assert await asyncio.to_thread(os.read, read, 100) == b"hello\n"
    finally:
        os.close(read)
        await processes.aclose()


async def test_nothing_outlives_a_killed_parent(tmp_path: Path) -> None:
    script = """
import asyncio, os
from pyegress.browser.kept_processes import KeptProcesses
async def main():
    processes = await KeptProcesses.open()
    await processes.start("sleeper", ["sleep", "600"], dict(os.environ))
    await processes.start("deaf", ["sh", "-c", "trap '' TERM; sleep 600 & wait"], dict(os.environ))
    print(processes.folder, processes._keeper.pid, flush=True)
    await asyncio.sleep(600)
asyncio.run(main())
"""
    parent = await asyncio.create_subprocess_exec(sys.executable, "-c", script, stdout=asyncio.subprocess.PIPE)
    assert parent.stdout is not None
    folder, keeper = (await parent.stdout.readline()).decode().split()
    await eventually(lambda: len(descendants(int(keeper))) >= 4, "both processes, and the one that the shell makes")
    family = descendants(int(keeper))
    parent.kill()
    await parent.wait()
    await eventually(lambda: all(map(gone, family)), f"the end of {family}")
    await eventually(lambda: not Path(folder).exists(), f"the end of {folder}")
    # asyncio's transport is closed by the loop after the process.
    await parent.stdout.read()


async def test_a_keeper_that_is_killed_takes_its_processes_along() -> None:
    processes = await KeptProcesses.open()
    pid = await processes.start("sleeper", ["sleep", "600"], ENVIRONMENT)
    processes._keeper.kill()
    assert await processes.ended["sleeper"] == -9
    await eventually(lambda: gone(pid), "the end of the sleeper")
    await processes.aclose()
    assert not processes.folder.exists()
