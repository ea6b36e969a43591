"""A TCP proxy whose connections a test can cut, stall or refuse."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from types import TracebackType
from typing import Self


class TcpProxy:
    """Forwards from a free local port to `host:port`. Async context manager."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._flowing = asyncio.Event()
        self._flowing.set()
        self.refusing = False
        #: Bytes that clients have sent so far, and the most of them that pass in a second (None: all).
        self.received = 0
        self.rate: int | None = None
        self._news = asyncio.Event()
        self._free_at = 0.0
        #: Connections accepted so far.
        self.connections = 0
        self.port = 0

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        self.cut()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(set(self._tasks))
        await self._server.wait_closed()

    async def passed(self, count: int, within: float = 10.0) -> None:
        """Wait until clients have sent `count` bytes."""
        try:
            async with asyncio.timeout(within):
                while self.received < count:
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            raise AssertionError(f"{self.received} of {count} bytes passed within {within:g} s") from None

    def cut(self) -> None:
        """Reset every connection."""
        for writer in self._writers:
            if not writer.is_closing() and (sock := writer.get_extra_info("socket")) is not None:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.close()
        self._writers.clear()

    def stall(self) -> None:
        """Pass nothing on, in either direction, and keep the connections open."""
        self._flowing.clear()

    def go_on(self) -> None:
        self._flowing.set()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        self._writers.add(writer)
        try:
            if self.refusing:
                return
            with contextlib.suppress(OSError):
                far_reader, far_writer = await asyncio.open_connection(*self._target)
                self._writers.add(far_writer)
                try:
                    async with asyncio.TaskGroup() as group:
                        group.create_task(self._pump(reader, far_writer, counted=True))
                        group.create_task(self._pump(far_reader, writer))
                finally:
                    self._writers.discard(far_writer)
                    far_writer.close()
        except asyncio.CancelledError:
            """The proxy is closed. asyncio would log the end of a task that was cancelled."""
        finally:
            self._tasks.discard(task)
            self._writers.discard(writer)
            writer.close()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, counted: bool = False) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                await self._flowing.wait()
                if counted:
                    self.received += len(data)
                    self._news.set()
                    await self._throttled(len(data))
                writer.write(data)
                await writer.drain()
        writer.close()

    async def _throttled(self, size: int) -> None:
        """All connections share the rate."""
        if self.rate is not None:
            now = asyncio.get_running_loop().time()
            self._free_at = max(self._free_at, now) + size / self.rate
            await asyncio.sleep(self._free_at - now)
