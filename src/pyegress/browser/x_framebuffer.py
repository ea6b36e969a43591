"""The memory of Xvfb's screen, mapped: pictures are read where they are drawn, and copied by nobody.

Xvfb maps a file (-fbdir) of the format XWD: a header of numbers, most significant byte first, a table of colours, then
the rows. The file loses its name as soon as both have mapped it, so there is nothing to leave behind.
"""

from __future__ import annotations

import mmap
import os
import shutil
import struct
import tempfile
from contextlib import suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pyegress.browser.failures import BrowserFailed

#: Where files are memory, and how much of it must be free, of a screen's size: a browser takes some too.
_SHARED, _ROOM = Path("/dev/shm"), 3
_NAME = "Xvfb_screen0"
#: XWDFileHeader: header_size, the numbers up to bytes_per_line, ncolors; bytes of a colour in the table.
_HEADER, _BITS, _LINE, _COLOURS, _COLOUR = 0, 11, 12, 19, 12
_NUMBERS = 25


class FramebufferFile:
    """The folder that Xvfb puts its screen into. `map` once Xvfb is ready, `remove` in any case."""

    def __init__(self, private: Path, width: int, height: int) -> None:
        """In shared memory if it has room for a screen of this size, else in the private folder, on the disk."""
        self.folder = Path(tempfile.mkdtemp(prefix="pyegress-page-", dir=_place(private, width * height * 4)))

    def map(self) -> Framebuffer:
        """Raises BrowserFailed."""
        try:
            with open(self.folder / _NAME, "rb") as file:
                return Framebuffer(mmap.mmap(file.fileno(), 0, mmap.MAP_SHARED, mmap.PROT_READ))
        except (OSError, ValueError, struct.error) as error:
            raise BrowserFailed(f"The memory of the X display cannot be read: {error}") from error

    def remove(self) -> None:
        """Idempotent."""
        shutil.rmtree(self.folder, ignore_errors=True)


class Framebuffer:
    """The pixels of a screen, 4 bytes each: blue, green, red, nothing. They change while they are looked at."""

    def __init__(self, memory: mmap.mmap) -> None:
        """Raises ValueError for what is no such memory."""
        self._memory = memory
        numbers = struct.unpack_from(f">{_NUMBERS}I", memory)
        if numbers[_BITS] != 32:
            raise ValueError(f"its pixels have {numbers[_BITS]} bits")
        self._line = numbers[_LINE]
        self._start = numbers[_HEADER] + numbers[_COLOURS] * _COLOUR

    def view(self, width: int, height: int) -> NDArray[np.uint8]:
        """The upper left corner, (height, width, 4), not copied."""
        rows = np.frombuffer(self._memory, np.uint8, self._line * height, self._start).reshape(height, self._line)
        return rows[:, : 4 * width].reshape(height, width, 4)

    def close(self) -> None:
        """Idempotent."""
        with suppress(BufferError):  # somebody still looks at them, and they go with him
            self._memory.close()


def _place(private: Path, size: int) -> Path:
    with suppress(OSError):
        room = os.statvfs(_SHARED)
        if room.f_bavail * room.f_frsize >= _ROOM * size and os.access(_SHARED, os.W_OK | os.X_OK):
            return _SHARED
    return private
