"""The HTTP door beside a real livekit-server: rooms, layouts and recording rules, with LiveKit's own clients."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from livekit import api, rtc
from livekit.protocol import egress as pb

from pyegress.api.twirp import TwirpDoor
from pyegress.api.twirp_settings import TwirpSettings
from pyegress.demo.server import LiveKitServer, free_port
from pyegress.plan.recording_plan import Webhook
from pyegress.server.twirp import ServerAccess
from pyegress.service.recording_rules import read_rules
from pyegress.service.webhooks import WebhookSettings
from tests.support.simulated_service import SimulatedService
from tests.support.waiting import eventually
from tests.support.webhook_receiver import receiving

pytestmark = pytest.mark.system

KEY, SECRET = "APIdoor", "d" * 32
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
    port = free_port(socket.SOCK_STREAM)
    hook = f"http://127.0.0.1:{port}/livekit/webhook"
    server = new_livekit_server(config={"keys": {KEY: SECRET}, "webhook": {"api_key": KEY, "urls": [hook]}})
    async with AsyncExitStack() as stack:
        received = await stack.enter_async_context(receiving({KEY: SECRET}))
        settings = TwirpSettings(
            ServerAccess(server.url, KEY, SECRET),
            tmp_path / "egress.db",
            port=port,
            webhooks=WebhookSettings(webhooks=(Webhook(received.url, ""),)),
            rules=read_rules(RULES),
        )
        door = TwirpDoor(service, settings)
        await door.open()
        stack.push_async_callback(door.aclose)
        await _direct(stack, server, door, service)
        await received.wait(lambda r: len(r.events) >= 1, "egress_started")
        assert received.events[0].egress_info.room_name == "plain"
        service.starts.clear()
        service.infos.clear()
        await _by_rules(stack, server, service)


async def _direct(stack: AsyncExitStack, server: LiveKitServer, door: TwirpDoor, service: SimulatedService) -> None:
    client = await stack.enter_async_context(api.LiveKitAPI(door.url, KEY, SECRET))
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
    token = server.token(info.egress_id, "plain", hidden=True, recorder=True, publish=False)
    await recorder.connect(server.url, token)
    stack.push_async_callback(recorder.disconnect)
    await client.egress.update_layout(layout)
    await eventually(lambda: recorder.local_participant.metadata, "the layout in the recorder's metadata")
    assert json.loads(recorder.local_participant.metadata) == {"layout": "speaker"}


async def _by_rules(stack: AsyncExitStack, server: LiveKitServer, service: SimulatedService) -> None:
    room = rtc.Room()
    await room.connect(server.url, server.token("ada", "meet-1"))
    stack.push_async_callback(room.disconnect)
    published = await publish_microphone(room)
    await eventually(lambda: len(service.infos) >= 3, "an egress for room, participant and track")
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
    await other.connect(server.url, server.token("bob", "meet-1"))
    stack.push_async_callback(other.disconnect)
    microphone = await publish_microphone(other)
    await eventually(lambda: len(service.infos) >= 4, "the track of the other")
    kinds = [type(start.request) for start in service.starts]
    assert kinds.count(pb.RoomCompositeEgressRequest) == kinds.count(pb.ParticipantEgressRequest) == 1
    last = service.starts[-1].request
    assert isinstance(last, pb.TrackEgressRequest)
    assert last.track_id == microphone.sid
