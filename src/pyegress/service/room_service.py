"""What the service asks livekit-server: which room a name means, and to hand an egress its new layout."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import TypeVar
from urllib.parse import urlsplit

import aiohttp
from google.protobuf.message import DecodeError, Message
from livekit.protocol.models import ParticipantInfo
from livekit.protocol.room import ListRoomsRequest, ListRoomsResponse, UpdateParticipantRequest

from pyegress.clock import wall
from pyegress.errors import Code, EgressError, Fault, InvalidRequest, NotFound
from pyegress.service.tokens import signed_token

#: Seconds for one answer.
TIMEOUT = 10.0
_SCHEMES = {"ws": "http", "wss": "https", "http": "http", "https": "https"}

_Answer = TypeVar("_Answer", bound=Message)


@dataclass(frozen=True, slots=True)
class ServerAccess:
    """Where livekit-server is, and the API key that it knows us by."""

    url: str
    api_key: str
    api_secret: str = field(repr=False)


class RoomService:
    """The `RoomService` of livekit-server (Twirp). Every call raises EgressError with its cause."""

    def __init__(self, access: ServerAccess, *, timeout: float = TIMEOUT) -> None:
        parts = urlsplit(access.url)
        if parts.scheme not in _SCHEMES or not parts.hostname:
            raise InvalidRequest(
                "The URL of livekit-server has no scheme or no host", field="ws_url", remedy="Use ws://HOST:PORT"
            )
        authority = parts.netloc.rpartition("@")[2]
        self._base = f"{_SCHEMES[parts.scheme]}://{authority}{parts.path.rstrip('/')}/twirp/livekit.RoomService/"
        self._shown = f"{parts.scheme}://{authority}"
        self._access = access
        self._timeout = timeout
        self._session: aiohttp.ClientSession | None = None

    async def room_id(self, name: str) -> str:
        """The id (`RM_…`) of the room with this name. Raises NotFound."""
        answer = await self._ask("ListRooms", {"roomList": True}, ListRoomsRequest(names=[name]), ListRoomsResponse)
        for room in answer.rooms:
            if room.name == name:
                return room.sid
        raise NotFound(
            f"requested room does not exist: {name!r} at {self._shown}",
            field="room_name",
            remedy="Check its name, or start the egress when the room has begun",
        )

    async def update_layout(self, room: str, identity: str, layout: str) -> None:
        """Hand a layout to the participant that records: its metadata becomes `{"layout": …}`. Raises NotFound."""
        metadata = json.dumps({"layout": layout}, separators=(",", ":"), ensure_ascii=False)
        request = UpdateParticipantRequest(room=room, identity=identity, metadata=metadata)
        await self._ask("UpdateParticipant", {"roomAdmin": True, "room": room}, request, ParticipantInfo)

    async def _ask(
        self, method: str, grants: dict[str, bool | str], request: Message, answer: type[_Answer]
    ) -> _Answer:
        access = self._access
        token = signed_token(access.api_key, access.api_secret, {"video": grants}, now=wall())
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/protobuf"}
        data = request.SerializeToString()
        try:
            async with (
                asyncio.timeout(self._timeout),
                self._client().post(self._base + method, data=data, headers=headers) as response,
            ):
                status, body = response.status, await response.read()
        except TimeoutError:
            raise self._unreachable(f"no answer in {self._timeout:g} s") from None
        except (aiohttp.ClientError, OSError) as error:
            raise self._unreachable(str(error) or type(error).__name__) from None
        if status != 200:
            raise self._refused(status, body)
        try:
            return answer.FromString(body)
        except DecodeError:
            raise self._unreachable("its answer is none of LiveKit's") from None

    def _unreachable(self, cause: str) -> EgressError:
        return EgressError(
            f"livekit-server at {self._shown} cannot be asked: {cause}",
            field="ws_url",
            code=Code.UNAVAILABLE,
            fault=Fault.SERVER,
            retryable=True,
            remedy="Check that it runs and that ws_url leads to it",
        )

    def _refused(self, status: int, body: bytes) -> EgressError:
        try:
            told = json.loads(body)
            code, message = str(told["code"]), str(told["msg"])
        except (ValueError, KeyError, TypeError):
            # Texts of refused tokens repeat the token.
            code, message = "", ""
        if status == 401:
            return EgressError(
                f"livekit-server at {self._shown} refuses our API key {self._access.api_key!r}",
                field="api_key",
                code=Code.INTERNAL,
                remedy="Give this service an API key and secret of that server, and compare the clocks of both",
            )
        if code == Code.NOT_FOUND.wire:
            return NotFound(message, remedy="It may have joined too shortly ago, or have left: see ListEgress")
        return self._unreachable(f"HTTP status {status}{': ' + message if message else ''}")

    def _client(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar())
        return self._session

    async def aclose(self) -> None:
        """Close the connections. May be called twice."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()
