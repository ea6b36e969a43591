"""An X display for one page: Xvfb with a cookie of its own, no network, nothing but the page on it."""

from __future__ import annotations

import asyncio
import os
import secrets
import struct
from dataclasses import dataclass, field

from pyegress.browser.failures import BrowserFailed
from pyegress.browser.kept_processes import KeptProcesses
from pyegress.browser.x_connection import XConnection

#: For the display to be ready; machines that start many at once are slow.
READY_TIMEOUT = 20.0
#: Columns and rows of the screen beyond the picture. A window as large as its screen gives a page one pixel less.
MARGIN = 2
_FAMILY_WILD = 0xFFFF
_DISPLAY_FD = 7


@dataclass(frozen=True, slots=True)
class XDisplay:
    """A display that runs. `environment` is what programs need to draw on it."""

    number: int
    width: int
    height: int
    cookie: bytes = field(repr=False)
    environment: dict[str, str] = field(repr=False)

    def connect(self) -> XConnection:
        """A connection that sees the picture. Blocks for milliseconds. Raises BrowserFailed."""
        return XConnection(_socket(self.number), self.cookie, self.width, self.height)


async def open_display(processes: KeptProcesses, program: str, width: int, height: int) -> XDisplay:
    """Start Xvfb for pictures of this size and wait until it can be used. Raises BrowserFailed."""
    cookie = secrets.token_bytes(16)
    authority = processes.folder / "xauthority"
    authority.touch(0o600)
    authority.write_bytes(_authority(cookie))
    read, write = os.pipe2(os.O_CLOEXEC)
    screen = f"{width + MARGIN}x{height + MARGIN}x24"
    argv = [program, "-displayfd", str(_DISPLAY_FD), "-screen", "0", screen, "-dpi", "96", "-nolisten", "tcp"]
    argv += ["-nocursor", "-noreset", "-auth", str(authority)]
    try:
        try:
            await processes.start("xvfb", argv, _environment(), {_DISPLAY_FD: write})
        finally:
            os.close(write)
        number = await _number(read)
    finally:
        os.close(read)
    if number is None:
        raise BrowserFailed(
            f"The X display did not start: {processes.last_words('xvfb') or 'it said nothing'}",
            remedy="Run Xvfb by hand to see what it lacks",
        )
    processes.remove_at_end(f"/tmp/.X{number}-lock", _socket(number))
    display = XDisplay(number, width, height, cookie, {"DISPLAY": f":{number}", "XAUTHORITY": str(authority)})
    connection = display.connect()
    connection.hide_pointer()
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
