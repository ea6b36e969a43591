"""One WebSocket to a receiver of sound (RFC 6455)."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import urlsplit

import aiohttp

from pyegress.clock import monotonic
from pyegress.errors import Code, OutputFailed
from pyegress.outputs.streaming.failures import connect_failure, stream_failure
from pyegress.outputs.streaming.unit import Unit

#: For the name, the connection, TLS and the answer together.
TIMEOUT = 10.0
#: Seconds between pings; whoever does not answer within half of it is gone.
PING = 30.0
_CLOSE = 2.0
#: Receivers have nothing to say; what they say is read and forgotten.
_MOST_INCOMING = 64 * 1024
_TLS_PORT, _PORT = 443, 80


@dataclass(frozen=True, slots=True)
class TextUnit(Unit):
    """A text frame among the binary ones."""


class WebsocketConnection:
    """A `streaming.sender.Connection`. Made by `open`. `greeting` gives the text frame that comes first, "" is none."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        socket: aiohttp.ClientWebSocketResponse,
        shown: str,
        greeting: Callable[[], str],
    ) -> None:
        self._session = session
        self._socket = socket
        self._shown = shown
        self._greeting: Callable[[], str] | None = greeting
        self._held: deque[str | bytes] = deque()
        self._taken = 0
        self._opened_at = monotonic()

    @classmethod
    async def open(
        cls, url: str, shown: str, greeting: Callable[[], str], *, timeout: float = TIMEOUT
    ) -> WebsocketConnection:
        """Connect. Raises OutputFailed with the code that a caller's mistake has: the address is wrong, most likely."""
        session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None, connect=timeout))
        try:
            async with asyncio.timeout(timeout):
                connected = await session.ws_connect(
                    url,
                    headers={"Content-Type": "audio/x-raw"},
                    heartbeat=PING,
                    max_msg_size=_MOST_INCOMING,
                    timeout=aiohttp.ClientWSTimeout(ws_close=_CLOSE),
                )
        except BaseException as error:
            await session.close()
            if isinstance(error, aiohttp.ClientError | OSError | ValueError):
                failure = _refusal(url, shown, error)
                failure.code = Code.INVALID_ARGUMENT
                raise failure from None
            raise
        return cls(session, connected, shown, greeting)

    @property
    def taken(self) -> int:
        return self._taken

    @property
    def pending(self) -> bool:
        return bool(self._held)

    def send(self, units: Sequence[Unit]) -> None:
        if self._greeting is not None:
            if greeting := self._greeting():
                self._held.append(greeting)
            self._greeting = None
        self._held += [unit.payload.decode() if isinstance(unit, TextUnit) else unit.payload for unit in units]

    async def writable(self) -> None:
        with suppress(aiohttp.ClientError, OSError):  # `ended` says it
            while self._held:
                frame = self._held[0]
                if isinstance(frame, str):
                    await self._socket.send_str(frame)
                else:
                    await self._socket.send_bytes(frame)
                self._taken += len(frame)
                self._held.popleft()
        self._held.clear()

    async def ended(self) -> None:
        while not (message := await self._socket.receive()).type.value & 0x100 and not self._socket.closed:
            pass
        code = self._socket.close_code
        if message.type is aiohttp.WSMsgType.ERROR or code in (None, aiohttp.WSCloseCode.ABNORMAL_CLOSURE):
            cause = "the receiver is gone: the connection was lost, or pings are not answered"
        else:
            cause = f"the receiver closed the connection (code {code})"
        raise stream_failure(self._shown, cause, "See the receiver's log")

    async def aclose(self, *, orderly: bool) -> None:
        try:
            with suppress(aiohttp.ClientError, OSError):
                async with asyncio.timeout(_CLOSE):
                    if orderly:
                        await self._socket.close()
        finally:
            await self._session.close()


def _refusal(url: str, shown: str, error: Exception) -> OutputFailed:
    parts = urlsplit(url)
    host = parts.hostname or ""
    tls = parts.scheme.lower() == "wss"
    port = parts.port or (_TLS_PORT if tls else _PORT)
    match error:
        case aiohttp.WSServerHandshakeError(status=status):
            cause = f"the receiver answered HTTP {status} instead of opening a WebSocket"
            return stream_failure(shown, cause, "Check path and query of the URL")
        case aiohttp.ClientConnectorCertificateError():
            reason = getattr(error.certificate_error, "verify_message", "") or str(error.certificate_error)
            cause = f"the TLS certificate of {host}:{port} is not accepted: {reason}"
            return stream_failure(shown, cause, "Check the host in the URL, or give the receiver a valid certificate")
        case aiohttp.ClientConnectorError(os_error=os_error):
            return connect_failure(shown, host, port, os_error, tls=tls)
        case OSError():
            return connect_failure(shown, host, port, error, tls=tls)
    cause = f"{host}:{port} does not speak WebSocket ({type(error).__name__})"
    return stream_failure(shown, cause, "Check the URL")
