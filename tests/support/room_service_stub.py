"""The two methods of livekit-server's RoomService that the service asks for, for tests without livekit-server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web
from livekit.api import TokenVerifier
from livekit.protocol.models import ParticipantInfo, Room
from livekit.protocol.room import ListRoomsRequest, ListRoomsResponse, UpdateParticipantRequest


@dataclass(slots=True)
class Rooms:
    """Rooms by name with their ids, who is in them, and the metadata that participants were given."""

    url: str = ""
    ids: dict[str, str] = field(default_factory=lambda: {"room": "RM_room"})
    inside: set[tuple[str, str]] = field(default_factory=set)
    metadata: dict[tuple[str, str], str] = field(default_factory=dict)
    broken: bool = False
    hold: asyncio.Event | None = None


@asynccontextmanager
async def room_service(key: str, secret: str) -> AsyncIterator[Rooms]:
    """A RoomService that knows one API key."""
    rooms = Rooms()
    verifier = TokenVerifier(key, secret)

    async def answer(request: web.Request) -> web.Response:
        if rooms.hold is not None:
            await rooms.hold.wait()
        if rooms.broken:
            return web.Response(status=500, text="<html>nothing</html>")
        video = verifier.verify(request.headers["Authorization"].removeprefix("Bearer ")).video
        assert video is not None
        body = await request.read()
        if request.match_info["method"] == "ListRooms":
            assert video.room_list
            names = ListRoomsRequest.FromString(body).names
            found = [Room(name=name, sid=sid) for name, sid in rooms.ids.items() if name in names]
            return web.Response(body=ListRoomsResponse(rooms=found).SerializeToString())
        asked = UpdateParticipantRequest.FromString(body)
        assert video.room_admin
        assert video.room == asked.room
        if (asked.room, asked.identity) not in rooms.inside:
            return web.json_response({"code": "not_found", "msg": "participant does not exist"}, status=404)
        rooms.metadata[asked.room, asked.identity] = asked.metadata
        return web.Response(body=ParticipantInfo(identity=asked.identity).SerializeToString())

    application = web.Application()
    application.router.add_post("/twirp/livekit.RoomService/{method}", answer)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        rooms.url = f"ws://127.0.0.1:{runner.addresses[0][1]}"
        yield rooms
    finally:
        if rooms.hold is not None:
            rooms.hold.set()
        await runner.cleanup()
