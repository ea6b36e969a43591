"""What a process writes on its standard output and error, line by line.

Over a socket, not a pipe: when the transport of a pipe is closed, uvloop closes the descriptor and then the file object
that it was given, so twice. A thread that opened a file in between would lose it.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from contextlib import suppress


async def read_lines(heard: socket.socket, tell: Callable[[str], object]) -> None:
    """Tell each line until nobody writes any more. Owns `heard`, the other end of what the process was given."""
    reader, writer = await asyncio.open_connection(sock=heard)
    try:
        with suppress(OSError):
            while True:
                try:
                    line = await reader.readline()
                except ValueError:  # longer than a line may be
                    continue
                if not line:
                    return
                tell(line.decode(errors="replace").rstrip())
    finally:
        writer.close()
