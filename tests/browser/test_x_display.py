"""A real X display and a real sound daemon: whose they are, and what they give."""

from __future__ import annotations

import asyncio
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


async def test_a_display_is_seen_by_its_owner_alone(processes: KeptProcesses) -> None:
    display = await open_display(processes, find_programs().display, 640, 360)
    path = f"/tmp/.X11-unix/X{display.number}"
    for cookie in (b"", bytes(16)):
        with pytest.raises(BrowserFailed, match="refuses us"):
            XConnection(path, cookie, 640, 360)
    screen = display.connect()
    try:
        pixels = np.frombuffer(screen.grab(), np.uint8)
        assert pixels.shape == (640 * 360 * 4,)
        screen.reset()
        screen.grab()
        assert not screen.wait(0.05), "nobody drew anything"
        del pixels
    finally:
        screen.close()
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
        await open_display(processes, "false", 640, 360)
    with pytest.raises(BrowserFailed, match="did not start"):
        await open_sound(processes, "false")
