"""The proxy as a client sees it, over real sockets; only the resolver is a test's."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import ip_address
from typing import Any

import pytest

from pyegress.browser.proxy import FilteringProxy, is_this_machine
from pyegress.plan.browser_options import BrowserOptions

pytestmark = pytest.mark.wire

OK, NOT_ALLOWED, UNREACHABLE, REFUSED, NO_COMMAND = 0, 2, 4, 5, 7


@asynccontextmanager
async def proxy(**options: Any) -> AsyncIterator[FilteringProxy]:
    filtering = FilteringProxy(BrowserOptions(**options))
    await filtering.open()
    try:
        yield filtering
    finally:
        await filtering.aclose()


@asynccontextmanager
async def echo() -> AsyncIterator[int]:
    """A server that sends back what it gets until its client has ended; its port."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def connect(
    filtering: FilteringProxy, host: str, port: int, command: int = 1
) -> tuple[int, asyncio.StreamReader, asyncio.StreamWriter]:
    """The proxy's reply, and the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", filtering.port)
    writer.write(b"\x05\x01\x00")
    assert await reader.readexactly(2) == b"\x05\x00"
    try:
        address = ip_address(host)
        target = (b"\x01" if address.version == 4 else b"\x04") + address.packed
    except ValueError:
        target = b"\x03" + bytes((len(host),)) + host.encode()
    writer.write(b"\x05" + bytes((command,)) + b"\x00" + target + port.to_bytes(2))
    reply = await reader.readexactly(10)
    return reply[1], reader, writer


async def reply(filtering: FilteringProxy, host: str, port: int, command: int = 1) -> int:
    code, _, writer = await connect(filtering, host, port, command)
    writer.close()
    return code


async def test_bytes_go_both_ways_until_the_client_ends(no_tasks_left: object) -> None:
    async with echo() as port, proxy() as filtering:
        code, reader, writer = await connect(filtering, "localhost", port)
        assert code == OK
        data = bytes(range(256)) * 2000
        writer.write(data)
        assert await reader.readexactly(len(data)) == data
        writer.close()
        await writer.wait_closed()


async def test_what_is_never_reached() -> None:
    async with proxy() as filtering:
        for host in ("169.254.169.254", "::ffff:169.254.169.254", "metadata.google.internal", "0.0.0.0"):
            assert await reply(filtering, host, 80) == NOT_ALLOWED, host
            assert filtering.reason(host if ":" not in host else "::ffff:a9fe:a9fe", 80), host


async def test_our_own_ports_are_not_reached_by_any_name_of_this_machine() -> None:
    async with echo() as port, proxy(own=(f":{port}",)) as filtering:
        for host in ("127.0.0.1", "localhost", "127.1.2.3", "::ffff:127.0.0.1", socket.gethostname()):
            assert await reply(filtering, host, port) in (NOT_ALLOWED, UNREACHABLE), host
        assert await reply(filtering, "127.0.0.1", port) == NOT_ALLOWED
        assert "pyegress" in filtering.reason("127.0.0.1", port)
        assert await reply(filtering, "127.0.0.1", filtering.port) == NOT_ALLOWED


async def test_a_server_of_ours_elsewhere_is_not_reached() -> None:
    async with echo() as port, proxy(own=(f"localhost:{port}",)) as filtering:
        assert await reply(filtering, "127.0.0.1", port) == NOT_ALLOWED


async def test_private_networks_can_be_closed_but_for_what_is_trusted() -> None:
    async with echo() as port, proxy(block_private_networks=True, trusted=(f"localhost:{port}",)) as filtering:
        assert await reply(filtering, "127.0.0.1", port) == NOT_ALLOWED
        assert await reply(filtering, "localhost", port) == OK


async def test_hosts_of_which_no_url_is_allowed_are_not_reached() -> None:
    async with echo() as port, proxy(deny_urls=("127.0.0.1", "localhost/path")) as filtering:
        assert await reply(filtering, "127.0.0.1", port) == NOT_ALLOWED
        assert "list of URLs" in filtering.reason("127.0.0.1", port)
        assert await reply(filtering, "localhost", port) == OK, "the browser knows the path"
    async with echo() as port, proxy(allow_urls=(f"localhost:{port}/path",)) as filtering:
        assert await reply(filtering, "127.0.0.1", port) == NOT_ALLOWED
        assert await reply(filtering, "localhost", port) == OK


async def test_a_name_that_changes_its_address_gets_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """DNS rebinding: what is checked is what is connected to."""
    async with echo() as port, proxy(block_private_networks=True) as filtering:
        answers = [["93.184.216.34"], ["127.0.0.1"], ["169.254.169.254", "127.0.0.1"]]

        async def getaddrinfo(host: str, port: object, **_: object) -> list[tuple[object, ...]]:
            if host == "127.0.0.1":
                return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (host, port))]
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 0)) for address in answers.pop(0)]

        connected: list[str] = []

        async def spied(host: str, port: int, **options: Any) -> Any:
            connected.append(host)
            raise OSError("no network in this test")

        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo)
        monkeypatch.setattr("pyegress.browser.proxy.asyncio.open_connection", spied)
        codes = []
        for _ in range(3):
            client = socket.create_connection(("127.0.0.1", filtering.port))
            client.setblocking(False)
            loop = asyncio.get_running_loop()
            await loop.sock_sendall(client, b"\x05\x01\x00\x05\x01\x00\x03\x01r" + port.to_bytes(2))
            data = b""
            while len(data) < 12:
                data += await loop.sock_recv(client, 12)
            codes.append(data[3])
            client.close()
        assert codes == [UNREACHABLE, NOT_ALLOWED, NOT_ALLOWED]
        assert connected == ["93.184.216.34"]


async def test_why_something_was_not_reached() -> None:
    async with echo() as port, proxy() as filtering:
        assert port
        assert await reply(filtering, "no-such-host.invalid", 80) == UNREACHABLE
        assert "resolved" in filtering.reason("no-such-host.invalid", 80)
        with socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))
            free = closed.getsockname()[1]
        assert await reply(filtering, "127.0.0.1", free) == REFUSED
        assert "refuses" in filtering.reason("127.0.0.1", free)


async def test_datagrams_and_strangers_are_not_served() -> None:
    async with proxy() as filtering:
        assert await reply(filtering, "127.0.0.1", 80, command=3) == NO_COMMAND
        reader, writer = await asyncio.open_connection("127.0.0.1", filtering.port)
        writer.write(b"GET http://169.254.169.254/ HTTP/1.1\r\n\r\n")
        assert await reader.read() == b""
        writer.close()


def test_addresses_of_this_machine() -> None:
    assert is_this_machine(ip_address("127.0.0.1"))
    assert is_this_machine(ip_address("127.9.9.9"))
    assert not is_this_machine(ip_address("93.184.216.34"))
