from __future__ import annotations

import pytest
from livekit.protocol import egress as pb
from livekit.protocol import models

from pyegress.plan.sources import (
    AudioMixing,
    AudioRoute,
    AudioSelection,
    Channel,
    MediaSource,
    ParticipantKind,
    RouteMatch,
    VideoSelection,
    channel_by_mixing,
    is_page_url,
)
from tests.plan.requests import planned, v2, v2_file

pytestmark = pytest.mark.unit


def test_the_kinds_of_participants_are_those_of_the_protocol() -> None:
    assert {kind.name: kind.value for kind in ParticipantKind} == dict(models.ParticipantInfo.Kind.items())
    assert {channel.value for channel in Channel} == set(pb.AudioChannel.values())
    assert {mixing.name.removesuffix("_MIXING"): mixing.value for mixing in AudioMixing} == {
        name.removesuffix("_MIXING"): number for name, number in pb.AudioMixing.items()
    }


def media(source: pb.MediaSource) -> MediaSource:
    found = planned(v2(v2_file(), media=source)).source
    assert isinstance(found, MediaSource)
    return found


def audio(*routes: pb.AudioRoute, capture_all: bool = False) -> AudioSelection:
    found = media(pb.MediaSource(audio=pb.AudioConfig(routes=routes, capture_all=capture_all))).audio
    assert found is not None
    return found


LEFT, RIGHT = pb.AudioChannel.AUDIO_CHANNEL_LEFT, pb.AudioChannel.AUDIO_CHANNEL_RIGHT
AGENT = models.ParticipantInfo.Kind.AGENT


def test_the_first_route_that_fits_decides() -> None:
    chosen = audio(
        pb.AudioRoute(track_id="TR_1", channel=RIGHT),
        pb.AudioRoute(participant_identity="alice", channel=LEFT),
        pb.AudioRoute(participant_kind=AGENT),
    )
    assert chosen.routes[0] == AudioRoute(RouteMatch.TRACK_ID, "TR_1", Channel.RIGHT)
    assert chosen.channel(sid="TR_1", identity="alice", kind=0) is Channel.RIGHT
    assert chosen.channel(sid="TR_2", identity="alice", kind=AGENT) is Channel.LEFT
    assert chosen.channel(sid="TR_3", identity="bot", kind=AGENT) is Channel.BOTH
    assert chosen.channel(sid="TR_4", identity="bob", kind=0) is None


def test_a_route_for_ordinary_participants() -> None:
    chosen = audio(pb.AudioRoute(participant_kind=models.ParticipantInfo.Kind.STANDARD, channel=LEFT))
    assert chosen.channel(sid="TR_1", identity="a", kind=0) is Channel.LEFT
    assert chosen.channel(sid="TR_1", identity="a", kind=AGENT) is None


def test_capturing_all_respects_routes() -> None:
    chosen = audio(pb.AudioRoute(participant_identity="alice", channel=LEFT), capture_all=True)
    assert chosen.channel(sid="TR_1", identity="alice", kind=0) is Channel.LEFT
    assert chosen.channel(sid="TR_2", identity="bob", kind=0) is Channel.BOTH


@pytest.mark.parametrize(
    ("prefer", "ranks"),
    [
        (True, {"screen_share": 0, "camera": 1, "microphone": None, "unknown": None}),
        (False, {"camera": 0, "screen_share": None}),
    ],
)
def test_a_preferred_screen_falls_back_to_the_camera(prefer: bool, ranks: dict[str, int | None]) -> None:
    wanted = pb.ParticipantVideo(identity="alice", prefer_screen_share=prefer)
    video = media(pb.MediaSource(participant_video=wanted)).video
    assert video == VideoSelection(identity="alice", prefer_screen_share=prefer)
    for source, rank in ranks.items():
        assert video.rank(sid="TR_1", identity="alice", source=source) == rank
        assert video.rank(sid="TR_1", identity="bob", source=source) is None


def test_one_video_track() -> None:
    video = media(pb.MediaSource(video_track_id="TR_V")).video
    assert video is not None
    assert video.rank(sid="TR_V", identity="anybody", source="unknown") == 0
    assert video.rank(sid="TR_W", identity="anybody", source="camera") is None


def test_who_is_heard_where() -> None:
    def sides(mixing: AudioMixing) -> list[Channel]:
        return [channel_by_mixing(mixing, agent=agent, index=i) for i, agent in enumerate((True, False, False))]

    assert sides(AudioMixing.DEFAULT) == [Channel.BOTH] * 3
    assert sides(AudioMixing.DUAL_CHANNEL_AGENT) == [Channel.LEFT, Channel.RIGHT, Channel.RIGHT]
    assert sides(AudioMixing.DUAL_CHANNEL_ALTERNATE) == [Channel.LEFT, Channel.RIGHT, Channel.LEFT]


@pytest.mark.parametrize(
    ("url", "fits"),
    [
        ("https://example.com/x?y#z", True),
        ("http://[::1]:8080/", True),
        ("HTTP://HOST", True),
        ("file:///etc/passwd", False),
        ("https://", False),
        ("http://host:port/", False),
        ("//host/", False),
        ("", False),
    ],
)
def test_pages(url: str, fits: bool) -> None:
    assert is_page_url(url) is fits
