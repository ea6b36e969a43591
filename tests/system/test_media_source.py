"""A V2 request for chosen media of a real room: who is seen, and who is heard on which side."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest
from livekit.protocol import egress as pb

import pyegress
from pyegress.clock import wall
from pyegress.codecs import Codec
from pyegress.demo.content import tone_of
from pyegress.lifecycle.recording import RecordingState
from pyegress.plan.build import plan_recording
from pyegress.plan.recording_plan import RecordingPlan, Service, Start
from pyegress.room.events import Source
from pyegress.room.options import new_egress_id
from tests.support.analysis import beep_onsets, file_facts, read_sound
from tests.support.composed import Look, read_looks
from tests.support.livekit_server import LiveKitServer
from tests.system.scenes import clip, finished, prepare, publishing, recorded, the_file

pytestmark = pytest.mark.system

ADA, BOB, SCREEN = 3, 4, 9
SIDES = {"ada": pb.AudioChannel.AUDIO_CHANNEL_LEFT, "bob": pb.AudioChannel.AUDIO_CHANNEL_RIGHT}


def media_plan(server: LiveKitServer, room: str, output: Path) -> RecordingPlan:
    """Ada's screen share, else her camera; Ada on the left, Bob on the right."""
    routes = [pb.AudioRoute(participant_identity=who, channel=side) for who, side in SIDES.items()]
    request = pb.StartEgressRequest(
        room_name=room,
        media=pb.MediaSource(
            participant_video=pb.ParticipantVideo(identity="ada", prefer_screen_share=True),
            audio=pb.AudioConfig(routes=routes),
        ),
        advanced=pb.EncodingOptions(width=640, height=360, framerate=30, video_bitrate=1000),
        outputs=[pb.Output(file=pb.FileOutput(filepath=str(output), disable_manifest=True))],
    )
    service = Service(ws_url=server.url, api_key=server.api_key, api_secret=server.api_secret)
    return plan_recording(request, Start(egress_id=new_egress_id(), at=wall()), service)


def shown(looks: list[Look], start: float, end: float) -> list[int | None]:
    """Who is seen from `start` to `end` seconds of the file."""
    chosen = [look.shows("all") for look in looks if start <= look.at < end]
    assert chosen, f"nothing between {start} and {end} s of {looks[-1].at} s"
    return chosen


def mostly(values: list[int | None], wanted: int) -> bool:
    return values.count(wanted) >= 0.9 * len(values)


async def test_screen_share_before_camera_and_each_on_their_side(livekit_server: LiveKitServer, tmp_path: Path) -> None:
    """Bob is heard and never seen; the room ends it."""
    room = "media-source"
    prepare("bob", clip(Codec.VP8, BOB))
    marks: dict[str, float] = {}
    async with (
        publishing(livekit_server, room) as ada,
        publishing(livekit_server, room, "bob", clip(Codec.VP8, BOB)),
        pyegress.Recording(media_plan(livekit_server, room, tmp_path / "media.mp4")) as recording,
    ):
        await recorded(recording, 3.0)
        marks["shared"] = recording.now.elapsed
        await ada.publish(Source.SCREEN_SHARE, clip(Codec.VP8, SCREEN))
        await recorded(recording, 6.5)
        marks["unshared"] = recording.now.elapsed
        await ada.unpublish(Source.SCREEN_SHARE)
        await recorded(recording, 9.0)
        taken = {(track.identity, track.source) for track in recording.now.tracks}
        await livekit_server.delete_room(room)
        result = await finished(recording)
    assert result.state is RecordingState.COMPLETE
    assert taken == {("ada", "camera"), ("ada", "microphone"), ("bob", "microphone")}
    path = the_file(result)
    assert [(stream.kind, stream.codec) for stream in file_facts(path).streams] == [("video", "h264"), ("audio", "aac")]
    looks = read_looks(path, {"all": (0.0, 0.0, 640.0, 360.0)})
    before = shown(looks, 1.0, marks["shared"] - 0.3)
    during = shown(looks, marks["shared"] + 1.5, marks["unshared"] - 0.3)
    after = shown(looks, marks["unshared"] + 1.0, 8.8)
    assert mostly(before, ADA), before
    assert mostly(during, SCREEN), during
    assert mostly(after, ADA), after
    assert BOB not in {look.shows("all") for look in looks}
    sides: tuple[tuple[Literal["left", "right"], int, int], ...] = (("left", ADA, BOB), ("right", BOB, ADA))
    for side, own, other in sides:
        sound = read_sound(path, side=side)
        assert len(beep_onsets(sound, tone_of(own))) >= 6, side
        assert beep_onsets(sound, tone_of(other), least=0.1) == [], side
