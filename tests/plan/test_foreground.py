"""Plans of encoded recordings in the foreground: what each option does, and every refusal names the option."""

from __future__ import annotations

from typing import Any

import pytest

from pyegress.clock import Wall
from pyegress.errors import InvalidRequest
from pyegress.plan.containers import Container
from pyegress.plan.copy_plan import Connection
from pyegress.plan.encoding_arguments import EncodingArguments
from pyegress.plan.encodings import AudioCodec, H264Profile, Quality, VideoCodec
from pyegress.plan.foreground import AUDIO_MIXINGS, Session, plan_participant, plan_room, plan_track_composite
from pyegress.plan.output_words import parse_output
from pyegress.plan.recording_plan import RecordingPlan, RequestType
from pyegress.plan.selection import ParticipantTracks, TrackPair
from pyegress.plan.sources import AudioMixing, RoomSource
from pyegress.plan.storage import LocalStorage
from tests.plan.requests import file_of

pytestmark = pytest.mark.unit

CONNECTION = Connection(url="ws://h:7880", room="standup", api_key="key", api_secret="hush")


def session(output: str = "out/standup.mp4", **changes: Any) -> Session:
    outputs = (parse_output(output),)
    arguments: dict[str, Any] = {"connection": CONNECTION, "outputs": outputs, "at": Wall(1e9), "egress_id": "EG_1"}
    return Session(**(arguments | changes))


def room(output: str = "standup.mp4", encoding: dict[str, Any] | None = None, **options: Any) -> RecordingPlan:
    return plan_room(session(output), EncodingArguments(**encoding or {}), **options)


def participant(output: str = "alice.mp4", **encoding: Any) -> RecordingPlan:
    return plan_participant(session(output), EncodingArguments(**encoding), identity="alice")


def pair(output: str = "pair.mp4", audio: str = "TR_A", video: str = "TR_V", **encoding: Any) -> RecordingPlan:
    asked = EncodingArguments(**encoding)
    return plan_track_composite(session(output), asked, audio_track_id=audio, video_track_id=video)


# What is recorded


def test_a_room_by_default() -> None:
    plan = room()
    assert plan.type is RequestType.ROOM_COMPOSITE
    assert plan.source == RoomSource("grid", AudioMixing.DEFAULT)
    assert plan.connection == CONNECTION
    assert (plan.with_audio, plan.with_video, plan.passthrough) == (True, True, False)
    assert plan.video is not None
    assert (plan.video.codec, plan.video.profile, plan.video.quality) == (
        VideoCodec.H264,
        H264Profile.MAIN,
        Quality.STANDARD,
    )
    assert (plan.video.width, plan.video.height, plan.video.framerate, plan.video.bitrate) == (1280, 720, 30, 3000)
    assert plan.audio is not None
    assert (plan.audio.codec, plan.audio.bitrate) == (AudioCodec.AAC, 128)
    assert not plan.manifest
    assert not plan.needs_browser
    assert not plan.overwrite
    assert isinstance(file_of(plan).storage, LocalStorage)


def test_layout_and_sides_of_a_room() -> None:
    plan = room(layout="speaker-light?names=1", audio_mixing="dual-channel-agent")
    assert plan.source == RoomSource("speaker-light?names=1", AudioMixing.DUAL_CHANNEL_AGENT)


@pytest.mark.parametrize(("name", "mixing"), [*AUDIO_MIXINGS.items(), ("DUAL_CHANNEL_ALTERNATE", AudioMixing(2))])
def test_sides_by_name(name: str, mixing: AudioMixing) -> None:
    assert room(audio_mixing=name).source == RoomSource("grid", mixing)


def test_one_kind_of_a_room() -> None:
    sound, pictures = room("x", audio_only=True), room("x", video_only=True)
    assert (sound.with_audio, sound.with_video, sound.video) == (True, False, None)
    assert (pictures.with_audio, pictures.with_video, pictures.audio) == (False, True, None)


def test_a_participant() -> None:
    plan = plan_participant(session(), EncodingArguments(), identity="alice", screen_share=True)
    assert plan.type is RequestType.PARTICIPANT
    assert plan.source == ParticipantTracks("alice", screen_share=True)
    assert (plan.with_audio, plan.with_video) == (True, True)


def test_two_tracks_or_one() -> None:
    plan = pair()
    assert plan.type is RequestType.TRACK_COMPOSITE
    assert plan.source == TrackPair("TR_A", "TR_V")
    assert (pair(video="").with_audio, pair(video="").with_video) == (True, False)
    assert (pair(audio="").with_audio, pair(audio="").with_video) == (False, True)


# How it is encoded


def test_encoding_options_go_before_the_preset() -> None:
    asked = {"preset": "portrait_h264_1080p_60", "width": 540, "fps": 25, "video_bitrate": 900, "quality": "economy"}
    video = room(encoding=asked | {"key_frame_interval": 2.0, "video_codec": "h264-high"}).video
    assert video is not None
    assert (video.width, video.height, video.framerate, video.bitrate) == (540, 1920, 25, 900)
    assert (video.profile, video.quality) == (H264Profile.HIGH, Quality.ECONOMY)
    assert (video.key_frame_interval, video.scene_cuts) == (2.0, False)


def test_sound_options() -> None:
    audio = participant(audio_codec="opus", audio_bitrate=64).audio
    assert audio is not None
    assert (audio.codec, audio.bitrate) == (AudioCodec.OPUS, 64)


@pytest.mark.parametrize(
    ("path", "container", "video", "audio"),
    [
        ("x", Container.MP4, VideoCodec.H264, AudioCodec.AAC),
        ("x.mp4", Container.MP4, VideoCodec.H264, AudioCodec.AAC),
        ("x.MOV", Container.MP4, VideoCodec.H264, AudioCodec.AAC),
        ("x.webm", Container.WEBM, VideoCodec.VP8, AudioCodec.OPUS),
        ("x.mkv", Container.WEBM, VideoCodec.VP8, AudioCodec.OPUS),
        ("take 1.5", Container.MP4, VideoCodec.H264, AudioCodec.AAC),
    ],
)
def test_the_extension_decides(path: str, container: Container, video: VideoCodec, audio: AudioCodec) -> None:
    plan = room(path)
    assert plan.video is not None
    assert plan.audio is not None
    output = file_of(plan)
    assert (output.container, plan.video.codec, plan.audio.codec) == (container, video, audio)
    assert output.path == (path if Container.from_path(path) else f"{path}.mp4")


@pytest.mark.parametrize(
    ("path", "codec", "name"),
    [
        ("x", AudioCodec.OPUS, "x.ogg"),
        ("x.opus", AudioCodec.OPUS, "x.opus"),
        ("x.mp3", AudioCodec.MP3, "x.mp3"),
        ("x.m4a", AudioCodec.AAC, "x.m4a"),
        ("x.wav", AudioCodec.PCM, "x.wav"),
        ("x.flac", AudioCodec.FLAC, "x.flac"),
    ],
)
def test_the_extension_decides_for_sound(path: str, codec: AudioCodec, name: str) -> None:
    for plan in (room(path, audio_only=True), pair(path, video="")):
        assert plan.audio is not None
        assert (plan.audio.codec, file_of(plan).path) == (codec, name)


def test_a_participant_in_a_file_of_sound_is_only_heard() -> None:
    plan = participant("alice.mp3")
    assert (plan.with_video, plan.video) == (False, None)


def test_names_are_filled_in_as_far_as_is_known() -> None:
    assert file_of(room("{room_name}/")).path.startswith("standup/standup-")
    plan = plan_participant(session("{publisher_identity}-{room_id}"), EncodingArguments(), identity="alice")
    assert file_of(plan).path == "alice-{room_id}.mp4"


# How long


def test_limits_and_waits() -> None:
    told = session(duration=90.0, max_file_size=5_000_000, wait=7.0, grace=2.0, reconnect_window=11.0, overwrite=True)
    plan = plan_participant(told, EncodingArguments(), identity="alice")
    assert (plan.max_duration, plan.max_file_size, plan.overwrite) == (90.0, 5_000_000, True)
    waits = plan.waits
    assert (waits.tracks, waits.participant, waits.room, waits.grace, waits.reconnect) == (7.0, 7.0, 7.0, 2.0, 11.0)


def test_without_limits() -> None:
    plan = plan_room(session(wait=None), EncodingArguments())
    assert (plan.max_duration, plan.max_file_size) == (None, None)
    assert (plan.waits.room, plan.waits.tracks) == (None, None)


def test_a_ready_token_goes_with_the_plan() -> None:
    connection = Connection(url="ws://h", room="", token="a.b.c")
    plan = plan_room(session(connection=connection, output="x"), EncodingArguments())
    assert plan.connection == connection
    assert "a.b.c" not in repr(plan)


# Refusals


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"duration": 0.0}, "The duration must be more than 0"),
        ({"wait": -1.0}, "The wait must be more than 0"),
        ({"max_file_size": 0}, "The max file size must be more than 0"),
        ({"grace": -1.0}, "The grace must be 0 seconds or more"),
        ({"reconnect_window": -1.0}, "The reconnect window must be 0 seconds or more"),
        ({"duration": float("nan")}, "The duration must be more than 0"),
    ],
)
def test_limits_that_cannot_be(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidRequest, match=message) as raised:
        session(**changes)
    assert raised.value.field in changes


@pytest.mark.parametrize(
    ("make", "field", "message"),
    [
        (lambda: room(audio_only=True, video_only=True), "audio_only", "audio_only and video_only exclude each other"),
        (lambda: room(audio_only=True, layout="grid"), "layout", "option layout makes no sense: no video"),
        (lambda: room("x.ogg", {"width": 640}, audio_only=True), "width", "no video is recorded"),
        (lambda: room("x", {"preset": "H264_720P_60"}, audio_only=True), "preset", "no video is recorded"),
        (lambda: room("x", {"audio_codec": "aac"}, video_only=True), "audio_codec", "no audio is recorded"),
        (lambda: room(video_only=True, audio_mixing="dual-channel-agent"), "audio_mixing", "no audio is recorded"),
        (lambda: room(audio_mixing="left"), "audio_mixing", "There is no audio mixing 'left'"),
        (lambda: room(encoding={"preset": "passthrough"}), "preset", "have to be encoded"),
        (lambda: room(encoding={"width": 641}), "width", "with a width of 641"),
        (lambda: room(encoding={"height": 8}), "height", "with a height of 8"),
        (lambda: room(encoding={"fps": 500}), "fps", "at 500 a second"),
        (lambda: room(encoding={"video_bitrate": -1}), "video_bitrate", "video bitrate cannot be -1"),
        (lambda: room(encoding={"audio_bitrate": -1}), "audio_bitrate", "audio bitrate cannot be -1"),
        (lambda: room(encoding={"key_frame_interval": -1.0}), "key_frame_interval", "interval cannot be -1"),
        (lambda: room("x.mp4", {"video_codec": "vp8"}), "output", "x.mp4 cannot hold VP8 and Opus"),
        (lambda: room("x.webm", {"video_codec": "h264"}), "output", "x.webm cannot hold H.264 and AAC"),
        (lambda: room("x.mp3"), "output", "x.mp3 cannot hold pictures"),
        (lambda: pair("x.ogg", audio=""), "output", "x.ogg cannot hold pictures"),
        (lambda: room("x.mp3", {"audio_codec": "opus"}, audio_only=True), "output", "x.mp3 cannot hold Opus"),
        (lambda: room("x", {"audio_codec": "mp3"}), "audio_codec", "No kind of file holds MP3 beside pictures"),
        (lambda: participant(audio_codec="aac", video_codec="vp8"), "audio_codec", "holds AAC beside VP8"),
        (lambda: participant("a.mp3", fps=25), "fps", "option fps makes no sense: no video is recorded"),
        (lambda: room("x.flac", {"audio_bitrate": 96}, audio_only=True), "audio_bitrate", "FLAC is lossless"),
        (lambda: pair(video="", quality="high"), "quality", "no video is recorded"),
        (lambda: room("x.webm", {"hardware": "nvenc"}), "hardware", "VP8 is encoded by the processor"),
        (lambda: pair(audio="", audio_bitrate=96), "audio_bitrate", "no audio is recorded"),
        (lambda: pair(audio="", video=""), "audio_track_id or video_track_id", "No track was named"),
        (lambda: pair(audio="TR_1", video="TR_1"), "audio_track_id", "are the same"),
        (lambda: plan_participant(session(), EncodingArguments(), identity=""), "identity", "No participant was named"),
    ],
)
def test_what_is_refused(make: Any, field: str, message: str) -> None:
    with pytest.raises(InvalidRequest) as raised:
        make()
    assert message in raised.value.message
    assert raised.value.field == field
    assert raised.value.remedy
    assert "request has missing" not in raised.value.message
