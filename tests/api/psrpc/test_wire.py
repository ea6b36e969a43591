"""psrpc's bytes: as recorded from livekit-server, as newer versions send them, and broken."""

from __future__ import annotations

import contextlib
import gzip

import pytest
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st
from livekit.protocol import egress as egress_pb

from pyegress.api.psrpc import definitions, wire
from pyegress.api.psrpc.start_request import decode_start
from pyegress.errors import InvalidRequest
from tests.api.psrpc.recordings import Message, on, recorded_messages

pytestmark = pytest.mark.wire


@pytest.mark.parametrize("message", recorded_messages(), ids=lambda m: m.channel)
def test_recorded_messages_are_reproduced_byte_for_byte(message: Message) -> None:
    envelope = wire.unpack(message.payload)
    assert envelope is not None
    assert wire.pack(envelope) == message.payload


def test_what_the_recorded_messages_say() -> None:
    request = wire.unpack(on("EgressInternal|StartEgress|REQ").payload)
    assert isinstance(request, wire.Request)
    assert request.lifetime == pytest.approx(10.0)
    award = wire.unpack(on("EgressInternal|StartEgress|RCLAIM").payload)
    assert isinstance(award, wire.ClaimResponse)
    assert award.request_id == request.request_id
    bid = wire.unpack(on("IOInfo|CreateEgress|REQ").payload)
    assert isinstance(bid, wire.Request)
    assert egress_pb.EgressInfo.FromString(bid.body).room_name == "meeting"


def test_a_recorded_start() -> None:
    request = wire.unpack(on("EgressInternal|StartEgress|REQ").payload)
    assert isinstance(request, wire.Request)
    start = decode_start(request.body)
    assert start.egress_id.startswith("EG_")
    assert start.room_id.startswith("RM_")
    assert isinstance(start.request, egress_pb.RoomCompositeEgressRequest)
    assert start.request.layout == "grid"
    assert not start.token


def test_every_part_of_a_start() -> None:
    newer = egress_pb.StartEgressRequest(room_name="r").SerializeToString() + b"\x9a\x3f\x03abc"  # field 1011
    message = definitions.StartEgressRequest(
        egress_id="EG_a", room_id="RM_a", egress=newer, token="t0p", ws_url="ws://x", retry_count=2
    )
    start = decode_start(message.SerializeToString())
    assert (start.egress_id, start.room_id, start.ws_url, start.retry_count) == ("EG_a", "RM_a", "ws://x", 2)
    assert start.token == "t0p"
    assert "t0p" not in repr(start)
    assert start.request.SerializeToString() == newer


def test_starts_that_cannot_be_understood() -> None:
    with pytest.raises(InvalidRequest, match="request"):
        decode_start(definitions.StartEgressRequest(egress_id="EG_a").SerializeToString())
    with pytest.raises(InvalidRequest, match="egressID"):
        decode_start(definitions.StartEgressRequest(track=b"").SerializeToString())
    with pytest.raises(DecodeError):
        decode_start(definitions.StartEgressRequest(egress_id="EG_a", track=b"\xff\xff").SerializeToString())


def test_compressed_envelopes_and_unknown_fields() -> None:
    inner = definitions.Request(request_id="REQ_a", raw_request=b"x" * 5000, sent_at=1, expiry=2)
    message = definitions.Msg(
        type_url="type.googleapis.com/internal.Request", value=gzip.compress(inner.SerializeToString())
    )
    payload = message.SerializeToString() + b"\x20\x01"  # a compression field, wherever it will be
    request = wire.unpack(payload)
    assert isinstance(request, wire.Request)
    assert request.body == b"x" * 5000


def test_a_caller_that_needs_no_claim() -> None:
    request = wire.unpack(wire.pack(wire.Request("REQ_a", "CLI_a", 1, 2, b"body", skip_claim=True)))
    assert request == wire.Request("REQ_a", "CLI_a", 1, 2, b"body", skip_claim=True)


def test_bodies_of_old_callers() -> None:
    old = definitions.Request(request_id="REQ_a", request=definitions.Request.DESCRIPTOR.fields_by_name["request"]
        .message_type._concrete_class(type_url="x", value=b"old"))  # fmt: skip
    payload = definitions.Msg(type_url="type.googleapis.com/internal.Request", value=old.SerializeToString())
    request = wire.unpack(payload.SerializeToString())
    assert isinstance(request, wire.Request)
    assert request.body == b"old"


@pytest.mark.parametrize(
    "value",
    [
        gzip.compress(b"\0" * (wire.MAX_ENVELOPE + 1)),
        gzip.compress(b"abc")[:-3],
        b"\x1f\x8bnonsense",
        b"\x0a\xff",
    ],
    ids=["bomb", "cut", "no gzip", "no protobuf"],
)
def test_values_that_are_no_envelope(value: bytes) -> None:
    payload = definitions.Msg(type_url="type.googleapis.com/internal.Request", value=value).SerializeToString()
    with pytest.raises(wire.Malformed):
        wire.unpack(payload)


def test_other_kinds_are_passed_over() -> None:
    payload = definitions.Msg(type_url="type.googleapis.com/internal.Stream", value=b"\x0a\x01a").SerializeToString()
    assert wire.unpack(payload) is None


@given(st.binary(max_size=200))
def test_any_bytes(payload: bytes) -> None:
    with contextlib.suppress(wire.Malformed):
        wire.unpack(payload)


@given(st.integers(0, 10_000), st.integers(0, 255))
def test_damaged_messages(position: int, value: int) -> None:
    damaged = bytearray(on("EgressInternal|StartEgress|REQ").payload)
    damaged[position % len(damaged)] = value
    with contextlib.suppress(wire.Malformed, DecodeError, InvalidRequest):
        request = wire.unpack(bytes(damaged))
        if isinstance(request, wire.Request):
            decode_start(request.body)
