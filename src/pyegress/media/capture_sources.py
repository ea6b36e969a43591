"""What a capture takes its media from: a screen and a sound, both on the recorder's monotonic clock."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from pyegress.clock import Monotonic


class Screen(Protocol):
    """A screen of an even size. Used by one thread, which may block."""

    @property
    def width(self) -> int: ...

    @property
    def height(self) -> int: ...

    def wait(self, timeout: float) -> bool:
        """Whether something was drawn since the last `reset`; waits for it up to `timeout` seconds."""

    def reset(self) -> None:
        """From now on `wait` tells of what is drawn after this."""

    @property
    def pixels(self) -> NDArray[np.uint8]:
        """What is on it, (height, width, 4): blue, green, red, nothing. It may change while it is looked at."""

    def untouched(self) -> bool:
        """Whether nothing was drawn since the last `reset`."""

    def close(self) -> None:
        """Idempotent."""


class Sound(Protocol):
    """Stereo at 48 kHz that comes by itself, block after block without a gap. Used by one thread, which may block."""

    def read(self, timeout: float) -> tuple[NDArray[np.float32], Monotonic | None] | None:
        """The next samples, (n, 2), and the moment of the first one where it is known; None after `timeout` seconds."""

    def close(self) -> None:
        """Idempotent."""
