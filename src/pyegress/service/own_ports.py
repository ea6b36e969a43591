"""The TCP ports that this process listens on. No page that we open may reach them. Linux."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

_LISTENING = "0A"  # TCP_LISTEN of the kernel's tcp_states.h


def listening_ports() -> set[int]:
    """Empty where the kernel does not say."""
    ours = set()
    for entry in Path("/proc/self/fd").iterdir():
        with suppress(OSError):
            target = os.readlink(entry)
            if target.startswith("socket:["):
                ours.add(target.removeprefix("socket:[").removesuffix("]"))
    ports = set()
    for table in ("/proc/self/net/tcp", "/proc/self/net/tcp6"):
        with suppress(OSError):
            for line in Path(table).read_text().splitlines()[1:]:
                fields = line.split()
                if fields[3] == _LISTENING and fields[9] in ours:
                    ports.add(int(fields[1].rpartition(":")[2], 16))
    return ports
