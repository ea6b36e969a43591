"""Demo participants in a real room, seen by the official SDK."""

from __future__ import annotations

from functools import partial
from itertools import pairwise

import pytest

from pyegress.codecs import Codec
from pyegress.demo.publishers import Content, DemoParticipant
from pyegress.demo.server import LiveKitServer
from pyegress.room.events import Source
from tests.support.subscriber import SdkSubscriber

pytestmark = pytest.mark.system

SMALL = (320, 180)


def _content(codec: Codec, *, encoded: bool, participant: int = 3) -> Content:
    return Content(participant=participant, codec=codec, size=SMALL, encoded=encoded, clip_seconds=4)


def _has_ten(subscriber: SdkSubscriber) -> bool:
    return len(subscriber.numbers("alice")) >= 10


@pytest.mark.parametrize("encoded", [False, True], ids=["drawn", "encoded"])
@pytest.mark.parametrize("codec", [Codec.VP8, Codec.VP9, Codec.H264, Codec.AV1])
async def test_publishes_every_codec(livekit_server: LiveKitServer, codec: Codec, encoded: bool) -> None:
    room = f"codec-{codec.name}-{encoded}"
    token = livekit_server.token("alice", room)
    async with (
        SdkSubscriber(livekit_server, room) as subscriber,
        DemoParticipant(livekit_server.url, token, "alice", _content(codec, encoded=encoded)) as alice,
    ):
        await subscriber.wait_for("45 pictures", lambda: len(subscriber.numbers("alice")) >= 45)
        assert set(alice.sids) == {Source.CAMERA, Source.MICROPHONE}
        submitted = {frame.index % (120 if encoded else 1 << 20) for frame in alice.log()}
    assert subscriber.codecs["alice"] == [codec.mime]
    assert {(p.participant, p.size) for p in subscriber.pictures["alice"] if p.number is not None} == {(3, SMALL)}
    assert set(subscriber.numbers("alice")) <= submitted


async def test_encoded_log_is_a_decodable_stream(livekit_server: LiveKitServer) -> None:
    token = livekit_server.token("alice", "log")
    content = _content(Codec.VP8, encoded=True)
    async with (
        SdkSubscriber(livekit_server, "log") as subscriber,
        DemoParticipant(livekit_server.url, token, "alice", content, audio=False) as alice,
    ):
        await subscriber.wait_for("pictures", lambda: len(subscriber.numbers("alice")) >= 30)
        log = alice.log()
    assert log[0].keyframe
    assert [frame.index for frame in log] == list(range(log[0].index, log[0].index + len(log)))
    steps = {b.capture_us - a.capture_us for a, b in pairwise(log)}
    assert steps <= {33333, 33334}
    assert all(frame.data for frame in log)


async def test_a_late_subscriber_gets_a_keyframe_soon(livekit_server: LiveKitServer) -> None:
    token = livekit_server.token("alice", "late")
    content = Content(codec=Codec.VP8, size=SMALL, encoded=True, clip_seconds=4, gop=4, phases=8)
    async with DemoParticipant(livekit_server.url, token, "alice", content, audio=False) as alice:
        for identity in ("first", "second"):
            async with SdkSubscriber(livekit_server, "late", identity) as subscriber:
                await subscriber.wait_for("pictures", partial(_has_ten, subscriber))
        # Every 120 frames without being asked: more key frames than that were made on request.
        assert sum(frame.keyframe for frame in alice.log()) > 1 + len(alice.log()) // 120


async def test_republish_with_another_codec_goes_on_counting(livekit_server: LiveKitServer) -> None:
    token = livekit_server.token("alice", "republish")
    async with SdkSubscriber(livekit_server, "republish") as subscriber:
        first = _content(Codec.VP8, encoded=False)
        async with DemoParticipant(livekit_server.url, token, "alice", first, audio=False) as alice:
            await subscriber.wait_for("VP8", lambda: len(subscriber.numbers("alice")) >= 10)
            old = alice.sids[Source.CAMERA]
            new = await alice.republish(Source.CAMERA, _content(Codec.H264, encoded=False, participant=4))
            await subscriber.wait_for("H.264", lambda: 4 in {p.participant for p in subscriber.pictures["alice"]})
            log = alice.log()
    assert old != new
    assert subscriber.codecs["alice"] == ["video/VP8", "video/H264"]
    indexes = [frame.index for frame in log]
    assert indexes == sorted(set(indexes))
    numbers = {p.participant: p.number for p in subscriber.pictures["alice"] if p.number is not None}
    assert (numbers[4] or 0) > (numbers[3] or 0)


@pytest.mark.parametrize("encoded", [False, True], ids=["drawn", "encoded"])
async def test_resize_mute_and_screen_share(livekit_server: LiveKitServer, encoded: bool) -> None:
    room = f"changes-{encoded}"
    token = livekit_server.token("alice", room)
    content = _content(Codec.VP8, encoded=encoded)
    async with (
        SdkSubscriber(livekit_server, room) as subscriber,
        DemoParticipant(livekit_server.url, token, "alice", content) as alice,
    ):
        await subscriber.wait_for("pictures", lambda: len(subscriber.numbers("alice")) >= 10)
        await alice.resize((240, 136))
        await subscriber.wait_for("240x136", lambda: (240, 136) in {p.size for p in subscriber.pictures["alice"]})
        alice.mute(Source.CAMERA)
        alice.mute(Source.MICROPHONE)
        before = max(subscriber.numbers("alice"))
        alice.unmute(Source.CAMERA)
        alice.unmute(Source.MICROPHONE)
        await subscriber.wait_for("pictures again", lambda: subscriber.numbers("alice")[-1] != before)
        await alice.publish(Source.SCREEN_SHARE, _content(Codec.VP8, encoded=False, participant=9))
        await alice.publish(Source.SCREEN_SHARE_AUDIO)
        await subscriber.wait_for("screen", lambda: 9 in {p.participant for p in subscriber.pictures["alice"]})
        tracks = {p.identity: p.tracks for p in await livekit_server.participants(room)}["alice"]
        assert sorted(track.name for track in tracks) == sorted(source.value for source in alice.sids)
        assert len(tracks) == 4


async def test_leave_may_be_repeated_and_survives_a_dead_server(own_livekit_server: LiveKitServer) -> None:
    alice = DemoParticipant(own_livekit_server.url, own_livekit_server.token("alice", "gone"), "alice")
    await alice.join()
    own_livekit_server.kill()
    await alice.leave()
    await alice.leave()
    assert alice.sids == {}
