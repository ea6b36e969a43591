"""Our connection to a room: signalling and media together, how both are lost, and how they come back."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Coroutine
from dataclasses import replace
from typing import Any, Protocol

from livekit.protocol.models import ClientConfigSetting, DisconnectReason, ReconnectReason
from livekit.protocol.rtc import JoinResponse, SignalRequest, SignalResponse

from pyegress.clock import monotonic, wall
from pyegress.errors import EgressError, RoomConnectionFailed
from pyegress.room.failures import reason_name
from pyegress.room.options import RoomOptions
from pyegress.room.recovery import Attempts, Loss, given_up, loss_of_error, loss_of_leave
from pyegress.room.session import MediaSession
from pyegress.room.signal import Resume, SignalConnection
from pyegress.room.subscriber import MediaPath, Subscriber
from pyegress.room.transport import TransportState
from pyegress.server.endpoint import Endpoint

log = logging.getLogger(__name__)

#: Seconds for signalling to answer when we come back: a dead server must not use up the reconnect window.
_RETURN_TIMEOUT = 5.0
#: Seconds for the server's leave request to come when media broke: a server that ends our session closes media first,
#: and joining anew would bring back a room that was deleted.
_FAREWELL = 1.0
#: Seconds for a room that the server does not know any more to be there again; the second when the server was away too
#: and the other participants have to come back first.
ROOM_BACK, ROOM_BACK_AFTER_OUTAGE = 3.0, 15.0
#: Sessions whose media never came up at all, before that counts as hopeless.
_HOPELESS = 2
#: Requests that are kept while signalling is away.
_MAX_KEPT = 256


class ConnectionUser(Protocol):
    """What the room does with what comes. Called on the event loop; must not raise."""

    def joined(self, join: JoinResponse) -> None:
        """A new session began: the first one, or one after a full reconnect."""

    def received(self, message: SignalResponse) -> None:
        """A message that concerns the room and not the connection."""

    def reconnecting(self, full: bool, cause: str) -> None: ...

    def reconnected(self, full: bool, gap: float) -> None: ...


class RoomConnection:
    """Signalling and media are two connections. When signalling is lost it is resumed and media is not disturbed; when
    that is refused, or media is lost too, a new session is made.
    """

    def __init__(self, options: RoomOptions, *, subscriber: Subscriber, path: MediaPath, user: ConnectionUser) -> None:
        self.endpoint = Endpoint.parse(options.url)
        self.tokens = options.token_source()
        self._options = options
        self._room = options.room_name
        self._subscriber = subscriber
        self._path = path
        self._user = user
        self.signal: SignalConnection | None = None
        self.session: MediaSession | None = None
        self._reader: asyncio.Task[None] | None = None
        self._kept: deque[SignalRequest] = deque(maxlen=_MAX_KEPT)
        self._loss: asyncio.Future[Loss] = asyncio.get_running_loop().create_future()
        self._tasks: set[asyncio.Task[Any]] = set()
        #: Seconds between pings, and without an answer until signalling counts as lost.
        self.pings = (0.0, 0.0)
        #: The server's last word.
        self._ended: Loss | None = None
        #: An attempt to come back failed since we were last there.
        self._outage = False
        self._media_came = False
        self._media_failures = 0

    @property
    def connected(self) -> bool:
        """Signalling is there."""
        return self.signal is not None and not self.signal.lost

    @property
    def media_state(self) -> TransportState:
        return self.session.transport.state if self.session is not None else TransportState.CLOSED

    def moved(self, room: str, sid: str, token: str) -> None:
        """The server put us into another room; our session goes on under another sid."""
        self._room = room
        self.tokens.moved(room, token)
        if self.session is not None:
            self.session.sid = sid

    async def join(self, timeout: float) -> None:
        """A new session. Raises EgressError."""
        signal, first = await self._open(timeout)
        if first.WhichOneof("message") != "join":
            raise self._refusal(first)
        join = first.join
        self.pings = float(join.ping_interval), float(join.ping_timeout)
        signal.start_pings(*self.pings)
        self._begin_session(join)
        self._kept.clear()
        self._user.joined(join)
        self._read(signal)

    async def run(self) -> Loss:
        """Stay in the room; returns the final loss."""
        trouble: float | None = None
        settled = monotonic()
        full = False
        attempts = Attempts()
        loss = await self._settle()
        while True:
            if loss is None:
                if trouble is not None:
                    self._user.reconnected(full, monotonic() - trouble)
                trouble, full, settled, self._outage = None, False, monotonic(), False
                loss = await asyncio.shield(self._loss)
            if loss.final:
                return loss
            now = monotonic()
            if trouble is None:
                trouble = now
                attempts.begin(stable=now - settled)
                self._user.reconnecting(loss.full, loss.cause)
            elif now - trouble > self._options.reconnect_window:
                return given_up(self._room, now - trouble, loss)
            elif loss.full and not full:
                self._user.reconnecting(True, loss.cause)
            full = full or loss.full
            log.info("room %s: %s; %s", self._room, loss.cause, "joining anew" if full else "resuming")
            await asyncio.sleep(attempts.delay(loss))
            loss = self._ended or await self._come_back(loss, full)

    async def aclose(self, farewell: SignalRequest | None = None) -> None:
        """Send `farewell` and close what is open. Bounded, because each part is; may be called again."""
        if self._reader is not None:
            self._reader.cancel()
        if self.signal is not None:
            self._spawn(self.signal.aclose(farewell), "close signalling")
        if self.session is not None:
            self._spawn(self.session.aclose(), "close session")
        self.session = self.signal = self._reader = None
        while self._tasks:
            await asyncio.wait(tuple(self._tasks))

    def request(self, request: SignalRequest) -> None:
        """Send, or keep until signalling is back: what the server must come to know of our subscriptions."""
        if self.connected:
            self.send(request)
        else:
            self._kept.append(request)

    def send(self, request: SignalRequest) -> None:
        """Send, or drop it when signalling is away."""
        if self.signal is not None:
            self.signal.send(request)

    # Coming back

    async def _come_back(self, loss: Loss, full: bool) -> Loss | None:
        """One attempt. None when signalling and media are there, else what went wrong."""
        timeout = min(_RETURN_TIMEOUT, self._options.connect_timeout)
        self._drop_signal()
        self._loss = asyncio.get_running_loop().create_future()
        try:
            if full:
                if not await self._room_is_there():
                    return Loss("the room is gone", final=reason_name(DisconnectReason.ROOM_CLOSED))
                self._drop_session()
                await self.join(timeout)
            else:
                refused = await self._resume(loss, timeout)
                if refused is not None:
                    return refused
        except EgressError as error:
            self._outage = True
            return loss_of_error(error, full=full or self.media_state is TransportState.FAILED)
        return await self._settle()

    async def _room_is_there(self) -> bool:
        """Whether joining anew finds the room. A server that ends it may close signalling without a word."""
        ask = self._options.room_is_there
        return ask is None or await ask(ROOM_BACK_AFTER_OUTAGE if self._outage else ROOM_BACK)

    async def _settle(self) -> Loss | None:
        """Wait until media can flow. None when it can, else what came between."""
        assert self.session is not None
        waiting = self._spawn(self.session.wait_connected(self._options.media_timeout), "wait for media")
        try:
            await asyncio.wait({waiting, self._loss}, return_when=asyncio.FIRST_COMPLETED)
            if not waiting.done():
                loss = self._loss.result()
                # Media that fails while it is awaited has had its chance to be resumed.
                return replace(loss, full=loss.full or loss.reason == ReconnectReason.RR_SUBSCRIBER_FAILED)
            await waiting
            self._media_came = True
            return None
        except EgressError as error:
            await asyncio.wait({self._loss}, timeout=_FAREWELL)
            if self._ended is not None:
                return self._ended
            self._media_failures += not self._media_came
            if self._media_failures >= _HOPELESS:
                return Loss(error.message, final="media_failure", error=error)
            return Loss(error.message, full=True, error=error)
        finally:
            waiting.cancel()

    async def _resume(self, loss: Loss, timeout: float) -> Loss | None:
        """Take our session up again on a new signal connection; the refusal if the server has it no more."""
        session = self.session
        assert session is not None
        signal, first = await self._open(timeout, Resume(session.sid, loss.reason))
        match first.WhichOneof("message"):
            case "reconnect":
                self._resumed(session, signal)
                return None
            case "leave":
                return loss_of_leave(first.leave, self._room)
        return Loss("the server did not resume our session", full=True, at_once=True)

    async def _open(self, timeout: float, resume: Resume | None = None) -> tuple[SignalConnection, SignalResponse]:
        """A new signal connection and the server's first message."""
        deadline = monotonic() + timeout
        token = self.tokens.current(wall())
        signal = await SignalConnection.open(self.endpoint, token, room=self._room, timeout=timeout, resume=resume)
        self.signal = signal
        return signal, await signal.first_message(deadline - monotonic())

    def _resumed(self, session: MediaSession, signal: SignalConnection) -> None:
        signal.start_pings(*self.pings)
        signal.send(SignalRequest(sync_state=session.sync_state(self._subscriber)))
        kept, self._kept = self._kept, deque(maxlen=_MAX_KEPT)
        for request in kept:
            signal.send(request)
        self._read(signal)

    def _refusal(self, first: SignalResponse) -> EgressError:
        kind = first.WhichOneof("message")
        loss = loss_of_leave(first.leave, self._room) if kind == "leave" else None
        if loss is not None and loss.error is not None:
            return loss.error
        cause = loss.cause if loss is not None else f"its first message was {kind}"
        return RoomConnectionFailed(f"livekit-server at {self.endpoint} did not let us in: {cause}", field="url")

    def _begin_session(self, join: JoinResponse) -> None:
        force_relay = join.client_configuration.force_relay == ClientConfigSetting.ENABLED
        session = MediaSession(
            join.participant.sid,
            ice_servers=join.ice_servers,
            subscriber=self._subscriber,
            relay_only=self._options.relay_only or force_relay,
            seam=self._options.seam,
            send=self.send,
            on_state=self._media_changed,
            on_failure=lambda error: self._lose(Loss(error.message, full=True, error=error)),
        )
        self.session = session
        transport = session.transport
        self._path.send_rtcp = transport.send_rtcp
        self._path.rtt = lambda: transport.rtt
        self._path.connected = lambda: transport.state is TransportState.CONNECTED

    def _drop_signal(self) -> None:
        if self.session is not None:
            self.session.signal_lost()
        if self._reader is not None:
            self._reader.cancel()
            self._reader = None
        if self.signal is not None:
            signal, self.signal = self.signal, None
            self._spawn(signal.aclose(), "close signalling")

    def _drop_session(self) -> None:
        self._subscriber.detach()
        if self.session is not None:
            session, self.session = self.session, None
            self._spawn(session.aclose(), "close session")

    # What comes in

    def _read(self, signal: SignalConnection) -> None:
        self._reader = self._spawn(self._serve(signal), "signal reader")

    async def _serve(self, signal: SignalConnection) -> None:
        try:
            while (message := await signal.receive()) is not None:
                self._handle(message)
            self._lose(Loss(signal.lost))
        except Exception as error:
            log.exception("room %s: a signal message could not be handled", self._room)
            self._lose(Loss(f"internal error ({type(error).__name__})", full=True))

    def _handle(self, message: SignalResponse) -> None:
        session = self.session
        match message.WhichOneof("message"):
            case "offer" if session is not None:
                session.negotiator.offer(message.offer)
            case "trickle" if session is not None:
                session.negotiator.trickle(message.trickle)
            case "refresh_token":
                self.tokens.refreshed(message.refresh_token)
            case "leave":
                self._lose(loss_of_leave(message.leave, self._room))
            case _:
                self._user.received(message)

    def _media_changed(self, state: TransportState) -> None:
        if self.session is None or not self._media_came:
            return
        reason = ReconnectReason.RR_SUBSCRIBER_FAILED
        if state is TransportState.DISCONNECTED:
            self._lose(Loss("nothing comes on the media path any more", reason=reason))
        elif state is TransportState.FAILED:
            error = self.session.transport.error
            loss = Loss(error.message if error else "the media path failed", reason=reason, error=error)
            asyncio.get_running_loop().call_later(_FAREWELL, self._lose_media, self.session, loss)

    def _lose_media(self, session: MediaSession, loss: Loss) -> None:
        if session is self.session and session.transport.state is TransportState.FAILED:
            self._lose(loss)

    def _lose(self, loss: Loss) -> None:
        """Wake `run`: the first cause counts, a final one most."""
        if loss.final:
            self._ended = loss
        if not self._loss.done():
            self._loss.set_result(loss)

    def _spawn(self, work: Coroutine[Any, Any, Any], name: str) -> asyncio.Task[Any]:
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task
