"""What is received is on the disk until it is rendered, and no longer."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from pyegress.clock import Monotonic, Wall
from pyegress.codecs import Codec
from pyegress.layouts.geometry import Size
from pyegress.layouts.layout import Layout
from pyegress.layouts.scene import Participant, Scene, Speaker, VideoSource, VideoTrack
from pyegress.media.director import CandidateChanged
from pyegress.media.engine_messages import Begin, Blank, End, Frame, Pause, Report, Resume
from pyegress.plan.sources import Channel
from pyegress.rtp.frame import EncodedFrame
from pyegress.worker.received import SHORTEST, Entry, Opened, ReceivedLog, Staged, read_received
from tests.support.waiting import eventually

pytestmark = [pytest.mark.unit, pytest.mark.usefixtures("no_tasks_left")]

NOW = Monotonic(100.5)
PICTURE = EncodedFrame(Codec.VP8, b"\x00\xffpicture", 1 << 40, NOW, True, (640, 360))
SOUND = EncodedFrame(Codec.OPUS, b"sound", 960, NOW, duration=960, discontinuity=True)
ADA = Participant(
    "ada", "Ada", Wall(1.7e9), tracks=(VideoTrack("C", VideoSource.CAMERA, size=Size(640, 360), first_seen=NOW),)
)
#: One of each.
ENTRIES: tuple[Entry, ...] = (
    Opened("standup", "RM_1", "ada", 1.7e9),
    Begin("C", "ada", Codec.VP8),
    Begin("M", "ada", Codec.OPUS, Channel.LEFT),
    Staged(NOW, Scene((ADA,), (Speaker("ada", 0.5),))),
    Staged(NOW, Layout.parse("speaker?names=1")),
    Staged(NOW, CandidateChanged("C", "ada", 0, muted=True)),
    Staged(NOW, CandidateChanged("C", "ada", None)),
    Frame("C", PICTURE),
    Frame("M", SOUND),
    Report("C", Wall(1.7e9), 1 << 40, NOW),
    Blank("C", NOW),
    Pause(NOW),
    Resume(NOW),
    End("C", NOW),
)


async def test_everything_that_is_noted_can_be_read_while_it_is_written(tmp_path: Path) -> None:
    path = tmp_path / "received"
    log = ReceivedLog(path)
    for entry in ENTRIES:
        log.note(entry)
    await eventually(lambda: path.exists() and len(list(read_received(path))) == len(ENTRIES), "all entries")
    assert tuple(read_received(path)) == ENTRIES
    # A kill tears what was being written.
    with path.open("ab") as file:
        file.write(b'{"is":"Frame","track":"C","fra')
    assert tuple(read_received(path)) == ENTRIES
    log.note(ENTRIES[-1])
    log.drop()
    log.drop()
    log.note(ENTRIES[-1])
    await eventually(lambda: not path.exists(), "it is removed")


@pytest.mark.parametrize(
    ("age", "behind", "kept"),
    [
        (SHORTEST - 0.1, 1.0, True),
        (SHORTEST + 0.1, 1.2, False),
        (SHORTEST + 0.1, 3.0, True),
        (SHORTEST + 0.1, None, True),
        (61.0, 8.0, False),
    ],
)
async def test_it_goes_when_rendering_has_caught_up(
    tmp_path: Path, age: float, behind: float | None, kept: bool
) -> None:
    path = tmp_path / "received"
    log = ReceivedLog(path)
    log.note(ENTRIES[0])
    await eventually(path.exists, "it is there")
    now = Monotonic(1000.0)
    log.look(now, None, None)
    log.look(now, Monotonic(now - age), None if behind is None else Monotonic(now - behind))
    log.note(ENTRIES[1])
    if kept:
        await eventually(lambda: len(list(read_received(path))) == 2, "it goes on")
        log.drop()
    await eventually(lambda: not path.exists(), "it is removed")


async def test_a_disk_that_refuses_ends_nothing_else(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    log = ReceivedLog(tmp_path / "nowhere" / "received")
    with caplog.at_level(logging.WARNING):
        log.note(ENTRIES[0])
        await eventually(lambda: caplog.messages, "a word about it")
    assert caplog.messages == ["what is received is not kept until it is rendered: No such file or directory"]
    log.note(ENTRIES[1])
    log.drop()
