"""Chromium's sandbox, which root cannot have: a recorder that runs as nobody, where the system allows it and where it
does not."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.support.analysis import numbers_of, read_pictures
from tests.support.page_server import PageServer
from tests.support.unprivileged import NOBODY, command_line, why_unavailable
from tests.support.waiting import eventually
from tests.system.web_pages import STARTED, needs_browser, nothing_is_left, processes_of, traces

pytestmark = [pytest.mark.system, needs_browser, pytest.mark.skipif(bool(why_unavailable()), reason=why_unavailable())]

ROOT = Path(__file__).parents[2]


@pytest.fixture
def home() -> Iterator[Path]:
    """A folder of nobody's own. pytest's are closed to him."""
    folder = Path(tempfile.mkdtemp(prefix="nobody-"))
    for place in ("output", "source", "packages", "python"):
        (folder / place).mkdir()
    for path in (folder, folder / "output"):
        os.chown(path, NOBODY, NOBODY)
    yield folder
    shutil.rmtree(folder)


async def start(home: Path, url: str, *, user_namespaces: bool) -> asyncio.subprocess.Process:
    """Record a page for some seconds."""
    # Python itself, not its environment, which knows it by a path that may be closed.
    python = home / "python" / "bin" / f"python3.{sys.version_info.minor}"
    command = ["/usr/bin/env", "-i", f"PATH={os.environ['PATH']}", f"HOME={home}"]
    command += [f"PYTHONPATH={home / 'source'}:{home / 'packages'}", f"LD_LIBRARY_PATH={home / 'python' / 'lib'}"]
    command += [str(python), "-m", "pyegress", "record", "web", "--url", url, "-o", str(home / "output" / "page.mp4")]
    command += ["--width", "640", "--height", "360", "--duration", "3s", "--json", "--quiet"]
    shown = {ROOT / "src": home / "source", Path(sysconfig.get_path("purelib")): home / "packages"}
    shown[Path(sys.base_prefix)] = home / "python"
    return await asyncio.create_subprocess_exec(
        *command_line(shown, *command, user_namespaces=user_namespaces),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def result_of(process: asyncio.subprocess.Process, home: Path) -> dict[str, Any]:
    """What it said at its end; its pictures are those of the page."""
    out, errors = await process.communicate()
    assert process.returncode == 0, (out + errors).decode()
    numbers = numbers_of(read_pictures(home / "output" / "page.mp4"))
    assert len(set(numbers)) > 20
    assert numbers == sorted(numbers)
    said: dict[str, Any] = json.loads(out)
    return said


def confinement(process: psutil.Process) -> dict[str, bool]:
    """What keeps a process from the system."""
    found = {}
    with suppress(OSError, psutil.Error):
        status = Path(f"/proc/{process.pid}/status").read_text().split()
        found["user"] = process.uids().effective == NOBODY
        found["filter of system calls"] = status[status.index("Seccomp:") + 1] == "2"
        found["no new privileges"] = status[status.index("NoNewPrivs:") + 1] == "1"
        for space in ("user", "pid", "net"):
            ours, its = (os.readlink(f"/proc/{pid}/ns/{space}") for pid in ("self", process.pid))
            found[f"{space} namespace"] = ours != its
    return found


async def test_a_page_is_recorded_in_the_sandbox_by_whoever_is_not_root(home: Path) -> None:
    before = traces()
    async with PageServer() as server:
        process = await start(home, server.url("/frames"), user_namespaces=True)

        seen: list[dict[str, bool]] = []

        def confined() -> bool:
            seen[:] = [facts for facts in map(confinement, processes_of("renderer")) if facts]
            return bool(seen) and all(all(facts.values()) for facts in seen)

        await eventually(lambda: confined() or process.returncode is not None, "a renderer in a sandbox", STARTED)
        found = list(seen)
        said = await result_of(process, home)
    assert found, "it ended before a renderer was seen"
    assert all(all(facts.values()) for facts in found), found
    assert [warning for warning in said["warnings"] if "sandbox" in warning] == []
    await nothing_is_left(before)


async def test_without_user_namespaces_it_is_recorded_with_a_warning(home: Path) -> None:
    before = traces()
    async with PageServer() as server:
        process = await start(home, server.url("/frames"), user_namespaces=False)
        said = await result_of(process, home)
    (warning,) = [warning for warning in said["warnings"] if "sandbox" in warning]
    assert "allows no user namespaces" in warning
    await nothing_is_left(before)
