"""A real WebSocket server that notes what it is sent, as transcription services receive it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import numpy as np
from aiohttp import WSMsgType, web
from numpy.typing import NDArray

from pyegress.clock import Monotonic, monotonic
from pyegress.demo.server import free_port


@dataclass
class Received:
    """One connection: its request, and every frame with the moment at which it came."""

    path: str
    headers: dict[str, str]
    frames: list[tuple[Monotonic, bytes | str]] = field(default_factory=list)
    #: How it was closed, once it is.
    close_code: int | None = None
    over: bool = False

    @property
    def binary(self) -> list[bytes]:
        return [data for _, data in self.frames if isinstance(data, bytes)]

    @property
    def texts(self) -> list[Any]:
        return [json.loads(data) for _, data in self.frames if isinstance(data, str)]

    def samples(self, channels: int = 2) -> NDArray[np.int16]:
        """All sound, [samples, channels]."""
        return np.frombuffer(b"".join(self.binary), "<i2").reshape(-1, channels)


class SoundReceiver:
    """Listens at a port of its own, which it keeps over `stop` and `start`. Async context manager."""

    def __init__(self) -> None:
        self.port = free_port(socket.SOCK_STREAM)
        self.connections: list[Received] = []
        #: Answer with this status instead of opening a WebSocket.
        self.status = 0
        self._sockets: set[web.WebSocketResponse] = set()
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/sound"

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        app = web.Application()
        app.router.add_get("/{path:.*}", self._receive)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port, reuse_address=True).start()

    async def stop(self) -> None:
        """Go away, without a word."""
        for connected in list(self._sockets):
            transport = connected._req.transport if connected._req is not None else None
            if transport is not None:
                transport.abort()
        if self._runner is not None:
            await self._runner.cleanup()

    async def _receive(self, request: web.Request) -> web.StreamResponse:
        if self.status:
            return web.Response(status=self.status)
        connected = web.WebSocketResponse()
        await connected.prepare(request)
        received = Received(request.path_qs, dict(request.headers))
        self.connections.append(received)
        self._sockets.add(connected)
        try:
            with contextlib.suppress(ConnectionError, asyncio.CancelledError):
                async for message in connected:
                    if message.type in (WSMsgType.BINARY, WSMsgType.TEXT):
                        received.frames.append((monotonic(), message.data))
        finally:
            received.close_code = connected.close_code
            received.over = True
            self._sockets.discard(connected)
        return connected
