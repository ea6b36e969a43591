"""The kernel's receive buffer of a UDP socket: how large it is, and what it dropped."""

from __future__ import annotations

import contextlib
import os
import socket

#: Octets of the kernel's receive buffer: half a second of 100 Mbit/s while the loop is busy.
SOCKET_BUFFER = 8 << 20
_SO_RCVBUFFORCE = 33  # linux/asm-generic/socket.h; needs CAP_NET_ADMIN, passes net.core.rmem_max


def enlarge_receive_buffer(sock: socket.socket) -> None:
    """As large as we may: beyond the system's limit only with CAP_NET_ADMIN."""
    try:
        sock.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, SOCKET_BUFFER)
    except OSError:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SOCKET_BUFFER)


def inode_of(sock: socket.socket) -> int:
    """What the tables under /proc/net know a socket by."""
    return os.fstat(sock.fileno()).st_ino


def kernel_drops(inodes: frozenset[int]) -> int | None:
    """Datagrams that the kernel dropped because these sockets' buffers were full; None where it does not say."""
    drops: int | None = None
    for table in ("/proc/net/udp", "/proc/net/udp6"):
        with contextlib.suppress(OSError), open(table) as lines:
            next(lines, None)
            for line in lines:
                words = line.split()
                if len(words) >= 13 and int(words[9]) in inodes:
                    drops = (drops or 0) + int(words[12])
    return drops
