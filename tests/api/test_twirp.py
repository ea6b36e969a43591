"""The HTTP door through LiveKit's own Python client, unchanged."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from livekit import api
from livekit.protocol import egress as pb
from livekit.protocol.models import TokenPagination

from pyegress.errors import Code, EgressError
from pyegress.plan.recording_plan import Webhook
from pyegress.service.webhooks import WebhookSettings
from tests.api.doors import KEYS, SECRETS, Opened, composite, opened
from tests.support.simulated_service import SimulatedService
from tests.support.webhook_receiver import Received, receiving

pytestmark = pytest.mark.wire

S = pb.EgressStatus
FILE = [pb.EncodedFileOutput(filepath="out.mp4")]


@pytest.fixture
async def at(tmp_path: Path, no_tasks_left: object) -> AsyncIterator[Opened]:
    async with opened(tmp_path) as door:
        yield door


async def test_every_start_reaches_the_service(at: Opened) -> None:
    egress = at.lk.egress
    await egress.start_room_composite_egress(composite(layout="speaker"))
    await egress.start_web_egress(pb.WebEgressRequest(url="https://example.com", file_outputs=FILE))
    await egress.start_participant_egress(
        pb.ParticipantEgressRequest(room_name="room", identity="ada", file_outputs=FILE)
    )
    await egress.start_track_composite_egress(
        pb.TrackCompositeEgressRequest(room_name="room", audio_track_id="TR_a", file_outputs=FILE)
    )
    await egress.start_track_egress(
        pb.TrackEgressRequest(room_name="room", track_id="TR_v", file=pb.DirectFileOutput(filepath="x.webm"))
    )
    v2 = pb.StartEgressRequest(room_name="room", template=pb.TemplateSource(layout="grid"))
    v2.outputs.add().file.filepath = "out.mp4"
    await egress.start_egress(v2)
    web = pb.StartEgressRequest(web=pb.WebSource(url="https://example.com"))
    web.outputs.add().file.filepath = "out.mp4"
    info = await egress.start_egress(web)
    kinds = [type(start.request).__name__.removesuffix("EgressRequest") for start in at.service.starts]
    assert kinds == ["RoomComposite", "Web", "Participant", "TrackComposite", "Track", "Start", "Start"]
    assert [start.room_id for start in at.service.starts] == ["RM_room", "", *["RM_room"] * 4, ""]
    assert len({start.egress_id for start in at.service.starts}) == 7
    assert info.egress_id == at.service.starts[-1].egress_id
    assert info.status == S.EGRESS_STARTING
    # The service gets the request as it came.
    assert at.service.starts[0].request == composite(layout="speaker")
    assert at.service.starts[5].request == v2
    listed = await egress.list_egress(pb.ListEgressRequest())
    assert [item.egress_id for item in listed.items] == [s.egress_id for s in reversed(at.service.starts)]


async def test_a_start_is_listed_at_once_without_secrets(at: Opened, tmp_path: Path) -> None:
    info = await at.lk.egress.start_room_composite_egress(composite())
    listed = await at.lk.egress.list_egress(pb.ListEgressRequest(egress_id=info.egress_id))
    assert list(listed.items) == [info]
    assert info.room_composite.file_outputs[0].s3.secret == "{secret}"
    assert info.room_id == "RM_room"
    raw = _bytes_in(tmp_path)
    assert info.egress_id.encode() in raw
    assert not [secret for secret in SECRETS if secret.encode() in raw]


def _bytes_in(directory: Path) -> bytes:
    return b"".join(path.read_bytes() for path in directory.iterdir())


async def test_stop_and_what_cannot_be_stopped(at: Opened) -> None:
    egress = at.lk.egress
    info = await egress.start_room_composite_egress(composite())
    at.service.move(info.egress_id, S.EGRESS_ACTIVE)
    stopped = await egress.stop_egress(pb.StopEgressRequest(egress_id=info.egress_id))
    assert stopped.status == S.EGRESS_ENDING
    at.service.move(info.egress_id, S.EGRESS_COMPLETE)
    with pytest.raises(api.TwirpError) as again:
        await egress.stop_egress(pb.StopEgressRequest(egress_id=info.egress_id))
    assert (again.value.code, again.value.status) == ("failed_precondition", 412)
    assert "egress with status EGRESS_COMPLETE cannot be stopped" in again.value.message
    # The service forgets after some minutes, the store does not.
    await at.lk.egress.list_egress(pb.ListEgressRequest())
    del at.service.infos[info.egress_id]
    with pytest.raises(api.TwirpError, match="EGRESS_COMPLETE cannot be updated"):
        await egress.update_stream(pb.UpdateStreamRequest(egress_id=info.egress_id, add_output_urls=["rtmp://a/b/c"]))
    with pytest.raises(api.TwirpError, match="EGRESS_COMPLETE cannot be updated"):
        await egress.update_layout(pb.UpdateLayoutRequest(egress_id=info.egress_id, layout="grid"))


@pytest.mark.parametrize("method", ["stop_egress", "update_stream", "update_layout", "list_egress"])
async def test_an_unknown_egress_is_not_found(at: Opened, method: str) -> None:
    request = {
        "stop_egress": pb.StopEgressRequest(egress_id="EG_none"),
        "update_stream": pb.UpdateStreamRequest(egress_id="EG_none"),
        "update_layout": pb.UpdateLayoutRequest(egress_id="EG_none"),
        "list_egress": pb.ListEgressRequest(egress_id="EG_none"),
    }[method]
    with pytest.raises(api.TwirpError) as refused:
        await getattr(at.lk.egress, method)(request)
    assert (refused.value.code, refused.value.status) == ("not_found", 404)
    assert "egress does not exist" in refused.value.message


async def test_update_stream_is_handed_on(at: Opened) -> None:
    info = await at.lk.egress.start_room_composite_egress(composite())
    update = pb.UpdateStreamRequest(
        egress_id=info.egress_id, add_output_urls=["rtmp://host/app/key"], remove_output_urls=["rtmp://host/app/old"]
    )
    assert (await at.lk.egress.update_stream(update)).egress_id == info.egress_id
    assert at.service.updates == [update]


async def test_update_layout_is_the_recorders_metadata(at: Opened) -> None:
    info = await at.lk.egress.start_room_composite_egress(composite())
    layout = pb.UpdateLayoutRequest(egress_id=info.egress_id, layout='single "ä"')
    with pytest.raises(api.TwirpError) as early:
        await at.lk.egress.update_layout(layout)
    assert (early.value.code, "participant does not exist" in early.value.message) == ("not_found", True)
    at.rooms.inside.add(("room", info.egress_id))
    assert (await at.lk.egress.update_layout(layout)).egress_id == info.egress_id
    assert json.loads(at.rooms.metadata["room", info.egress_id]) == {"layout": 'single "ä"'}
    web = await at.lk.egress.start_web_egress(pb.WebEgressRequest(url="https://example.com", file_outputs=FILE))
    with pytest.raises(api.TwirpError, match="has no layout"):
        await at.lk.egress.update_layout(pb.UpdateLayoutRequest(egress_id=web.egress_id, layout="grid"))


async def test_lists_by_room_and_activity_and_page(tmp_path: Path) -> None:
    async with opened(tmp_path) as at:
        at.door.store._page_size = 2
        at.rooms.ids["other"] = "RM_other"
        ids = []
        for room in ["room", "other", "room", "room", "room"]:
            ids.append((await at.lk.egress.start_room_composite_egress(composite(room))).egress_id)
        at.service.move(ids[0], S.EGRESS_FAILED)

        async def listed(**filters: object) -> list[str]:
            found, request = [], pb.ListEgressRequest(**filters)  # type: ignore[arg-type]
            while True:
                page = await at.lk.egress.list_egress(request)
                found += [item.egress_id for item in page.items]
                if not page.next_page_token.token:
                    return found
                request.page_token.CopyFrom(page.next_page_token)

        assert await listed() == ids[::-1]
        assert await listed(room_name="other") == [ids[1]]
        assert await listed(room_name="room", active=True) == [ids[4], ids[3], ids[2]]
        assert await listed(room_name="nowhere") == []
        with pytest.raises(api.TwirpError) as refused:
            await at.lk.egress.list_egress(pb.ListEgressRequest(page_token=TokenPagination(token="mine")))
        assert refused.value.metadata == {"field": "page_token"}


async def test_a_room_that_is_not_there(at: Opened) -> None:
    with pytest.raises(api.TwirpError) as refused:
        await at.lk.egress.start_room_composite_egress(composite("elsewhere"))
    assert (refused.value.code, refused.value.status) == ("not_found", 404)
    assert "requested room does not exist" in refused.value.message
    with pytest.raises(api.TwirpError) as nameless:
        await at.lk.egress.start_room_composite_egress(composite(""))
    assert (nameless.value.code, nameless.value.metadata) == ("invalid_argument", {"field": "room_name"})
    assert at.service.starts == []


async def test_a_server_that_cannot_be_asked(tmp_path: Path) -> None:
    async with opened(tmp_path) as at:
        at.rooms.broken = True
        answer = await at.post("StartRoomCompositeEgress", composite().SerializeToString(), content_type=PROTOBUF)
        assert (answer.status, answer.json["code"]) == (503, "unavailable")
        assert "livekit-server" in answer.json["msg"]
        assert at.service.starts == []


PROTOBUF = "application/protobuf"


async def test_refusals_of_the_service_keep_their_code(at: Opened) -> None:
    at.service.refuse = [EgressError("not enough CPU", code=Code.UNAVAILABLE)]
    answer = await at.post("StartRoomCompositeEgress", composite().SerializeToString(), content_type=PROTOBUF)
    assert (answer.status, answer.json) == (503, {"code": "unavailable", "msg": "not enough CPU"})
    answer = await at.post("StartTrackEgress", '{"roomName": "room"}')
    assert (answer.status, answer.json["code"], answer.json["meta"]) == (400, "invalid_argument", {"field": "track_id"})
    answer = await at.post(
        "StartTrackEgress",
        '{"room_name": "room", "track_id": "T", "file": {}, "webhooks": [{"url": "http://a", "signing_key": "x"}]}',
    )
    assert answer.json["meta"] == {"field": "webhooks[0].signing_key"}
    assert (await at.lk.egress.list_egress(pb.ListEgressRequest())).items == []


# Webhooks


@pytest.fixture
async def receiver() -> AsyncIterator[Received]:
    async with receiving(KEYS) as received:
        yield received


async def test_webhooks_tell_the_whole_life_to_both(tmp_path: Path, receiver: Received) -> None:
    async with receiving(KEYS) as configured:
        settings = WebhookSettings(webhooks=(Webhook(configured.url, ""),))
        async with opened(tmp_path, webhooks=settings) as at:
            request = composite()
            request.webhooks.add(url=receiver.url, signing_key="other")
            info = await at.lk.egress.start_room_composite_egress(request)
            at.service.move(info.egress_id, S.EGRESS_STARTING, details="Waiting for a track")
            at.service.move(info.egress_id, S.EGRESS_ACTIVE)
            at.service.move(info.egress_id, S.EGRESS_ENDING)
            at.service.move(info.egress_id, S.EGRESS_COMPLETE)
        # Closing the door told the rest.
        for received in (receiver, configured):
            assert received.names() == ["egress_started", "egress_updated", "egress_updated", "egress_ended"]
            statuses = [event.egress_info.status for event in received.events]
            assert statuses == [S.EGRESS_STARTING, S.EGRESS_ACTIVE, S.EGRESS_ENDING, S.EGRESS_COMPLETE]
            assert not [secret for secret in SECRETS for body in received.bodies if secret.encode() in body]


async def test_a_lost_egress_is_reported_after_a_restart(tmp_path: Path, receiver: Received) -> None:
    settings = WebhookSettings(webhooks=(Webhook(receiver.url, ""),))
    async with opened(tmp_path, webhooks=settings) as before:
        lost = await before.lk.egress.start_room_composite_egress(composite())
        kept = await before.lk.egress.start_room_composite_egress(composite())
        done = await before.lk.egress.start_room_composite_egress(composite())
        before.service.move(done.egress_id, S.EGRESS_COMPLETE)
    surviving = SimulatedService()
    surviving.infos[kept.egress_id] = kept
    async with opened(tmp_path, surviving, webhooks=settings) as at:
        # Whoever else reports these must not have their webhooks told twice.
        assert (at.door.announces(kept.egress_id), at.door.announces(done.egress_id)) == (True, False)
        await receiver.wait(lambda r: "egress_ended" in r.names(lost.egress_id), "the end of the lost one")
        (info,) = (await at.lk.egress.list_egress(pb.ListEgressRequest(egress_id=lost.egress_id))).items
        assert (info.status, info.error_code) == (S.EGRESS_FAILED, 500)
        assert info.ended_at >= info.started_at > 0
        assert "nobody knows" in info.error
        active = await at.lk.egress.list_egress(pb.ListEgressRequest(active=True))
        assert [item.egress_id for item in active.items] == [kept.egress_id]
    assert receiver.names(kept.egress_id) == ["egress_started"]
    assert receiver.names(done.egress_id) == ["egress_started", "egress_ended"]


async def test_egresses_of_another_door_are_listed_but_announced_by_it(tmp_path: Path, receiver: Received) -> None:
    async with opened(tmp_path, webhooks=WebhookSettings(webhooks=(Webhook(receiver.url, ""),))) as at:
        from pyegress.service.egress_service import EgressStart

        await at.service.start(EgressStart("EG_other", composite(), room_id="RM_room"))
        at.service.move("EG_other", S.EGRESS_ACTIVE)
        listed = await at.lk.egress.list_egress(pb.ListEgressRequest(room_name="room", active=True))
        assert [item.status for item in listed.items] == [S.EGRESS_ACTIVE]
        await at.lk.egress.stop_egress(pb.StopEgressRequest(egress_id="EG_other"))
    assert receiver.events == []


# Opening and closing


async def test_what_ended_long_ago_is_forgotten(tmp_path: Path) -> None:
    async with opened(tmp_path) as at:
        old = await at.lk.egress.start_room_composite_egress(composite())
        at.service.move(old.egress_id, S.EGRESS_COMPLETE)
        await at.lk.egress.start_room_composite_egress(composite())
    async with opened(tmp_path, retention=0.0) as at:
        (left,) = await at.listed(lambda items: len(items) < 2, "the old one to be gone")
        assert left.egress_id != old.egress_id


async def test_a_door_listens_on_loopback_and_leaves_nothing(tmp_path: Path, no_tasks_left: object) -> None:
    async with opened(tmp_path) as at:
        assert at.door.url.startswith("http://127.0.0.1:")
        settings = replace(at.door._settings, port=at.door.port, database=tmp_path / "second.db")
        with pytest.raises(EgressError) as taken:
            await type(at.door)(at.service, settings).open()
        assert taken.value.field == "api.port"
        assert at.service.listeners == 1
    assert at.service.listeners == 0
    await at.door.aclose()
