"""What is no well-behaved client: tokens, bodies and paths; deadlines; repeated calls; livekit-server's webhooks."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import io
import json
import logging
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import jwt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from livekit import api
from livekit.protocol import egress as pb

from pyegress.api.twirp_wire import METHODS, STATUS, Encoding, TwirpError, decode, encode, twirp_error
from pyegress.clock import wall
from pyegress.errors import Code, EgressError
from pyegress.service.egress_store import Stored
from pyegress.service.recording_rules import read_rules
from tests.api.doors import KEY, SECRET, SECRETS, Opened, composite, opened, token
from tests.support.waiting import eventually

pytestmark = pytest.mark.wire

S = pb.EgressStatus
PROTOBUF = "application/protobuf"
#: When tokens expire: tests that are collected now may run much later.
LATER = int(wall()) + 24 * 3600
TRACK = '{"room_name": "room", "track_id": "TR_1", "file": {"filepath": "a"}}'


@pytest.fixture
async def at(tmp_path: Path, no_tasks_left: object) -> AsyncIterator[Opened]:
    async with opened(tmp_path) as door:
        yield door


# Bodies


async def test_json_in_both_spellings_and_unknown_fields(at: Opened) -> None:
    for body in (
        '{"roomName": "room", "trackId": "TR_1", "file": {"filepath": "a"}, "isNew": {"x": [1]}}',
        '{"room_name": "room", "track_id": "TR_1", "file": {"filepath": "a", "more": null}}',
    ):
        answer = await at.post("StartTrackEgress", body, content_type="application/json; charset=utf-8")
        assert (answer.status, answer.content_type) == (200, "application/json")
        told = answer.json
        assert told["status"] == "EGRESS_STARTING"
        assert told["track"]["track_id"] == "TR_1"
        assert isinstance(told["started_at"], str)
        assert told["ended_at"] == "0"
        assert told["stream_results"] == []
        assert "room_composite" not in told  # of a oneof
    answer = await at.post("ListEgress")
    assert len(answer.json["items"]) == 2
    assert answer.json["next_page_token"] is None


async def test_unknown_fields_of_protobuf_reach_the_service(at: Opened) -> None:
    body = pb.TrackEgressRequest(room_name="room", track_id="T", file=pb.DirectFileOutput()).SerializeToString()
    answer = await at.post("StartTrackEgress", body + b"\xfa\x3e\x01x", content_type=PROTOBUF)
    assert answer.status == 200
    assert at.service.starts[0].request.SerializeToString().endswith(b"\xfa\x3e\x01x")


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        (PROTOBUF, b"\xff\xff\xff"),
        (PROTOBUF, b'{"room_name": "room"}'),
        ("application/json", b""),
        ("application/json", b"["),
        ("application/json", b"[]"),
        ("application/json", b"\xff\xfe"),
        ("application/json", b'{"room_name": 5}'),
        ("application/json", b'{"file": {"s3": {"secret": ["s3-secret"]}}}'),
        ("application/json", b"[" * 100_000),
    ],
    ids=lambda value: str(value)[:30],
)
async def test_malformed(at: Opened, content_type: str, body: bytes) -> None:
    answer = await at.post("StartTrackEgress", body, content_type=content_type)
    assert (answer.status, answer.content_type, answer.json["code"]) == (400, "application/json", "malformed")
    assert not [secret for secret in SECRETS if secret.encode() in answer.body]
    assert at.service.starts == []


async def test_a_body_that_is_too_large(at: Opened) -> None:
    answer = await at.post("StartTrackEgress", io.BytesIO(b'{"room_name": "' + b"x" * (1 << 20) + b'"}'))
    assert (answer.status, answer.json["code"]) == (400, "malformed")
    assert at.service.starts == []


@given(method=st.sampled_from(sorted(METHODS)), encoding=st.sampled_from(list(Encoding)), body=st.binary(max_size=200))
@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_any_bytes_are_a_request_or_malformed(method: str, encoding: Encoding, body: bytes) -> None:
    try:
        request = decode(METHODS[method], encoding, body)
    except TwirpError as error:
        refused = error
    else:
        encode(request, encoding)
        return
    assert (refused.code, refused.status) == ("malformed", 400)
    assert json.loads(refused.body())["code"] == "malformed"


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["room_name", "fileOutputs", "file", "preset", "advanced", "outputs", "webhooks", "url", "active"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=8,
)


@given(method=st.sampled_from(sorted(METHODS)), data=_JSON)
@settings(max_examples=300, deadline=None)
def test_any_json_is_a_request_or_malformed(method: str, data: Any) -> None:
    try:
        request = decode(METHODS[method], Encoding.JSON, json.dumps(data).encode())
    except TwirpError as error:
        refused = error
    else:
        assert decode(METHODS[method], Encoding.JSON, encode(request, Encoding.JSON)) == request
        return
    assert refused.code == "malformed"


def test_every_code_has_a_status() -> None:
    for code in Code:
        assert twirp_error(EgressError("x", code=code)).code == code.wire
        assert code.wire in STATUS


# Routes


async def test_bad_routes(at: Opened) -> None:
    for answer, invalid in [
        (await at.post("Nothing"), "POST /twirp/livekit.Egress/Nothing"),
        (await at.post("Nothing", prefix="/twirp/livekit.Ingress/"), "POST /twirp/livekit.Ingress/Nothing"),
        (await at.post("", prefix="/"), "POST /"),
        (await at.post("ListEgress", content_type="text/plain"), "POST /twirp/livekit.Egress/ListEgress"),
    ]:
        assert (answer.status, answer.content_type, answer.json["code"]) == (404, "application/json", "bad_route")
        assert answer.json["meta"] == {"twirp_invalid_route": invalid}
    async with at.http.get(at.door.url + "/twirp/livekit.Egress/ListEgress") as response:
        assert (response.status, (await response.json())["code"]) == (404, "bad_route")


async def test_doubled_slashes_lead_there(at: Opened) -> None:
    assert (await at.post("ListEgress", prefix="//twirp//livekit.Egress/")).status == 200


# Tokens


async def test_tokens_of_every_key_in_header_or_query(at: Opened) -> None:
    assert (await at.post("ListEgress", key="other")).status == 200
    answer = await at.post(f"ListEgress?access_token={token('other')}", headers={"Authorization": ""})
    assert answer.status == 200


@pytest.mark.parametrize(
    ("authorization", "reason"),
    [
        ("", "There is no access token"),
        ("Basic eDp5", "There is no access token"),
        ("Bearer x", "not a JWT"),
        ("Bearer " + token(room_admin=True), "permissions denied"),
        ("Bearer " + token(room_record=False), "permissions denied"),
        ("Bearer " + jwt.encode({"iss": KEY, "exp": 1}, SECRET), "expired"),
        ("Bearer " + jwt.encode({"iss": KEY, "exp": LATER, "video": "roomRecord"}, SECRET), "permissions"),
        ("Bearer " + jwt.encode({"iss": KEY, "exp": LATER}, "x" * 32), "not signed"),
        ("Bearer " + jwt.encode({"iss": "x", "exp": LATER}, SECRET), "does not know"),
    ],
)
async def test_refused_tokens(at: Opened, authorization: str, reason: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        answer = await at.post("StartTrackEgress", TRACK, headers={"Authorization": authorization})
    assert (answer.status, answer.content_type, answer.json["code"]) == (401, "application/json", "unauthenticated")
    assert reason in answer.json["msg"]
    shown = authorization.removeprefix("Bearer ")
    assert len(shown) < 20 or (shown not in answer.body.decode() and shown not in caplog.text)
    assert at.service.starts == []


async def test_logs_show_no_secret(at: Opened, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        await at.post("StartRoomCompositeEgress", composite().SerializeToString(), content_type=PROTOBUF)
        await at.post("StartRoomCompositeEgress", composite("none").SerializeToString(), content_type=PROTOBUF)
        await at.post(f"ListEgress?access_token={token()}x", headers={"Authorization": ""})
    assert "requested room does not exist" in caplog.text
    assert not [secret for secret in (*SECRETS, token()[:40]) if secret in caplog.text]


# Deadlines


async def test_a_deadline_ends_the_start_and_nothing_is_left(at: Opened) -> None:
    at.service.hold = asyncio.Event()
    answer = await at.post("StartTrackEgress", TRACK, headers={"X-Twirp-Timeout-Ms": "150"})
    assert (answer.status, answer.json["code"]) == (408, "deadline_exceeded")
    assert at.service.cancelled == [at.service.starts[0].egress_id]
    assert at.service.running() == []
    assert (await at.post("ListEgress")).json["items"] == []


async def test_an_egress_that_was_started_too_late_is_ended(at: Opened) -> None:
    """The store hangs after the service has started the egress."""
    hold = asyncio.Event()
    put = at.door.store.put_all

    async def slow(infos: Sequence[tuple[pb.EgressInfo, bool]]) -> list[Stored]:
        await hold.wait()
        return await put(infos)

    at.door.store.put_all = slow  # type: ignore[method-assign]
    answer = await at.post("StartTrackEgress", TRACK, headers={"X-Twirp-Timeout-Ms": "300"})
    assert answer.status == 408
    hold.set()
    (item,) = (await at.post("ListEgress")).json["items"] or [{"status": "EGRESS_ENDING"}]
    (info,) = at.service.infos.values()
    assert info.status == S.EGRESS_ENDING
    assert item["status"] in ("EGRESS_STARTING", "EGRESS_ENDING")


@pytest.mark.parametrize("header", ["", "x", "-5", "1e3", "9" * 30, "５"])
async def test_deadlines_that_are_none(at: Opened, header: str) -> None:
    assert (await at.post("ListEgress", headers={"X-Twirp-Timeout-Ms": header})).status == 200


async def test_who_hangs_up_gets_nothing_started(at: Opened) -> None:
    at.service.hold = asyncio.Event()
    asking = asyncio.create_task(at.post("StartTrackEgress", TRACK))
    await eventually(lambda: at.service.starts, "a start")
    asking.cancel()
    await eventually(lambda: at.service.cancelled, "the start to be cancelled")
    assert at.service.running() == []


# Repeated calls


async def test_a_repeated_request_id_is_one_egress(at: Opened) -> None:
    same = {"X-Livekit-Request-Id": "id-1"}
    at.service.hold = asyncio.Event()
    asking = [asyncio.create_task(at.post("StartTrackEgress", TRACK, headers=same)) for _ in range(5)]
    await eventually(lambda: at.service.starts, "a start")
    at.service.hold.set()
    answers = [*(await asyncio.gather(*asking)), await at.post("StartTrackEgress", TRACK, headers=same)]
    assert len({answer.json["egress_id"] for answer in answers}) == 1
    assert len(at.service.starts) == 1
    # Another key's id, another id, and none are other requests.
    await at.post("StartTrackEgress", TRACK, headers=same, key="other")
    await at.post("StartTrackEgress", TRACK, headers={"X-Livekit-Request-Id": "id-2"})
    await at.post("StartTrackEgress", TRACK)
    assert len(at.service.infos) == 4


async def test_one_who_hangs_up_does_not_end_it_for_the_other(at: Opened) -> None:
    same = {"X-Livekit-Request-Id": "id-1"}
    at.service.hold = asyncio.Event()
    short = asyncio.create_task(at.post("StartTrackEgress", TRACK, headers=same | {"X-Twirp-Timeout-Ms": "200"}))
    long = asyncio.create_task(at.post("StartTrackEgress", TRACK, headers=same))
    assert (await short).status == 408
    at.service.hold.set()
    assert (await long).status == 200
    assert at.service.cancelled == []
    assert len(at.service.infos) == 1


async def test_a_failed_call_may_be_repeated_with_its_id(at: Opened) -> None:
    same = {"X-Livekit-Request-Id": "id-1"}
    at.service.refuse = [EgressError("full", code=Code.UNAVAILABLE)]
    assert (await at.post("StartTrackEgress", TRACK, headers=same)).status == 503
    assert (await at.post("StartTrackEgress", TRACK, headers=same)).status == 200


async def test_the_same_id_for_something_else_is_refused(at: Opened) -> None:
    same = {"X-Livekit-Request-Id": "id-1"}
    await at.post("StartTrackEgress", TRACK, headers=same)
    answer = await at.post("StartTrackEgress", TRACK.replace("TR_1", "TR_2"), headers=same)
    assert (answer.status, answer.json["meta"]) == (400, {"field": "X-Livekit-Request-Id"})


async def test_fifty_starts_at_once(at: Opened) -> None:
    answers = await asyncio.gather(*(at.post("StartTrackEgress", TRACK) for _ in range(50)))
    assert {answer.status for answer in answers} == {200}
    assert len((await at.post("ListEgress", '{"active": true}')).json["items"]) == 50


# Recording rules


RULES = read_rules([{"record": "room", "rooms": "m*", "request": {"file_outputs": [{"filepath": "{room_id}.mp4"}]}}])


def signed(body: bytes, secret: str = SECRET) -> str:
    digest = base64.b64encode(hashlib.sha256(body).digest()).decode()
    return api.AccessToken(KEY, secret).with_sha256(digest).to_jwt()


def room_started(name: str = "meeting") -> bytes:
    return json.dumps({"event": "room_started", "room": {"sid": f"RM_{name}", "name": name}, "id": "EV_1"}).encode()


async def post_webhook(at: Opened, body: bytes, authorization: str) -> int:
    headers = {"Content-Type": "application/webhook+json", "Authorization": authorization}
    async with at.http.post(at.door.url + "/livekit/webhook", data=body, headers=headers) as response:
        return response.status


async def listed(at: Opened, count: int) -> list[pb.EgressInfo]:
    return await at.listed(lambda items: len(items) >= count, f"{count} egresses")


async def test_a_webhook_starts_an_egress_once_and_over_restarts(tmp_path: Path) -> None:
    body = room_started()
    async with opened(tmp_path, rules=RULES) as at:
        for _ in range(3):
            assert await post_webhook(at, body, signed(body)) == 200
        (info,) = await listed(at, 1)
        assert (info.room_id, info.room_name) == ("RM_meeting", "meeting")
        at.service.move(info.egress_id, S.EGRESS_COMPLETE)
        other = room_started("other")
        assert await post_webhook(at, other, signed(other)) == 200
    async with opened(tmp_path, rules=RULES) as at:
        assert await post_webhook(at, body, signed(body)) == 200
        again = room_started("m2")
        assert await post_webhook(at, again, signed(again)) == 200
        assert {item.room_name for item in await listed(at, 2)} == {"meeting", "m2"}
        assert len(at.service.starts) == 1


async def test_a_start_that_fails_for_good_is_reported(tmp_path: Path) -> None:
    body = room_started()
    async with opened(tmp_path, rules=RULES) as at:
        at.service.refuse = [EgressError("the disk is gone", code=Code.INTERNAL)]
        assert await post_webhook(at, body, signed(body)) == 200
        (info,) = await listed(at, 1)
        assert (info.status, info.error, info.error_code) == (S.EGRESS_FAILED, "the disk is gone", 500)
        assert (info.room_name, info.room_composite.room_name) == ("meeting", "meeting")
        assert info.details == "End reason: Failure"


async def test_a_full_service_is_asked_again(tmp_path: Path) -> None:
    body = room_started()
    async with opened(tmp_path, rules=RULES) as at:
        at.service.refuse = [EgressError("full", code=Code.UNAVAILABLE)]
        assert await post_webhook(at, body, signed(body)) == 200
        (info,) = await listed(at, 1)
        assert info.status == S.EGRESS_STARTING
        assert len(at.service.starts) == 2


@pytest.mark.parametrize(
    ("authorization", "status"),
    [
        ("", 401),
        ("x", 401),
        (token(), 401),
        (signed(room_started("other")), 401),
        (signed(room_started(), "x" * 32), 401),
        ("Bearer " + signed(room_started()), 200),
    ],
)
async def test_only_signed_webhooks_start_something(tmp_path: Path, authorization: str, status: int) -> None:
    async with opened(tmp_path, rules=RULES) as at:
        assert await post_webhook(at, room_started(), authorization) == status
        assert (await at.post("ListEgress")).status == 200
        assert len(at.service.starts) <= (1 if status == 200 else 0)


async def test_webhooks_of_no_meaning(tmp_path: Path) -> None:
    async with opened(tmp_path, rules=RULES) as at:
        for body, status in [(b"{", 400), (b"[]", 400), (b"{}", 200), (b'{"event": "later", "new": 1}', 200)]:
            assert await post_webhook(at, body, signed(body)) == status, body
        assert at.service.starts == []


async def test_without_rules_there_is_no_such_path(at: Opened) -> None:
    body = room_started()
    assert await post_webhook(at, body, signed(body)) == 404


async def test_a_body_that_never_comes_whole(at: Opened) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", at.door.port)
    writer.write(b"POST /twirp/livekit.Egress/ListEgress HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n")
    writer.write(f"Authorization: Bearer {token()}\r\nContent-Length: 50\r\n\r\n{{".encode())
    await writer.drain()
    writer.close()
    await writer.wait_closed()
    assert (await at.post("ListEgress")).status == 200
    assert reader.at_eof()
