"""What a publisher and an RTMP server say to each other until media may flow, and beside it. Bytes in, bytes out.

RTMP specification 1.0: handshake (section 5.2), connect (7.2.1.1), createStream (7.2.1.3), publish (7.2.2.6), and
releaseStream and FCPublish, which servers expect although the specification does not have them.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from enum import Enum

from pyegress.outputs.rtmp.address import RtmpAddress
from pyegress.outputs.rtmp.amf0 import Value, decode, encode
from pyegress.outputs.rtmp.chunks import ChunkReader, ChunkStream, Message, MessageType, to_chunks
from pyegress.rtp.errors import ProtocolError

#: Our chunks: few headers, and small enough for every server.
CHUNK_SIZE = 4096
_HANDSHAKE = 1536
_VERSION = 3
_PING, _PONG = 6, 7
#: How often the server shall acknowledge, bytes.
_WINDOW = 2_500_000
_FLASH = "FMLE/3.0 (compatible; pyegress)"


class Step(Enum):
    """What is waited for; the value says it."""

    HANDSHAKE = "the handshake"
    CONNECT = "the answer to connect"
    CREATE = "the answer to createStream"
    PUBLISH = "the answer to publish"
    PUBLISHED = "media"


class Refused(Exception):
    """The server said no. `code` and `text` are its words; the text may repeat the key."""

    def __init__(self, step: Step, code: str, text: str) -> None:
        super().__init__(code)
        self.step = step
        self.code = code
        self.text = text


class Conversation:
    """One connection, from the first byte. Whoever owns the socket sends what the methods return."""

    def __init__(self, address: RtmpAddress) -> None:
        self._address = address
        self._reader = ChunkReader()
        self._shaken = bytearray()
        self._number = 0
        self._created = 0
        self._stream = 0
        self._received = 0
        #: The server wants to be told of every so many bytes that it sent; 0 never.
        self._window = 0
        self._told = 0
        self.step = Step.HANDSHAKE
        #: Bytes that the server says to have received, modulo 2^32; 0 when it says nothing.
        self.acknowledged = 0

    def begin(self) -> bytes:
        """C0 and C1."""
        return bytes((_VERSION,)) + bytes(8) + os.urandom(_HANDSHAKE - 8)

    def receive(self, data: bytes) -> bytes:
        """Take what the server sent; returns the answer. Raises Refused and ProtocolError."""
        if self.step is Step.HANDSHAKE:
            self._shaken += data
            if self._shaken and self._shaken[0] != _VERSION:
                raise ProtocolError("the server does not speak RTMP")
            if len(self._shaken) < 1 + 2 * _HANDSHAKE:
                return b""
            answer, rest = bytes(self._shaken[1 : 1 + _HANDSHAKE]), bytes(self._shaken[1 + 2 * _HANDSHAKE :])
            self._shaken.clear()
            self.step = Step.CONNECT
            return answer + self._connect() + self.receive(rest)
        self._received += len(data)
        answers = [self._message(message) for message in self._reader.feed(data)]
        if self._window and self._received - self._told >= self._window:
            self._told = self._received
            answers.append(_control(MessageType.ACKNOWLEDGEMENT, self._received & 0xFFFFFFFF))
        return b"".join(answers)

    def media(self, kind: MessageType, payload: bytes, milliseconds: int) -> bytes:
        """The bytes of an audio, video or data message."""
        chunk_stream = {MessageType.AUDIO: ChunkStream.AUDIO, MessageType.VIDEO: ChunkStream.VIDEO}
        message = Message(kind, payload, milliseconds, self._stream)
        return to_chunks(message, chunk_stream.get(kind, ChunkStream.DATA), CHUNK_SIZE)

    def end(self) -> bytes:
        """What is said before the connection is closed."""
        if self.step is not Step.PUBLISHED:
            return b""
        return self._command("FCUnpublish", None, self._address.key) + self._command("deleteStream", None, self._stream)

    # -- inside -----------------------------------------------------------------------------------------------------

    def _connect(self) -> bytes:
        size = _control(MessageType.SET_CHUNK_SIZE, CHUNK_SIZE)
        return size + self._command(
            "connect",
            {
                "app": self._address.application,
                "type": "nonprivate",
                "flashVer": _FLASH,
                "swfUrl": self._address.url,
                "tcUrl": self._address.url,
            },
        )

    def _create(self) -> bytes:
        key = self._address.key
        return b"".join(
            (
                _control(MessageType.WINDOW_SIZE, _WINDOW),
                self._command("releaseStream", None, key),
                self._command("FCPublish", None, key),
                self._command("createStream", None),
            )
        )

    def _command(self, name: str, *arguments: Value, stream: int = 0) -> bytes:
        self._number += 1
        message = Message(MessageType.COMMAND, encode(name, self._number, *arguments), stream=stream)
        return to_chunks(message, ChunkStream.COMMAND, CHUNK_SIZE)

    def _message(self, message: Message) -> bytes:
        payload = message.payload
        match message.type:
            case MessageType.ACKNOWLEDGEMENT:
                self.acknowledged = int.from_bytes(payload[:4], "big")
            case MessageType.WINDOW_SIZE:
                self._window = int.from_bytes(payload[:4], "big")
            case MessageType.PEER_BANDWIDTH:
                return _control(MessageType.WINDOW_SIZE, int.from_bytes(payload[:4], "big"))
            case MessageType.USER_CONTROL if int.from_bytes(payload[:2], "big") == _PING:
                pong = _PONG.to_bytes(2, "big") + payload[2:6]
                return to_chunks(Message(MessageType.USER_CONTROL, pong), ChunkStream.CONTROL, CHUNK_SIZE)
            case MessageType.COMMAND:
                return self._answer(decode(payload))
            case MessageType.COMMAND_AMF3:
                return self._answer(decode(payload[1:]))
        return b""

    def _answer(self, values: list[Value]) -> bytes:
        name, number, *arguments = [*values, None, None]
        info: Mapping[str, Value] = {}
        for argument in arguments:
            if isinstance(argument, Mapping):
                info = argument
        match name:
            case "_result" if self.step is Step.CONNECT and number == 1:
                self.step = Step.CREATE
                answer = self._create()
                self._created = self._number
                return answer
            case "_result" if self.step is Step.CREATE and number == self._created:
                stream = next((value for value in arguments if isinstance(value, int | float)), None)
                if stream is None:
                    raise ProtocolError("the server created a stream without a number")
                self._stream = int(stream)
                self.step = Step.PUBLISH
                return self._command("publish", None, self._address.key, "live", stream=self._stream)
            case "_error" if self._fatal(number):
                raise self._refused(info)
            case "onStatus":
                return self._status(info)
            case "close":
                raise Refused(self.step, "close", "")
        return b""

    def _fatal(self, number: Value) -> bool:
        """Servers may refuse releaseStream and FCPublish, which are no part of the specification."""
        return self.step is Step.CONNECT or (self.step is Step.CREATE and number == self._created)

    def _status(self, info: Mapping[str, Value]) -> bytes:
        code = str(info.get("code", ""))
        if info.get("level") == "error" or code in ("NetStream.Unpublish.Success", "NetConnection.Connect.Closed"):
            raise self._refused(info)
        if code == "NetStream.Publish.Start":
            self.step = Step.PUBLISHED
        return b""

    def _refused(self, info: Mapping[str, Value]) -> Refused:
        return Refused(self.step, str(info.get("code", "")), str(info.get("description") or ""))


def _control(kind: MessageType, value: int) -> bytes:
    return to_chunks(Message(kind, value.to_bytes(4, "big")), ChunkStream.CONTROL, CHUNK_SIZE)
