"""Drives a DTLS association on the event loop: timers, repeated flights, and what comes of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from pyegress.errors import EgressError
from pyegress.room.dtls import DtlsSession
from pyegress.room.srtp import SrtpKeys

#: A flight is repeated after this time, then after twice as long and so on; OpenSSL itself waits 1 s first.
FLIGHT_REPEAT = 0.25


class Handshake:
    """One DTLS association with its timers. `on_keys` and `on_failed` are called once at most, and not both."""

    def __init__(
        self,
        session: DtlsSession,
        *,
        send: Callable[[bytes], object],
        on_keys: Callable[[SrtpKeys], None],
        on_failed: Callable[[EgressError], None],
    ) -> None:
        self._session = session
        self._send = send
        self._on_keys = on_keys
        self._on_failed = on_failed
        self._timer: asyncio.TimerHandle | None = None
        self._over = False

    @property
    def done(self) -> bool:
        """The SRTP keys are there."""
        return self._session.keys is not None

    @property
    def closed(self) -> bool:
        """The association is of no more use: it failed, or one side has closed it."""
        return self._over or self._session.closed

    def start(self) -> None:
        """There is a path: begin, unless this has been done."""
        if not self.done:
            self._run(self._session.start)

    def feed(self, datagram: bytes) -> None:
        """A DTLS datagram of the peer."""
        self._run(lambda: self._session.feed(datagram))

    def stop(self) -> None:
        """Send close_notify and stop the timers."""
        self._session.close()
        self._flush()
        self._disarm()
        self._over = True

    def _run(self, step: Callable[[], None]) -> None:
        if self._over:
            return
        had_keys = self.done
        try:
            step()
        except EgressError as error:
            self._over = True
            self._disarm()
            self._flush()  # the alert that tells the peer
            self._on_failed(error)
            return
        self._flush()
        self._arm(FLIGHT_REPEAT)
        keys = self._session.keys
        if keys is not None and not had_keys:
            self._on_keys(keys)

    def _flush(self) -> None:
        for datagram in self._session.take():
            self._send(datagram)

    def _arm(self, repeat: float) -> None:
        self._disarm()
        left = self._session.timeout()
        if left is None:
            return
        loop = asyncio.get_running_loop()
        if repeat < left:
            self._timer = loop.call_later(repeat, self._repeat, repeat)
        else:
            # Timers wake a little early now and then; 10 ms keep us from spinning.
            self._timer = loop.call_later(max(left, 0.01), self._run, self._session.handle_timeout)

    def _repeat(self, after: float) -> None:
        for datagram in self._session.flight:
            self._send(datagram)
        self._arm(after * 2)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
