"""Which rooms a server has: a look before joining, because joining a room that is not there would create it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from google.protobuf.message import Message
from livekit.protocol.room import (
    ListParticipantsRequest,
    ListParticipantsResponse,
    ListRoomsRequest,
    ListRoomsResponse,
)

from pyegress.clock import monotonic
from pyegress.errors import EgressError, NotFound
from pyegress.server.endpoint import Endpoint
from pyegress.server.twirp import ServerAccess, TwirpClient

#: Seconds between looks at the server while a room is waited for, and while it is missed.
INTERVAL, MISSING_INTERVAL = 1.0, 0.25
_NAMED = 8

_Answer = TypeVar("_Answer", bound=Message)


@dataclass(frozen=True, slots=True)
class ListedRoom:
    """A room of the server. (How many are in it, the server lists up to ten seconds late.)"""

    name: str
    sid: str


async def list_rooms(url: str, api_key: str, api_secret: str) -> list[ListedRoom]:
    """All rooms of the server by name (`RoomService.ListRooms`). Raises an EgressError."""
    access = ServerAccess(url, api_key, api_secret)
    rooms = (await _ask(access, "ListRooms", {"roomList": True}, ListRoomsRequest(), ListRoomsResponse)).rooms
    return sorted((ListedRoom(room.name, room.sid) for room in rooms), key=lambda room: room.name)


async def list_visible(url: str, api_key: str, api_secret: str, room: str) -> list[str]:
    """Who is in a room and not hidden, by identity (`RoomService.ListParticipants`). Raises an EgressError."""
    access = ServerAccess(url, api_key, api_secret)
    grants: dict[str, bool | str] = {"roomAdmin": True, "room": room}
    request = ListParticipantsRequest(room=room)
    listed = await _ask(access, "ListParticipants", grants, request, ListParticipantsResponse)
    return [participant.identity for participant in listed.participants if not participant.permission.hidden]


async def _ask(
    access: ServerAccess, method: str, grants: Mapping[str, bool | str], request: Message, answer: type[_Answer]
) -> _Answer:
    """One request of the room service. Raises an EgressError."""
    client = TwirpClient(access)
    try:
        return await client.call(f"livekit.RoomService/{method}", grants, request, answer)
    finally:
        await client.aclose()


async def await_room(
    url: str, api_key: str, api_secret: str, room: str, *, limit: float | None, on_waiting: Callable[[str], None]
) -> None:
    """Return once the room exists. NotFound, naming those that do, after `limit` seconds (None: no limit)."""
    begun = monotonic()
    while True:
        rooms = [listed.name for listed in await list_rooms(url, api_key, api_secret)]
        if room in rooms:
            return
        if limit is not None and monotonic() - begun >= limit:
            raise no_such_room(Endpoint.parse(url), room, rooms, limit)
        on_waiting(f"room {room!r} (the server has {_named(rooms)})")
        await asyncio.sleep(min(INTERVAL, limit or INTERVAL))


async def room_returns(url: str, api_key: str, api_secret: str, room: str, sid: str, *, within: float) -> bool:
    """Whether the room `sid` is there, or somebody is in its successor within so many seconds. Raises an EgressError.

    An empty successor counts for nothing: livekit-server makes one for who tries to resume a session of a closed room.
    """
    begun = monotonic()
    while True:
        for listed in await list_rooms(url, api_key, api_secret):
            if listed.name == room and (listed.sid == sid or await list_visible(url, api_key, api_secret, room)):
                return True
        if monotonic() - begun >= within:
            return False
        await asyncio.sleep(MISSING_INTERVAL)


def no_such_room(endpoint: Endpoint, room: str, rooms: list[str], limit: float) -> EgressError:
    """The error of a room that did not appear."""
    return NotFound(
        f"Room {room!r} does not exist at {endpoint} (waited {limit:g} s); the server has {_named(rooms)}",
        field="room_name",
        remedy="Check the room's name, or start recording when somebody has joined; --wait sets how long to wait",
    )


def _named(rooms: list[str]) -> str:
    if not rooms:
        return "no rooms"
    named = ", ".join(repr(name) for name in rooms[:_NAMED])
    return f"rooms {named}" + (f" and {len(rooms) - _NAMED} more" if len(rooms) > _NAMED else "")
