"""Calls from our client to our server through a real Redis."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator

import pytest
from google.protobuf.message import DecodeError

from pyegress.api.psrpc import definitions, wire
from pyegress.api.psrpc.bus import RedisBus
from pyegress.api.psrpc.channels import Method, bids, new_id, responses
from pyegress.api.psrpc.claims import SelectionTerms
from pyegress.api.psrpc.failures import CallFailed
from pyegress.api.psrpc.rpc_client import RpcClient
from pyegress.api.psrpc.rpc_server import Bid, Call, RpcServer
from pyegress.clock import Monotonic, monotonic, wall
from pyegress.errors import Code, NotFound
from pyegress.service.rpc_figures import Role
from tests.support.waiting import eventually

pytestmark = pytest.mark.system


@pytest.fixture
async def client(bus: RedisBus) -> AsyncIterator[RpcClient]:
    client = RpcClient(bus, "Test")
    await client.open()
    yield client
    await client.aclose()


@pytest.fixture
async def servers(bus: RedisBus) -> AsyncIterator[list[RpcServer]]:
    """Two of different nodes."""
    other = RedisBus(bus.options)
    await other.open()
    servers = [RpcServer(bus), RpcServer(other)]
    yield servers
    for server in servers:
        await server.aclose()
    await other.aclose()


def method(name: str, *, claimed: bool = True, queue: bool = False, multi: bool = False) -> Method:
    return Method("Test", f"{name}_{new_id('')}", claimed=claimed, queue=queue, multi=multi)


async def echo(call: Call) -> bytes:
    return call.body[::-1]


async def test_a_call_is_answered(bus: RedisBus, client: RpcClient, servers: list[RpcServer]) -> None:
    """And counted on both sides, which share a bus here."""
    name = method("Echo", queue=True)
    await servers[0].register(name, "EG_a", echo)
    assert await client.call(name, b"abc", topic="EG_a", timeout=5.0) == b"cba"
    await servers[0].deregister((name, "EG_a"))
    with pytest.raises(CallFailed, match="nobody listens") as raised:
        await client.call(name, b"abc", topic="EG_a", timeout=5.0)
    assert raised.value.code is Code.UNAVAILABLE
    assert raised.value.retryable
    figures = bus.figures
    asked, answered = name.called(Role.CLIENT), name.called(Role.SERVER)
    assert (figures.received[name.service, name.name], figures.expired[name.service, name.name]) == (1, 0)
    assert [figures.times[called].cumulative[-1] for called in (asked, answered)] == [("+Inf", 1.0)] * 2
    assert figures.errors == {(asked, "unavailable"): 1}


@pytest.mark.parametrize("error", [NotFound("EG_x is not here"), DecodeError("cut"), ValueError("secret detail")])
async def test_errors_reach_the_caller(client: RpcClient, servers: list[RpcServer], error: Exception) -> None:
    async def fail(call: Call) -> bytes:
        raise error

    name = method("Fail")
    await servers[0].register(name, "", fail)
    with pytest.raises(CallFailed) as raised:
        await client.call(name, b"", timeout=5.0)
    expected = {NotFound: "not_found", DecodeError: "malformed_request", ValueError: "internal"}[type(error)]
    assert raised.value.wire_code == expected
    assert "secret detail" not in str(raised.value)


async def test_requests_that_cannot_be_decoded_are_answered_without_a_claim(
    client: RpcClient, servers: list[RpcServer]
) -> None:
    def consider(body: bytes) -> Bid | None:
        raise DecodeError("cut")

    name = method("Decode")
    await servers[0].register(name, "", echo, consider)
    with pytest.raises(CallFailed) as raised:
        await client.call(name, b"", timeout=5.0)
    assert raised.value.wire_code == "malformed_request"


async def test_a_silent_server_is_not_waited_for(client: RpcClient, servers: list[RpcServer]) -> None:
    name = method("Silent")
    await servers[0].register(name, "", echo, lambda body: None)
    with pytest.raises(CallFailed, match="0 bids") as raised:
        await client.call(name, b"", timeout=5.0, terms=SelectionTerms(window=0.1, any_bid=True))
    assert raised.value.code is Code.UNAVAILABLE


async def test_no_response_in_time(client: RpcClient, servers: list[RpcServer]) -> None:
    async def never(call: Call) -> bytes:
        await asyncio.Event().wait()
        return b""

    name = method("Never")
    await servers[0].register(name, "", never)
    with pytest.raises(CallFailed) as raised:
        await client.call(name, b"", timeout=0.3)
    assert raised.value.code is Code.DEADLINE_EXCEEDED
    await servers[0].aclose(patience=0.0)


async def test_a_slow_bid_loses(client: RpcClient, servers: list[RpcServer]) -> None:
    name = method("Load")
    for number, (server, delay) in enumerate(zip(servers, (0.2, 0.0), strict=True)):

        async def answer(call: Call, number: int = number) -> bytes:
            return b"%d" % number

        await server.register(name, "", answer, lambda body, delay=delay: Bid(delay))  # type: ignore[misc]
    assert [await client.call(name, b"", timeout=5.0) for _ in range(5)] == [b"1"] * 5


async def test_a_server_that_fills_up_while_it_waits_does_not_bid(client: RpcClient, servers: list[RpcServer]) -> None:
    full: list[bytes] = []

    def consider(body: bytes) -> Bid | None:
        full.append(body)
        return Bid(0.05) if len(full) == 1 else None

    name = method("Full")
    await servers[0].register(name, "", echo, consider)
    with pytest.raises(CallFailed, match="0 bids"):
        await client.call(name, b"", timeout=5.0, terms=SelectionTerms(window=0.3, any_bid=True))
    assert servers[0].undecided == 0


async def test_all_servers_answer_a_multi_call(client: RpcClient, servers: list[RpcServer]) -> None:
    name = method("All", claimed=False, multi=True)
    for server in servers:

        async def who(call: Call, server: RpcServer = server) -> bytes:
            return server.server_id.encode()

        await server.register(name, "x", who)
    answers = await client.call_all(name, topic="x", window=0.5)
    assert sorted(answers) == sorted(server.server_id.encode() for server in servers)


async def test_a_queue_request_is_taken_once(client: RpcClient, servers: list[RpcServer]) -> None:
    handled: list[bytes] = []

    async def handle(call: Call) -> bytes:
        handled.append(call.body)
        return b""

    name = method("Queue", claimed=False, queue=True)
    for server in servers:
        await server.register(name, "", handle)
    for number in range(20):
        await client.call(name, b"%d" % number, timeout=5.0)
    assert len(handled) == 20


async def test_a_newer_caller_compresses_skips_the_claim_and_has_another_clock(
    bus: RedisBus, servers: list[RpcServer]
) -> None:
    heard: list[wire.Envelope | None] = []
    caller = new_id("CLI_")
    name = method("Newer")
    await servers[0].register(name, "", echo)
    await bus.subscribe(bids("Test", caller), lambda payload: heard.append(wire.unpack(payload)))
    await bus.subscribe(responses("Test", caller), lambda payload: heard.append(wire.unpack(payload)))
    sent = round((wall() - 3600) * 1e9)  # a clock that is an hour behind
    request = wire.Request("REQ_newer", caller, sent, sent + 5_000_000_000, b"abc" * 1000, skip_claim=True)
    message = definitions.Msg.FromString(wire.pack(request))
    message.value = gzip.compress(message.value)
    deadline = Monotonic(monotonic() + 5)
    await bus.publish(name.requests(), message.SerializeToString(), deadline=deadline)
    await eventually(lambda: len(heard) == 1, "the bid")
    award = wire.ClaimResponse("REQ_newer", servers[0].server_id)
    await bus.publish(name.awards(), wire.pack(award), deadline=deadline)
    await eventually(lambda: len(heard) == 2, "the response")
    response = heard[1]
    assert isinstance(response, wire.Response)
    assert response.body == b"cba" * 1000


async def test_garbage_on_the_channels_is_passed_over(
    bus: RedisBus, client: RpcClient, servers: list[RpcServer]
) -> None:
    name = method("Echo")
    await servers[0].register(name, "", echo)
    deadline = Monotonic(monotonic() + 5)
    for channel in (
        name.requests(),
        name.awards(),
        bids("Test", client.client_id),
        responses("Test", client.client_id),
    ):
        for garbage in (b"", b"\xff" * 50, wire.pack(wire.ClaimResponse("REQ_x", "SRV_x"))):
            await bus.publish(channel, garbage, deadline=deadline)
    assert await client.call(name, b"ab", timeout=5.0) == b"ba"
