"""The part of libsrt that a caller needs, by ctypes: PyAV's FFmpeg has no SRT, and a child process would tell less.

Sockets are never blocking; whoever owns them asks for their state. Names and numbers are those of srt.h (1.4 and 1.5).
"""

from __future__ import annotations

import ctypes
import socket
import struct
from enum import IntEnum
from functools import cache
from typing import Any

from pyegress.errors import Code, EgressError, Fault

#: As Debian, Fedora and others name it; the two of Debian differ in whose cryptography they use.
_NAMES = tuple(
    f"libsrt{flavour}.so.{version}" for version in ("1.5", "1.4", "1") for flavour in ("", "-openssl", "-gnutls")
)
_NO_LOG = 0
_ERROR = -1
_SEND_BUFFER_FULL = 6001
#: Payload of one packet of a transport stream: 7 x 188 bytes.
PAYLOAD = 1316


class Option(IntEnum):
    """SRT_SOCKOPT."""

    SNDSYN = 1
    RCVSYN = 2
    SENDER = 21
    LATENCY = 23
    PASSPHRASE = 26
    PBKEYLEN = 27
    CONNTIMEO = 36
    STREAMID = 46
    PAYLOADSIZE = 49
    TRANSTYPE = 50
    PEERIDLETIMEO = 55


class State(IntEnum):
    """SRT_SOCKSTATUS."""

    INIT = 1
    OPENED = 2
    LISTENING = 3
    CONNECTING = 4
    CONNECTED = 5
    BROKEN = 6
    CLOSING = 7
    CLOSED = 8
    NONEXIST = 9


class Rejection(IntEnum):
    """SRT_REJECT_REASON, as far as there is something to do about them."""

    PEER = 2
    BAD_SECRET = 10
    UNSECURE = 11
    TIMEOUT = 16


class _Statistics(ctypes.Structure):
    """The first part of SRT_TRACEBSTATS, and room for the rest."""

    _fields_ = (
        ("timestamp", ctypes.c_int64),
        ("packets_sent", ctypes.c_int64),
        ("packets_received", ctypes.c_int64),
        ("counters", ctypes.c_int * 7),
        ("send_duration", ctypes.c_int64),
        ("drops", ctypes.c_int * 3),
        ("bytes_sent", ctypes.c_uint64),
        ("bytes_received", ctypes.c_uint64),
        ("bytes_lost", ctypes.c_uint64),
        ("bytes_sent_again", ctypes.c_uint64),
        ("bytes_dropped", ctypes.c_uint64),
        ("rest", ctypes.c_uint64 * 256),
    )


@cache
def library() -> Any:
    """libsrt, started. Raises EgressError that says what to install."""
    for name in _NAMES:
        try:
            srt = ctypes.CDLL(name)
        except OSError:
            continue
        srt.srt_rejectreason_str.restype = ctypes.c_char_p
        srt.srt_getlasterror_str.restype = ctypes.c_char_p
        srt.srt_startup()
        srt.srt_setloglevel(_NO_LOG)
        return srt
    raise EgressError(
        "SRT needs libsrt, which is not installed on this machine",
        code=Code.FAILED_PRECONDITION,
        fault=Fault.SERVER,
        remedy="Install it (Debian 12: apt-get install libsrt1.5-openssl), or stream by RTMP",
    )


class SrtSocket:
    """One socket of a caller. Methods raise OSError with libsrt's own words."""

    def __init__(self) -> None:
        self._srt = library()
        self._number: int = self._srt.srt_create_socket()
        if self._number == _ERROR:
            raise self._error()
        for option in (Option.SNDSYN, Option.RCVSYN, Option.TRANSTYPE):
            self.set(option, 0)
        self.set(Option.SENDER, 1)
        self.set(Option.PAYLOADSIZE, PAYLOAD)

    def set(self, option: Option, value: int | str) -> None:
        """Set an option before connecting."""
        data = struct.pack("=i", value) if isinstance(value, int) else value.encode()
        self._check(self._srt.srt_setsockflag(self._number, int(option), data, len(data)))

    def connect(self, family: int, address: tuple[Any, ...]) -> None:
        """Begin to connect; `state` says how it goes."""
        name = _sockaddr(family, address)
        self._check(self._srt.srt_connect(self._number, name, len(name)))

    @property
    def state(self) -> State:
        return State(self._srt.srt_getsockstate(self._number))

    @property
    def rejection(self) -> int:
        """Why the other side refused; from 1000 on a number of its own choice."""
        return int(self._srt.srt_getrejectreason(self._number))

    @property
    def rejection_text(self) -> str:
        text: bytes = self._srt.srt_rejectreason_str(self.rejection)
        return text.decode(errors="replace")

    def send(self, data: bytes) -> bool:
        """Put at most `PAYLOAD` bytes on their way; False when there is no room now."""
        if self._srt.srt_send(self._number, data, len(data)) != _ERROR:
            return True
        if self._srt.srt_getlasterror(None) == _SEND_BUFFER_FULL:
            return False
        raise self._error()

    @property
    def waiting(self) -> int:
        """Bytes that the other side has not acknowledged."""
        count = ctypes.c_size_t()
        if self._srt.srt_getsndbuffer(self._number, None, ctypes.byref(count)) == _ERROR:
            return 0
        return count.value

    @property
    def dropped(self) -> int:
        """Bytes that were left out because they would have come too late."""
        statistics = _Statistics()
        if self._srt.srt_bstats(self._number, ctypes.byref(statistics), 0) == _ERROR:
            return 0
        return int(statistics.bytes_dropped)

    def close(self) -> None:
        """Idempotent."""
        if self._number != _ERROR:
            self._srt.srt_close(self._number)
            self._number = _ERROR

    def _check(self, result: int) -> None:
        if result == _ERROR:
            raise self._error()

    def _error(self) -> OSError:
        text: bytes = self._srt.srt_getlasterror_str()
        return OSError(0, text.decode(errors="replace"))


def _sockaddr(family: int, address: tuple[Any, ...]) -> bytes:
    host, port = address[:2]
    packed = socket.inet_pton(family, host.partition("%")[0])
    start = struct.pack("=H", family) + struct.pack("!H", port)
    if family == socket.AF_INET:
        return start + packed + bytes(8)
    return start + struct.pack("!I", address[2]) + packed + struct.pack("=I", address[3])
