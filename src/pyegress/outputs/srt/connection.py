"""One SRT connection to a listener."""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from collections.abc import Sequence
from urllib.parse import urlsplit

from pyegress.clock import monotonic
from pyegress.errors import OutputFailed
from pyegress.outputs.srt.libsrt import PAYLOAD, Option, Rejection, SrtSocket, State
from pyegress.outputs.streaming.failures import connect_failure, lost, stream_failure
from pyegress.outputs.streaming.unit import Unit
from pyegress.plan.srt_options import SrtOptions, srt_options

#: For the name, and for the handshake.
TIMEOUT = 10.0
#: A listener that has said nothing for so long is gone, seconds.
IDLE = 5.0
_CLOSE = 2.0
_POLL = 0.01
_WATCH = 0.2


class SrtConnection:
    """A `streaming.sender.Connection`. Made by `open`."""

    def __init__(self, connected: SrtSocket, shown: str, options: SrtOptions) -> None:
        self._socket = connected
        self._shown = shown
        self._latency = options.latency / 1000
        self._connected_at = monotonic()
        #: What found no room yet.
        self._held: deque[bytes] = deque()
        self._sent = 0
        self._taken = 0
        self._closed = False

    @classmethod
    async def open(cls, url: str, shown: str, *, timeout: float = TIMEOUT) -> SrtConnection:
        """Call the listener of an srt:// URL. Raises EgressError that says why it cannot be reached, or refused."""
        parts = urlsplit(url.partition("?")[0])
        host, port = parts.hostname or "", parts.port or 0
        options = srt_options(url, lambda reason, remedy: stream_failure(shown, reason, remedy))
        try:
            async with asyncio.timeout(timeout):
                found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_DGRAM)
        except OSError as error:
            raise connect_failure(shown, host, port, error) from None
        calling = SrtSocket()
        try:
            calling.set(Option.LATENCY, options.latency)
            calling.set(Option.CONNTIMEO, round(timeout * 1000))
            calling.set(Option.PEERIDLETIMEO, round(IDLE * 1000))
            for option, value in (
                (Option.STREAMID, options.stream_id),
                (Option.PASSPHRASE, options.passphrase),
                (Option.PBKEYLEN, options.key_length),
            ):
                if value:
                    calling.set(option, value)
            calling.connect(found[0][0], found[0][4])
            await _established(calling, shown, f"{host}:{port}", timeout)
        except OSError as error:
            calling.close()
            raise connect_failure(shown, host, port, error) from None
        except BaseException:
            calling.close()
            raise
        return cls(calling, shown, options)

    @property
    def taken(self) -> int:
        # What was left out, or waits again because it was lost, was not taken.
        self._taken = max(self._taken, self._sent - self._socket.waiting - self._socket.dropped)
        return self._taken

    @property
    def pending(self) -> bool:
        return bool(self._held) or self._socket.waiting > 0

    def send(self, units: Sequence[Unit]) -> None:
        for unit in units:
            payload = unit.payload
            self._held.extend(payload[at : at + PAYLOAD] for at in range(0, len(payload), PAYLOAD))
        self._flush()

    async def writable(self) -> None:
        while self._held and self._socket.state is State.CONNECTED:
            await asyncio.sleep(_POLL)
            self._flush()

    async def ended(self) -> None:
        while self._socket.state is State.CONNECTED:  # noqa: ASYNC110 - libsrt calls nobody back
            await asyncio.sleep(_WATCH)
        raise lost(self._shown, None, monotonic() - self._connected_at)

    async def aclose(self, *, orderly: bool) -> None:
        if self._closed:
            return
        self._closed = True
        if orderly:
            end = monotonic() + _CLOSE
            while self.pending and self._socket.state is State.CONNECTED and monotonic() < end:
                await asyncio.sleep(_POLL)
                self._flush()
            # The listener holds packets for so long, and forgets those of a connection that is closed.
            await asyncio.sleep(min(self._latency, _CLOSE))
        self._socket.close()

    def _flush(self) -> None:
        try:
            while self._held and self._socket.send(self._held[0]):
                self._sent += len(self._held.popleft())
        except OSError:
            # `ended` says it.
            self._held.clear()


async def _established(calling: SrtSocket, shown: str, where: str, timeout: float) -> None:
    """Wait for the listener's answer."""
    end = monotonic() + timeout
    while (state := calling.state) is not State.CONNECTED:
        if state not in (State.INIT, State.OPENED, State.CONNECTING):
            raise _rejected(calling, shown, where)
        if monotonic() > end:
            raise _no_answer(shown, where)
        await asyncio.sleep(_POLL)


def _rejected(calling: SrtSocket, shown: str, where: str) -> OutputFailed:
    match calling.rejection:
        case Rejection.BAD_SECRET:
            cause, remedy = "the listener has another passphrase", "Check passphrase in the URL"
        case Rejection.UNSECURE:
            cause = "either the listener or the URL has a passphrase, and the other none"
            remedy = "Use the same passphrase at both sides"
        case Rejection.TIMEOUT | 0:
            return _no_answer(shown, where)
        case number if number >= 1000:
            cause, remedy = f"the listener refused the stream (code {number})", "Check streamid in the URL"
        case _:
            cause, remedy = f"the listener refused: {calling.rejection_text}", "Check streamid, and the listener's log"
    return stream_failure(shown, cause, remedy)


def _no_answer(shown: str, where: str) -> OutputFailed:
    remedy = "Check host and port, that it is an SRT listener, and that no firewall is between (UDP)"
    return stream_failure(shown, f"no SRT listener answers at {where}", remedy)
