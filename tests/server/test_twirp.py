"""Calls against a web server in the process, which answers whatever it is told."""

from __future__ import annotations

import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from aiohttp import web
from livekit.protocol.room import ListRoomsRequest, ListRoomsResponse

from pyegress.demo.server import free_port
from pyegress.errors import Code, EgressError, Fault, InvalidRequest, NotFound, Unauthenticated
from pyegress.server.twirp import ServerAccess, TwirpClient

pytestmark = pytest.mark.wire

SECRET = "a secret that nobody may see, long enough"


@dataclass(slots=True)
class Answering:
    """What is answered, and what was asked: path and content type."""

    status: int = 200
    body: bytes = b""
    port: int = 0
    asked: list[tuple[str, str]] = field(default_factory=list)

    async def call(self) -> ListRoomsResponse:
        client = TwirpClient(ServerAccess(f"ws://127.0.0.1:{self.port}/below/", "key", SECRET), timeout=5.0)
        try:
            method = "livekit.RoomService/ListRooms"
            return await client.call(method, {"roomList": True}, ListRoomsRequest(), ListRoomsResponse)
        finally:
            await client.aclose()

    async def refused(self) -> EgressError:
        with pytest.raises(EgressError) as caught:
            await self.call()
        assert SECRET not in str(caught.value)
        return caught.value


@asynccontextmanager
async def answering(status: int = 200, body: bytes = b"") -> AsyncIterator[Answering]:
    server = Answering(status, body)

    async def answer(request: web.Request) -> web.Response:
        server.asked.append((request.path, request.content_type))
        return web.Response(status=server.status, body=server.body)

    application = web.Application()
    application.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        server.port = runner.addresses[0][1]
        yield server
    finally:
        await runner.cleanup()


async def test_an_answer() -> None:
    body = ListRoomsResponse()
    body.rooms.add(name="standup")
    async with answering(body=body.SerializeToString()) as server:
        assert [room.name for room in (await server.call()).rooms] == ["standup"]
        assert server.asked == [("/below/twirp/livekit.RoomService/ListRooms", "application/protobuf")]


@pytest.mark.parametrize(
    ("status", "body", "kind", "said"),
    [
        (401, b"invalid token: eyJhbGciOi", Unauthenticated, "refused our access token, which is of API key 'key'"),
        (404, json.dumps({"code": "not_found", "msg": "no such room"}).encode(), NotFound, "no such room"),
        (500, json.dumps({"code": "internal", "msg": "no redis"}).encode(), EgressError, "no redis"),
        (404, b"<html>", EgressError, "does not answer as livekit-server does (HTTP 404)"),
        (200, b"\xff\xff", EgressError, "does not answer as livekit-server does (HTTP 200)"),
    ],
)
async def test_refusals(status: int, body: bytes, kind: type[EgressError], said: str) -> None:
    async with answering(status, body) as server:
        error = await server.refused()
    assert type(error) is kind
    assert said in error.message
    assert "eyJ" not in str(error)
    assert (error.fault is Fault.SERVER) is (kind is EgressError)


async def test_nobody_is_there() -> None:
    error = await Answering(port=free_port(socket.SOCK_STREAM)).refused()
    assert "cannot be reached: Connection refused" in error.message
    assert (error.code, error.fault, error.retryable, error.field) == (Code.UNAVAILABLE, Fault.SERVER, True, "url")


@pytest.mark.parametrize("url", ["", "localhost:7880", "ftp://h", "ws://", "ws://h:port"])
def test_a_url_that_is_none(url: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        TwirpClient(ServerAccess(url, "key", SECRET))
    assert caught.value.field == "url"
