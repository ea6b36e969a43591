"""RTMP messages and the chunks in which they travel (RTMP specification 1.0, section 5.3)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from pyegress.rtp.errors import ProtocolError

#: Chunk size before somebody says another.
DEFAULT_CHUNK_SIZE = 128
#: Longest message that is taken: servers send publishers nothing but commands.
MAX_MESSAGE = 1024 * 1024
_EXTENDED = 0xFFFFFF
#: Chunk streams that a server may have open.
_MAX_STREAMS = 64


class MessageType(IntEnum):
    """Message types (sections 5.4, 6.2 and 7.1)."""

    SET_CHUNK_SIZE = 1
    ABORT = 2
    ACKNOWLEDGEMENT = 3
    USER_CONTROL = 4
    WINDOW_SIZE = 5
    PEER_BANDWIDTH = 6
    AUDIO = 8
    VIDEO = 9
    COMMAND_AMF3 = 17
    DATA = 18
    COMMAND = 20


class ChunkStream(IntEnum):
    """The chunk streams that we use, as other publishers do."""

    CONTROL = 2
    COMMAND = 3
    AUDIO = 4
    DATA = 5
    VIDEO = 6


@dataclass(frozen=True, slots=True)
class Message:
    """One message. `timestamp` is in milliseconds, `stream` the message stream (0 is the connection)."""

    type: int
    payload: bytes
    timestamp: int = 0
    stream: int = 0


def to_chunks(message: Message, chunk_stream: ChunkStream, chunk_size: int) -> bytes:
    """The message with a full header (type 0), which needs no memory of what was sent before."""
    payload = message.payload
    timestamp = message.timestamp & 0xFFFFFFFF
    extended = timestamp.to_bytes(4, "big") if timestamp >= _EXTENDED else b""
    parts = [
        bytes((chunk_stream,)),
        min(timestamp, _EXTENDED).to_bytes(3, "big"),
        len(payload).to_bytes(3, "big"),
        bytes((message.type,)),
        message.stream.to_bytes(4, "little"),
        extended,
        payload[:chunk_size],
    ]
    # The extended timestamp is repeated (section 5.3.1.3).
    again = bytes((0xC0 | chunk_stream,)) + extended
    for at in range(chunk_size, len(payload), chunk_size):
        parts.append(again)
        parts.append(payload[at : at + chunk_size])
    return b"".join(parts)


@dataclass(slots=True)
class _Incoming:
    """What the next chunk of a chunk stream may leave out."""

    timestamp: int = 0
    delta: int = 0
    length: int = 0
    type: int = 0
    stream: int = 0
    extended: bool = False
    payload: bytearray | None = None


class ChunkReader:
    """Bytes of a connection in, whole messages out. Knows of chunk sizes and aborts itself."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._chunk_size = DEFAULT_CHUNK_SIZE
        self._streams: dict[int, _Incoming] = {}

    def feed(self, data: bytes) -> list[Message]:
        """The messages that are complete now. Raises ProtocolError."""
        self._buffer += data
        messages: list[Message] = []
        while (found := self._chunk()) is not None:
            taken, message = found
            del self._buffer[:taken]
            if message is None:
                continue
            if message.type == MessageType.SET_CHUNK_SIZE:
                self._chunk_size = _number(message.payload) & 0x7FFFFFFF
                if not self._chunk_size:
                    raise ProtocolError("the chunk size is 0")
            elif message.type == MessageType.ABORT:
                if (aborted := self._streams.get(_number(message.payload))) is not None:
                    aborted.payload = None
            else:
                messages.append(message)
        return messages

    def _chunk(self) -> tuple[int, Message | None] | None:
        """Bytes of the chunk at the front, with the message that it completes; None when it is not all there."""
        data = self._buffer
        if not data:
            return None
        form, chunk_stream, at = data[0] >> 6, data[0] & 0x3F, 1
        if chunk_stream < 2:  # the number is in one or two bytes more (section 5.3.1.1)
            at = 2 + chunk_stream
            if len(data) < at:
                return None
            chunk_stream = 64 + int.from_bytes(data[1:at], "little")
        incoming = self._streams.get(chunk_stream)
        if incoming is None:
            if form > 1 or len(self._streams) == _MAX_STREAMS:
                raise ProtocolError("a chunk continues nothing")
            incoming = _Incoming()
        header = (11, 7, 3, 0)[form]
        if len(data) < at + header:
            return None
        fields = bytes(data[at : at + header])
        at += header
        time = int.from_bytes(fields[:3], "big") if header else 0
        extended = time == _EXTENDED if header else incoming.extended
        if extended:
            if len(data) < at + 4:
                return None
            time = int.from_bytes(data[at : at + 4], "big")
            at += 4
        length = int.from_bytes(fields[3:6], "big") if header >= 7 else incoming.length
        if length > MAX_MESSAGE:
            raise ProtocolError(f"a message of {length} bytes")
        so_far = len(incoming.payload) if incoming.payload is not None and not header else 0
        body = min(self._chunk_size, length - so_far)
        if len(data) < at + body:
            return None
        self._streams[chunk_stream] = incoming
        self._begin(incoming, form, fields, time, extended=extended)
        assert incoming.payload is not None
        incoming.payload += data[at : at + body]
        if len(incoming.payload) < incoming.length:
            return at + body, None
        message = Message(incoming.type, bytes(incoming.payload), incoming.timestamp, incoming.stream)
        incoming.payload = None
        return at + body, message

    @staticmethod
    def _begin(incoming: _Incoming, form: int, fields: bytes, time: int, *, extended: bool) -> None:
        if form == 3 and incoming.payload is not None:
            return
        incoming.payload = bytearray()
        incoming.extended = extended
        if form <= 1:
            incoming.length = int.from_bytes(fields[3:6], "big")
            incoming.type = fields[6]
        if form == 0:
            incoming.stream = int.from_bytes(fields[7:11], "little")
            incoming.timestamp, incoming.delta = time, 0
            return
        if form != 3:
            incoming.delta = time
        incoming.timestamp = (incoming.timestamp + incoming.delta) & 0xFFFFFFFF


def _number(payload: bytes) -> int:
    return int.from_bytes(payload[:4], "big")
