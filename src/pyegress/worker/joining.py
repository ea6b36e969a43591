"""Joining the room of a recording: waits until it exists, and never brings back one that is gone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from pyegress.clock import wall
from pyegress.errors import Code, InvalidRequest, Unauthenticated
from pyegress.plan.copy_plan import Connection
from pyegress.room.directory import await_room, room_returns
from pyegress.room.options import RoomOptions, new_egress_id
from pyegress.room.room import Room
from pyegress.room.token import RecorderIdentity, TokenSource, token_claims
from pyegress.room.transport import DatagramSeam
from pyegress.worker.terms import Terms

T = TypeVar("T")


async def join_unless(
    stopped: Coroutine[Any, Any, T],
    terms: Terms,
    *,
    on_waiting: Callable[[str], None],
    seam: DatagramSeam | None = None,
) -> Room | T:
    """The room, joined; or what `stopped` gives, if that comes first. Raises EgressError."""
    joining = asyncio.create_task(join_room(terms, on_waiting=on_waiting, seam=seam), name="join room")
    stopping = asyncio.create_task(stopped, name="stop while joining")
    room: Room | None = None
    try:
        await asyncio.wait({joining, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if stopping.done():
            return stopping.result()
        room = joining.result()
        return room
    finally:
        stopping.cancel()
        joining.cancel()
        await asyncio.wait({stopping, joining})
        if room is None and not joining.cancelled() and joining.exception() is None:
            await joining.result().aclose()


async def join_room(terms: Terms, *, on_waiting: Callable[[str], None], seam: DatagramSeam | None = None) -> Room:
    """The room, joined. `on_waiting` is told what is waited for; `seam` impairs datagrams. Raises EgressError.

    With a token alone the server's rooms cannot be listed: then joining may create the room.
    """
    connection = terms.connection
    url, key, secret = connection.url, connection.api_key, connection.api_secret
    room: Room | None = None

    async def is_there(within: float) -> bool:
        assert room is not None
        return await room_returns(url, key, secret, room.name, room.sid, within=within)

    can_list = bool(secret) and not connection.token
    if can_list:
        await await_room(url, key, secret, connection.room, limit=terms.wait_room, on_waiting=on_waiting)
    room = await Room.connect(
        RoomOptions(
            url=url,
            room=connection.room,
            api_key=key,
            api_secret=secret,
            token=connection.token,
            identity=terms.identity or new_egress_id(),
            latency=terms.latency,
            reconnect_window=terms.reconnect_window,
            room_is_there=is_there if can_list else None,
            seam=seam,
        )
    )
    return room


def check_token(connection: Connection) -> None:
    """What a server would let us find out by waiting, or refuse. Raises EgressError."""
    token, room = connection.token, connection.room
    if not token:
        return
    TokenSource(RecorderIdentity(room, ""), token=token).current(wall())
    grants = token_claims(token).get("video") or {}
    named = grants.get("room", "")
    if room and named and room != named:
        raise InvalidRequest(
            f"The access token is for room {named!r}, not for {room!r}",
            field="token",
            remedy="Give a token for the room, or an API key and secret",
        )
    if grants.get("canSubscribe", True) is False:
        raise Unauthenticated(
            "The access token does not allow to subscribe to tracks",
            field="token",
            remedy="Give a token with the grants roomJoin and canSubscribe, or an API key and secret",
            code=Code.PERMISSION_DENIED,
        )
