"""The bus of psrpc on Redis: PUBLISH, SUBSCRIBE and short-lived keys, over connections that come back by themselves."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from redis.asyncio.connection import AbstractConnection
from redis.exceptions import AuthenticationError, NoPermissionError, RedisError

from pyegress.api.psrpc.failures import RedisUnreachable
from pyegress.api.psrpc.redis_connection import link
from pyegress.api.psrpc.redis_options import RedisOptions
from pyegress.api.psrpc.wire import Malformed
from pyegress.clock import Monotonic, monotonic
from pyegress.service.rpc_figures import RpcFigures

log = logging.getLogger(__name__)
_T = TypeVar("_T")
Receive = Callable[[bytes], None]
#: Seconds between attempts to reach Redis, doubling from the first to the second.
FIRST_PAUSE, LONGEST_PAUSE = 0.05, 2.0
#: Seconds of silence after which the connection is asked, and seconds it has for the answer.
PING_EVERY, PING_PATIENCE = 5.0, 5.0
#: Channels per SUBSCRIBE command.
_BATCH = 500
_UNREACHABLE = (RedisError, OSError, EOFError, asyncio.TimeoutError)


class RedisBus:
    """Publishes, subscribes and takes keys. All on one event loop.

    Redis keeps nothing for subscribers that are away: what is published while the subscribing connection is broken is
    lost, as for every client of Redis. Everything else survives: commands are repeated until their deadline, and all
    subscriptions are made again before anybody is told that the bus is back.
    """

    def __init__(self, options: RedisOptions, figures: RpcFigures | None = None) -> None:
        """`figures` are fed by those who call and serve over it."""
        self.options = options
        self.figures = figures or RpcFigures()
        self._link = link(options)
        self._receivers: dict[bytes, Receive] = {}
        self._confirmed: dict[bytes, asyncio.Future[None]] = {}
        self._missing: set[bytes] = set()
        self._connection: AbstractConnection | None = None
        self._connected = asyncio.Event()
        self._back: list[Callable[[], None]] = []
        self._heard = monotonic()
        self._task: asyncio.Task[None] | None = None
        self._failure = ""
        #: How often the subscribing connection was made.
        self.connections = 0

    @property
    def connected(self) -> bool:
        """Whether every subscription is in place."""
        return self._connected.is_set()

    @property
    def counts_receivers(self) -> bool:
        """Whether `publish` counts every subscriber: elsewhere some are at other nodes."""
        return not (self.options.cluster_addresses or self.options.sentinel_addresses)

    async def open(self, timeout: float = 10.0) -> None:
        """Connect. Raises `RedisUnreachable` after `timeout` seconds; the bus goes on trying until it is closed."""
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="psrpc-bus")
        try:
            async with asyncio.timeout(timeout):
                await self._connected.wait()
        except TimeoutError:
            raise self._unreachable(f"no connection in {timeout:g} s") from None

    async def aclose(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            self._task = None
        with contextlib.suppress(*_UNREACHABLE):
            await self._link.aclose()

    def on_connected(self, tell: Callable[[], None]) -> None:
        """Call `tell` whenever the bus is (again) connected and subscribed."""
        self._back.append(tell)

    async def publish(self, channel: str, payload: bytes, *, deadline: Monotonic) -> int:
        """How many subscribers Redis gave it to. Raises `RedisUnreachable`.

        May be delivered twice when a connection breaks under it; receivers know requests by their ids.
        """
        receivers = await self._until(deadline, lambda: self._link.command("PUBLISH", channel, payload))
        return int(receivers)

    async def take(self, key: str, value: str, *, seconds: int, deadline: Monotonic) -> bool:
        """Set a key that nobody has set. Raises `RedisUnreachable`."""
        answer = await self._until(deadline, lambda: self._link.command("SET", key, value, "NX", "EX", seconds))
        return answer is not None

    async def value(self, key: str, *, deadline: Monotonic) -> str:
        """The value of a key, empty when there is none. Raises `RedisUnreachable`."""
        answer = await self._until(deadline, lambda: self._link.command("GET", key))
        return answer.decode() if answer else ""

    async def forget(self, key: str, *, deadline: Monotonic) -> None:
        """Delete a key. Raises `RedisUnreachable`."""
        await self._until(deadline, lambda: self._link.command("DEL", key))

    async def subscribe(self, channel: str, receive: Receive) -> None:
        """Returns once Redis has confirmed it, however long that takes. `receive` must not block or raise.

        A channel has one receiver: the last one.
        """
        name = channel.encode()
        self._receivers[name] = receive
        confirmed = self._confirmed.get(name)
        if confirmed is None:
            confirmed = self._confirmed[name] = asyncio.get_running_loop().create_future()
            self._missing.add(name)
            await self._send("SUBSCRIBE", name)
        await asyncio.shield(confirmed)

    async def unsubscribe(self, *channels: str) -> None:
        """Hear no more of `channels`, from now on."""
        names = [name for channel in channels if self._receivers.pop(name := channel.encode(), None)]
        for name in names:
            self._missing.discard(name)
            if (confirmed := self._confirmed.pop(name, None)) and not confirmed.done():
                confirmed.cancel()
        if names:
            await self._send("UNSUBSCRIBE", *names)

    async def _send(self, command: str, *channels: bytes) -> None:
        """On the subscribing connection. When that fails the next connection subscribes to what is wanted by then."""
        if (connection := self._connection) is not None:
            with contextlib.suppress(*_UNREACHABLE):
                await connection.send_command(command, *channels, check_health=False)

    async def _until(self, deadline: Monotonic, attempt: Callable[[], Awaitable[_T]]) -> _T:
        pause = FIRST_PAUSE
        while True:
            try:
                async with asyncio.timeout(max(0.05, deadline - monotonic())):
                    return await attempt()
            except _UNREACHABLE as error:
                if monotonic() + pause >= deadline or isinstance(error, NoPermissionError):
                    raise self._unreachable(_said(error)) from error
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    def _unreachable(self, reason: str) -> RedisUnreachable:
        seen = f" ({self._failure})" if self._failure and self._failure != reason else ""
        return RedisUnreachable(
            f"{self.options}: {reason}{seen}",
            field="redis",
            remedy="Check the address, the credentials and TLS, and that it can be reached from here",
        )

    async def _run(self) -> None:
        pause = FIRST_PAUSE
        while True:
            try:
                async with asyncio.timeout(self.options.dial_timeout + 5.0):
                    connection = await self._link.connection()
            except _UNREACHABLE as error:
                self._failed(error)
                await asyncio.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE)
                continue
            self.connections += 1
            watch = asyncio.create_task(self._watch(connection), name="psrpc-bus-watch")
            try:
                pause = FIRST_PAUSE
                await self._listen(connection)
            except _UNREACHABLE as error:
                self._failed(error)
            finally:
                self._connection = None
                self._connected.clear()
                watch.cancel()
                with contextlib.suppress(*_UNREACHABLE):
                    await connection.disconnect(nowait=True)
            await asyncio.sleep(pause)

    async def _listen(self, connection: AbstractConnection) -> None:
        self._heard = monotonic()
        self._missing = set(self._receivers)
        names = sorted(self._missing)
        self._connection = connection
        for start in range(0, len(names), _BATCH):
            await connection.send_command("SUBSCRIBE", *names[start : start + _BATCH], check_health=False)
        self._note_complete()
        while True:
            answer = await connection.read_response(disable_decoding=True, timeout=math.inf)
            self._heard = monotonic()
            if isinstance(answer, list):
                self._received(answer)

    def _received(self, answer: list[Any]) -> None:
        match answer:
            case [b"message", bytes(channel), bytes(payload)]:
                if (receive := self._receivers.get(channel)) is None:
                    return
                try:
                    receive(payload)
                except Malformed as error:
                    log.warning("on %s: %s", channel.decode(), error)
                except Exception:
                    log.exception("a message on %s could not be handled", channel.decode())
            case [b"subscribe", bytes(channel), _]:
                if (confirmed := self._confirmed.get(channel)) and not confirmed.done():
                    confirmed.set_result(None)
                self._missing.discard(channel)
                self._note_complete()

    def _note_complete(self) -> None:
        if self._missing or self._connected.is_set():
            return
        self._connected.set()
        if self._failure:
            log.info("%s: connected again, %d subscriptions", self.options, len(self._receivers))
        self._failure = ""
        for tell in self._back:
            tell()

    async def _watch(self, connection: AbstractConnection) -> None:
        """Ends a connection on which nothing comes any more, so that the reader notices."""
        with contextlib.suppress(*_UNREACHABLE):
            while True:
                await asyncio.sleep(PING_EVERY)
                if monotonic() - self._heard < PING_EVERY:
                    continue
                asked = monotonic()
                await connection.send_command("PING", check_health=False)
                await asyncio.sleep(PING_PATIENCE)
                if self._heard < asked:
                    break
        log.warning("%s does not answer on the subscribing connection", self.options)
        _abort(connection)

    def _failed(self, error: BaseException) -> None:
        reason = _said(error)
        if reason != self._failure:
            log.warning("%s: %s; trying again", self.options, reason)
            if isinstance(error, AuthenticationError):
                log.error("%s refuses the credentials: check redis.username and redis.password", self.options)
        self._failure = reason


def _abort(connection: AbstractConnection) -> None:
    """Close the socket under a reader: it fails at once, whatever the other end does."""
    if (writer := connection._writer) is not None:
        writer.transport.abort()


def _said(error: BaseException) -> str:
    if isinstance(error, TimeoutError) and not str(error):
        return "no answer in time"
    return str(error) or type(error).__name__
