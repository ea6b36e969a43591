"""One RTMP(S) connection to a server that has accepted to be published to."""

from __future__ import annotations

import asyncio
import fcntl
import ssl
import struct
import termios
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cache

from pyegress.clock import monotonic
from pyegress.codecs import Kind
from pyegress.errors import EgressError, OutputFailed
from pyegress.outputs.rtmp.address import RtmpAddress
from pyegress.outputs.rtmp.chunks import MessageType
from pyegress.outputs.rtmp.conversation import Conversation, Refused, Step
from pyegress.outputs.streaming.failures import connect_failure, lost, stream_failure, without_secrets
from pyegress.outputs.streaming.unit import Unit
from pyegress.rtp.errors import ProtocolError

#: For the name, the connection and TLS together; and for each answer of the server.
TIMEOUT = 10.0
_CLOSE = 2.0
_POLL = 0.02
_READ = 65536
_TYPES = {Kind.AUDIO: MessageType.AUDIO, Kind.VIDEO: MessageType.VIDEO}

#: Messages that come before the first picture and sound: what they are encoded with.
Preamble = Callable[[], Sequence[tuple[MessageType, bytes]]]


class RtmpConnection:
    """A `streaming.sender.Connection`. Made by `open`. Time begins at 0 with the first unit."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        address: RtmpAddress,
        shown: str,
        preamble: Preamble,
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._address = address
        self._shown = shown
        self._preamble = preamble
        self._conversation = Conversation(address)
        self._written = 0
        self._begin: float | None = None
        self._published_at = monotonic()
        self._closed = False

    @classmethod
    async def open(
        cls,
        address: RtmpAddress,
        shown: str,
        preamble: Preamble,
        *,
        tls: ssl.SSLContext | None = None,
        timeout: float = TIMEOUT,
    ) -> RtmpConnection:
        """Connect and ask to publish. Raises OutputFailed that says what the server did not do or refused.

        `tls` is what rtmps trusts, None the certificates of the system.
        """
        context = (tls or await asyncio.to_thread(_trusted)) if address.tls else None
        try:
            async with asyncio.timeout(timeout):
                reader, writer = await asyncio.open_connection(address.host, address.port, ssl=context)
        except OSError as error:
            raise connect_failure(shown, address.host, address.port, error, tls=address.tls) from None
        connection = cls(reader, writer, address, shown, preamble)
        try:
            await connection._publish(timeout)
        except BaseException:
            await connection.aclose(orderly=False)
            raise
        return connection

    @property
    def taken(self) -> int:
        return self._written - self._unsent()

    @property
    def pending(self) -> bool:
        return self._unsent() > 0

    def send(self, units: Sequence[Unit]) -> None:
        parts: list[bytes] = []
        for unit in units:
            if self._begin is None:
                self._begin = unit.seconds
                parts += [self._conversation.media(kind, payload, 0) for kind, payload in self._preamble()]
                announcement = b""
            else:
                announcement = unit.announcement
            at = round(max(0.0, unit.seconds - self._begin) * 1000)
            if announcement:
                parts.append(self._conversation.media(_TYPES[unit.kind], announcement, at))
            parts.append(self._conversation.media(_TYPES[unit.kind], unit.payload, at))
        self._write(b"".join(parts))

    async def writable(self) -> None:
        with suppress(OSError):  # `ended` says it
            await self._writer.drain()

    async def ended(self) -> None:
        while True:
            await self._receive()

    async def aclose(self, *, orderly: bool) -> None:
        if self._closed:
            return
        self._closed = True
        if orderly:
            with suppress(OSError):
                async with asyncio.timeout(_CLOSE):
                    self._write(self._conversation.end())
                    await self._sent()
                    self._writer.close()
                    await self._writer.wait_closed()
        self._writer.transport.abort()

    # -- inside -----------------------------------------------------------------------------------------------------

    async def _publish(self, timeout: float) -> None:
        self._write(self._conversation.begin())
        step = self._conversation.step
        try:
            while step is not Step.PUBLISHED:
                async with asyncio.timeout(timeout):
                    while self._conversation.step is step:
                        await self._receive()
                step = self._conversation.step
            self._published_at = monotonic()
        except TimeoutError:
            raise stream_failure(
                self._shown,
                f"the server accepted the connection, and did not send {step.value} within {timeout:g} s",
                "Check that it is an RTMP server, and its log",
            ) from None

    async def _receive(self) -> None:
        """Read once and answer. Raises EgressError when the connection is over."""
        try:
            data = await self._reader.read(_READ)
        except OSError as error:
            raise self._over(error) from None
        if not data:
            raise self._over(None)
        try:
            answer = self._conversation.receive(data)
        except Refused as refusal:
            raise self._refused(refusal) from None
        except ProtocolError as error:
            where = f"{self._address.host}:{self._address.port}"
            cause = f"what answers at {where} does not speak RTMP as it should: {error}"
            raise stream_failure(self._shown, cause, "Check host and port") from None
        if answer:
            self._write(answer)

    def _over(self, error: OSError | None) -> EgressError:
        step = self._conversation.step
        if step is Step.PUBLISHED:
            return lost(self._shown, error, monotonic() - self._published_at)
        cause = f"the server closed the connection instead of {step.value}"
        return stream_failure(self._shown, cause, "Check application and stream key in the URL, and the server's log")

    def _refused(self, refusal: Refused) -> OutputFailed:
        key = self._address.key
        said = without_secrets(f"{refusal.code} {refusal.text}", key, key.partition("?")[0], self._address.key)
        what = {
            Step.CONNECT: f"application {self._address.application!r}",
            Step.PUBLISHED: "the stream, while it was running",
        }.get(refusal.step, "the stream")
        return stream_failure(
            self._shown,
            f"the server refused {what}: {said}",
            "Check application and stream key in the URL, and that nobody else streams with this key",
        )

    def _write(self, data: bytes) -> None:
        if data and not self._writer.is_closing():
            self._written += len(data)
            self._writer.write(data)

    async def _sent(self) -> None:
        """Wait until everything is at the other side: closed before, the connection would be reset."""
        while self._unsent() and not self._reader.at_eof():  # noqa: ASYNC110 - the system tells nobody
            await asyncio.sleep(_POLL)

    def _unsent(self) -> int:
        """Bytes that wait here or that the other side's system has not acknowledged."""
        waiting = self._writer.transport.get_write_buffer_size()
        sock = self._writer.get_extra_info("socket")
        try:
            (unacknowledged,) = struct.unpack("i", fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, bytes(4)))
        except (OSError, AttributeError, ValueError):
            unacknowledged = 0
        return waiting + int(unacknowledged)


@cache
def _trusted() -> ssl.SSLContext:
    """The certificates of the system; reading them takes a while."""
    return ssl.create_default_context()
