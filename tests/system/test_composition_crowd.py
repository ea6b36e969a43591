"""A full grid: everybody in a cell of their own. `bench/compose_sync.py --people 25` measures the largest one."""

from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from pyegress.codecs import Codec
from pyegress.demo.cast import Cast, Person
from pyegress.demo.publishers import Content
from pyegress.demo.stamp import Region
from tests.support.composed import read_looks
from tests.support.livekit_server import LiveKitServer
from tests.system.compositions import mostly, room, stretch
from tests.system.scenes import prepare, recorded, the_file

pytestmark = pytest.mark.system

COLUMNS = 4
PEOPLE = COLUMNS * COLUMNS
#: A grid of four columns is 960 pixels wide at least.
SIZE = (960, 540)
FPS = 8
_PER_PROCESS = 4


def cells() -> dict[str, Region]:
    width, height = SIZE[0] / COLUMNS, SIZE[1] / COLUMNS
    return {
        f"p{number}": (number % COLUMNS * width, number // COLUMNS * height, width, height) for number in range(PEOPLE)
    }


@pytest.mark.alone
async def test_sixteen_people(livekit_server: LiveKitServer, tmp_path: Path) -> None:
    name = "composed-crowd"
    codecs = (Codec.VP8, Codec.H264)
    people = []
    for number in range(PEOPLE):
        content = Content(
            participant=100 + number,
            codec=codecs[number % len(codecs)],
            size=(160, 90),
            fps=FPS,
            encoded=True,
            clip_seconds=4,
            gop=1,
            phases=1,
        )
        prepare(f"p{number}", content)
        token = livekit_server.token(f"p{number}", name)
        people.append(Person(f"p{number}", token, content, audio=number % 8 == 0))
    async with AsyncExitStack() as stack:
        for first in range(0, PEOPLE, _PER_PROCESS):
            stack.enter_context(Cast(livekit_server.url, people[first : first + _PER_PROCESS]))
        width, height = SIZE
        recording = room(livekit_server, name, tmp_path / "crowd.mp4", width=width, height=height, fps=FPS)
        async with recording:
            await recorded(recording, 5.0)
    looks = stretch(read_looks(the_file(recording.result), cells()), 2.5, 5.0)
    for number, who in enumerate(cells()):
        shown = [look.shows(who) for look in looks]
        assert mostly([one == 100 + number for one in shown]), f"{who}: {shown}"
        assert len({look.stamps[who] for look in looks}) >= 0.6 * len(looks), f"{who} stands still"
