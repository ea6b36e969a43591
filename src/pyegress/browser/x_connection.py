"""The X protocol as far as pictures of a screen need it: set up, and damage, which tells when something was drawn.

References: X Window System Protocol, X Version 11, appendix B (encoding); DAMAGE 1.1. Spoken over the socket itself,
because it takes a dozen requests: no library has to be found, and the cookie is ours alone.
"""

from __future__ import annotations

import select
import socket
import struct
from dataclasses import dataclass

from pyegress.browser.failures import BrowserFailed

_COOKIE = b"MIT-MAGIC-COOKIE-1"
_WARP_POINTER, _GET_INPUT_FOCUS, _QUERY_EXTENSION = 41, 43, 98
_DAMAGE_QUERY_VERSION, _DAMAGE_CREATE = 0, 1
#: XDamageReportRawRectangles: an event for whatever is drawn, of which Chromium draws all at once.
_EACH = 0
#: Seconds for an answer. A server that takes longer is not there any more.
_ANSWER = 10.0


@dataclass(frozen=True, slots=True)
class _Extension:
    opcode: int
    first_event: int


class XConnection:
    """One screen, watched. Not thread-safe: one thread at a time, which may block."""

    def __init__(self, path: str, cookie: bytes) -> None:
        """Connect to the server's socket. `identifier` is free for something of the caller's. Raises BrowserFailed."""
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(_ANSWER)
        self._damaged = False
        try:
            self._socket.connect(path)
            self.identifier, self.root = self._set_up(cookie)
            self._damage_extension = self._extension(b"DAMAGE")
            self._watch()
        except BaseException as error:
            self._socket.close()
            if not isinstance(error, OSError | struct.error):
                raise
            raise BrowserFailed(f"The X display cannot be used: {error}") from error

    def close(self) -> None:
        """Idempotent."""
        self._socket.close()

    def move_pointer(self, x: int, y: int) -> None:
        """Put the pointer there."""
        self.send(struct.pack("<BBHIIhhHHhh", _WARP_POINTER, 0, 6, 0, self.root, 0, 0, 0, 0, x, y))

    def wait(self, timeout: float) -> bool:
        """Whether something was drawn since the last `reset`; waits for it up to `timeout` seconds."""
        if not self._damaged and self._readable(max(0.0, timeout)):
            self._packet()
        return self._damaged

    def reset(self) -> None:
        """From now on `wait` tells of what is drawn after this."""
        while self._readable(0.0):
            self._packet()
        self._damaged = False

    def untouched(self) -> bool:
        """Whether nothing was drawn since the last `reset`. The server tells of all it has drawn before it answers."""
        self.send(struct.pack("<BxH", _GET_INPUT_FOCUS, 1))
        self.reply()
        return not self._damaged

    # -- for other parts of the protocol ----------------------------------------------------------------------------

    def extension(self, name: bytes) -> int:
        """The first byte of an extension's requests. Raises BrowserFailed when the display has none of this name."""
        return self._extension(name).opcode

    def send(self, request: bytes) -> None:
        self._socket.sendall(request)

    def reply(self) -> bytes:
        """The next reply; events before it are noted. Raises BrowserFailed for an error."""
        while (reply := self._packet()) is None:
            pass
        return reply

    # -- inside -----------------------------------------------------------------------------------------------------

    def _set_up(self, cookie: bytes) -> tuple[int, int]:
        self.send(
            struct.pack("<BxHHHHxx", ord("l"), 11, 0, len(_COOKIE), len(cookie)) + _padded(_COOKIE) + _padded(cookie)
        )
        success, reason, _, _, length = struct.unpack("<BBHHH", self._receive(8))
        rest = self._receive(length * 4)
        if success != 1:
            raise BrowserFailed(f"The X display refuses us: {rest[:reason].decode(errors='replace').strip()}")
        identifiers, vendor, formats = struct.unpack_from("<4xI8xHxxxB", rest)
        screen = 32 + len(_padded(rest[:vendor])) + 8 * formats
        (root,) = struct.unpack_from("<I", rest, screen)
        return identifiers, root

    def _extension(self, name: bytes) -> _Extension:
        request = struct.pack("<BxHHxx", _QUERY_EXTENSION, 2 + len(_padded(name)) // 4, len(name)) + _padded(name)
        self.send(request)
        present, opcode, first_event = struct.unpack_from("<BBB", self.reply(), 8)
        if not present:
            raise BrowserFailed(f"The X display has no extension {name.decode()}")
        return _Extension(opcode, first_event)

    def _watch(self) -> None:
        extension = self._damage_extension
        self.send(struct.pack("<BBHII", extension.opcode, _DAMAGE_QUERY_VERSION, 3, 1, 1))
        self.reply()
        self.send(struct.pack("<BBHIIBxxx", extension.opcode, _DAMAGE_CREATE, 4, self.identifier, self.root, _EACH))
        self.identifier += 1

    def _readable(self, timeout: float) -> bool:
        return bool(select.select([self._socket], [], [], timeout)[0])

    def _packet(self) -> bytes | None:
        """One packet of the server: a reply is returned, an event noted."""
        packet = self._receive(32)
        match packet[0]:
            case 0:
                raise BrowserFailed(f"The X display refused request {packet[10]}.{packet[8]}: error {packet[1]}")
            case 1:
                (length,) = struct.unpack_from("<I", packet, 4)
                return packet + self._receive(4 * length)
            case code:
                if code & 0x7F == self._damage_extension.first_event:
                    self._damaged = True
                return None

    def _receive(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            if not (part := self._socket.recv(size - len(data))):
                raise BrowserFailed("The X display is gone")
            data += part
        return data


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)
