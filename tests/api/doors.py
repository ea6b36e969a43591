"""An open HTTP door with a simulated service behind it, and a stand-in for livekit-server beside it."""

from __future__ import annotations

import io
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from livekit import api
from livekit.protocol import egress as pb

from pyegress.api.twirp import TwirpDoor
from pyegress.api.twirp_settings import TwirpSettings
from pyegress.clock import monotonic
from pyegress.server.twirp import ServerAccess
from tests.support.room_service_stub import Rooms, room_service
from tests.support.simulated_service import SimulatedService

KEY, SECRET = "key", "k" * 32
KEYS = {KEY: SECRET, "other": "o" * 32}
DEADLINE = 20.0
SECRETS = ("AKIA-secret", "s3-secret", *KEYS.values())


def token(key: str = KEY, **grants: Any) -> str:
    """A token for the Egress API."""
    return api.AccessToken(key, KEYS[key]).with_grants(api.VideoGrants(**(grants or {"room_record": True}))).to_jwt()


@dataclass(slots=True)
class Answer:
    status: int
    body: bytes
    content_type: str

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(slots=True)
class Opened:
    """What a test drives."""

    door: TwirpDoor
    service: SimulatedService
    rooms: Rooms
    lk: api.LiveKitAPI
    http: aiohttp.ClientSession

    async def listed(self, enough: Callable[[list[pb.EgressInfo]], bool], what: str) -> list[pb.EgressInfo]:
        """All egresses, once there are `enough`: asks again and again."""
        deadline = monotonic() + DEADLINE
        while not enough(items := list((await self.lk.egress.list_egress(pb.ListEgressRequest())).items)):
            assert monotonic() < deadline, f"waited for {what}: {items}"
        return items

    async def post(
        self,
        method: str,
        data: bytes | str | io.BytesIO = b"{}",
        *,
        content_type: str = "application/json",
        key: str = KEY,
        headers: dict[str, str] | None = None,
        prefix: str = "/twirp/livekit.Egress/",
    ) -> Answer:
        sent = {"Authorization": f"Bearer {token(key)}", "Content-Type": content_type} | (headers or {})
        sent = {name: value for name, value in sent.items() if value}
        async with self.http.post(self.door.url + prefix + method, data=data, headers=sent) as response:
            return Answer(response.status, await response.read(), response.content_type)


@asynccontextmanager
async def opened(
    directory: Path, service: SimulatedService | None = None, rooms: Rooms | None = None, **settings: Any
) -> AsyncIterator[Opened]:
    """A door on a free port; its database is in `directory`."""
    async with room_service(KEY, SECRET) as stub:
        access = ServerAccess((rooms or stub).url, KEY, SECRET)
        service = service or SimulatedService()
        arguments: dict[str, Any] = {"database": directory / "egress.db", "port": 0, "keys": KEYS} | settings
        door = TwirpDoor(service, TwirpSettings(access, **arguments))
        await door.open()
        try:
            async with (
                api.LiveKitAPI(door.url, KEY, SECRET, timeout=aiohttp.ClientTimeout(total=30)) as lk,
                aiohttp.ClientSession() as http,
            ):
                yield Opened(door, service, rooms or stub, lk, http)
        finally:
            await door.aclose()


def composite(room: str = "room", **fields: Any) -> pb.RoomCompositeEgressRequest:
    """A request with secrets in it."""
    output = pb.EncodedFileOutput(filepath="{room_name}.mp4")
    output.s3.CopyFrom(pb.S3Upload(access_key="AKIA-secret", secret="s3-secret", bucket="b"))
    return pb.RoomCompositeEgressRequest(room_name=room, file_outputs=[output], **fields)
