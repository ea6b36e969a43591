"""Real zygotes and their children: what they share, how they end, and who survives whom."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from pyegress.lifecycle.worker_messages import Ready, from_worker
from pyegress.lifecycle.zygote_messages import WORKER_NAME, ZYGOTE_NAME
from pyegress.service.worker import Worker
from pyegress.service.zygote import Child, Zygote
from tests.support.waiting import eventually

pytestmark = pytest.mark.unit


@pytest.fixture
async def zygote(no_tasks_left: object) -> AsyncIterator[Zygote]:
    made = Zygote()
    try:
        yield made
    finally:
        await made.aclose()
        await made.aclose()


async def spawned(zygote: Zygote, *, loaded: bool = False) -> tuple[Child, socket.socket]:
    """A worker and our end of its socket pair."""
    ours, theirs = socket.socketpair()
    heard, said = socket.socketpair()
    try:
        child = await zygote.spawn(theirs, said, loaded=loaded)
    finally:
        for end in (theirs, said, heard):
            end.close()
    return child, ours


def seen(pid: int, name: str) -> str:
    """What the kernel shows of a process."""
    return Path(f"/proc/{pid}/{name}").read_text().strip()


def open_files(pid: int) -> list[str]:
    folder = Path(f"/proc/{pid}/fd")
    return [os.readlink(folder / number) for number in os.listdir(folder)]


async def named(pid: int) -> None:
    """Wait until a process calls itself a worker."""
    await eventually(lambda: seen(pid, "comm") == WORKER_NAME, f"{pid} is a worker", 20.0)


async def test_workers_say_that_they_are_ready_and_end_with_their_socket(
    zygote: Zygote, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIVEKIT_API_SECRET", "hidden")
    ends = []
    for number in range(3):
        child, end = await spawned(zygote, loaded=number == 2)
        reader, writer = await asyncio.open_connection(sock=end)
        assert from_worker(await reader.readline()) == Ready(child.pid)
        await named(child.pid)
        assert os.getpgid(child.pid) == child.pid
        assert "hidden" not in seen(child.pid, "environ")
        # Its own end and standard error, and nothing of the zygote or of the others.
        sockets = [name for name in open_files(child.pid) if name.startswith("socket:")]
        assert len(sockets) <= 4, sockets  # the event loop has a pair of its own
        assert ("libavcodec" in seen(child.pid, "maps")) == (number == 2)
        ends.append((child, writer))
    for child, writer in ends:
        assert child.returncode is None
        writer.close()
        async with asyncio.timeout(20):
            await child.wait()
        assert child.returncode == 0


async def test_a_killed_worker_is_told_of_by_its_signal(zygote: Zygote) -> None:
    child, end = await spawned(zygote)
    child.kill()
    async with asyncio.timeout(20):
        await child.wait()
    assert child.returncode == -signal.SIGKILL
    child.kill()
    end.close()


async def test_workers_outlive_their_zygote_and_another_one_takes_over(zygote: Zygote) -> None:
    first, end = await spawned(zygote)
    assert zygote._process is not None
    os.kill(zygote._process.pid, signal.SIGKILL)
    second, other = await spawned(zygote)
    await named(first.pid)
    assert first.returncode is None
    end.close()
    async with asyncio.timeout(20):
        await first.wait()
    assert first.returncode is not None
    assert second.returncode is None
    other.close()
    async with asyncio.timeout(20):
        await second.wait()
    assert second.returncode == 0


async def test_who_stops_waiting_leaves_everybody_else_his_own(zygote: Zygote) -> None:
    """A start that is broken off gets its answer all the same: it is no answer to the next one."""
    await zygote.start()
    broken = asyncio.create_task(Worker.spawn(zygote, loaded=False))
    for _ in range(20):  # the answer takes milliseconds, and cannot come between these
        if not zygote._asked:
            await asyncio.sleep(0)
    assert zygote._asked
    broken.cancel()
    worker = await Worker.spawn(zygote, loaded=False)
    await worker.ready()
    await asyncio.wait({broken})
    assert broken.cancelled()
    alone = [worker.pid]
    await eventually(lambda: list(zygote._children) == alone, "the end of the worker that nobody wanted", 20.0)
    assert worker.running
    await worker.aclose()


async def test_a_worker_says_why_it_crashed(zygote: Zygote) -> None:
    worker = await Worker.spawn(zygote, loaded=False)
    await worker.ready()
    os.kill(worker.pid, signal.SIGABRT)
    async with asyncio.timeout(30):
        failure = await worker.crash()
    assert "SIGABRT" in failure.message
    assert any("Fatal Python error: Aborted" in line for line in worker._last_words)
    await worker.aclose()


_SERVICE = """
import asyncio, os, socket, sys
from pyegress.service.zygote import Zygote
from pyegress.worker.zygote import fork_zygote

zygote = Zygote(fork_zygote())

async def main():
    ours, theirs = socket.socketpair()
    child = await zygote.spawn(theirs, sys.stderr, loaded=False)
    theirs.close()
    print(child.pid, zygote._forked[0], flush=True)
    sys.stdin.readline()
    ours.close()
    await child.wait()
    print(child.returncode, flush=True)
    await zygote.aclose()

asyncio.run(main())
"""


@pytest.mark.parametrize("killed", [False, True])
async def test_a_zygote_that_was_forked_of_its_supervisor(killed: bool) -> None:
    service = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        _SERVICE,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert service.stdout is not None
    assert service.stdin is not None
    worker, zygote = map(int, (await service.stdout.readline()).split())
    await named(worker)
    assert seen(zygote, "comm") == ZYGOTE_NAME
    if killed:
        service.kill()
    else:
        service.stdin.write(b"\n")
        assert await service.stdout.readline() == b"0\n"
    async with asyncio.timeout(20):
        await service.wait()
    # The worker without a launch has nothing to outlive it for; with one it would record on.
    left = [Path(f"/proc/{pid}") for pid in (worker, zygote)]
    await eventually(lambda: not any(folder.exists() for folder in left), "both have ended", 20.0)
