"""A PulseAudio daemon for one page: its only sink goes nowhere, and what is played there is read from a socket.

The null sink is timed by the monotonic clock: it takes a block whenever the one before is over, so sound and the
recorder's clock never drift. Blocks are at most 50 ms, and never taken back (`norewinds`).
"""

from __future__ import annotations

import asyncio
import os
import socket
from dataclasses import dataclass, field
from pathlib import Path

from pyegress.browser.failures import BrowserFailed
from pyegress.browser.kept_processes import KeptProcesses

RATE, CHANNELS = 48_000, 2
#: Bytes of one sample of both sides: float32 little endian.
FRAME = 8
READY_TIMEOUT = 20.0
_POLL = 0.01
_SINK = "page"


@dataclass(frozen=True, slots=True)
class SoundServer:
    """A daemon that runs. `environment` is what programs need to play on it."""

    monitor: Path
    environment: dict[str, str] = field(repr=False)

    def connect(self) -> socket.socket:
        """A socket that gives what is played from now on: float32, stereo, 48 kHz. Raises BrowserFailed."""
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.connect(str(self.monitor))
        except OSError as error:
            connection.close()
            raise BrowserFailed(f"The sound daemon cannot be used: {error.strerror}") from error
        return connection


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
