"""The DevTools protocol over descriptors that Chromium inherits: no port that a page could reach.

Messages are JSON, each followed by a zero byte (Chromium's --remote-debugging-pipe). Over a socket, for the reason that
`process_lines` gives.
"""

from __future__ import annotations

import asyncio
import json
import logging
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Self

from pyegress.browser.failures import BrowserFailed

logger = logging.getLogger(__name__)

#: For an answer, seconds, where the caller says nothing else.
ANSWER = 15.0
#: Longest message, bytes. What a page writes to its console is cut long before.
_LIMIT = 64 * 1024 * 1024

Event = Callable[[str, dict[str, Any]], None]


class DevToolsError(Exception):
    """Chromium refused a command."""


class DevTools:
    """A connection to one browser. `call` from the event loop; events go to the listener of their session."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._listeners: dict[str, Event] = {}
        self._number = 0
        self._closed = False
        self._reading = asyncio.create_task(self._read(), name="DevTools")

    @classmethod
    async def over(cls, ours: socket.socket) -> Self:
        """Speak over one end of a socket pair, which is owned from now on."""
        return cls(*await asyncio.open_connection(sock=ours, limit=_LIMIT))

    def listen(self, session: str, listener: Event) -> None:
        """Tell of the events of a session; "" is the browser itself."""
        self._listeners[session] = listener

    async def call(
        self, method: str, parameters: dict[str, Any] | None = None, *, session: str = "", timeout: float = ANSWER
    ) -> dict[str, Any]:
        """The result of a command. Raises DevToolsError when it is refused, BrowserFailed when nothing answers."""
        if self._closed:
            raise BrowserFailed("Chromium is gone")
        self._number += 1
        number = self._number
        answer = self._answers[number] = asyncio.get_running_loop().create_future()
        message = {"id": number, "method": method, "params": parameters or {}}
        if session:
            message["sessionId"] = session
        self._writer.write(json.dumps(message).encode() + b"\0")
        try:
            async with asyncio.timeout(timeout):
                result: dict[str, Any] = await answer
                return result
        except TimeoutError:
            raise BrowserFailed(f"Chromium did not answer {method} within {timeout:g} s") from None
        finally:
            self._answers.pop(number, None)

    async def aclose(self) -> None:
        """Idempotent."""
        self._closed = True
        self._reading.cancel()
        await asyncio.wait({self._reading})
        self._writer.close()

    async def _read(self) -> None:
        try:
            while True:
                if data := await self._message():
                    self._take(json.loads(data))
        except (asyncio.IncompleteReadError, OSError):
            pass
        finally:
            self._closed = True
            for answer in self._answers.values():
                if not answer.done():
                    answer.set_exception(BrowserFailed("Chromium is gone"))
                    answer.exception()

    async def _message(self) -> bytes:
        """The next message, "" for one that is too long: a page decides how long what it logs and posts is."""
        too_long = False
        while True:
            try:
                data = await self._reader.readuntil(b"\0")
            except asyncio.LimitOverrunError as error:
                too_long = True
                await self._reader.readexactly(error.consumed)
            else:
                if too_long:
                    logger.info("a message of Chromium was too long, and is left out")
                return b"" if too_long else data[:-1]

    def _take(self, message: dict[str, Any]) -> None:
        if (number := message.get("id")) is not None:
            answer = self._answers.get(number)
            if answer is None or answer.done():
                return
            if (error := message.get("error")) is not None:
                answer.set_exception(DevToolsError(error.get("message", "unknown error")))
            else:
                answer.set_result(message.get("result", {}))
            return
        if (listener := self._listeners.get(message.get("sessionId", ""))) is not None:
            try:
                listener(message["method"], message.get("params", {}))
            except Exception:
                logger.exception("handling %s failed", message.get("method"))


async def ignore_refusal(call: Any) -> None:
    """For commands that another version of Chromium may not have, or that come too late."""
    with suppress(DevToolsError, BrowserFailed):
        await call
