"""Signalling: protobuf messages of livekit-protocol over one WebSocket at `/rtc`."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import ssl
from dataclasses import dataclass

import aiohttp
from google.protobuf.message import DecodeError
from livekit.protocol.rtc import Ping, SignalRequest, SignalResponse

from pyegress.clock import Monotonic, monotonic
from pyegress.errors import EgressError, RoomConnectionFailed, cause_of
from pyegress.room.failures import refused, unreachable
from pyegress.server.endpoint import Endpoint

log = logging.getLogger(__name__)

#: Version of the signal protocol. 16 has leave actions, resume by sid and `room_moved`; 17 would add packet trailers.
PROTOCOL = 16
#: livekit-server decides by the SDK's name what a client can take. As "go" it would send us frames of its own for muted
#: tracks, and take a track away to change its codec; as an unknown one it would not tell of ICE over TCP.
SDK = "python"
VERSION = "0.1.0"

DEFAULT_PING_INTERVAL = 5.0
DEFAULT_PING_TIMEOUT = 15.0
_CLOSE_TIMEOUT = 1.0
_MAX_MESSAGE = 16 << 20


@dataclass(frozen=True, slots=True)
class Resume:
    """Take up our session again: the participant sid and `ReconnectReason`."""

    sid: str
    reason: int = 0


class SignalConnection:
    """One WebSocket to the server. Not reusable: after a loss a new one is opened."""

    def __init__(
        self, endpoint: Endpoint, session: aiohttp.ClientSession, socket: aiohttp.ClientWebSocketResponse
    ) -> None:
        self.endpoint = endpoint
        self._session = session
        self._socket = socket
        self._outgoing: asyncio.Queue[SignalRequest | None] = asyncio.Queue()
        self._writer = asyncio.create_task(self._write(), name="signal writer")
        self._pinger: asyncio.Task[None] | None = None
        self._pings: dict[int, Monotonic] = {}
        self._heard = monotonic()
        self._closed = False
        #: Round-trip time of signalling in seconds; None until it was measured.
        self.rtt: float | None = None
        #: Why the connection is lost, "" while it is there.
        self.lost = ""

    @classmethod
    async def open(
        cls, endpoint: Endpoint, token: str, *, room: str, timeout: float, resume: Resume | None = None
    ) -> SignalConnection:
        """Connect. Raises an EgressError that names server, cause and remedy."""
        query: dict[str, str | int] = {
            "protocol": PROTOCOL,
            "auto_subscribe": 0,
            "adaptive_stream": 0,
            "sdk": SDK,
            "version": VERSION,
            "os": "linux",
        }
        if resume is not None:
            query |= {"reconnect": 1, "sid": resume.sid, "reconnect_reason": resume.reason}
        # The header keeps the token out of the access logs of servers and proxies.
        headers = {"Authorization": f"Bearer {token}"}
        session = aiohttp.ClientSession(headers=headers, timeout=aiohttp.ClientTimeout(total=None))
        try:
            async with asyncio.timeout(timeout):
                socket = await cls._connect(session, endpoint, room, query)
        except TimeoutError:
            await session.close()
            raise unreachable(str(endpoint), f"no answer in {timeout:g} s") from None
        except BaseException:
            await session.close()
            raise
        return cls(endpoint, session, socket)

    @staticmethod
    async def _connect(
        session: aiohttp.ClientSession, endpoint: Endpoint, room: str, query: dict[str, str | int]
    ) -> aiohttp.ClientWebSocketResponse:
        """Open the WebSocket and translate what may go wrong. Errors of aiohttp hold our headers: never chain them."""
        try:
            return await session.ws_connect(
                endpoint.url("/rtc", query),
                max_msg_size=_MAX_MESSAGE,
                timeout=aiohttp.ClientWSTimeout(ws_close=_CLOSE_TIMEOUT),
            )
        except aiohttp.WSServerHandshakeError as error:
            status = error.status
        except aiohttp.ClientConnectorCertificateError as error:
            raise _bad_certificate(endpoint, error.certificate_error) from None
        except aiohttp.ClientConnectorError as error:
            cause = cause_of(error.os_error)
            if isinstance(error, aiohttp.ClientConnectorSSLError):
                cause = f"TLS failed ({cause})"
            raise unreachable(str(endpoint), cause) from None
        except (aiohttp.ClientError, OSError) as error:
            raise unreachable(str(endpoint), str(error) or type(error).__name__) from None
        raise refused(status, await _explanation(session, endpoint, query), str(endpoint), room)

    def start_pings(self, interval: float, timeout: float) -> None:
        """Ping every `interval` s, and give the connection up after `timeout` s in which nothing came."""
        if self._pinger is None and not self._closed:
            ping = self._ping(interval or DEFAULT_PING_INTERVAL, timeout or DEFAULT_PING_TIMEOUT)
            self._pinger = asyncio.create_task(ping, name="signal pings")

    def send(self, request: SignalRequest) -> None:
        """Send in the order of the calls. What is sent on a lost connection is dropped."""
        if not self.lost and not self._closed:
            self._outgoing.put_nowait(request)

    async def receive(self) -> SignalResponse | None:
        """The next message; None when the connection is lost (see `lost`)."""
        while not self.lost:
            message = await self._socket.receive()
            if message.type is aiohttp.WSMsgType.BINARY:
                self._heard = monotonic()
                try:
                    response = SignalResponse.FromString(message.data)
                except DecodeError:
                    log.warning("passed over a signal message that cannot be read (%d bytes)", len(message.data))
                    continue
                if response.WhichOneof("message") in ("pong", "pong_resp"):
                    self._ponged(response)
                    continue
                return response
            if message.type is aiohttp.WSMsgType.ERROR:
                self._lose(f"WebSocket error: {message.data}")
            elif message.type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSING, aiohttp.WSMsgType.CLOSED):
                code = self._socket.close_code
                self._lose("the server closed the signal connection" + (f" (code {code})" if code else ""))
        return None

    async def first_message(self, timeout: float) -> SignalResponse:
        """What the server answers to our joining or resuming. Raises RoomConnectionFailed."""
        first = None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, timeout)):
                first = await self.receive()
        if first is None:
            cause = self.lost or "no answer to our request to join"
            raise RoomConnectionFailed(f"livekit-server at {self.endpoint} did not let us in: {cause}", field="url")
        return first

    async def aclose(self, farewell: SignalRequest | None = None) -> None:
        """Send `farewell` if the connection is there, and close. Takes at most about 2 s; may be called again."""
        if self._closed:
            return
        self._closed = True
        try:
            if farewell is not None and not self.lost:
                self._outgoing.put_nowait(farewell)
            self._outgoing.put_nowait(None)
            if self._pinger is not None:
                self._pinger.cancel()
            await asyncio.wait({self._writer}, timeout=_CLOSE_TIMEOUT)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_CLOSE_TIMEOUT):
                    await self._socket.close()
        finally:
            self._lose("closed")
            tasks = {task for task in (self._writer, self._pinger) if task is not None}
            for task in tasks:
                task.cancel()
            await self._session.close()
            await asyncio.wait(tasks)

    def _lose(self, cause: str) -> None:
        if not self.lost:
            self.lost = cause
            log.debug("signal connection lost: %s", cause)

    async def _write(self) -> None:
        while (request := await self._outgoing.get()) is not None:
            try:
                await self._socket.send_bytes(request.SerializeToString())
            except (aiohttp.ClientError, ConnectionError) as error:
                self._lose(f"cannot send: {error or type(error).__name__}")
                await self._socket.close()
                return

    async def _ping(self, interval: float, timeout: float) -> None:
        while True:
            await asyncio.sleep(interval)
            now = monotonic()
            if now - self._heard > timeout:
                self._lose(f"the server was silent for {timeout:g} s")
                await self._socket.close()
                return
            stamp = int(now * 1000)
            self._pings = {stamp: now}
            self.send(SignalRequest(ping_req=Ping(timestamp=stamp, rtt=int((self.rtt or 0) * 1000))))

    def _ponged(self, response: SignalResponse) -> None:
        sent = self._pings.pop(response.pong_resp.last_ping_timestamp, None)
        if sent is not None:
            self.rtt = self._heard - sent


async def _explanation(session: aiohttp.ClientSession, endpoint: Endpoint, query: dict[str, str | int]) -> str:
    """What the server says of a refused request: the answer to a WebSocket upgrade has no readable body."""
    try:
        async with session.get(endpoint.url("/rtc/validate", query, http=True)) as response:
            text = (await response.content.read(4096)).decode(errors="replace")
            return text if response.status >= 400 and "<html" not in text.lower() else ""
    except (aiohttp.ClientError, OSError):
        return ""


def _bad_certificate(endpoint: Endpoint, cause: Exception) -> EgressError:
    detail = cause.verify_message if isinstance(cause, ssl.SSLCertVerificationError) else str(cause)
    return RoomConnectionFailed(
        f"The TLS certificate of {endpoint} is not trusted: {detail}",
        field="url",
        remedy="Check the host name of the URL and the server's certificate chain",
        retryable=False,
    )
