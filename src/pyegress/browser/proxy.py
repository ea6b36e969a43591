"""The only way from a page to the network: a SOCKS 5 proxy (RFC 1928) on loopback that looks at every address.

A name is resolved once, here; the address is checked, and exactly that address is connected to. So redirects, parts of
pages, WebSockets, WebRTC over TCP and names that change their address meanwhile all meet the same rules.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from contextlib import suppress
from ipaddress import ip_address

from pyegress.browser.address_rules import AddressRules
from pyegress.plan.browser_options import BrowserOptions
from pyegress.plan.host_patterns import Address, HostPattern

logger = logging.getLogger(__name__)

_VERSION, _NO_AUTHENTICATION, _CONNECT = 5, 0, 1
_IPV4, _NAME, _IPV6 = 1, 3, 4
_OK, _NOT_ALLOWED, _UNREACHABLE, _REFUSED, _NO_SUCH_COMMAND = 0, 2, 4, 5, 7
#: Seconds for a name, for one address, and for a client to say what it wants.
_RESOLVE, _REACH, _GREETING = 10.0, 10.0, 30.0
_BLOCK = 64 * 1024
#: Seconds for one direction after the other has ended.
_LINGER = 5.0
#: Refusals that are remembered, to explain why a page failed.
_REMEMBERED = 200


class Refused(Exception):
    """A connection that is not made: the reply, and why."""

    def __init__(self, reply: int, reason: str) -> None:
        super().__init__(reason)
        self.reply = reply
        self.reason = reason


class FilteringProxy:
    """Listens on a port of 127.0.0.1 that the system chooses. `open`, then `aclose`."""

    def __init__(self, options: BrowserOptions) -> None:
        """Raises InvalidRequest for lists that cannot be read."""
        self._rules = AddressRules(options)
        self._own = tuple(HostPattern.parse(text if not text.startswith(":") else f"*{text}") for text in options.own)
        self._own_addresses: set[tuple[Address, int]] = set()
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()
        #: Why a host was not reached, by host and port.
        self._reasons: dict[tuple[str, int], str] = {}
        self.port = 0

    async def open(self) -> None:
        """Listen."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        for pattern in self._own:
            if pattern.host != "*":
                with suppress(OSError, TimeoutError):
                    self._own_addresses |= {(address, pattern.port) for address in await _resolve(pattern.host)}

    def reason(self, host: str, port: int) -> str:
        """Why a host was not reached last, "" when nothing is known."""
        return self._reasons.get((host.lower(), port), "")

    @property
    def reasons(self) -> dict[str, str]:
        """Everything that was not reached, and why."""
        return {f"{host}:{port}": reason for (host, port), reason in self._reasons.items()}

    async def aclose(self) -> None:
        """Close every connection. Idempotent."""
        if self._server is not None:
            self._server.close()
        for task in self._connections:
            task.cancel()
        if self._connections:
            await asyncio.wait(self._connections)
        if self._server is not None:
            await self._server.wait_closed()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(self._serve(reader, writer), name="connection of a page")
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_GREETING):
                wanted = await _wanted(reader, writer)
            if wanted is None:
                return
            host, port = wanted
            try:
                onward = await self._connect(host, port)
            except Refused as refusal:
                self._remember(host, port, refusal.reason)
                writer.write(_reply(refusal.reply))
                return
            writer.write(_reply(_OK))
            await _relay((reader, writer), onward)
        except (OSError, EOFError, TimeoutError):
            pass
        finally:
            writer.close()

    async def _connect(self, host: str, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Raises Refused."""
        if reason := self._rules.refuses_name(host, port):
            raise Refused(_NOT_ALLOWED, reason)
        try:
            addresses = await _resolve(host)
        except (OSError, TimeoutError):
            raise Refused(_UNREACHABLE, "its name cannot be resolved") from None
        refusal = Refused(_UNREACHABLE, "it has no address")
        for address in addresses:
            if reason := self._refuses(host, address, port):
                refusal = Refused(_NOT_ALLOWED, reason)
                continue
            try:
                async with asyncio.timeout(_REACH):
                    return await asyncio.open_connection(str(address), port, limit=_BLOCK)
            except TimeoutError:
                refusal = Refused(_UNREACHABLE, "it does not answer")
            except ConnectionRefusedError:
                refusal = Refused(_REFUSED, "it refuses connections")
            except OSError as error:
                refusal = Refused(_UNREACHABLE, error.strerror or "it cannot be reached")
        raise refusal

    def _refuses(self, host: str, address: Address, port: int) -> str:
        if reason := self._rules.refuses(host, address, port):
            return reason
        ours = port == self.port or any(pattern.host == "*" and pattern.port == port for pattern in self._own)
        if (address, port) in self._own_addresses or (ours and is_this_machine(address)):
            return "it belongs to pyegress itself"
        return ""

    def _remember(self, host: str, port: int, reason: str) -> None:
        logger.info("a page did not reach %s:%d: %s", host, port, reason)
        if len(self._reasons) >= _REMEMBERED:
            del self._reasons[next(iter(self._reasons))]
        self._reasons[host.lower(), port] = reason


def is_this_machine(address: Address) -> bool:
    """Whether an address is one of this machine's: the kernel then takes it as the sender too. Sends nothing."""
    if address.is_loopback:
        return True
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((str(address), 9))
        except OSError:
            return False
        return ip_address(probe.getsockname()[0]) == address


async def _wanted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> tuple[str, int] | None:
    """Host and port that a client asks for; None when it is no client of ours. Raises EOFError."""
    version, methods = await reader.readexactly(2)
    if version != _VERSION or _NO_AUTHENTICATION not in await reader.readexactly(methods):
        return None
    writer.write(bytes((_VERSION, _NO_AUTHENTICATION)))
    _, command, _, kind = await reader.readexactly(4)
    if kind == _NAME:
        (length,) = await reader.readexactly(1)
        host = (await reader.readexactly(length)).decode("ascii", "replace")
    elif kind in (_IPV4, _IPV6):
        host = str(ip_address(await reader.readexactly(4 if kind == _IPV4 else 16)))
    else:
        return None
    port = int.from_bytes(await reader.readexactly(2))
    if command != _CONNECT:
        writer.write(_reply(_NO_SUCH_COMMAND))
        return None
    return host, port


def _reply(code: int) -> bytes:
    return bytes((_VERSION, code, 0, _IPV4, 0, 0, 0, 0, 0, 0))


async def _resolve(host: str) -> list[Address]:
    """Raises OSError, TimeoutError."""
    host = host.strip("[]")
    with suppress(ValueError):
        return [ip_address(host)]
    try:
        async with asyncio.timeout(_RESOLVE):
            found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except UnicodeError as error:
        raise OSError(str(error)) from None
    # A scope (fe80::1%eth0) is of a link-local address, which is refused in any case.
    return list(dict.fromkeys(ip_address(str(entry[4][0]).partition("%")[0]) for entry in found))


async def _relay(
    client: tuple[asyncio.StreamReader, asyncio.StreamWriter], server: tuple[asyncio.StreamReader, asyncio.StreamWriter]
) -> None:
    ways = [
        asyncio.ensure_future(_pump(client[0], server[1])),
        asyncio.ensure_future(_pump(server[0], client[1])),
    ]
    try:
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        # Browsers do not close one direction alone; servers may still have something on its way.
        await asyncio.wait(ways, timeout=_LINGER)
    finally:
        for way in ways:
            way.cancel()
        await asyncio.wait(ways)
        server[1].close()


async def _pump(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await source.read(_BLOCK):
            target.write(data)
            await target.drain()
        if target.can_write_eof():
            target.write_eof()
