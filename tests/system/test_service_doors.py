"""`pyegress serve` with both doors open, and LiveKit's own SDKs before them: through livekit-server, and directly."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from livekit import api
from livekit.protocol import egress as pb
from livekit.protocol import room as room_pb

from pyegress.demo.content import tone_of
from pyegress.demo.publishers import DemoParticipant
from pyegress.room.events import Source
from tests.support.analysis import beep_onsets, check_numbers, file_facts, read_pictures, read_sound
from tests.support.composed import Look, read_looks
from tests.support.sdks import Hooks, Sdk, go_sdk, node_sdk, python_sdk, why_no_go, why_no_node
from tests.support.serving import serving, until_nothing_runs
from tests.support.stack import Stack
from tests.support.waiting import eventually
from tests.support.webhook_inbox import WebhookInbox
from tests.support.webhook_receiver import Received, receiving
from tests.system.compositions import WHOLE, mostly, stretch
from tests.system.scenes import clip, counted, prepare, publishing

pytestmark = pytest.mark.system

SMALL = pb.EncodingOptions(width=320, height=180, framerate=30)
STORY = [
    ("egress_started", "STARTING"),
    ("egress_updated", "ACTIVE"),
    ("egress_updated", "ENDING"),
    ("egress_ended", "COMPLETE"),
]
SDKS: dict[str, Callable[..., AbstractAsyncContextManager[Sdk]]] = {
    "python": python_sdk,
    "node": node_sdk,
    "go": go_sdk,
}
LANGUAGES = [
    "python",
    pytest.param("node", marks=pytest.mark.skipif(bool(why_no_node()), reason=why_no_node())),
    pytest.param("go", marks=pytest.mark.skipif(bool(why_no_go()), reason=why_no_go())),
]
#: Event and status of the webhooks about an egress.
Heard = Callable[[str], list[tuple[str, str]]]


@dataclass(frozen=True, slots=True)
class Kind:
    """A request, and the codecs of the file that comes of it."""

    request: Any
    path: Path
    codecs: tuple[str, ...]


def every_kind(room: str, ada: DemoParticipant, folder: Path) -> list[Kind]:
    """One request of each kind that is offered; files lie in `folder`."""
    camera, microphone = ada.sids[Source.CAMERA], ada.sids[Source.MICROPHONE]
    encoded = ("h264", "aac")

    def files(name: str) -> list[pb.EncodedFileOutput]:
        return [pb.EncodedFileOutput(filepath=str(folder / name))]

    def outputs(name: str) -> list[pb.Output]:
        return [pb.Output(file=pb.FileOutput(filepath=str(folder / name)))]

    whole = pb.RoomCompositeEgressRequest(room_name=room, layout="grid", advanced=SMALL, file_outputs=files("room.mp4"))
    person = pb.ParticipantEgressRequest(
        room_name=room, identity="ada", advanced=SMALL, file_outputs=files("participant.mp4")
    )
    pair = pb.TrackCompositeEgressRequest(
        room_name=room,
        audio_track_id=microphone,
        video_track_id=camera,
        advanced=SMALL,
        file_outputs=files("pair.mp4"),
    )
    track = pb.TrackEgressRequest(
        room_name=room, track_id=microphone, file=pb.DirectFileOutput(filepath=str(folder / "track.ogg"))
    )
    template = pb.StartEgressRequest(
        room_name=room, template=pb.TemplateSource(layout="grid", audio_only=True), outputs=outputs("template.ogg")
    )
    media = pb.StartEgressRequest(
        room_name=room,
        media=pb.MediaSource(
            participant_video=pb.ParticipantVideo(identity="ada"), audio=pb.AudioConfig(capture_all=True)
        ),
        advanced=SMALL,
        outputs=outputs("media.mp4"),
    )
    copy = pb.StartEgressRequest(
        room_name=room,
        media=pb.MediaSource(video_track_id=camera),
        preset=pb.EncodingOptionsPreset.PASSTHROUGH,
        outputs=outputs("copy.webm"),
    )
    return [
        Kind(whole, folder / "room.mp4", encoded),
        Kind(person, folder / "participant.mp4", encoded),
        Kind(pair, folder / "pair.mp4", encoded),
        Kind(track, folder / "track.ogg", ("opus",)),
        Kind(template, folder / "template.ogg", ("opus",)),
        Kind(media, folder / "media.mp4", encoded),
        Kind(copy, folder / "copy.webm", ("vp8",)),
    ]


async def drive(sdk: Sdk, kinds: list[Kind], heard: Heard) -> list[pb.EgressInfo]:
    """Start all of them, stop them after some seconds; how they ended. `heard`: webhooks by egress id."""
    started = await asyncio.gather(*(sdk.start(kind.request) for kind in kinds))
    ids = [info.egress_id for info in started]
    assert len(set(ids)) == len(kinds)
    assert {pb.EgressStatus.Name(info.status) for info in started} == {"EGRESS_STARTING"}
    await eventually(
        lambda: all(STORY[1] in heard(egress_id) for egress_id in ids),
        f"all are active; {[heard(egress_id) for egress_id in ids]}",
        60.0,
    )
    enough = asyncio.get_running_loop().time() + 3.5
    await eventually(lambda: asyncio.get_running_loop().time() > enough, "some seconds are recorded")
    stopped = await asyncio.gather(*(sdk.stop(egress_id) for egress_id in ids))
    for info in stopped:
        assert pb.EgressStatus.Name(info.status) in ("EGRESS_ENDING", "EGRESS_COMPLETE")
        assert info.details == "End reason: StopEgress API"
    for egress_id in ids:
        await told(heard, egress_id)
    infos = [(await sdk.infos(egress_id=egress_id))[0] for egress_id in ids]
    assert {info.egress_id for info in await sdk.infos(room=infos[0].room_name)} >= set(ids)
    return infos


async def told(heard: Heard, egress_id: str) -> None:
    """Wait for the last webhook about an egress: there were these four, in order."""
    await eventually(lambda: STORY[3] in heard(egress_id), "it ended", 30.0)
    assert heard(egress_id) == STORY


def check_content(kind: Kind, info: pb.EgressInfo) -> None:
    """The file is the one that the info describes, and shows and sounds like ada."""
    (result,) = info.file_results
    assert result.location == str(kind.path)
    facts = file_facts(kind.path)
    assert tuple(stream.codec for stream in facts.streams) == kind.codecs
    assert facts.duration == pytest.approx(result.duration / 1e9, abs=0.2)
    assert 2.5 < (facts.duration or 0.0) < 20.0
    assert result.size == kind.path.stat().st_size
    if kind.codecs[0] in ("h264", "vp8"):
        pictures = [picture for picture in read_pictures(kind.path) if picture.number is not None]
        assert mostly([picture.participant == 3 for picture in pictures])
        numbers = check_numbers(counted(pictures))
        assert len(pictures) >= 50
        assert numbers.reordered == ()
        # None, but that a busy machine loses some on their way to us.
        assert len(numbers.missing) <= 0.3 * len(pictures), numbers
    if kind.codecs[-1] in ("aac", "opus"):
        # Not the first: the recording may have begun in a beep.
        onsets = beep_onsets(read_sound(kind.path), tone_of(3))[1:]
        assert len(onsets) >= 2
        assert all(abs(after - before - 1.0) < 0.1 for before, after in itertools.pairwise(onsets)), onsets


@pytest.mark.alone
@pytest.mark.parametrize("language", LANGUAGES)
async def test_every_kind_of_request(stack: Stack, tmp_path: Path, language: str) -> None:
    """Webhooks arrive at official receivers of both languages, in order; files hold what was published."""
    server, room = stack.server, f"doors-{language}"
    prepare("ada", clip())
    async with AsyncExitStack() as exits:
        inbox = await exits.enter_async_context(WebhookInbox(server.api_key, server.api_secret, stack.inbox_port))
        direct = await exits.enter_async_context(receiving({server.api_key: server.api_secret}))
        hooks: Hooks | None = None
        if not why_no_node():
            receiver = await exits.enter_async_context(node_sdk(server.http_url, server.api_key, server.api_secret))
            hooks = await receiver.receive(server.api_key, server.api_secret)
        service = await exits.enter_async_context(
            serving(tmp_path / "node", server, stack.redis, http=True, webhooks={"urls": [direct.url]})
        )
        ada = await exits.enter_async_context(publishing(server, room))
        (sid,) = [known.sid for known in await server.rooms() if known.name == room]
        for door, url, heard in (
            ("redis", server.http_url, inbox_story(inbox)),
            ("http", service.http_url, received_story(direct)),
        ):
            kinds = every_kind(room, ada, tmp_path / door)
            if hooks is not None:
                for kind in kinds:
                    kind.request.webhooks.add(url=hooks.url, signing_key=server.api_key)
            async with SDKS[language](url, server.api_key, server.api_secret) as sdk:
                infos = await drive(sdk, kinds, heard)
                with pytest.raises(Exception, match="egress with status") as again:
                    await sdk.stop(infos[0].egress_id)
                assert getattr(again.value, "code", "") == "failed_precondition"
            for kind, info in zip(kinds, infos, strict=True):
                check_content(kind, info)
                assert info.room_name == room
                assert info.room_id == sid
                if hooks is not None:
                    await told(hooks.of, info.egress_id)
        assert hooks is None or hooks.rejected == []
        await until_nothing_runs(service)


def inbox_story(inbox: WebhookInbox) -> Heard:
    return lambda egress_id: [
        (name, pb.EgressStatus.Name(status).removeprefix("EGRESS_")) for name, status in inbox.of(egress_id)
    ]


def received_story(received: Received) -> Heard:
    return lambda egress_id: [
        (event.event, pb.EgressStatus.Name(event.egress_info.status).removeprefix("EGRESS_"))
        for event in received.events
        if event.egress_info.egress_id == egress_id
    ]


async def test_layouts_and_rooms_that_are_recorded_from_their_beginning(stack: Stack, tmp_path: Path) -> None:
    """UpdateLayout changes the picture through either door; CreateRoom with egress records room and tracks."""
    server, room = stack.server, "doors-layout"
    prepare("ada", clip())
    prepare("bob", clip(participant=5))
    files = tmp_path / "node" / "files"
    async with AsyncExitStack() as exits:
        inbox = await exits.enter_async_context(WebhookInbox(server.api_key, server.api_secret, stack.inbox_port))
        direct = await exits.enter_async_context(receiving({server.api_key: server.api_secret}))
        service = await exits.enter_async_context(
            serving(tmp_path / "node", server, stack.redis, http=True, webhooks={"urls": [direct.url]})
        )
        admin = await exits.enter_async_context(server.admin())
        await admin.room.create_room(
            api.CreateRoomRequest(
                name=room,
                egress=room_pb.RoomEgress(
                    room=composite(room, "auto.mp4"), tracks=pb.AutoTrackEgress(filepath="auto-{track_id}")
                ),
            )
        )
        await eventually(lambda: inbox.events, "the egress of the room was started", 30.0)
        bob = await exits.enter_async_context(publishing(server, room, "bob", clip(participant=5), audio=False))
        ada = await exits.enter_async_context(publishing(server, room))
        doors: dict[str, tuple[Sdk, str, Heard]] = {}
        for name, url, heard in (
            ("redis", server.http_url, inbox_story(inbox)),
            ("http", service.http_url, received_story(direct)),
        ):
            client = await exits.enter_async_context(python_sdk(url, server.api_key, server.api_secret))
            info = await client.start(composite(room, f"{name}.mp4"))
            doors[name] = (client, info.egress_id, heard)
        await eventually(
            lambda: all(STORY[1] in heard(egress_id) for _, egress_id, heard in doors.values()), "both are active", 60.0
        )
        loop = asyncio.get_running_loop()
        seconds = loop.time() + 3.0
        await eventually(lambda: loop.time() > seconds, "three seconds of the grid")
        for sdk, egress_id, _ in doors.values():
            await sdk.layout(egress_id, "single-speaker")
        seconds = loop.time() + 3.5
        await eventually(lambda: loop.time() > seconds, "three seconds of one person")
        for sdk, egress_id, heard in doors.values():
            await sdk.stop(egress_id)
            await told(heard, egress_id)
        microphone = ada.sids[Source.MICROPHONE]
        tracks = [microphone, ada.sids[Source.CAMERA], bob.sids[Source.CAMERA]]
        await admin.room.delete_room(api.DeleteRoomRequest(room=room))
        automatic = {info.egress_id for info in await everything(admin) if info.room_name == room}
        automatic -= {egress_id for _, egress_id, _ in doors.values()}
        assert len(automatic) == 1 + len(tracks)
        heard = inbox_story(inbox)
        await eventually(
            lambda: all(STORY[3] in heard(egress_id) for egress_id in automatic),
            f"what was started with the room ended; {[heard(egress_id) for egress_id in automatic]}",
            30.0,
        )
        await until_nothing_runs(service)
    for name in doors:
        looks = read_looks(files / f"{name}.mp4", {"whole": WHOLE}, every=2)
        end = looks[-1].at
        assert mostly([look.shows("whole") is None for look in stretch(looks, 1.0, 2.5)]), name
        assert mostly([look.shows("whole") in (3, 5) for look in stretch(looks, end - 1.5, end)]), name
    assert mostly([people(look) for look in read_looks(files / "auto.mp4", {"whole": WHOLE}, every=5)], 0.0)
    for sid in tracks:
        (path,) = files.glob(f"auto-{sid}*")
        (stream,) = file_facts(path).streams
        assert stream.codec == ("opus" if sid == microphone else "vp8")


def composite(room: str, name: str) -> pb.RoomCompositeEgressRequest:
    return pb.RoomCompositeEgressRequest(
        room_name=room,
        layout="grid",
        advanced=pb.EncodingOptions(width=640, height=360, framerate=30),
        file_outputs=[pb.EncodedFileOutput(filepath=name)],
    )


def people(look: Look) -> bool:
    return look.brightness["whole"] > 24.0


async def everything(admin: api.LiveKitAPI) -> list[pb.EgressInfo]:
    return list((await admin.egress.list_egress(pb.ListEgressRequest())).items)
