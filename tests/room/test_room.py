"""A room against the real server: joining, what happens in it, tracks, and the ways in which it ends."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial

import pytest
from livekit import api
from livekit.protocol.rtc import SignalRequest, UpdateTrackSettings

from pyegress.codecs import Codec, Kind
from pyegress.demo.publishers import Content
from pyegress.errors import Code, EgressError, InvalidRequest, NotFound, RoomConnectionFailed, Unauthenticated
from pyegress.room.events import (
    Disconnected,
    OwnMetadataChanged,
    ParticipantJoined,
    ParticipantLeft,
    RoomUpdated,
    Source,
    SpeakersChanged,
    TrackMuted,
    TrackPublished,
    TrackUnmuted,
    TrackUnpublished,
)
from pyegress.room.options import RoomOptions
from pyegress.room.room import Room
from pyegress.room.silence import Cure
from pyegress.room.transport import TransportState
from pyegress.rtp.frame import EncodedFrame
from tests.room.rooms import check_published, options, publisher, subscribe_all
from tests.support.collecting_sink import CollectingSink, EventLog
from tests.support.livekit_server import LiveKitServer
from tests.support.waiting import eventually

pytestmark = pytest.mark.system

SMALL = (320, 180)


@asynccontextmanager
async def server_api(server: LiveKitServer) -> AsyncIterator[api.LiveKitAPI]:
    client = api.LiveKitAPI(server.http_url, server.api_key, server.api_secret)
    try:
        yield client
    finally:
        await client.aclose()


async def end_of(room: Room) -> Disconnected:
    async with asyncio.timeout(15):
        events = [event async for event in room.events()]
    assert isinstance(events[-1], Disconnected)
    return events[-1]


# Joining


async def test_joins_hidden_and_knows_who_is_there(livekit_server: LiveKitServer) -> None:
    async with publisher(livekit_server, "join") as ada:
        joined = EventLog()
        async with await Room.connect(options(livekit_server, "join", identity="EG_join", metadata="{}")) as room:
            assert room.name == "join"
            assert room.identity == "EG_join"
            assert room.own_metadata == "{}"
            assert room.server_info.version == "1.13.5"
            assert list(room.participants) == ["ada"]
            room.add_listener(joined)
            await eventually(lambda: len(room.participants["ada"].tracks) == 2, "both tracks")
            tracks = {track.source: track for track in room.participants["ada"].tracks.values()}
            assert tracks[Source.CAMERA].codec is Codec.VP8
            assert tracks[Source.CAMERA].kind is Kind.VIDEO
            assert tracks[Source.CAMERA].size == SMALL
            assert tracks[Source.MICROPHONE].codec is Codec.OPUS
            await eventually(lambda: room.sid.startswith("RM_"), "the room's sid")
            assert ada.room.remote_participants == {}, "the recorder is not hidden"
            async with server_api(livekit_server) as client:
                listed = await client.room.list_participants(api.ListParticipantsRequest(room="join"))
            recorder = next(p for p in listed.participants if p.identity == "EG_join")
            assert recorder.permission.hidden
            assert recorder.permission.recorder
            assert not recorder.permission.can_publish
            assert recorder.kind == api.ParticipantInfo.Kind.EGRESS
        assert room.media_state is TransportState.CLOSED


async def test_what_happens_in_the_room_arrives_as_events(livekit_server: LiveKitServer) -> None:
    async with await Room.connect(options(livekit_server, "events", identity="EG_events")) as room:
        log = EventLog()
        room.add_listener(log)
        early = room.events()
        content = Content(encoded=True, size=SMALL, clip_seconds=4, continuous=True, dtx=False)
        async with publisher(livekit_server, "events", content=content) as ada:
            await log.count(TrackPublished, 2)
            sinks = await subscribe_all(room)
            await sinks[Source.MICROPHONE].more_frames(5)
            await log.count(SpeakersChanged)
            assert log.of(SpeakersChanged)[0].speakers[0].identity == "ada"
            ada.mute(Source.MICROPHONE)
            await log.count(TrackMuted)
            ada.unmute(Source.MICROPHONE)
            await log.count(TrackUnmuted)
            await sinks[Source.MICROPHONE].more_frames(5)
            camera = ada.sids[Source.CAMERA]
            await ada.unpublish(Source.CAMERA)
            await log.count(TrackUnpublished)
            assert log.of(TrackUnpublished)[0].track.sid == camera
            await eventually(lambda: sinks[Source.CAMERA].ends == 1, "the end of the camera")
            async with server_api(livekit_server) as client:
                await client.room.update_room_metadata(api.UpdateRoomMetadataRequest(room="events", metadata="news"))
                layout = json.dumps({"layout": "grid"})
                await client.room.update_participant(
                    api.UpdateParticipantRequest(room="events", identity="EG_events", metadata=layout)
                )
            await log.count(OwnMetadataChanged)
            assert room.own_metadata == layout
            await eventually(lambda: room.metadata == "news", "the room's metadata")
            assert log.of(RoomUpdated)[-1].metadata == "news"
        await log.count(ParticipantLeft)
        assert log.of(ParticipantLeft)[0].reason == "client_initiated"
        await eventually(lambda: sinks[Source.MICROPHONE].ends == 1, "the end of the microphone")
        assert not room.participants
        assert not room.subscriptions
        assert log.names.index("ParticipantJoined") < log.names.index("TrackPublished")
        assert [event.participant.identity for event in log.of(ParticipantJoined)] == ["ada"]
    assert [type(event).__name__ async for event in early] == log.names
    assert log.names[-1] == "Disconnected"


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"api_secret": "wrong" * 8}, Unauthenticated, "signature"),
        ({"api_key": "APInobody"}, Unauthenticated, "invalid API key"),
        ({"url": "http://127.0.0.1:1"}, RoomConnectionFailed, "127.0.0.1:1"),
        ({"url": "ws://no-such-host.invalid"}, RoomConnectionFailed, "no-such-host.invalid:80"),
        ({"url": "ftp://host"}, InvalidRequest, "ws://"),
        ({"api_secret": ""}, InvalidRequest, "access token"),
        ({"room": ""}, InvalidRequest, "room"),
    ],
    ids=["secret", "key", "port", "host", "scheme", "no credentials", "no room"],
)
async def test_a_join_that_fails_names_cause_and_remedy(
    livekit_server: LiveKitServer, change: dict[str, str], error: type[EgressError], words: str
) -> None:
    arguments = {"room": "failing", "connect_timeout": 5.0} | change
    with pytest.raises(error) as caught:
        await Room.connect(options(livekit_server, **arguments))  # type: ignore[arg-type]
    assert words in caught.value.message
    assert caught.value.remedy or caught.value.field
    assert "eyJ" not in str(caught.value)


async def test_a_server_that_does_not_create_rooms_says_that_there_is_none(
    new_livekit_server: Callable[..., LiveKitServer],
) -> None:
    server = new_livekit_server(config={"room": {"auto_create": False}})
    with pytest.raises(NotFound, match="'nowhere' does not exist"):
        await Room.connect(options(server, "nowhere"))


async def test_a_server_that_never_answers_is_given_up_in_time() -> None:
    held: list[asyncio.StreamWriter] = []
    silent = await asyncio.start_server(lambda _, writer: held.append(writer), "127.0.0.1", 0)
    async with silent:
        port = silent.sockets[0].getsockname()[1]
        options = RoomOptions(f"ws://127.0.0.1:{port}", "r", api_key="k", api_secret="s" * 32, connect_timeout=0.3)
        with pytest.raises(RoomConnectionFailed, match=f"127.0.0.1:{port} cannot be reached: no answer in 0.3 s"):
            await Room.connect(options)
        for writer in held:
            writer.close()


# Tracks


async def test_frames_are_those_that_were_published(livekit_server: LiveKitServer) -> None:
    async with (
        publisher(livekit_server, "bytes") as ada,
        await Room.connect(options(livekit_server, "bytes")) as room,
    ):
        sinks = await subscribe_all(room)
        camera, microphone = sinks[Source.CAMERA], sinks[Source.MICROPHONE]
        await camera.more_frames(60)
        await eventually(lambda: bool(camera.reports and microphone.reports), "sender reports")
        assert camera.frames[0].keyframe
        assert camera.codecs == [Codec.VP8]
        assert microphone.codecs == [Codec.OPUS]
        check_published(ada, camera)
        stats = room.subscriptions[ada.sids[Source.CAMERA]].stats
        assert stats.frames == len(camera.frames)
        assert stats.packets_lost == 0
        assert stats.octets >= sum(len(frame.payload) for frame in camera.frames)
        assert room.media_rtt is None or 0 < room.media_rtt < 1


async def test_an_m_line_serves_another_track_of_another_codec(livekit_server: LiveKitServer) -> None:
    async with (
        publisher(livekit_server, "reuse", audio=False) as ada,
        await Room.connect(options(livekit_server, "reuse")) as room,
    ):
        mids: set[str] = set()
        for codec in (Codec.VP8, Codec.H264, Codec.VP9, Codec.AV1, Codec.VP8):
            if codec is not ada.content.codec or not ada.sids:
                await ada.publish(Source.CAMERA, Content(codec=codec, encoded=True, size=SMALL, clip_seconds=4))
            sid = ada.sids[Source.CAMERA]
            await eventually(partial(room._model.find_track, sid), "the new track")
            sink = CollectingSink()
            subscription = room.subscribe(sid, sink)
            await sink.more_frames(15)
            assert sink.codecs == [codec]
            assert sink.frames[0].keyframe
            assert subscription.stream is not None
            mids.add(subscription.stream.mid)
            await ada.unpublish(Source.CAMERA)
            await sink.ended()
        assert len(mids) == 1, "the server did not use the m-line again: this test proves nothing"


async def test_unsubscribe_and_subscribe_again(livekit_server: LiveKitServer) -> None:
    async with (
        publisher(livekit_server, "again", audio=False) as ada,
        await Room.connect(options(livekit_server, "again")) as room,
    ):
        first = (await subscribe_all(room, tracks=1))[Source.CAMERA]
        await first.more_frames(10)
        sid = ada.sids[Source.CAMERA]
        with pytest.raises(InvalidRequest, match="subscribed already"):
            room.subscribe(sid, CollectingSink())
        room.subscriptions[sid].unsubscribe()
        assert first.ends == 1
        second = CollectingSink()
        subscription = room.subscribe(sid, second)
        await second.more_frames(10)
        subscription.unsubscribe()
        subscription.unsubscribe()
        assert second.ends == 1
        with pytest.raises(NotFound):
            room.subscribe("TR_nobody", CollectingSink())


async def test_a_sink_that_raises_loses_only_its_own_track(livekit_server: LiveKitServer) -> None:
    class Broken(CollectingSink):
        def on_frame(self, frame: EncodedFrame) -> None:
            raise OSError("disk full")

    async with (
        publisher(livekit_server, "broken") as ada,
        await Room.connect(options(livekit_server, "broken")) as room,
    ):
        await eventually(lambda: "ada" in room.participants and len(room.participants["ada"].tracks) == 2, "tracks")
        broken, good = Broken(), CollectingSink()
        room.subscribe(ada.sids[Source.CAMERA], broken)
        room.subscribe(ada.sids[Source.MICROPHONE], good)
        await eventually(lambda: broken.ends == 1, "the end of the broken sink")
        await good.more_frames(20)
        assert list(room.subscriptions) == [ada.sids[Source.MICROPHONE]]


async def test_a_sink_may_unsubscribe_itself(livekit_server: LiveKitServer) -> None:
    class Enough(CollectingSink):
        def on_frame(self, frame: EncodedFrame) -> None:
            super().on_frame(frame)
            if len(self.frames) == 5:
                subscription.unsubscribe()

    async with (
        publisher(livekit_server, "enough", audio=False) as ada,
        await Room.connect(options(livekit_server, "enough")) as room,
    ):
        await eventually(lambda: "ada" in room.participants and bool(room.participants["ada"].tracks), "the track")
        sink = Enough()
        subscription = room.subscribe(ada.sids[Source.CAMERA], sink)
        await eventually(lambda: sink.ends == 1, "the end")
        assert len(sink.frames) >= 5


async def test_a_track_that_stays_silent_after_unmute_is_brought_back(livekit_server: LiveKitServer) -> None:
    """The server is made to hold the track back, as if it had missed the unmute."""
    content = Content(continuous=True, dtx=False)
    async with (
        publisher(livekit_server, "silent", content=content, video=False) as ada,
        await Room.connect(options(livekit_server, "silent")) as room,
    ):
        log = EventLog()
        room.add_listener(log)
        microphone = (await subscribe_all(room, tracks=1))[Source.MICROPHONE]
        await microphone.more_frames(20)
        ada.mute(Source.MICROPHONE)
        await log.count(TrackMuted)
        hold = UpdateTrackSettings(track_sids=[ada.sids[Source.MICROPHONE]], disabled=True)
        room._connection.send(SignalRequest(track_setting=hold))
        ada.unmute(Source.MICROPHONE)
        await log.count(TrackUnmuted)
        # More than the blank frames that the server sends when it mutes or disables.
        await microphone.more_frames(100)
        assert microphone.ends == 0


@pytest.mark.parametrize("cure", ["toggle", "resubscribe"])
async def test_the_cures_for_a_silent_track_bring_it_back(livekit_server: LiveKitServer, cure: str) -> None:
    """The server's own fault cannot be made here, so each cure is given to a healthy track: it must go on."""
    async with (
        publisher(livekit_server, f"cure-{cure}"),
        await Room.connect(options(livekit_server, f"cure-{cure}")) as room,
    ):
        sinks = await subscribe_all(room)
        for sink in sinks.values():
            await sink.more_frames(5)
        for subscription in list(room.subscriptions.values()):
            room._subscriber._cure(subscription, Cure(cure))
        streams = 1 if cure == "toggle" else 2
        if cure == "resubscribe":
            for sink in sinks.values():
                await sink.begun(streams)
        else:
            await asyncio.sleep(0.5)
        for sink in sinks.values():
            await sink.more_frames(10)
            assert len(sink.streams) == streams
            assert sink.ends == 0


# The end


async def test_room_deleted(livekit_server: LiveKitServer) -> None:
    room = await Room.connect(options(livekit_server, "deleted"))
    ending = asyncio.create_task(end_of(room))
    await room.wait_media(15)
    async with server_api(livekit_server) as client:
        await client.room.delete_room(api.DeleteRoomRequest(room="deleted"))
    end = await ending
    assert (end.reason, end.error) == ("room_deleted", None)
    await room.aclose()
    with pytest.raises(InvalidRequest, match="closed"):
        room.subscribe("TR_x", CollectingSink())


async def test_recorder_removed(livekit_server: LiveKitServer) -> None:
    room = await Room.connect(options(livekit_server, "removed", identity="EG_removed"))
    ending = asyncio.create_task(end_of(room))
    await room.wait_media(15)
    async with server_api(livekit_server) as client:
        await client.room.remove_participant(api.RoomParticipantIdentity(room="removed", identity="EG_removed"))
    end = await ending
    assert end.reason == "participant_removed"
    assert isinstance(end.error, RoomConnectionFailed)
    assert end.error.code is Code.PERMISSION_DENIED
    assert "RemoveParticipant" in end.error.message
    await room.aclose()


async def test_identity_taken_by_another(livekit_server: LiveKitServer) -> None:
    first = await Room.connect(options(livekit_server, "twice", identity="EG_twice"))
    ending = asyncio.create_task(end_of(first))
    await first.wait_media(15)
    async with await Room.connect(options(livekit_server, "twice", identity="EG_twice")) as second:
        end = await ending
        assert end.reason == "duplicate_identity"
        assert end.error is not None
        assert end.error.code is Code.ALREADY_EXISTS
        await second.wait_media(15)
    await first.aclose()


async def test_aclose_ends_sinks_and_events_and_may_be_repeated(livekit_server: LiveKitServer) -> None:
    async with publisher(livekit_server, "aclose"):
        room = await Room.connect(options(livekit_server, "aclose"))
        sinks = await subscribe_all(room)
        await sinks[Source.CAMERA].more_frames(5)
        log = EventLog()
        room.add_listener(log)
        await asyncio.gather(room.aclose(), room.aclose())
        await room.aclose()
        assert [sink.ends for sink in sinks.values()] == [1, 1]
        # Who speaks may be told until then.
        assert [name for name in log.names if name != "SpeakersChanged"] == ["Disconnected"]
        assert log.names[-1] == "Disconnected"
        assert log.of(Disconnected)[0].reason == "client_initiated"
        assert log.of(Disconnected)[0].error is None
        assert [event async for event in room.events()] == []
        async with server_api(livekit_server) as client:
            request = api.ListParticipantsRequest(room="aclose")
            for _ in range(50):  # without a leave request the server would keep us for 15 s
                listed = await client.room.list_participants(request)
                if [participant.identity for participant in listed.participants] == ["ada"]:
                    break
                await asyncio.sleep(0.1)
            else:
                pytest.fail("the server was not told that the recorder left")


@pytest.mark.parametrize("steps", [0, 1, 2, 3, 5, 8, 13, 21, 34, 55])
async def test_connect_cancelled_at_any_step_leaves_nothing(livekit_server: LiveKitServer, steps: int) -> None:
    task = asyncio.create_task(Room.connect(options(livekit_server, "cancelled")))
    for _ in range(steps):
        await asyncio.sleep(0)
    task.cancel()
    try:
        room = await task
    except asyncio.CancelledError:
        return
    await room.aclose()


@pytest.mark.parametrize("steps", [0, 1, 2, 3, 5, 8, 13])
async def test_aclose_cancelled_at_any_step_goes_on(livekit_server: LiveKitServer, steps: int) -> None:
    room = await Room.connect(options(livekit_server, "cancelled-close"))
    closing = asyncio.create_task(room.aclose())
    for _ in range(steps):
        await asyncio.sleep(0)
    closing.cancel()
    await asyncio.wait({closing})
    await room.aclose()
    assert room.media_state is TransportState.CLOSED
