"""Conversations with a server that is written out here, message by message."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pyegress.outputs.rtmp.address import RtmpAddress
from pyegress.outputs.rtmp.amf0 import Value, decode, encode
from pyegress.outputs.rtmp.chunks import ChunkReader, ChunkStream, Message, MessageType, to_chunks
from pyegress.outputs.rtmp.conversation import Conversation, Refused, Step
from pyegress.rtp.errors import ProtocolError

pytestmark = pytest.mark.wire

KEY = "secretkey"
ADDRESS = RtmpAddress.of(f"rtmp://host:1936/live/room/{KEY}?token=a/b")
WELCOME = {"level": "status", "code": "NetConnection.Connect.Success"}


def say(*values: Value) -> bytes:
    return to_chunks(Message(MessageType.COMMAND, encode(*values)), ChunkStream.COMMAND, 128)


def control(kind: MessageType, payload: bytes) -> bytes:
    return to_chunks(Message(kind, payload), ChunkStream.CONTROL, 128)


class Server:
    """The other side: understands what is sent, and answers as it is told."""

    def __init__(self, address: RtmpAddress = ADDRESS) -> None:
        self.conversation = Conversation(address)
        self.reader = ChunkReader()
        self.shaken = self.conversation.begin()
        answer = self.conversation.receive(b"\x03" + bytes(range(256)) * 6 + bytes(1536))
        assert answer[:1536] == bytes(range(256)) * 6
        self.heard = self.hear(answer[1536:])

    def hear(self, data: bytes) -> list[list[Value]]:
        """The commands in what was sent."""
        self.others = self.reader.feed(data)
        return [decode(message.payload) for message in self.others if message.type == MessageType.COMMAND]

    def tell(self, data: bytes) -> list[list[Value]]:
        return self.hear(self.conversation.receive(data))

    def published(self) -> None:
        """All that a good server says."""
        commands = self.tell(say("_result", 1, {}, WELCOME))
        number = next(int(str(command[1]).split(".")[0]) for command in commands if command[0] == "createStream")
        self.tell(say("_result", number, None, 7))
        self.tell(say("onStatus", 0, None, {"level": "status", "code": "NetStream.Publish.Start"}))
        assert self.conversation.step is Step.PUBLISHED


def test_the_whole_way_to_publishing() -> None:
    server = Server()
    assert server.shaken[0] == 3
    assert len(server.shaken) == 1537
    (connect,) = server.heard
    assert connect[:2] == ["connect", 1.0]
    assert isinstance(connect[2], dict)
    assert connect[2]["app"] == "live/room"
    assert connect[2]["tcUrl"] == "rtmp://host:1936/live/room"
    assert KEY not in str(connect)
    commands = server.tell(say("_result", 1, {}, WELCOME))
    assert [command[0] for command in commands] == ["releaseStream", "FCPublish", "createStream"]
    assert commands[0][3] == f"{KEY}?token=a/b"
    # An answer to something else means nothing.
    assert server.tell(say("_result", commands[0][1], None)) == []
    assert server.conversation.step is Step.CREATE
    (publish,) = server.tell(say("_result", commands[2][1], None, 7))
    assert publish[0] == "publish"
    assert publish[3:] == [f"{KEY}?token=a/b", "live"]
    assert [message.stream for message in server.others] == [7]
    server.tell(say("onStatus", 0, None, {"level": "status", "code": "NetStream.Publish.Start"}))
    assert server.conversation.step.value == "media"
    sent = server.reader.feed(server.conversation.media(MessageType.VIDEO, bytes(9000), 17_000_000))
    assert sent == [Message(MessageType.VIDEO, bytes(9000), 17_000_000, 7)]
    assert [command[0] for command in server.hear(server.conversation.end())] == ["FCUnpublish", "deleteStream"]


def test_pieces_of_any_size() -> None:
    conversation = Conversation(ADDRESS)
    conversation.begin()
    data = b"\x03" + bytes(3072) + say("_result", 1, {}, WELCOME)
    sent = b"".join(conversation.receive(data[at : at + 7]) for at in range(0, len(data), 7))
    assert conversation.step is Step.CREATE
    assert b"createStream" in sent


def test_what_is_asked_beside() -> None:
    server = Server()
    server.published()
    server.tell(control(MessageType.USER_CONTROL, bytes.fromhex("0006 12345678")))
    assert [(m.type, m.payload) for m in server.others] == [(MessageType.USER_CONTROL, bytes.fromhex("0007 12345678"))]
    server.tell(control(MessageType.PEER_BANDWIDTH, bytes.fromhex("00001000 02")))
    assert [(m.type, m.payload) for m in server.others] == [(MessageType.WINDOW_SIZE, bytes.fromhex("00001000"))]
    server.tell(control(MessageType.ACKNOWLEDGEMENT, (5000).to_bytes(4, "big")))
    assert server.conversation.acknowledged == 5000
    server.tell(control(MessageType.WINDOW_SIZE, (300).to_bytes(4, "big")))
    server.tell(say("onBWDone", 0, None, "x" * 400))
    (acknowledged,) = [m for m in server.others if m.type == MessageType.ACKNOWLEDGEMENT]
    assert int.from_bytes(acknowledged.payload, "big") > 400


def test_a_server_may_refuse_what_the_specification_does_not_have() -> None:
    server = Server()
    commands = server.tell(say("_result", 1, {}, WELCOME))
    assert (
        server.tell(say("_error", commands[0][1], None, {"level": "error", "code": "NetConnection.Call.Failed"})) == []
    )
    assert server.conversation.step is Step.CREATE


@pytest.mark.parametrize(
    ("steps", "step", "code"),
    [
        ([("_error", 1, {}, {"level": "error", "code": "NetConnection.Connect.Rejected"})], Step.CONNECT, "Rejected"),
        ([("_result", 1, {}, WELCOME), ("_error", 4, None, {"code": "Bad"})], Step.CREATE, "Bad"),
        (
            [
                ("_result", 1, {}, WELCOME),
                ("_result", 4, None, 1),
                ("onStatus", 0, None, {"level": "error", "code": "NetStream.Publish.BadName", "description": "taken"}),
            ],
            Step.PUBLISH,
            "BadName",
        ),
        ([("_result", 1, {}, WELCOME), ("close", 0, None)], Step.CREATE, "close"),
    ],
)
def test_refusals_say_at_which_step(steps: list[tuple[Value, ...]], step: Step, code: str) -> None:
    server = Server()
    for values in steps[:-1]:
        server.tell(say(*values))
    with pytest.raises(Refused) as refused:
        server.tell(say(*steps[-1]))
    assert refused.value.step is step
    assert code in refused.value.code


def test_thrown_out_while_publishing() -> None:
    server = Server()
    server.published()
    with pytest.raises(Refused) as refused:
        server.tell(say("onStatus", 0, None, {"level": "status", "code": "NetStream.Unpublish.Success"}))
    assert refused.value.step is Step.PUBLISHED


@pytest.mark.parametrize("data", [b"HTTP/1.1 400 Bad Request", b"\x06" + bytes(4000)])
def test_other_servers_are_told_by_their_first_byte(data: bytes) -> None:
    with pytest.raises(ProtocolError, match="does not speak RTMP"):
        Conversation(ADDRESS).receive(data)


def test_commands_in_the_newer_encoding() -> None:
    server = Server()
    message = Message(MessageType.COMMAND_AMF3, b"\0" + encode("_result", 1, {}, WELCOME))
    server.tell(to_chunks(message, ChunkStream.COMMAND, 128))
    assert server.conversation.step is Step.CREATE


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("rtmp://h/app/key", RtmpAddress("h", 1935, False, "app", "key", "rtmp://h/app")),
        ("rtmps://H:8443/a/b/key?x=y", RtmpAddress("h", 8443, True, "a/b", "key?x=y", "rtmps://h:8443/a/b")),
        ("rtmps://h/app/key live=1", RtmpAddress("h", 443, True, "app", "key", "rtmps://h/app")),
        ("rtmp://[::1]:1936/app/key", RtmpAddress("::1", 1936, False, "app", "key", "rtmp://[::1]:1936/app")),
    ],
)
def test_addresses(url: str, expected: RtmpAddress) -> None:
    found = RtmpAddress.of(url)
    assert found == expected
    assert "key" not in repr(replace(found, key="hidden key"))
