"""The leak guard itself: it must see every kind of left-over."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import threading
from pathlib import Path

import pytest

from tests.support.leaks import Snapshot, wait_for_no_leaks, wait_for_no_tasks

pytestmark = pytest.mark.unit


def test_sees_threads_children_sockets_and_files(tmp_path: Path) -> None:
    before = Snapshot.take()
    end = threading.Event()
    thread = threading.Thread(target=end.wait, name="forgotten-thread")
    thread.start()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp, (tmp_path / "forgotten-file").open("w"):
        udp.bind(("127.0.0.1", 0))
        child = subprocess.Popen(["sleep", "60"])
        left = "; ".join(wait_for_no_leaks(before, grace=0))
        child.kill()
        child.wait()
    end.set()
    thread.join()
    assert "forgotten-thread" in left
    assert f"child processes: {child.pid} sleep" in left
    assert "sockets: socket:[" in left
    assert "forgotten-file" in left
    assert wait_for_no_leaks(before) == []


def test_a_transport_that_is_closing_gets_its_turn() -> None:
    loop = asyncio.new_event_loop()
    before = Snapshot.take()
    one, other = socket.socketpair()
    transport, _ = loop.run_until_complete(loop.create_connection(asyncio.Protocol, sock=one))
    with other:
        transport.close()
    assert "sockets: socket:[" in "; ".join(wait_for_no_leaks(before, grace=0))
    assert wait_for_no_leaks(before, loop=loop) == []
    loop.close()


async def test_sees_tasks() -> None:
    before = asyncio.all_tasks()
    task = asyncio.create_task(asyncio.Event().wait(), name="forgotten-task")
    left = await wait_for_no_tasks(before, grace=0)
    task.cancel()
    assert ["forgotten-task" in text for text in left] == [True]
    assert await wait_for_no_tasks(before) == []
