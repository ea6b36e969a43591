"""A PulseAudio daemon for one page: its only sink goes nowhere, and what is played there is read from a socket.

The null sink is timed by the monotonic clock: it takes a block whenever the one before is over, so sound and the
recorder's clock never drift. Blocks are at most 50 ms, and never taken back (`norewinds`).
"""

from __future__ import annotations

import asyncio
import os
import select
import socket
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pyegress.browser.failures import BrowserFailed
from pyegress.browser.kept_processes import KeptProcesses
from pyegress.clock import Monotonic, monotonic

RATE, CHANNELS = 48_000, 2
#: Bytes of one sample of both sides: float32, little endian.
_FRAME = 8
_READ = 1024 * 1024
#: By how much Chromium gives sound later than the picture that belongs to it, seconds: 26 to 51 ms where a page draws
#: with pauses or plays a <video>, 10 ms where it draws all the time, for whose pictures Chromium takes longer.
_LATE = 0.03
#: A read that waited for less than this, in seconds, was not there at the moment of its block.
_WAITED = 0.001
READY_TIMEOUT = 20.0
_POLL = 0.01
_SINK = "page"


class SoundConnection:
    """What is played, block by block. One thread, which may block."""

    def __init__(self, path: Path) -> None:
        """Raises BrowserFailed."""
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._socket.connect(str(path))
        except OSError as error:
            self._socket.close()
            raise BrowserFailed(f"The sound daemon cannot be used: {error.strerror}") from error
        self._rest = b""

    def read(self, timeout: float) -> tuple[NDArray[np.float32], Monotonic | None] | None:
        """The next samples, (n, 2), and the moment of the first where it is known; None after `timeout` seconds.

        The daemon gives a block at the moment of its first sample, which belongs to a picture of a little before.
        Only a block that was waited for tells it.
        """
        asked = monotonic()
        if not select.select([self._socket], [], [], timeout)[0]:
            return None
        now = monotonic()
        data = self._socket.recv(_READ)
        if not data:
            raise BrowserFailed("The sound daemon is gone")
        known = not self._rest and now - asked > _WAITED
        data = self._rest + data
        whole = len(data) // _FRAME * _FRAME
        self._rest = data[whole:]
        block = np.frombuffer(data, np.float32, whole // 4).reshape(-1, CHANNELS)
        return block, Monotonic(now - _LATE) if known else None

    def close(self) -> None:
        """Idempotent."""
        self._socket.close()


@dataclass(frozen=True, slots=True)
class SoundServer:
    """A daemon that runs. `environment` is what programs need to play on it."""

    monitor: Path
    environment: dict[str, str] = field(repr=False)

    def connect(self) -> SoundConnection:
        """What is played from now on. Raises BrowserFailed."""
        return SoundConnection(self.monitor)


async def open_sound(processes: KeptProcesses, program: str) -> SoundServer:
    """Start PulseAudio and wait until it can be used. Raises BrowserFailed."""
    folder = processes.folder
    native, monitor = folder / "native", folder / "monitor"
    own = {"HOME": str(folder), "XDG_RUNTIME_DIR": str(folder), "TMPDIR": str(folder)}
    environment = {"PATH": os.environ.get("PATH", os.defpath), **own}
    form = f"rate={RATE} channels={CHANNELS} format=float32le"
    argv = [program, "-n", "--daemonize=no", "--use-pid-file=no", "--exit-idle-time=-1", "--disallow-exit"]
    argv += ["--disallow-module-loading", "--realtime=no", "--high-priority=no", "--disable-shm=yes"]
    argv += ["--log-target=stderr", "--log-level=warning"]
    argv += [
        f"--load=module-null-sink sink_name={_SINK} norewinds=1 {form}",
        # The folder is closed to others.
        f"--load=module-native-protocol-unix auth-anonymous=1 socket={native}",
        f"--load=module-simple-protocol-unix source={_SINK}.monitor record=1 playback=0 socket={monitor} {form}",
    ]
    await processes.start("pulseaudio", argv, environment)
    ended = processes.ended["pulseaudio"]
    loop = asyncio.get_running_loop()
    deadline = loop.time() + READY_TIMEOUT
    while not monitor.exists():
        if ended.done() or loop.time() > deadline:
            raise BrowserFailed(
                f"The sound daemon did not start: {processes.last_words('pulseaudio') or 'it said nothing'}",
                remedy="Run pulseaudio by hand to see what it lacks",
            )
        await asyncio.wait({ended}, timeout=_POLL)
    return SoundServer(monitor, {"PULSE_SERVER": f"unix:{native}", **own})
