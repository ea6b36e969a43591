"""What a room survives, against the real server: lost signalling, a restarted server, a lost media path."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import pytest
from livekit.protocol.rtc import SignalRequest, SimulateScenario

from pyegress.codecs import Codec
from pyegress.errors import RoomConnectionFailed
from pyegress.room.events import (
    Disconnected,
    Reconnected,
    Reconnecting,
    SenderReportSeen,
    Source,
    TrackMuted,
    TrackUnpublished,
)
from pyegress.room.room import Room
from pyegress.room.transport import TransportState
from tests.room.rooms import Gate, check_published, missing_beside, options, publisher, subscribe_all
from tests.support.collecting_sink import CollectingSink, EventLog
from tests.support.livekit_server import LiveKitServer
from tests.support.tcp_proxy import TcpProxy
from tests.support.waiting import eventually

pytestmark = pytest.mark.system


async def last_event(room: Room, within: float = 40.0) -> Disconnected:
    """Follow the room to its end."""
    events = room.events()
    async with asyncio.timeout(within):
        last = [event async for event in events][-1]
    assert isinstance(last, Disconnected)
    return last


async def test_signalling_cut_five_times_loses_no_frame(livekit_server: LiveKitServer) -> None:
    async with (
        TcpProxy(livekit_server.bind, livekit_server.port) as proxy,
        publisher(livekit_server, "cut") as ada,
        await Room.connect(options(livekit_server, "cut", url=proxy.url)) as room,
        await Room.connect(options(livekit_server, "cut")) as undisturbed,
    ):
        log = EventLog()
        room.add_listener(log)
        sinks = await subscribe_all(room)
        camera, microphone = sinks[Source.CAMERA], sinks[Source.MICROPHONE]
        control = (await subscribe_all(undisturbed))[Source.CAMERA]
        await control.more_frames(20)
        await camera.more_frames(20)
        before = room.subscriptions[ada.sids[Source.CAMERA]].stats
        for count in range(1, 6):
            proxy.cut()
            await log.count(Reconnected, count)
            await camera.more_frames(30)
        after = room.subscriptions[ada.sids[Source.CAMERA]].stats
        assert (after.packets_lost, after.plis_sent) == (before.packets_lost, before.plis_sent)
        # News of the room come by the resumed connection.
        ada.mute(Source.MICROPHONE)
        await log.count(TrackMuted)
        await ada.unpublish(Source.CAMERA)
        await camera.ended()
        await control.ended()

        assert [event.full for event in log.of(Reconnecting)] == [False] * 5
        assert [event.full for event in log.of(Reconnected)] == [False] * 5
        check_published(ada, camera)
        assert missing_beside(control, camera) == 0
        assert len(camera.streams) == len(microphone.streams) == 1
        assert not any(frame.discontinuity for frame in camera.frames[1:] + microphone.frames[1:])
        assert_steady(camera.reports)


def assert_steady(reports: list[SenderReportSeen]) -> None:
    """Sender reports of one stream lie on one line: no stream was begun anew."""
    for before, after in pairwise(reports):
        ticks = (after.timestamp - before.timestamp) / Codec.VP8.clock_rate
        assert ticks == pytest.approx(after.sender_time - before.sender_time, abs=0.05)


async def test_a_server_that_falls_silent_is_noticed_by_pings(livekit_server: LiveKitServer) -> None:
    async with (
        TcpProxy(livekit_server.bind, livekit_server.port) as proxy,
        await Room.connect(options(livekit_server, "silent", url=proxy.url)) as room,
    ):
        log = EventLog()
        room.add_listener(log)
        await room.wait_media(15)
        # The server's own values are 5 s and 15 s: come back with shorter ones.
        room._connection.pings = 0.1, 0.5
        proxy.cut()
        await log.count(Reconnected)
        await eventually(lambda: room.signal_rtt is not None, "an answer to a ping")
        # A busy machine may have lost the connection once more meanwhile.
        lost, back = len(log.of(Reconnecting)), len(log.of(Reconnected))
        proxy.stall()
        await log.count(Reconnecting, lost + 1)
        proxy.go_on()
        # An attempt that the silence caught has its own time to fail first.
        await log.count(Reconnected, back + 1, within=45)
        assert "silent" in log.of(Reconnecting)[lost].cause


@pytest.mark.parametrize("scenario", ["node_failure", "server_leave", "migration"])
async def test_a_session_that_the_server_gave_up_is_made_anew_with_the_same_tracks(
    livekit_server: LiveKitServer, scenario: str
) -> None:
    name = f"anew-{scenario}"
    async with publisher(livekit_server, name) as ada, await Room.connect(options(livekit_server, name)) as room:
        log = EventLog()
        room.add_listener(log)
        sinks = await subscribe_all(room)
        camera = sinks[Source.CAMERA]
        await camera.more_frames(10)
        subscription = room.subscriptions[ada.sids[Source.CAMERA]]
        packets = subscription.stats.packets
        room._connection.send(SignalRequest(simulate=SimulateScenario(**{scenario: True})))  # type: ignore[arg-type]
        await log.count(Reconnected, within=30)
        await camera.more_frames(30)
        assert log.of(Reconnected)[0].full
        assert log.of(Reconnected)[0].gap < 10
        assert camera.codecs == [Codec.VP8, Codec.VP8], "a new stream was announced"
        assert camera.frames[camera.streams[1][1]].keyframe
        assert [sink.ends for sink in sinks.values()] == [0, 0]
        assert subscription.stats.packets > packets, "counters go on"
        assert not log.of(TrackUnpublished)
        check_published(ada, camera)


@pytest.mark.parametrize("scenario", ["disconnect_signal_on_resume", "disconnect_signal_on_resume_no_messages"])
async def test_signalling_that_is_lost_again_while_resuming(livekit_server: LiveKitServer, scenario: str) -> None:
    name = f"again-{scenario}"
    async with (
        TcpProxy(livekit_server.bind, livekit_server.port) as proxy,
        publisher(livekit_server, name) as ada,
        await Room.connect(options(livekit_server, name, url=proxy.url)) as room,
        await Room.connect(options(livekit_server, name)) as undisturbed,
    ):
        log = EventLog()
        room.add_listener(log)
        control = (await subscribe_all(undisturbed))[Source.CAMERA]
        camera = (await subscribe_all(room))[Source.CAMERA]
        await control.more_frames(20)
        await camera.more_frames(20)
        room._connection.send(SignalRequest(simulate=SimulateScenario(**{scenario: True})))  # type: ignore[arg-type]
        await eventually(
            lambda: room._connection.signal is not None and room._connection.signal._outgoing.empty(),
            "the request to leave us",
        )
        proxy.cut()
        await log.count(Reconnected, within=30)
        await camera.more_frames(60)
        assert room.connected
        assert room.media_state is TransportState.CONNECTED
        assert camera.ends == 0
        if not any(event.full for event in log.of(Reconnecting)):
            missing_beside(control, camera)
        check_published(ada, camera)


@pytest.mark.parametrize("hard", [False, True], ids=["stopped", "killed"])
async def test_server_restart_makes_a_new_session(own_livekit_server: LiveKitServer, hard: bool) -> None:
    server = own_livekit_server
    async with await Room.connect(options(server, "restart")) as room:
        log = EventLog()
        room.add_listener(log)
        async with publisher(server, "restart", audio=False):
            before = (await subscribe_all(room, tracks=1))[Source.CAMERA]
            await before.more_frames(10)
            await asyncio.to_thread(server.restart, hard=hard)
            await log.count(Reconnected, within=40)
        assert before.ends == 1, "the old track ended"
        async with publisher(server, "restart", audio=False) as ada:
            await eventually(lambda: ada.sids[Source.CAMERA] in str(room.participants), "ada's new track", within=30)
            after = CollectingSink()
            room.subscribe(ada.sids[Source.CAMERA], after)
            await after.more_frames(10)
        assert log.of(Reconnected)[0].full
        assert log.of(Reconnected)[0].gap < 20
        assert not log.of(Disconnected)


async def test_a_media_path_that_breaks_is_restarted(livekit_server: LiveKitServer) -> None:
    """Nothing passes for longer than the transport's patience; signalling stays. ICE is restarted by a resume."""
    gate = Gate()
    async with (
        publisher(livekit_server, "gate") as ada,
        await Room.connect(options(livekit_server, "gate", seam=gate)) as room,
    ):
        log = EventLog()
        room.add_listener(log)
        camera = (await subscribe_all(room))[Source.CAMERA]
        await camera.more_frames(10)
        gate.is_open = False
        await log.count(Reconnecting, within=20)
        gate.is_open = True
        await log.count(Reconnected, within=30)
        await camera.more_frames(30)
        assert not log.of(Reconnected)[0].full
        assert camera.codecs == [Codec.VP8]
        check_published(ada, camera)


async def test_media_that_cannot_flow_at_all_ends_with_the_reason(livekit_server: LiveKitServer) -> None:
    gate = Gate(is_open=False)
    room = await Room.connect(options(livekit_server, "blocked", seam=gate, media_timeout=2.0))
    try:
        end = await last_event(room)
    finally:
        await room.aclose()
    assert end.reason == "media_failure"
    assert isinstance(end.error, RoomConnectionFailed)
    assert "UDP" in end.error.message
    assert "rtc.port_range" in end.error.remedy


async def test_the_reconnect_window_ends_with_an_error(own_livekit_server: LiveKitServer) -> None:
    server = own_livekit_server
    room = await Room.connect(options(server, "window", reconnect_window=2.0))
    await room.wait_media(15)
    ending = asyncio.create_task(last_event(room))
    await asyncio.sleep(0)
    await asyncio.to_thread(server.kill)
    end = await ending
    assert isinstance(end.error, RoomConnectionFailed)
    assert "did not come back within" in end.error.message
    assert f"{server.bind}:{server.port}" in end.error.message
    assert end.error.remedy
    assert room.media_state is TransportState.CLOSED
    await room.aclose()
