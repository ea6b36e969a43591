"""The X protocol as far as pictures of a screen need it: set up, shared memory, damage.

References: X Window System Protocol, X Version 11, appendix B (encoding); MIT-SHM 1.2; DAMAGE 1.1. Spoken over the
socket itself, because it takes a dozen requests: no library has to be found, and the cookie is ours alone.
"""

from __future__ import annotations

import array
import mmap
import os
import select
import socket
import struct
from contextlib import suppress
from dataclasses import dataclass

from pyegress.browser.failures import BrowserFailed

_COOKIE = b"MIT-MAGIC-COOKIE-1"
_QUERY_EXTENSION, _WARP_POINTER = 98, 41
_SHM_QUERY_VERSION, _SHM_GET_IMAGE, _SHM_CREATE_SEGMENT = 0, 4, 7
_DAMAGE_QUERY_VERSION, _DAMAGE_CREATE, _DAMAGE_SUBTRACT = 0, 1, 3
#: XDamageReportNonEmpty: one event, then none until the damage is subtracted.
_NON_EMPTY = 3
_Z_PIXMAP = 2
_ALL_PLANES = 0xFFFFFFFF
#: Seconds for an answer. A server that takes longer is not there any more.
_ANSWER = 10.0


@dataclass(frozen=True, slots=True)
class _Extension:
    opcode: int
    first_event: int


class XConnection:
    """One screen, watched and copied. Not thread-safe: one thread at a time, which may block."""

    def __init__(self, path: str, cookie: bytes, width: int, height: int) -> None:
        """Connect to the server's socket. The picture is the upper left corner of the screen, 4 bytes a pixel:
        blue, green, red, nothing. Raises BrowserFailed."""
        self.width, self.height = width, height
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(_ANSWER)
        self._damaged = False
        try:
            self._socket.connect(path)
            self._next_id, self.root = self._set_up(cookie)
            self._shm = self._extension(b"MIT-SHM")
            self._damage_extension = self._extension(b"DAMAGE")
            self._segment, self.pixels = self._shared(width * height * 4)
            self._damage = self._watched()
        except BaseException as error:
            self._socket.close()
            if not isinstance(error, OSError | struct.error):
                raise
            raise BrowserFailed(f"The X display cannot be used: {error}") from error

    def close(self) -> None:
        """Idempotent."""
        self._socket.close()
        with suppress(BufferError):  # somebody still looks at them, and they go with him
            self.pixels.close()

    def fileno(self) -> int:
        return self._socket.fileno()

    def hide_pointer(self) -> None:
        """Put it where the picture does not reach, so that nothing is hovered over."""
        self._send(
            struct.pack("<BBHIIhhHHhh", _WARP_POINTER, 0, 6, 0, self.root, 0, 0, 0, 0, self.width + 1, self.height + 1)
        )

    def wait(self, timeout: float) -> bool:
        """Whether something was drawn since the last `reset`; waits for it up to `timeout` seconds."""
        if not self._damaged and select.select([self._socket], [], [], max(0.0, timeout))[0]:
            self._packet()
        return self._damaged

    def reset(self) -> None:
        """From now on `wait` tells of what is drawn after this."""
        self._damaged = False
        self._send(struct.pack("<BBHIII", self._damage_extension.opcode, _DAMAGE_SUBTRACT, 4, self._damage, 0, 0))

    def grab(self) -> mmap.mmap:
        """Copy the screen as it is now into `pixels`, which is returned."""
        self._send(
            struct.pack(
                "<BBHIhhHHIBxxxII",
                *(self._shm.opcode, _SHM_GET_IMAGE, 8, self.root, 0, 0, self.width, self.height),
                *(_ALL_PLANES, _Z_PIXMAP, self._segment, 0),
            )
        )
        self._reply()
        return self.pixels

    # -- inside -----------------------------------------------------------------------------------------------------

    def _set_up(self, cookie: bytes) -> tuple[int, int]:
        self._send(
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
        self._send(request)
        present, opcode, first_event = struct.unpack_from("<BBB", self._reply(), 8)
        if not present:
            raise BrowserFailed(f"The X display has no extension {name.decode()}")
        return _Extension(opcode, first_event)

    def _shared(self, size: int) -> tuple[int, mmap.mmap]:
        """A segment that the server writes into; it comes as a descriptor, so there is nothing to leave behind."""
        self._send(struct.pack("<BBH", self._shm.opcode, _SHM_QUERY_VERSION, 1))
        self._reply()
        segment = self._identifier()
        self._send(struct.pack("<BBHIIBxxx", self._shm.opcode, _SHM_CREATE_SEGMENT, 4, segment, size, 0))
        descriptors: list[int] = []
        self._reply(descriptors)
        if not descriptors:
            raise BrowserFailed("The X display shares no memory")
        try:
            return segment, mmap.mmap(descriptors[0], size, mmap.MAP_SHARED, mmap.PROT_READ)
        finally:
            for descriptor in descriptors:
                os.close(descriptor)

    def _watched(self) -> int:
        extension = self._damage_extension
        self._send(struct.pack("<BBHII", extension.opcode, _DAMAGE_QUERY_VERSION, 3, 1, 1))
        self._reply()
        damage = self._identifier()
        self._send(struct.pack("<BBHIIBxxx", extension.opcode, _DAMAGE_CREATE, 4, damage, self.root, _NON_EMPTY))
        return damage

    def _identifier(self) -> int:
        self._next_id += 1
        return self._next_id

    def _send(self, request: bytes) -> None:
        self._socket.sendall(request)

    def _reply(self, descriptors: list[int] | None = None) -> bytes:
        """The next reply; events before it are noted."""
        while (reply := self._packet(descriptors)) is None:
            pass
        return reply

    def _packet(self, descriptors: list[int] | None = None) -> bytes | None:
        """One packet of the server: a reply is returned, an event noted."""
        packet = self._receive(32, descriptors)
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

    def _receive(self, size: int, descriptors: list[int] | None = None) -> bytes:
        data = b""
        while len(data) < size:
            if descriptors is None:
                part = self._socket.recv(size - len(data))
            else:
                part, ancillary, _, _ = self._socket.recvmsg(
                    size - len(data), socket.CMSG_SPACE(4), socket.MSG_CMSG_CLOEXEC
                )
                for _, kind, value in ancillary:
                    if kind == socket.SCM_RIGHTS:
                        descriptors.extend(array.array("i", value[:4]))
            if not part:
                raise BrowserFailed("The X display is gone")
            data += part
        return data


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)
