"""A LiveKit room as a recorder sees it: joins hidden, tells what happens, receives tracks, and comes back when lost."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Any, Self

from livekit.protocol.models import DisconnectReason, ServerInfo
from livekit.protocol.rtc import (
    JoinResponse,
    LeaveRequest,
    SignalRequest,
    SignalResponse,
    SubscriptionPermissionUpdate,
    SubscriptionResponse,
)

from pyegress.clock import monotonic
from pyegress.errors import EgressError, InvalidRequest, NotFound, RoomConnectionFailed
from pyegress.room.connection import RoomConnection
from pyegress.room.diagnosis import IceDiagnosis
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
from pyegress.room.failures import not_permitted, subscription_error
from pyegress.room.feed import EventFeed, EventStream
from pyegress.room.model import RoomModel
from pyegress.room.options import RoomOptions
from pyegress.room.recovery import Loss
from pyegress.room.subscriber import MediaPath, Subscriber
from pyegress.room.subscription import Subscription
from pyegress.room.transport import TransportState

log = logging.getLogger(__name__)


class Room:
    """Made by `connect`, ended by `aclose` or when the server ends it (`Disconnected` is its last event).

    Subscriptions last over reconnects, as long as their tracks are published.
    """

    def __init__(self, options: RoomOptions) -> None:
        self._options = options
        self._model = RoomModel()
        self._model.name = options.room_name
        self._feed = EventFeed()
        path = MediaPath()
        self._subscriber = Subscriber(latency=options.latency, path=path, request=self._request)
        self._connection = RoomConnection(options, subscriber=self._subscriber, path=path, user=self)
        self._stop: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._main: asyncio.Task[None] | None = None
        #: What the server tells of itself (`ServerInfo`).
        self.server_info = ServerInfo()

    @classmethod
    async def connect(cls, options: RoomOptions) -> Self:
        """Join. Returns when participants are known; media comes up behind it.

        Raises EgressError: InvalidRequest for bad options, Unauthenticated, NotFound, RoomConnectionFailed.
        """
        room = cls(options)
        try:
            await room._connection.join(options.connect_timeout)
        except BaseException:
            room._subscriber.close()
            await room._connection.aclose()
            raise
        room._main = asyncio.create_task(room._live(), name=f"room {room.name}")
        return room

    def __repr__(self) -> str:
        where = f"{self.name!r} at {self._connection.endpoint}"
        return f"Room({where} as {self.identity!r}, media {self.media_state.value})"

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
        return self._connection.connected

    @property
    def media_state(self) -> TransportState:
        """How the media transport of the current session is; FAILED with `media_error`."""
        return self._connection.media_state

    @property
    def media_error(self) -> EgressError | None:
        """Why media cannot flow (for instance UDP blocked), None while it may."""
        session = self._connection.session
        return session.transport.error if session is not None else None

    @property
    def media_diagnosis(self) -> IceDiagnosis | None:
        """What ICE tried for the current session, and the path that it selected."""
        session = self._connection.session
        return session.transport.diagnosis if session is not None else None

    @property
    def media_rtt(self) -> float | None:
        """Round-trip time of the media path in seconds."""
        session = self._connection.session
        return session.transport.rtt if session is not None else None

    @property
    def signal_rtt(self) -> float | None:
        """Round-trip time of signalling in seconds."""
        signal = self._connection.signal
        return signal.rtt if signal is not None else None

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
        if self._connection.session is None:
            raise RoomConnectionFailed("The room is not connected", retryable=False)
        await self._connection.session.wait_connected(timeout)

    async def aclose(self, reason: str = "client_initiated") -> None:
        """Leave. Ends all sinks and events and closes everything, in about 4 s at most; may be called again."""
        if not self._stop.done():
            self._stop.set_result(reason)
        if self._main is not None:
            await asyncio.wait({self._main})

    async def _live(self) -> None:
        """Owns everything until the end, however it comes."""
        run = asyncio.create_task(self._connection.run(), name="room connection")
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
            log.exception("room %s: the connection failed by itself", self.name)
            failure = EgressError(f"The room client failed: {type(error).__name__}", remedy="Please report it")
            end = Loss("internal error", final="unknown_reason", error=failure)
        finally:
            if not self._stop.done():
                self._stop.set_result(end.final)
            run.cancel()
            self._subscriber.close()
            try:
                await asyncio.wait({run})
                await self._connection.aclose(farewell)
            finally:
                self._emit(Disconnected(monotonic(), end.final, end.error))
                self._feed.end()

    # What RoomConnection tells (ConnectionUser)

    def joined(self, join: JoinResponse) -> None:
        """Take the picture of the room that a new session begins with."""
        self.server_info = join.server_info
        for event in self._model.joined(join, monotonic()):
            self._emit(event)
        self._subscriber.attach(self._model.find_track)

    def received(self, message: SignalResponse) -> None:
        """Turn a signal message into events."""
        now = monotonic()
        events: list[RoomEvent] = []
        match message.WhichOneof("message"):
            case "update":
                events = self._model.participants_updated(message.update.participants, now)
            case "room_update":
                events = self._model.room_updated(message.room_update.room, now)
            case "speakers_changed":
                events = self._model.speakers_changed(message.speakers_changed, now)
            case "subscription_response":
                self._subscription_failed(message.subscription_response)
            case "subscription_permission_update":
                self._permission_changed(message.subscription_permission_update)
            case "room_moved":
                moved = message.room_moved
                events = self._model.joined(moved, now)
                self._connection.moved(moved.room.name, moved.participant.sid, moved.token)
        for event in events:
            self._emit(event)

    def reconnecting(self, full: bool, cause: str) -> None:
        self._emit(Reconnecting(monotonic(), full, cause))

    def reconnected(self, full: bool, gap: float) -> None:
        self._emit(Reconnected(monotonic(), full, gap))

    # Inside

    def _emit(self, event: RoomEvent) -> None:
        """Act on an event ourselves, then tell everybody."""
        match event:
            case TrackUnpublished():
                self._subscriber.ended(event.track.sid)
            case TrackMuted() | TrackUnmuted():
                self._subscriber.muted(event.track.sid, event.track.muted)
        self._feed.emit(event)

    def _subscription_failed(self, response: SubscriptionResponse) -> None:
        found = self._model.find_track(response.track_sid)
        error = subscription_error(response, found[1].mime if found else "", self.name)
        final = not error.retryable
        if final:
            self._subscriber.failed(response.track_sid)
        self._emit(SubscriptionFailed(monotonic(), response.track_sid, error, final))

    def _permission_changed(self, update: SubscriptionPermissionUpdate) -> None:
        if not update.allowed and update.track_sid in self.subscriptions:
            self._emit(SubscriptionFailed(monotonic(), update.track_sid, not_permitted(update.track_sid), False))

    def _request(self, request: SignalRequest) -> None:
        self._connection.request(request)
