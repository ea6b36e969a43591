"""Media through a TURN server (RFC 8656), on aioice's TURN client."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any, cast

from pyegress.room.kernel_buffer import enlarge_receive_buffer
from pyegress.room.paths import DatagramSeam, Path


class RelayPath(Path):
    """A relayed candidate: aioice's TURN client is its transport."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._turn = transport._TurnTransport__inner_protocol  # type: ignore[attr-defined]
        sock = self._turn.transport.get_extra_info("socket")
        if sock is not None:
            enlarge_receive_buffer(sock)
        seam = self._owner.seam
        super().connection_made(transport if seam is None else _SeamedTransport(transport, seam))

    def datagram_received(self, data: bytes | str, addr: tuple[Any, ...]) -> None:
        seam = self._owner.seam
        if seam is None:
            super().datagram_received(data, addr)
        else:
            seam.inbound(cast(bytes, data), partial(self._late, addr))

    def _late(self, addr: tuple[Any, ...], data: bytes) -> None:
        super().datagram_received(data, addr)

    def abort(self) -> None:
        """Give the allocation up without telling the TURN server, which then lets it expire."""
        task = getattr(self.transport, "_TurnTransport__close_task", None)
        for pending in (task, self._turn.refresh_task):
            if pending is not None:
                pending.cancel()
        self._turn.transport.abort()


class _SeamedTransport(asyncio.DatagramTransport):
    """TURN's transport with the seam on its way out."""

    def __init__(self, inner: Any, seam: DatagramSeam) -> None:
        super().__init__()
        self._inner = inner
        self._seam = seam

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._inner.get_extra_info(name, default)

    def close(self) -> None:
        self._inner.close()

    def sendto(self, data: Any, addr: Any = None) -> None:
        self._seam.outbound(bytes(data), lambda late: self._inner.sendto(late, addr))
