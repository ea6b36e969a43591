"""Names on Redis, as livekit-server uses them."""

from __future__ import annotations

import base64

import pytest

from pyegress.api.psrpc.channels import Method, bids, new_id, queue_key, responses
from tests.api.psrpc.recordings import recorded_keys, recorded_messages

pytestmark = pytest.mark.wire


def test_channels_of_a_method() -> None:
    start = Method("EgressInternal", "StartEgress")
    assert start.requests() == "EgressInternal|StartEgress|REQ"
    assert start.awards() == "EgressInternal|StartEgress|RCLAIM"
    stop = Method("EgressHandler", "StopEgress", queue=True)
    assert stop.requests("EG_abc") == "EgressHandler|StopEgress|EG_abc|REQ"
    assert bids("IOInfo", "CLI_x") == "IOInfo|CLI_x|CLAIM"
    assert responses("IOInfo", "CLI_x") == "IOInfo|CLI_x|RES"


def test_other_characters_are_escaped() -> None:
    assert Method("S", "M").requests("eu-1") == "S|M|euu+002d1|REQ"
    assert Method("S", "M").requests("a|ü😀") == "S|M|au+007cu+00fcU+0001f600|REQ"


def test_channels_of_a_real_conversation() -> None:
    heard = {message.channel for message in recorded_messages()}
    client = next(m.channel.split("|")[1] for m in recorded_messages() if m.channel.startswith("EgressInternal|CLI_"))
    assert Method("EgressInternal", "StartEgress").requests() in heard
    assert bids("EgressInternal", client) in heard
    assert responses("EgressInternal", client) in heard


def test_keys_of_queue_requests_are_those_that_livekit_server_takes() -> None:
    requests = [m for m in recorded_messages() if m.channel.endswith("REQ")]
    keys = {queue_key(m.payload): m.channel for m in requests}
    taken = {keys[key].rpartition("|")[0] for key in recorded_keys() if key in keys}
    assert {"IOInfo|CreateEgress", "IOInfo|UpdateEgress"} <= taken
    assert any(channel.startswith("EgressHandler|StopEgress|EG_") for channel in taken)
    assert all(len(base64.b64decode(key)) == 32 for key in recorded_keys())


def test_ids_are_psrpcs() -> None:
    made = {new_id("REQ_") for _ in range(100)}
    assert len(made) == 100
    assert all(len(name) == 16 and name[4:].isalnum() and name.isascii() for name in made)
