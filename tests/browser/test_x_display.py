"""A real X display and a real sound daemon: whose they are, and what they give."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator

import numpy as np
import pytest

from pyegress.browser.failures import BrowserFailed
from pyegress.browser.kept_processes import KeptProcesses
from pyegress.browser.programs import find_programs
from pyegress.browser.sound_server import open_sound
from pyegress.browser.x_connection import XConnection
from pyegress.browser.x_display import open_display
from pyegress.clock import monotonic
from tests.system.web_pages import needs_browser, nothing_is_left, traces

pytestmark = [pytest.mark.system, needs_browser]


@pytest.fixture
async def processes() -> AsyncIterator[KeptProcesses]:
    before = traces()
    kept = await KeptProcesses.open()
    yield kept
    await kept.aclose()
    await nothing_is_left(before)


def refresh_of(connection: XConnection) -> float:
    """The rate of the mode that the screen is in, as its clients compute it: dots per second by dots per picture."""
    opcode = connection.extension(b"RANDR")
    connection.send(struct.pack("<BBHI", opcode, 25, 2, connection.root))  # RRGetScreenResourcesCurrent
    resources = connection.reply()
    crtcs, outputs, modes = struct.unpack_from("<HHH", resources, 16)
    connection.send(struct.pack("<BBHII", opcode, 20, 3, *struct.unpack_from("<I", resources, 32), 0))  # RRGetCrtcInfo
    (current,) = struct.unpack_from("<I", connection.reply(), 20)
    listed = [
        struct.unpack_from("<IHHIHHHHHHHHI", resources, 32 + 4 * (crtcs + outputs) + 32 * n) for n in range(modes)
    ]
    (mode,) = [mode for mode in listed if mode[0] == current]
    assert mode[1:3] == (642, 362)
    return float(mode[3] / (mode[6] * mode[10]))


async def test_a_display_is_seen_by_its_owner_alone(processes: KeptProcesses) -> None:
    display = await open_display(processes, find_programs().display, 640, 360, 50)
    path = f"/tmp/.X11-unix/X{display.number}"
    for cookie in (b"", bytes(16)):
        with pytest.raises(BrowserFailed, match="refuses us"):
            XConnection(path, cookie)
    connection = display.connection()
    screen = display.connect()
    try:
        assert screen.pixels.shape == (360, 640, 4)
        screen.untouched()  # an answer: what was drawn at the beginning has been told of
        screen.reset()
        assert not screen.wait(0.05), "nobody drew anything"
        assert screen.untouched()
        # A rectangle on the root window: X11 requests CreateGC and PolyFillRectangle.
        context = connection.identifier
        connection.send(struct.pack("<BxHIIII", 55, 5, context, connection.root, 1 << 2, 0x123456))
        connection.send(struct.pack("<BxHIIhhHH", 70, 5, connection.root, context, 638, 358, 9, 9))
        assert screen.wait(10.0)
        assert not screen.untouched()
        drawn = np.argwhere(screen.pixels[..., :3].any(axis=2))
        assert drawn.tolist() == [[358, 638], [358, 639], [359, 638], [359, 639]]
        assert screen.pixels[359, 639, :3].tolist() == [0x56, 0x34, 0x12]
        screen.reset()
        assert screen.untouched()
        assert refresh_of(connection) == 50
    finally:
        screen.close()
        connection.close()
        display.close()
    assert display.cookie.hex() not in repr(display)


async def test_sound_comes_in_time_without_a_gap(processes: KeptProcesses) -> None:
    sound = await open_sound(processes, find_programs().sound)
    assert sound.monitor.parent.stat().st_mode & 0o077 == 0
    connection = sound.connect()
    try:

        def listen() -> tuple[int, float]:
            begun, samples = monotonic(), 0
            while monotonic() - begun < 1.0:
                if (got := connection.read(0.5)) is not None:
                    samples += len(got[0])
                    assert not got[0].any(), "nobody plays anything"
            return samples, monotonic() - begun

        samples, seconds = await asyncio.to_thread(listen)
    finally:
        connection.close()
    assert samples / 48_000 == pytest.approx(seconds, abs=0.3)


async def test_a_program_that_does_not_start_says_why(processes: KeptProcesses) -> None:
    with pytest.raises(BrowserFailed, match="did not start"):
        await open_display(processes, "false", 640, 360, 30)
    with pytest.raises(BrowserFailed, match="did not start"):
        await open_sound(processes, "false")
