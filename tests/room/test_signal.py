"""The signal connection against a WebSocket server in the process, which misbehaves on demand."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from aiohttp import WSMsgType, web
from livekit.protocol.rtc import (
    JoinResponse,
    LeaveRequest,
    Pong,
    SignalRequest,
    SignalResponse,
    UpdateSubscription,
)

from pyegress.errors import Code, InvalidRequest, RoomConnectionFailed, Unauthenticated
from pyegress.room.signal import Resume, SignalConnection, _bad_certificate
from pyegress.server.endpoint import Endpoint
from tests.support.waiting import eventually

pytestmark = pytest.mark.wire

TOKEN = "eyJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJBUEkifQ.8bn_-0aA"
JOIN = SignalResponse(join=JoinResponse(ping_interval=5, ping_timeout=15))

Handler = Callable[[web.WebSocketResponse], Awaitable[None]]


class Server:
    """Takes one kind of conversation; keeps the requests and the queries of connections."""

    def __init__(self, handler: Handler | None, refusal: tuple[int, str]) -> None:
        self.handler = handler
        self.refusal = refusal
        self.queries: list[dict[str, str]] = []
        self.authorizations: list[str] = []
        self.requests: list[SignalRequest] = []
        self.port = 0

    @property
    def endpoint(self) -> Endpoint:
        return Endpoint.parse(f"http://127.0.0.1:{self.port}")

    async def open(self, resume: Resume | None = None, timeout: float = 5.0) -> SignalConnection:
        return await SignalConnection.open(self.endpoint, TOKEN, room="stage", timeout=timeout, resume=resume)

    async def rtc(self, request: web.Request) -> web.StreamResponse:
        self.queries.append(dict(request.query))
        self.authorizations.append(request.headers["Authorization"])
        if self.handler is None:
            return web.Response(status=self.refusal[0])
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await self.handler(socket)
        async for message in socket:
            if message.type is WSMsgType.BINARY:
                self.requests.append(SignalRequest.FromString(message.data))
                ping = self.requests[-1].ping_req
                if ping.timestamp and self.refusal[1] != "deaf":
                    pong = Pong(last_ping_timestamp=ping.timestamp)
                    await socket.send_bytes(SignalResponse(pong_resp=pong).SerializeToString())
        return socket

    async def validate(self, request: web.Request) -> web.Response:
        return web.Response(status=self.refusal[0], text=self.refusal[1])


@asynccontextmanager
async def serving(handler: Handler | None, refusal: tuple[int, str] = (200, "success")) -> AsyncIterator[Server]:
    server = Server(handler, refusal)
    app = web.Application()
    app.router.add_get("/rtc", server.rtc)
    app.router.add_get("/rtc/validate", server.validate)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        server.port = runner.addresses[0][1]
        yield server
    finally:
        await runner.cleanup()


async def say_join(socket: web.WebSocketResponse) -> None:
    await socket.send_bytes(JOIN.SerializeToString())


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("ws://host:7880", "ws://host:7880/rtc?a=1"),
        ("http://host:7880/", "ws://host:7880/rtc?a=1"),
        ("https://host", "wss://host:443/rtc?a=1"),
        ("wss://host/prefix/rtc", "wss://host:443/prefix/rtc?a=1"),
        (" WSS://Host ", "wss://host:443/rtc?a=1"),
        ("ws://[::1]:7880", "ws://[::1]:7880/rtc?a=1"),
        ("ws://user:password@host:1", "ws://host:1/rtc?a=1"),
    ],
)
def test_addresses(url: str, expected: str) -> None:
    assert Endpoint.parse(url).url("/rtc", {"a": 1}) == expected


def test_the_server_api_is_at_the_same_place() -> None:
    assert Endpoint.parse("wss://host/x").url("/twirp/y", {}, http=True) == "https://host:443/x/twirp/y"
    assert str(Endpoint.parse("ws://host:7880")) == "host:7880"


@pytest.mark.parametrize("url", ["", "host:7880", "ftp://host", "ws://", "ws://host:port", "ws://host:99999"])
def test_what_is_no_address(url: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        Endpoint.parse(url)
    assert (caught.value.field, caught.value.code) == ("url", Code.INVALID_ARGUMENT)


async def test_joining_asks_for_no_tracks_and_keeps_the_token_out_of_the_url() -> None:
    async with serving(say_join) as server:
        signal = await server.open()
        assert (await signal.first_message(5)).join.ping_interval == 5
        await signal.aclose()
        (query,) = server.queries
        assert (query["auto_subscribe"], query["protocol"]) == ("0", "16")
        assert "reconnect" not in query
        assert TOKEN not in str(query)
        assert server.authorizations == [f"Bearer {TOKEN}"]


async def test_resuming_names_the_session() -> None:
    async with serving(say_join) as server:
        signal = await server.open(Resume("PA_1", reason=3))
        await signal.aclose()
        (query,) = server.queries
        assert (query["reconnect"], query["sid"], query["reconnect_reason"]) == ("1", "PA_1", "3")


async def test_requests_go_out_in_order_and_the_farewell_last() -> None:
    async with serving(say_join) as server:
        signal = await server.open()
        for number in range(20):
            signal.send(SignalRequest(subscription=UpdateSubscription(track_sids=[str(number)])))
        await signal.aclose(SignalRequest(leave=LeaveRequest()))
        signal.send(SignalRequest(leave=LeaveRequest()))
        await signal.aclose()
        await eventually(lambda: len(server.requests) >= 21, "all requests")
        sids = [request.subscription.track_sids[0] for request in server.requests[:20]]
        assert sids == [str(number) for number in range(20)]
        assert [request.WhichOneof("message") for request in server.requests[20:]] == ["leave"]


async def test_pings_measure_the_round_trip() -> None:
    async with serving(say_join) as server:
        signal = await server.open()
        await signal.first_message(5)
        receiving = asyncio.create_task(signal.receive())
        signal.start_pings(0.02, 5.0)
        signal.start_pings(0.02, 5.0)
        await eventually(lambda: len(server.requests) >= 3, "pings")
        await eventually(lambda: signal.rtt is not None, "a round-trip time")
        assert signal.rtt is not None
        assert 0 <= signal.rtt < 5
        assert server.requests[-1].ping_req.timestamp > 0
        await signal.aclose()
        assert await receiving is None


async def test_a_server_that_does_not_answer_pings_is_lost() -> None:
    async with serving(say_join, (200, "deaf")) as server:
        signal = await server.open()
        await signal.first_message(5)
        signal.start_pings(0.05, 0.2)
        async with asyncio.timeout(10):
            assert await signal.receive() is None
        assert "silent for 0.2 s" in signal.lost
        await signal.aclose()


async def test_a_closed_connection_says_so() -> None:
    async def hang_up(socket: web.WebSocketResponse) -> None:
        await say_join(socket)
        await socket.close()

    async with serving(hang_up) as server:
        signal = await server.open()
        await signal.first_message(5)
        assert await signal.receive() is None
        assert "closed the signal connection" in signal.lost
        signal.send(SignalRequest(leave=LeaveRequest()))
        await signal.aclose()


async def test_messages_that_cannot_be_read_are_passed_over() -> None:
    async def babble(socket: web.WebSocketResponse) -> None:
        await socket.send_bytes(b"\xff\xff\xff")
        await socket.send_str("{}")
        await say_join(socket)

    async with serving(babble) as server:
        signal = await server.open()
        assert (await signal.first_message(5)).WhichOneof("message") == "join"
        await signal.aclose()


async def test_a_server_that_says_nothing_is_given_up() -> None:
    async def nothing(socket: web.WebSocketResponse) -> None: ...

    async with serving(nothing) as server:
        signal = await server.open()
        with pytest.raises(RoomConnectionFailed, match="no answer to our request to join"):
            await signal.first_message(0.1)
        await signal.aclose()


async def test_a_refusal_is_explained_by_the_validation_page_without_tokens() -> None:
    text = f"invalid token: {TOKEN}, error: signature is invalid"
    async with serving(None, (401, text)) as server:
        with pytest.raises(Unauthenticated) as caught:
            await server.open()
    assert "signature is invalid" in caught.value.message
    assert f"127.0.0.1:{server.port}" in caught.value.message
    # Nothing that a traceback prints may hold our headers.
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    assert "eyJ" not in str(caught.value)


async def test_html_is_no_explanation() -> None:
    async with serving(None, (404, "<HTML>not here</HTML>")) as server:
        with pytest.raises(RoomConnectionFailed, match="does not answer as livekit-server does") as caught:
            await server.open()
    assert "<" not in caught.value.message


async def test_a_port_that_does_not_speak_http() -> None:
    async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-nothing\r\n")
        writer.close()

    tcp = await asyncio.start_server(babble, "127.0.0.1", 0)
    async with tcp:
        port = tcp.sockets[0].getsockname()[1]
        with pytest.raises(RoomConnectionFailed, match=f"127.0.0.1:{port} cannot be reached"):
            await SignalConnection.open(Endpoint.parse(f"ws://127.0.0.1:{port}"), TOKEN, room="r", timeout=5)


async def test_tls_towards_a_plain_port() -> None:
    async with serving(say_join) as server:
        endpoint = Endpoint.parse(f"wss://127.0.0.1:{server.port}")
        with pytest.raises(RoomConnectionFailed) as caught:
            await SignalConnection.open(endpoint, TOKEN, room="r", timeout=5)
    assert f"127.0.0.1:{server.port}" in caught.value.message


def test_a_certificate_that_is_not_trusted_is_no_matter_of_trying_again() -> None:
    cause = ssl.SSLCertVerificationError(1, "certificate verify failed")
    cause.verify_message = "self-signed certificate"
    error = _bad_certificate(Endpoint.parse("wss://host"), cause)
    assert error.message == "The TLS certificate of host:443 is not trusted: self-signed certificate"
    assert not error.retryable
