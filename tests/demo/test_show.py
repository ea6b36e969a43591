"""The demo as people run it."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image
from rich.console import Console

from pyegress.demo.inspection import inspect
from pyegress.demo.show import run_demo
from pyegress.demo.stamp import Region
from tests.support.analysis import read_pictures
from tests.support.composed import read_looks

pytestmark = pytest.mark.system


async def test_records_three_participants_and_shows_them(tmp_path: Path) -> None:
    text = io.StringIO()
    console = Console(file=text, width=120)
    assert await run_demo(duration=4, output=tmp_path, console=console) == 0
    names = ["alice.webm", "bob.mp4", "carol.webm", "contact-sheet.png", "room.mp4", "room.png"]
    (folder,) = {path.parent for path in tmp_path.rglob("*.*")}  # noqa: ASYNC240 # nothing else runs any more
    assert sorted(os.listdir(folder)) == names
    codecs = {name: inspect(folder / name).codecs for name in names[:3]}
    assert codecs == {
        "alice.webm": ("VP8",),
        "bob.mp4": ("H.264",),
        "carol.webm": ("VP9",),
    }
    for participant, name in enumerate(names[:3], start=1):
        assert {p.participant for p in read_pictures(folder / name) if p.number is not None} == {participant}
    assert inspect(folder / "room.mp4").codecs == ("H.264", "AAC")
    cells: dict[str, Region] = {f"{x} {y}": (640.0 * x, 360.0 * y, 640.0, 360.0) for y in (0, 1) for x in (0, 1)}
    looks = read_looks(folder / "room.mp4", cells)
    seen = [tuple(look.shows(cell) for cell in cells) for look in looks[len(looks) // 2 :]]
    assert seen.count((1, 2, 3, None)) > 0.8 * len(seen), seen
    output = text.getvalue()
    for expected in (*names, str(folder), "VP8", "640x360", "H.264 + AAC", "1280x720"):
        assert expected in output
    # Five tiles of 256 pixels beside each other, four rows.
    with Image.open(folder / "contact-sheet.png") as sheet:
        assert sheet.width > 5 * 256
        assert sheet.height > 4 * 144
    with Image.open(folder / "room.png") as picture:
        assert picture.size == (640, 360)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_interrupting_stops_everything(tmp_path: Path, how: signal.Signals) -> None:
    environment = os.environ | {"TMPDIR": str(tmp_path / "tmp"), "PYTHONUNBUFFERED": "1"}
    (tmp_path / "tmp").mkdir()
    command = [sys.executable, "-m", "pyegress.demo", "--duration", "60", "--output", str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment) as demo:
        assert demo.stdout
        seen = [next(demo.stdout) for _ in range(3)]
        assert "Three participants" in seen[-1]
        demo.send_signal(how)
        _, errors = demo.communicate(timeout=60)
    assert demo.returncode == 130, errors
    assert "Traceback" not in errors
    # The server's folder goes when it has stopped; nothing_left_behind looks for its process.
    assert not list((tmp_path / "tmp").glob("pyegress-demo-*"))
