"""An X display for one page: Xvfb with a cookie of its own, no network, nothing but the page on it."""

from __future__ import annotations

import asyncio
import os
import secrets
import struct
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from pyegress.browser.failures import BrowserFailed
from pyegress.browser.kept_processes import KeptProcesses
from pyegress.browser.x_connection import XConnection
from pyegress.browser.x_framebuffer import Framebuffer, FramebufferFile
from pyegress.browser.x_refresh import set_refresh

#: For the display to be ready; machines that start many at once are slow.
READY_TIMEOUT = 20.0
#: Columns and rows of the screen beyond the picture. A window as large as its screen gives a page one pixel less.
MARGIN = 2
_FAMILY_WILD = 0xFFFF
_DISPLAY_FD = 7


class XScreen:
    """The picture on a display: watched over a connection, and seen in the memory. One thread, which may block."""

    def __init__(self, connection: XConnection, framebuffer: Framebuffer, width: int, height: int) -> None:
        self.width, self.height = width, height
        self.wait, self.reset, self.untouched = connection.wait, connection.reset, connection.untouched
        self.close = connection.close
        self._framebuffer = framebuffer

    @property
    def pixels(self) -> NDArray[np.uint8]:
        """What is on it, (height, width, 4): blue, green, red, nothing. It changes while it is looked at."""
        return self._framebuffer.view(self.width, self.height)


@dataclass(frozen=True, slots=True)
class XDisplay:
    """A display that runs. `environment` is what programs need to draw on it."""

    number: int
    width: int
    height: int
    cookie: bytes = field(repr=False)
    environment: dict[str, str] = field(repr=False)
    framebuffer: Framebuffer = field(repr=False)

    def connect(self) -> XScreen:
        """The picture. Blocks for milliseconds. Raises BrowserFailed."""
        return XScreen(self.connection(), self.framebuffer, self.width, self.height)

    def connection(self) -> XConnection:
        """A connection alone. Raises BrowserFailed."""
        return XConnection(_socket(self.number), self.cookie)

    def close(self) -> None:
        """Let go of the memory; nobody looks at it any more. Idempotent."""
        self.framebuffer.close()


async def open_display(processes: KeptProcesses, program: str, width: int, height: int, refresh: int) -> XDisplay:
    """Start Xvfb for pictures of this size, so many a second, and wait until it can be used. Raises BrowserFailed."""
    cookie = secrets.token_bytes(16)
    authority = processes.folder / "xauthority"
    authority.touch(0o600)
    authority.write_bytes(_authority(cookie))
    read, write = os.pipe2(os.O_CLOEXEC)
    screen = f"{width + MARGIN}x{height + MARGIN}x24"
    argv = [program, "-displayfd", str(_DISPLAY_FD), "-screen", "0", screen, "-dpi", "96", "-nolisten", "tcp"]
    memory = FramebufferFile(processes.folder, width + MARGIN, height + MARGIN)
    processes.remove_at_end(str(memory.folder))
    argv += ["-nocursor", "-noreset", "-auth", str(authority), "-fbdir", str(memory.folder)]
    try:
        try:
            await processes.start("xvfb", argv, _environment(), {_DISPLAY_FD: write})
        finally:
            os.close(write)
        number = await _number(read)
        if number is None:
            raise BrowserFailed(
                f"The X display did not start: {processes.last_words('xvfb') or 'it said nothing'}",
                remedy="Run Xvfb by hand to see what it lacks",
            )
        framebuffer = memory.map()
    finally:
        os.close(read)
        memory.remove()
    lock = f"/tmp/.X{number}-lock"
    processes.remove_at_end(_socket(number), lock, lock=lock)
    environment = {"DISPLAY": f":{number}", "XAUTHORITY": str(authority)}
    display = XDisplay(number, width, height, cookie, environment, framebuffer)
    connection = display.connection()
    try:
        # Where the picture does not reach, so that nothing is hovered over.
        connection.move_pointer(width + 1, height + 1)
        set_refresh(connection, width + MARGIN, height + MARGIN, refresh)
    finally:
        connection.close()
    return display


def _socket(number: int) -> str:
    return f"/tmp/.X11-unix/X{number}"


def _environment() -> dict[str, str]:
    return {"PATH": os.environ.get("PATH", os.defpath)}


def _authority(cookie: bytes) -> bytes:
    """A file of libXau: family, address, number, name, data; this one fits every address and number."""
    name = b"MIT-MAGIC-COOKIE-1"
    parts = (b"", b"", name, cookie)
    return struct.pack(">H", _FAMILY_WILD) + b"".join(struct.pack(">H", len(part)) + part for part in parts)


async def _number(descriptor: int) -> int | None:
    """The number that Xvfb writes when it is ready; None when it ends before."""
    loop = asyncio.get_running_loop()
    os.set_blocking(descriptor, False)
    told: asyncio.Future[bytes] = loop.create_future()
    text = b""

    def read() -> None:
        nonlocal text
        part = os.read(descriptor, 32)
        text += part
        # It writes the end of the line by itself, and gives up when nobody reads it.
        if (not part or text.endswith(b"\n")) and not told.done():
            told.set_result(text)

    loop.add_reader(descriptor, read)
    try:
        async with asyncio.timeout(READY_TIMEOUT):
            await told
    except TimeoutError:
        return None
    finally:
        loop.remove_reader(descriptor)
    return int(text) if text.strip().isdigit() else None
