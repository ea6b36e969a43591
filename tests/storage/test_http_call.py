"""Requests that are made without a library, and what is said when nobody answers."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from pyegress.demo.server import free_port
from pyegress.errors import OutputFailed
from pyegress.plan.storage import Proxy, S3Storage
from pyegress.storage.http_call import call
from tests.support.tcp_proxy import TcpProxy
from tests.support.waiting import eventually

pytestmark = pytest.mark.system

PLACE = S3Storage(bucket="b", endpoint="http://s3.example.com")


@pytest.fixture
async def server() -> AsyncIterator[str]:
    async def answer(request: web.Request) -> web.Response:
        body = await request.read()
        told = f"{request.method} {request.rel_url.raw_path_qs} {len(body)} {request.headers.get('Content-Type')}"
        return web.Response(status=418, text=told, headers={"X-Told": "Yes"})

    application = web.Application(client_max_size=1 << 24)
    application.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


async def test_what_is_sent_is_what_was_signed(server: str) -> None:
    """The URL and the headers as they are, however large the body."""
    answer = await call(PLACE, "PUT", f"{server}/a%20b%2Bc/d?x=%2F&y=", body=bytes(9 << 20))
    assert (answer.status, answer.headers["x-told"]) == (418, "Yes")
    assert answer.text == f"PUT /a%20b%2Bc/d?x=%2F&y= {9 << 20} None"
    assert answer.described.startswith("status code 418 PUT")
    empty = await call(PLACE, "GET", f"{server}/", headers={"Content-Type": "x/y"})
    assert empty.text == "GET / 0 x/y"


async def refused(url: str, method: str = "GET", **arguments: object) -> str:
    with pytest.raises(OutputFailed) as caught:
        await call(PLACE, method, url, **arguments)  # type: ignore[arg-type]
    assert caught.value.retryable or "TLS" in caught.value.message
    return caught.value.message.removeprefix("S3 upload failed: ")


async def test_nobody_answers(server: str) -> None:
    nobody = f"http://127.0.0.1:{free_port(socket.SOCK_STREAM)}"
    assert await refused(nobody) == "s3.example.com takes no connections"
    assert await refused("http://storage.invalid") == "the host s3.example.com is not known (DNS)"
    assert await refused(server.replace("http:", "https:")) == "s3.example.com does not speak TLS"
    assert "takes no connections" in await refused(server, proxy=Proxy(nobody))
    async with TcpProxy("127.0.0.1", int(server.rpartition(":")[2])) as proxy:
        at = f"http://127.0.0.1:{proxy.port}"
        proxy.stall()
        assert await refused(at, timeout=0.3) == "s3.example.com did not answer in time"
        # Others, which may be sent twice, aiohttp tries once more by itself.
        waiting = asyncio.create_task(refused(at, method="POST"))
        await eventually(lambda: proxy.connections >= 2, "a connection")
        proxy.cut()
        assert await waiting == "the connection to s3.example.com broke"
