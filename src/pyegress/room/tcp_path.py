"""ICE over TCP (RFC 6544), for when UDP is blocked: livekit-server offers passive candidates on rtc.tcp_port."""

from __future__ import annotations

import asyncio
from typing import Any, cast

from pyegress.room.paths import Address, Path, PathOwner, host_candidate

#: Octets that may wait to be sent before further datagrams are dropped.
_MAX_UNSENT = 1 << 20


class TcpFraming(asyncio.Protocol):
    """Datagrams with a 16-bit length on a TCP connection (RFC 4571), as ICE-TCP uses it (RFC 6544 section 10.1).

    To aioice it is the datagram transport of a path with one possible peer.
    """

    def __init__(self, path: Path, owner: PathOwner, peer: Address) -> None:
        self._path = path
        self._owner = owner
        self._peer = peer
        self._buffer = bytearray()
        self._tcp: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._tcp = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._tcp = None
        self._path.connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        buffer = self._buffer
        buffer += data
        start = 0
        while len(buffer) - start >= 2:
            size = int.from_bytes(buffer[start : start + 2], "big")
            if len(buffer) - start - 2 < size:
                break
            self._inbound(bytes(buffer[start + 2 : start + 2 + size]))
            start += 2 + size
        del buffer[:start]

    def _inbound(self, data: bytes) -> None:
        if self._owner.seam is None:
            self._deliver(data)
        else:
            self._owner.seam.inbound(data, self._deliver)

    def _deliver(self, data: bytes) -> None:
        if self._tcp is not None:
            self._path.datagram_received(data, self._peer)

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._tcp.get_extra_info(name, default) if self._tcp is not None else default

    def sendto(self, data: bytes, addr: Address) -> None:
        if addr == self._peer:
            if self._owner.seam is None:
                self._write(data)
            else:
                self._owner.seam.outbound(data, self._write)

    def _write(self, data: bytes) -> None:
        # A peer that reads nothing must not fill our memory: what does not fit is lost, as with UDP.
        if self._tcp is not None and self._tcp.get_write_buffer_size() < _MAX_UNSENT:
            self._tcp.write(len(data).to_bytes(2, "big") + data)

    def is_closing(self) -> bool:
        return self._tcp is None or self._tcp.is_closing()

    def close(self) -> None:
        if self._tcp is not None:
            self._tcp.abort()


class TcpPath(Path):
    """An active TCP candidate (RFC 6544): it only ever talks to the passive candidate that it is connected to."""

    udp = False

    def __init__(self, owner: PathOwner, receiver: Any, peer: Address) -> None:
        super().__init__(owner, receiver)
        self.peer = peer


async def open_tcp_path(owner: PathOwner, receiver: Any, peer: Address) -> TcpPath:
    """An active candidate connected to `peer`. Raises OSError."""
    path = TcpPath(owner, receiver, peer)
    framing = TcpFraming(path, owner, peer)
    await asyncio.get_running_loop().create_connection(lambda: framing, *peer)
    path.connection_made(cast(asyncio.BaseTransport, framing))
    host = framing.get_extra_info("sockname", ("0.0.0.0", 0))[0]
    # Active candidates have the discard port (RFC 6544 section 4.5) and rank below UDP.
    path.local_candidate = host_candidate("tcp", host, 9, 1, tcptype="active")
    return path
