"""The HTTP door beside a real livekit-server: rooms, layouts and recording rules, with LiveKit's own clients."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from livekit import api, rtc
from livekit.protocol import egress as pb

from pyegress.api.twirp import TwirpDoor
from pyegress.api.twirp_settings import TwirpSettings
from pyegress.demo.server import LiveKitServer
from pyegress.plan.recording_plan import Webhook
from pyegress.service.recording_rules import read_rules
from pyegress.service.room_service import ServerAccess
from pyegress.service.webhooks import WebhookSettings
from tests.support.simulated_service import SimulatedService
from tests.support.waiting import eventually
from tests.support.webhook_receiver import receiving

pytestmark = pytest.mark.system

FILE = {"filepath": "{room_id}.mp4"}
RULES = [
    {"record": "room", "rooms": "meet-*", "request": {"file_outputs": [FILE]}},
    {"record": "participant", "participants": "a*", "request": {"file_outputs": [{"filepath": "rec/"}]}},
    {"record": "track", "tracks": "audio", "request": {"file": {"filepath": "{track_id}"}}},
]


async def publish_microphone(room: rtc.Room) -> rtc.LocalTrackPublication:
    track = rtc.LocalAudioTrack.create_audio_track("microphone", rtc.AudioSource(48000, 1))
    return await room.local_participant.publish_track(track)


async def test_rooms_layouts_and_rules(new_livekit_server: Callable[..., LiveKitServer], tmp_path: Path) -> None:
    service = SimulatedService()
    # The door's port is needed for the server's configuration, and the server's URL for the door.
    async with AsyncExitStack() as stack:
        first = new_livekit_server()
        received = await stack.enter_async_context(receiving({first.api_key: first.api_secret}))
        settings = TwirpSettings(
            ServerAccess(first.url, first.api_key, first.api_secret),
            tmp_path / "egress.db",
            port=0,
            webhooks=WebhookSettings(webhooks=(Webhook(received.url, ""),)),
            rules=read_rules(RULES),
        )
        door = TwirpDoor(service, settings)
        await door.open()
        stack.push_async_callback(door.aclose)
        await _direct(stack, first, door, service)
        await received.wait(lambda r: len(r.events) >= 1, "egress_started")
        assert received.events[0].egress_info.room_name == "plain"
        service.starts.clear()
        # A second server of the same keys tells the door of its rooms.
        hooks = {"webhook": {"api_key": first.api_key, "urls": [f"{door.url}/livekit/webhook"]}}
        second = new_livekit_server(keys={first.api_key: first.api_secret}, config=hooks)
        await _by_rules(stack, second, service)


async def _direct(stack: AsyncExitStack, server: LiveKitServer, door: TwirpDoor, service: SimulatedService) -> None:
    client = await stack.enter_async_context(api.LiveKitAPI(door.url, server.api_key, server.api_secret))
    admin = await stack.enter_async_context(server.admin())
    created = await admin.room.create_room(api.CreateRoomRequest(name="plain"))
    request = pb.RoomCompositeEgressRequest(room_name="plain", file_outputs=[pb.EncodedFileOutput(filepath="a.mp4")])
    info = await client.egress.start_room_composite_egress(request)
    assert info.room_id == created.sid
    request.room_name = "nowhere"
    with pytest.raises(api.TwirpError) as missing:
        await client.egress.start_room_composite_egress(request)
    assert (missing.value.code, missing.value.status) == ("not_found", 404)

    layout = pb.UpdateLayoutRequest(egress_id=info.egress_id, layout="speaker")
    with pytest.raises(api.TwirpError) as absent:
        await client.egress.update_layout(layout)
    assert absent.value.code == "not_found"
    recorder = rtc.Room()
    token = (
        api.AccessToken(server.api_key, server.api_secret)
        .with_identity(info.egress_id)
        .with_grants(api.VideoGrants(room_join=True, room="plain", hidden=True, recorder=True))
    )
    await recorder.connect(server.url, token.to_jwt())
    stack.push_async_callback(recorder.disconnect)
    await client.egress.update_layout(layout)
    await eventually(lambda: recorder.local_participant.metadata, "the layout in the recorder's metadata")
    assert json.loads(recorder.local_participant.metadata) == {"layout": "speaker"}


async def _by_rules(stack: AsyncExitStack, server: LiveKitServer, service: SimulatedService) -> None:
    room = rtc.Room()
    await room.connect(server.url, server.token("meet-1", "ada"))
    stack.push_async_callback(room.disconnect)
    published = await publish_microphone(room)
    await eventually(lambda: len(service.infos) >= 4, "an egress for room, participant and track")
    requests = {type(start.request): start for start in service.starts}
    composite = requests[pb.RoomCompositeEgressRequest]
    participant = requests[pb.ParticipantEgressRequest].request
    track = requests[pb.TrackEgressRequest].request
    assert composite.room_id == await room.sid
    assert isinstance(participant, pb.ParticipantEgressRequest)
    assert (participant.room_name, participant.identity) == ("meet-1", "ada")
    assert isinstance(track, pb.TrackEgressRequest)
    assert (track.room_name, track.track_id) == ("meet-1", published.sid)
    # Whoever else joins is no reason to record the room again.
    other = rtc.Room()
    await other.connect(server.url, server.token("meet-1", "bob"))
    stack.push_async_callback(other.disconnect)
    microphone = await publish_microphone(other)
    await eventually(lambda: len(service.infos) >= 5, "the track of the other")
    kinds = [type(start.request) for start in service.starts]
    assert kinds.count(pb.RoomCompositeEgressRequest) == kinds.count(pb.ParticipantEgressRequest) == 1
    last = service.starts[-1].request
    assert isinstance(last, pb.TrackEgressRequest)
    assert last.track_id == microphone.sid
