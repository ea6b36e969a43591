"""A LiveKit room as a recorder sees it: joins hidden, tells what happens, receives tracks, and comes back when lost."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import replace
from typing import Any, Self

from livekit.protocol.models import (
    ClientConfigSetting,
    DisconnectReason,
    ReconnectReason,
    ServerInfo,
    SubscriptionError,
)
from livekit.protocol.rtc import (
    JoinResponse,
    LeaveRequest,
    ReconnectResponse,
    SignalRequest,
    SignalResponse,
    SubscriptionPermissionUpdate,
    SubscriptionResponse,
)

from pyegress.clock import monotonic, wall
from pyegress.errors import Code, EgressError, Fault, InvalidRequest, NotFound, RoomConnectionFailed
from pyegress.room.events import (
    Disconnected,
    Participant,
    Reconnected,
    Reconnecting,
    RoomEvent,
    SubscriptionFailed,
    TrackMuted,
    TrackSink,
    TrackUnmuted,
    TrackUnpublished,
)
from pyegress.room.feed import EventFeed, EventStream
from pyegress.room.model import RoomModel
from pyegress.room.options import RoomOptions
from pyegress.room.recovery import Loss, delays, given_up, loss_of_error, loss_of_leave
from pyegress.room.session import MediaSession
from pyegress.room.signal import Endpoint, Resume, SignalConnection
from pyegress.room.subscriber import MediaPath, Subscriber
from pyegress.room.subscription import Subscription
from pyegress.room.transport import TransportState

log = logging.getLogger(__name__)

#: Seconds for signalling to answer when we come back: a dead server must not use up the reconnect window.
_RETURN_TIMEOUT = 5.0
#: Sessions whose media never came up at all, before that counts as hopeless.
_HOPELESS = 2
#: Seconds for the server's leave request to come when media broke: a server that ends our session closes media first,
#: and joining anew would bring back a room that was deleted.
_FAREWELL = 1.0
#: Requests that are kept while signalling is away.
_MAX_KEPT = 256


class Room:
    """Made by `connect`, ended by `aclose` or when the server ends it (`Disconnected` is its last event).

    Signalling and media are two connections. When signalling is lost it is resumed and media is not disturbed; when
    that is refused, or media is lost too, a new session is made and the same tracks are subscribed again.
    """

    def __init__(self, options: RoomOptions) -> None:
        self._options = options
        self._endpoint = Endpoint.parse(options.url)
        self._tokens = options.token_source()
        self._model = RoomModel()
        self._model.name = options.room_name
        self._feed = EventFeed()
        self._path = MediaPath()
        self._subscriber = Subscriber(latency=options.latency, path=self._path, request=self._request)
        self._signal: SignalConnection | None = None
        self._reader: asyncio.Task[None] | None = None
        self._session: MediaSession | None = None
        self._kept: deque[SignalRequest] = deque(maxlen=_MAX_KEPT)
        self._loss: asyncio.Future[Loss] = asyncio.get_running_loop().create_future()
        self._stop: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._main: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[Any]] = set()
        self._pings = (0.0, 0.0)
        self._media_came = False
        self._media_failures = 0
        #: What the server tells of itself (`ServerInfo`).
        self.server_info = ServerInfo()

    @classmethod
    async def connect(cls, options: RoomOptions) -> Self:
        """Join. Returns when participants are known; media comes up behind it.

        Raises EgressError: InvalidRequest for bad options, Unauthenticated, NotFound, RoomConnectionFailed.
        """
        room = cls(options)
        try:
            await room._join(options.connect_timeout)
        except BaseException:
            await room._shut_down(None)
            raise
        room._main = asyncio.create_task(room._live(), name=f"room {room.name}")
        return room

    def __repr__(self) -> str:
        return f"Room({self.name!r} at {self._endpoint} as {self.identity!r}, media {self.media_state.value})"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.aclose()

    @property
    def name(self) -> str:
        return self._model.name

    @property
    def sid(self) -> str:
        """`RM_...`; may become known after joining only (RoomUpdated)."""
        return self._model.sid

    @property
    def metadata(self) -> str:
        return self._model.metadata

    @property
    def identity(self) -> str:
        """Our own identity: the egress id."""
        return self._model.own_identity

    @property
    def own_metadata(self) -> str:
        return self._model.own_metadata

    @property
    def participants(self) -> Mapping[str, Participant]:
        """Everybody else by identity, hidden participants left out; a live, read-only view."""
        return self._model.participants

    @property
    def subscriptions(self) -> Mapping[str, Subscription]:
        """By track sid; a live view."""
        return self._subscriber.subscriptions

    @property
    def connected(self) -> bool:
        """Signalling is there."""
        return self._signal is not None and not self._signal.lost

    @property
    def media_state(self) -> TransportState:
        """How the media transport of the current session is; FAILED with `media_error`."""
        return self._session.transport.state if self._session is not None else TransportState.CLOSED

    @property
    def media_error(self) -> EgressError | None:
        """Why media cannot flow (for instance UDP blocked), None while it may."""
        return self._session.transport.error if self._session is not None else None

    @property
    def media_rtt(self) -> float | None:
        """Round-trip time of the media path in seconds."""
        return self._session.transport.rtt if self._session is not None else None

    @property
    def signal_rtt(self) -> float | None:
        """Round-trip time of signalling in seconds."""
        return self._signal.rtt if self._signal is not None else None

    def events(self) -> EventStream:
        """All events from this call on, to be iterated over; ends after Disconnected. Each call makes its own."""
        return self._feed.stream()

    def add_listener(self, listener: Callable[[RoomEvent], None]) -> Callable[[], None]:
        """Call `listener` on the event loop for every event from now on; the returned function ends that."""
        return self._feed.add_listener(listener)

    def subscribe(self, track_sid: str, sink: TrackSink) -> Subscription:
        """Receive a published track at its highest quality.

        Raises NotFound when nobody publishes it, InvalidRequest when it is subscribed already or the room is over.
        """
        if self._stop.done():
            raise InvalidRequest("The room is closed", field="room")
        if (found := self._model.find_track(track_sid)) is None:
            raise NotFound(f"Nobody in room {self.name!r} publishes track {track_sid}", field="track_id")
        if (former := self.subscriptions.get(track_sid)) is not None and not former.leaving:
            raise InvalidRequest(f"Track {track_sid} is subscribed already", field="track_id")
        return self._subscriber.subscribe(*found, sink)

    async def wait_media(self, timeout: float) -> None:
        """Return when media can flow; raises the EgressError that says why it cannot."""
        if self._session is None:
            raise RoomConnectionFailed("The room is closed", retryable=False)
        await self._session.wait_connected(timeout)

    async def aclose(self, reason: str = "client_initiated") -> None:
        """Leave. Ends all sinks and events and closes everything, in about 4 s at most; may be called again."""
        if not self._stop.done():
            self._stop.set_result(reason)
        if self._main is not None:
            await asyncio.wait({self._main})

    # The life of a room

    async def _live(self) -> None:
        """Owns everything until the end, however it comes."""
        run = asyncio.create_task(self._run(), name="room connection")
        farewell: SignalRequest | None = None
        end = Loss("the event loop is closing", final="unknown_reason")
        try:
            either: set[asyncio.Future[Any]] = {run, self._stop}
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if run.done():
                end = run.result()
            else:
                end = Loss("we leave", final=self._stop.result())
                leave = LeaveRequest(reason=DisconnectReason.CLIENT_INITIATED, action=LeaveRequest.Action.DISCONNECT)
                farewell = SignalRequest(leave=leave)
        except Exception as error:
            log.exception("room %s: the connection task failed", self.name)
            failure = EgressError(f"The room client failed: {type(error).__name__}", remedy="Please report it")
            end = Loss("internal error", final="unknown_reason", error=failure)
        finally:
            if not self._stop.done():
                self._stop.set_result(end.final)
            run.cancel()
            self._subscriber.close()
            try:
                await asyncio.wait({run})
                await self._shut_down(farewell)
            finally:
                self._emit(Disconnected(monotonic(), end.final, end.error))
                self._feed.end()

    async def _run(self) -> Loss:
        """Stay in the room; returns the final loss."""
        since = None
        full = False
        waits = delays()
        loss = await self._settle()
        while True:
            if loss is None:
                if since is not None:
                    self._emit(Reconnected(monotonic(), full, monotonic() - since))
                since, full, waits = None, False, delays()
                loss = await asyncio.shield(self._loss)
            if loss.final:
                return loss
            if since is None:
                since = monotonic()
                self._emit(Reconnecting(since, loss.full, loss.cause))
            elif monotonic() - since > self._options.reconnect_window:
                return given_up(self.name, monotonic() - since, loss)
            elif loss.full and not full:
                self._emit(Reconnecting(monotonic(), True, loss.cause))
            full = full or loss.full
            log.info("room %s: %s; %s", self.name, loss.cause, "joining anew" if full else "resuming")
            wait = next(waits)
            await asyncio.sleep(0 if loss.at_once else wait)
            loss = await self._come_back(loss, full)

    async def _come_back(self, loss: Loss, full: bool) -> Loss | None:
        """One attempt. None when signalling and media are there, else what went wrong."""
        timeout = min(_RETURN_TIMEOUT, self._options.connect_timeout)
        await self._drop_signal()
        self._loss = asyncio.get_running_loop().create_future()
        try:
            if full:
                await self._drop_session()
                await self._join(timeout)
            else:
                refused = await self._resume(loss, timeout)
                if refused is not None:
                    return refused
        except EgressError as error:
            return loss_of_error(error, full=full or self.media_state is TransportState.FAILED)
        return await self._settle()

    async def _settle(self) -> Loss | None:
        """Wait until media can flow. None when it can, else what came between."""
        assert self._session is not None
        waiting = self._spawn(self._session.wait_connected(self._options.media_timeout), "wait for media")
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
            if self._loss.done() and self._loss.result().final:
                return self._loss.result()
            self._media_failures += not self._media_came
            if self._media_failures >= _HOPELESS:
                return Loss(error.message, final="media_failure", error=error)
            return Loss(error.message, full=True, error=error)
        finally:
            waiting.cancel()

    async def _join(self, timeout: float) -> None:
        """A new session. Raises EgressError."""
        deadline = monotonic() + timeout
        signal = await SignalConnection.open(
            self._endpoint, self._tokens.current(wall()), room=self.name, timeout=timeout
        )
        self._signal = signal
        first = await self._first_message(signal, deadline)
        if first.WhichOneof("message") != "join":
            raise self._refusal(first)
        join = first.join
        self.server_info = join.server_info
        self._pings = float(join.ping_interval), float(join.ping_timeout)
        signal.start_pings(*self._pings)
        self._begin_session(join)
        self._kept.clear()
        for event in self._model.joined(join, monotonic()):
            self._emit(event)
        self._subscriber.attach(self._model.find_track)
        self._read(signal)

    async def _resume(self, loss: Loss, timeout: float) -> Loss | None:
        """Take our session up again on a new signal connection; the refusal if the server has it no more."""
        session = self._session
        assert session is not None
        deadline = monotonic() + timeout
        signal = await SignalConnection.open(
            self._endpoint,
            self._tokens.current(wall()),
            room=self.name,
            timeout=timeout,
            resume=Resume(session.sid, loss.reason),
        )
        self._signal = signal
        first = await self._first_message(signal, deadline)
        match first.WhichOneof("message"):
            case "reconnect":
                self._resumed(session, signal, first.reconnect)
                return None
            case "leave":
                return loss_of_leave(first.leave, self.name)
        return Loss("the server did not resume our session", full=True, at_once=True)

    def _resumed(self, session: MediaSession, signal: SignalConnection, response: ReconnectResponse) -> None:
        if response.HasField("server_info"):
            self.server_info = response.server_info
        signal.start_pings(*self._pings)
        signal.send(SignalRequest(sync_state=session.sync_state(self._subscriber)))
        kept, self._kept = self._kept, deque(maxlen=_MAX_KEPT)
        for request in kept:
            signal.send(request)
        self._read(signal)

    async def _first_message(self, signal: SignalConnection, deadline: float) -> SignalResponse:
        try:
            async with asyncio.timeout(max(0.0, deadline - monotonic())):
                first = await signal.receive()
        except TimeoutError:
            first = None
        if first is None:
            cause = signal.lost or "it did not answer our join request"
            raise RoomConnectionFailed(f"livekit-server at {self._endpoint} did not let us in: {cause}", field="url")
        return first

    def _refusal(self, first: SignalResponse) -> EgressError:
        kind = first.WhichOneof("message")
        loss = loss_of_leave(first.leave, self.name) if kind == "leave" else None
        if loss is not None and loss.error is not None:
            return loss.error
        cause = loss.cause if loss is not None else f"its first message was {kind}"
        return RoomConnectionFailed(f"livekit-server at {self._endpoint} did not let us in: {cause}", field="url")

    def _begin_session(self, join: JoinResponse) -> None:
        force_relay = join.client_configuration.force_relay == ClientConfigSetting.ENABLED
        session = MediaSession(
            join.participant.sid,
            ice_servers=join.ice_servers,
            subscriber=self._subscriber,
            relay_only=self._options.relay_only or force_relay,
            seam=self._options.seam,
            send=self._send,
            on_state=self._media_changed,
            on_failure=lambda error: self._lose(Loss(error.message, full=True, error=error)),
        )
        self._session = session
        transport = session.transport
        self._path.send_rtcp = transport.send_rtcp
        self._path.rtt = lambda: transport.rtt
        self._path.connected = lambda: transport.state is TransportState.CONNECTED

    async def _drop_signal(self) -> None:
        if self._session is not None:
            self._session.signal_lost()
        if self._reader is not None:
            self._reader.cancel()
            self._reader = None
        if self._signal is not None:
            signal, self._signal = self._signal, None
            self._spawn(signal.aclose(), "close signalling")

    async def _drop_session(self) -> None:
        self._subscriber.detach()
        if self._session is not None:
            session, self._session = self._session, None
            self._spawn(session.aclose(), "close session")

    async def _shut_down(self, farewell: SignalRequest | None) -> None:
        """Close what is open. Bounded, because each part is."""
        if self._reader is not None:
            self._reader.cancel()
        if self._signal is not None:
            self._spawn(self._signal.aclose(farewell), "close signalling")
        if self._session is not None:
            self._spawn(self._session.aclose(), "close session")
        self._subscriber.close()
        self._session = self._signal = self._reader = None
        while self._tasks:
            await asyncio.wait(tuple(self._tasks))

    # What comes in

    def _read(self, signal: SignalConnection) -> None:
        self._reader = self._spawn(self._serve(signal), "signal reader")

    async def _serve(self, signal: SignalConnection) -> None:
        try:
            while (message := await signal.receive()) is not None:
                self._handle(message)
            self._lose(Loss(signal.lost))
        except Exception as error:
            log.exception("room %s: a signal message could not be handled", self.name)
            self._lose(Loss(f"internal error ({type(error).__name__})", full=True))

    def _handle(self, message: SignalResponse) -> None:
        now = monotonic()
        events: list[RoomEvent] = []
        session = self._session
        match message.WhichOneof("message"):
            case "offer" if session is not None:
                session.negotiator.offer(message.offer)
            case "trickle" if session is not None:
                session.negotiator.trickle(message.trickle)
            case "update":
                events = self._model.participants_updated(message.update.participants, now)
            case "room_update":
                events = self._model.room_updated(message.room_update.room, now)
            case "speakers_changed":
                events = self._model.speakers_changed(message.speakers_changed, now)
            case "refresh_token":
                self._tokens.refreshed(message.refresh_token)
            case "subscription_response":
                self._subscription_failed(message.subscription_response)
            case "subscription_permission_update":
                self._permission_changed(message.subscription_permission_update)
            case "room_moved":
                self._tokens.moved(message.room_moved.room.name, message.room_moved.token)
                events = self._model.joined(message.room_moved, now)
                if session is not None:
                    session.sid = self._model.own_sid
            case "leave":
                self._lose(loss_of_leave(message.leave, self.name))
        for event in events:
            self._emit(event)

    def _emit(self, event: RoomEvent) -> None:
        """Act on an event ourselves, then tell everybody."""
        match event:
            case TrackUnpublished():
                self._subscriber.ended(event.track.sid)
            case TrackMuted() | TrackUnmuted():
                self._subscriber.muted(event.track.sid, event.track.muted)
        self._feed.emit(event)

    def _subscription_failed(self, response: SubscriptionResponse) -> None:
        sid = response.track_sid
        codec = "unknown codec"
        if found := self._model.find_track(sid):
            codec = found[1].mime or codec
        match response.err:
            case SubscriptionError.SE_CODEC_UNSUPPORTED:
                error: EgressError = RoomConnectionFailed(
                    f"The server cannot send us track {sid}: its codec ({codec}) is none that both sides know",
                    remedy="Publish the track with VP8, VP9, H.264, AV1, Opus or G.711",
                    code=Code.INVALID_ARGUMENT,
                    fault=Fault.CALLER,
                    retryable=False,
                )
            case SubscriptionError.SE_TRACK_NOTFOUND:
                error = NotFound(f"Track {sid} is not published in room {self.name!r}", field="track_id")
            case _:
                error = RoomConnectionFailed(f"The server failed to send us track {sid}")
        final = not error.retryable
        if final:
            self._subscriber.failed(sid)
        self._emit(SubscriptionFailed(monotonic(), sid, error, final))

    def _permission_changed(self, update: SubscriptionPermissionUpdate) -> None:
        if update.allowed or update.track_sid not in self._subscriber.subscriptions:
            return
        error = RoomConnectionFailed(
            f"The publisher of track {update.track_sid} does not allow us to subscribe to it",
            remedy="Let the publisher allow the recorder's identity (setTrackSubscriptionPermissions)",
            code=Code.PERMISSION_DENIED,
            fault=Fault.CALLER,
            retryable=True,
        )
        self._emit(SubscriptionFailed(monotonic(), update.track_sid, error, False))

    def _media_changed(self, state: TransportState) -> None:
        if self._session is None or not self._media_came:
            return
        reason = ReconnectReason.RR_SUBSCRIBER_FAILED
        if state is TransportState.DISCONNECTED:
            self._lose(Loss("nothing comes on the media path any more", reason=reason))
        elif state is TransportState.FAILED:
            error = self._session.transport.error
            loss = Loss(error.message if error else "the media path failed", reason=reason, error=error)
            asyncio.get_running_loop().call_later(_FAREWELL, self._lose_media, self._session, loss)

    def _lose_media(self, session: MediaSession, loss: Loss) -> None:
        if session is self._session and session.transport.state is TransportState.FAILED:
            self._lose(loss)

    def _lose(self, loss: Loss) -> None:
        """Wake `_run`: the first cause counts, a final one most."""
        if not self._loss.done():
            self._loss.set_result(loss)

    # What goes out

    def _request(self, request: SignalRequest) -> None:
        """Send, or keep until signalling is back: what the server must come to know of our subscriptions."""
        if self.connected:
            self._send(request)
        else:
            self._kept.append(request)

    def _send(self, request: SignalRequest) -> None:
        if self._signal is not None:
            self._signal.send(request)

    def _spawn(self, work: Coroutine[Any, Any, Any], name: str) -> asyncio.Task[Any]:
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task
