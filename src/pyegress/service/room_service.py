"""What the service asks livekit-server: which room a name means, and to hand an egress its new layout."""

from __future__ import annotations

import json

from livekit.protocol.models import ParticipantInfo
from livekit.protocol.room import ListRoomsRequest, ListRoomsResponse, UpdateParticipantRequest

from pyegress.errors import Code, EgressError, NotFound, Unauthenticated
from pyegress.server.twirp import TIMEOUT, ServerAccess, TwirpClient


class RoomService:
    """The `RoomService` of livekit-server (Twirp). Every call raises EgressError with its cause."""

    def __init__(self, access: ServerAccess, *, timeout: float = TIMEOUT) -> None:
        self._client = TwirpClient(access, timeout=timeout)

    async def room_id(self, name: str) -> str:
        """The id (`RM_…`) of the room with this name. Raises NotFound."""
        request = ListRoomsRequest(names=[name])
        try:
            answer = await self._client.call("livekit.RoomService/ListRooms", _LIST, request, ListRoomsResponse)
        except EgressError as error:
            raise self._ours(error) from None
        for room in answer.rooms:
            if room.name == name:
                return room.sid
        raise NotFound(
            f"requested room does not exist: {name!r} at {self._client.shown}",
            field="room_name",
            remedy="Check its name, or start the egress when the room has begun",
        )

    async def update_layout(self, room: str, identity: str, layout: str) -> None:
        """Hand a layout to the participant that records: its metadata becomes `{"layout": …}`. Raises NotFound."""
        metadata = json.dumps({"layout": layout}, separators=(",", ":"), ensure_ascii=False)
        request = UpdateParticipantRequest(room=room, identity=identity, metadata=metadata)
        grants: dict[str, bool | str] = {"roomAdmin": True, "room": room}
        try:
            await self._client.call("livekit.RoomService/UpdateParticipant", grants, request, ParticipantInfo)
        except NotFound as error:
            raise NotFound(
                error.message, remedy="It may have joined too shortly ago, or have left: see ListEgress"
            ) from None
        except EgressError as error:
            raise self._ours(error) from None

    def _ours(self, error: EgressError) -> EgressError:
        """Whoever asks us cannot help it when livekit-server refuses us."""
        if isinstance(error, Unauthenticated):
            return EgressError(
                error.message,
                field="api_key",
                code=Code.INTERNAL,
                remedy="Give this service an API key and secret of that server, and compare the clocks of both",
            )
        return error if error.code is Code.UNAVAILABLE else self._client.unreachable(error.message)

    async def aclose(self) -> None:
        """Close the connections. May be called twice."""
        await self._client.aclose()


_LIST: dict[str, bool | str] = {"roomList": True}
