"""The default layouts as a page of ours draws them: what the native ones show, in a real room and a real browser."""

from __future__ import annotations

import statistics
from collections.abc import AsyncIterator
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

import pyegress
from pyegress.codecs import Codec
from pyegress.demo.stamp import Region
from pyegress.service.template_app import TemplateServer
from tests.media.pictures import ssim
from tests.support.analysis import read_sound
from tests.support.composed import BLACK, Look, read_looks
from tests.support.livekit_server import LiveKitServer
from tests.system.compositions import CELLS, beeps, mostly, room, stretch
from tests.system.scenes import access, clip, prepare, publishing, recorded, the_file

pytestmark = pytest.mark.system

#: Without gaps cells are as large as what is published: what differs then is how it is drawn, not how it is scaled.
OPTIONS = "grid?radius=8&names=1"
#: The picture in the main tile of a speaker layout, whose sides are cut, and the strip below its two tiles.
FOCUS: dict[str, Region] = {"main": (53.33, 0.0, 640.0, 360.0), "below": (0.0, 200.0, 106.0, 150.0)}


@pytest.fixture
async def templates() -> AsyncIterator[str]:
    server = TemplateServer(0)
    await server.open()
    yield server.url
    await server.aclose()


async def test_a_room_looks_as_the_native_layouts_draw_it(
    livekit_server: LiveKitServer, templates: str, tmp_path: Path
) -> None:
    """Both record the same room; everybody is in the same cell, heard, and the pictures are alike."""
    name = "web-template"
    for who, number in (("ada", 3), ("bob", 4), ("cat", 5)):
        prepare(who, clip(Codec.VP8, number))
    async with (
        publishing(livekit_server, name, "ada", clip(Codec.VP8, 3)),
        publishing(livekit_server, name, "bob", clip(Codec.VP8, 4)),
        publishing(livekit_server, name, "cat", clip(Codec.VP8, 5)),
        room(livekit_server, name, tmp_path / "native.mp4", layout=OPTIONS) as native,
        room(livekit_server, name, tmp_path / "page.mp4", layout=OPTIONS, custom_base_url=templates) as page,
    ):
        await recorded(page, 6.0)
        changed = page.now.elapsed
        for one in await livekit_server.participants(name):
            if one.permission.recorder:
                await livekit_server.update_participant(name, one.identity, metadata='{"layout": "speaker-light"}')
        await recorded(page, 11.0)
        await recorded(native, 11.0)
    # As root Chromium runs without its sandbox, and says so.
    page.result.check()
    paths = {"native": the_file(native.result), "page": page.result.files[0].path}
    looks = {drawn: read_looks(path, CELLS) for drawn, path in paths.items()}
    for drawn, shown in looks.items():
        steady = stretch(shown, 2.0, changed - 1.0)
        for cell, number in (("a", 3), ("b", 4), ("c", 5)):
            assert mostly([look.shows(cell) == number for look in steady]), f"{drawn}, {cell}"
        assert all(look.brightness["d"] < BLACK for look in steady), drawn
    likeness = {cell: _alike(paths, looks, cell, before=changed - 1.0) for cell in "abc"}
    assert min(likeness.values()) >= 0.95, likeness
    for drawn, path in paths.items():
        last = read_looks(path, FOCUS)[-30:]
        assert mostly([look.shows("main") in (3, 4, 5) for look in last]), f"{drawn}: the layout did not change"
        assert all(look.brightness["below"] > 200 for look in last), f"{drawn}: white behind the pictures"
    for number in (3, 4, 5):
        assert len(beeps(paths["page"], number)) >= 7, number
    assert read_sound(paths["page"]).gaps == ()


def _alike(paths: dict[str, Path], looks: dict[str, list[Look]], cell: str, *, before: float) -> float:
    """How alike both draw a cell: the median of SSIM over frames in which it shows the same picture."""
    found = {
        drawn: {stamp: index for index, look in enumerate(shown) if look.at < before and (stamp := look.stamps[cell])}
        for drawn, shown in looks.items()
    }
    common = sorted(found["native"].keys() & found["page"].keys(), key=lambda stamp: stamp.number)[:9]
    assert len(common) >= 3, f"{cell}: hardly any picture is in both files"
    frames = {drawn: _shown(path, {found[drawn][stamp] for stamp in common}) for drawn, path in paths.items()}
    x, y, width, height = map(round, CELLS[cell])
    part = np.s_[y : y + height, x : x + width]
    return statistics.median(
        ssim(frames["native"][found["native"][stamp]][part], frames["page"][found["page"][stamp]][part])
        for stamp in common
    )


def _shown(path: Path, wanted: set[int]) -> dict[int, NDArray[np.uint8]]:
    """Frames as a player shows them, in grey: the two files have other colour matrices, and say so."""
    with av.open(str(path)) as container:
        return {
            index: frame.to_ndarray(format="rgb24").mean(axis=2).astype(np.uint8)
            for index, frame in enumerate(container.decode(video=0))
            if index in wanted
        }


async def test_a_page_that_cannot_join_says_why(livekit_server: LiveKitServer, templates: str, tmp_path: Path) -> None:
    """The wait ends with the page's own words, instead of going on for ever."""
    name = "web-template-refused"
    async with (
        publishing(livekit_server, name, "ada", clip(Codec.VP8, 3)),
        pyegress.record_room(
            room=name,
            output=tmp_path / "x.mp4",
            custom_base_url=f"{templates}?x=1",
            **(access(livekit_server) | {"api_secret": "w" * 32}),
        ) as recording,
    ):
        result = await recording.wait()
    assert result.error is not None
    assert "room could not be joined" in str(result.error), result.error
    assert not result.files
