from __future__ import annotations

import pickle
from dataclasses import FrozenInstanceError, replace

import pytest
from livekit.protocol import egress as pb
from livekit.protocol import models

from pyegress.codecs import Kind
from pyegress.plan.containers import Container
from pyegress.plan.encodings import (
    AudioCodec,
    AudioEncoding,
    EncodingWish,
    H264Profile,
    Hardware,
    Quality,
    VideoCodec,
    VideoEncoding,
)
from pyegress.plan.form import EgressRequest
from pyegress.plan.recording_plan import (
    FileOutput,
    LimitRule,
    NameSuffix,
    RequestType,
    SegmentFormat,
    SegmentOutput,
    SessionLimits,
    StreamOutput,
    Waits,
    Webhook,
    WebsocketOutput,
)
from pyegress.plan.selection import OneTrack, ParticipantTracks, TrackPair
from pyegress.plan.sources import AudioMixing, MediaSource, PageSource, RoomSource, TemplateSource
from pyegress.plan.storage import AzureStorage, GcsStorage, LocalStorage, S3Storage, StorageDefaults
from pyegress.plan.stream_urls import StreamProtocol
from tests.plan.requests import (
    FILE,
    NOW,
    RTMP,
    SERVICE,
    composite,
    file_of,
    images_of,
    participant,
    planned,
    room,
    segments_of,
    track,
    v2,
    v2_file,
)

pytestmark = pytest.mark.unit

STREAM = pb.StreamOutput(urls=[RTMP])
SEGMENTS = pb.SegmentedFileOutput(filename_prefix="seg")
IMAGES = pb.ImageOutput(filename_prefix="shot")
SOUND = pb.AudioConfig(capture_all=True)
COPY = {"preset": pb.EncodingOptionsPreset.PASSTHROUGH}
DEFAULT_VIDEO = VideoEncoding(VideoCodec.H264, 1280, 720, 30, 3_000, H264Profile.MAIN)
DEFAULT_AUDIO = AudioEncoding(AudioCodec.AAC, 128, 44_100)
OPUS_AUDIO = AudioEncoding(AudioCodec.OPUS, 128, 48_000)


def named(path: str, file_type: pb.EncodedFileType = pb.EncodedFileType.DEFAULT_FILETYPE) -> pb.EncodedFileOutput:
    return pb.EncodedFileOutput(filepath=path, file_type=file_type)


# Sources and kinds


def test_a_room_composite() -> None:
    plan = planned(room(FILE, layout="speaker-light", audio_mixing=pb.AudioMixing.DUAL_CHANNEL_AGENT))
    assert plan.type is RequestType.ROOM_COMPOSITE
    assert plan.source == RoomSource("speaker-light", AudioMixing.DUAL_CHANNEL_AGENT)
    assert (plan.egress_id, plan.room_name, plan.room_id, plan.started_at) == ("EG_1", "standup", "RM_1", NOW)
    assert (plan.audio, plan.video) == (DEFAULT_AUDIO, DEFAULT_VIDEO)
    assert (plan.with_audio, plan.with_video, plan.passthrough, plan.needs_browser, plan.live) == (
        *(True, True),
        *(False, False, False),
    )
    assert plan.connection is not None
    assert (plan.connection.url, plan.connection.room, plan.connection.api_key) == (
        "ws://localhost:7880",
        "standup",
        "key",
    )
    with pytest.raises(FrozenInstanceError):
        plan.room_name = "other"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("request_", "template_base", "source"),
    [
        (room(FILE), "", RoomSource()),
        (room(FILE, custom_base_url="https://t.example/x?a=b", layout="l"), "", "https://t.example/x?a=b"),
        (room(FILE, layout="grid"), "http://localhost:7980/", "http://localhost:7980/"),
        (room(FILE), "http://localhost:7980/", "http://localhost:7980/"),
        # A mix of all sound needs no page.
        (room(FILE, audio_only=True), "http://localhost:7980/", RoomSource()),
        (room(FILE, audio_only=True, layout="grid"), "http://localhost:7980/", "http://localhost:7980/"),
        (room(FILE, audio_only=True, layout="grid"), "", RoomSource("grid")),
        (room(FILE, audio_only=True, custom_base_url="https://t.example/"), "", "https://t.example/"),
        (v2(v2_file(), template=pb.TemplateSource(layout="grid")), "", RoomSource("grid")),
    ],
)
def test_who_draws_a_room(request_: EgressRequest, template_base: str, source: RoomSource | str) -> None:
    plan = planned(request_, service=replace(SERVICE, template_base=template_base))
    if isinstance(source, str):
        assert isinstance(plan.source, TemplateSource)
        assert plan.source.base_url == source
    else:
        assert plan.source == source
    assert plan.needs_browser is isinstance(source, str)


def test_a_page() -> None:
    plan = planned(
        pb.WebEgressRequest(url="https://example.com/?id=7&token=hidden", await_start_signal=True, file_outputs=[FILE])
    )
    assert plan.type is RequestType.WEB
    assert isinstance(plan.source, PageSource)
    assert (plan.source.await_start_signal, plan.source.shown) == (True, "https://example.com/?id=7&token={...}")
    assert (plan.room_name, plan.connection, plan.needs_browser) == ("", None, True)
    assert planned(v2(v2_file(), web=pb.WebSource(url="https://example.com"))).room_name == ""


def test_a_participant_and_tracks() -> None:
    assert planned(participant(FILE, screen_share=True)).source == ParticipantTracks("alice", True)
    assert planned(composite(FILE)).source == TrackPair("TR_A", "TR_V")
    plan = planned(track("a", track_id="TR_1"))
    assert (plan.type, plan.source) == (RequestType.TRACK, OneTrack("TR_1"))
    assert (plan.audio, plan.video, plan.passthrough) == (None, None, True)


@pytest.mark.parametrize(
    ("request_", "audio", "video"),
    [
        (room(FILE), True, True),
        (room(FILE, audio_only=True), True, False),
        (room(FILE, video_only=True), False, True),
        (composite(FILE, video_track_id=""), True, False),
        (composite(FILE, audio_track_id=""), False, True),
        (v2(v2_file(), template=pb.TemplateSource(video_only=True)), False, True),
        (v2(v2_file(), media=pb.MediaSource(video_track_id="TR_V")), False, True),
        (v2(v2_file(), media=pb.MediaSource(video_track_id="TR_V", audio=SOUND)), True, True),
        # Pictures alone have no sound.
        (room(image_outputs=[IMAGES]), False, True),
        (room(FILE, image_outputs=[IMAGES]), True, True),
        # WebSockets take sound only, and with them the whole egress.
        (
            v2(
                pb.Output(stream=pb.StreamOutput(urls=["ws://host/"])),
                media=pb.MediaSource(video_track_id="TR_V", audio=SOUND),
            ),
            True,
            False,
        ),
        # Nobody asks for a participant in a file of sound and means the camera too.
        (participant(named("a", pb.EncodedFileType.OGG)), True, False),
        (participant(named("a", pb.EncodedFileType.MP3)), True, False),
        (participant(named("a.wav")), True, False),
        (participant(named("a.flac")), True, False),
        (participant(named("a.ogg")), True, True),
        (participant(named("a.wav"), image_outputs=[IMAGES]), True, True),
    ],
)
def test_what_is_recorded(request_: EgressRequest, audio: bool, video: bool) -> None:
    plan = planned(request_)
    assert (plan.with_audio, plan.with_video) == (audio, video)
    assert (plan.audio is not None, plan.video is not None) == (audio, video)


def test_a_participant_without_the_camera_by_option() -> None:
    plan = planned(participant(FILE), audio_only=True)
    assert (plan.audio, plan.video, file_of(plan).path) == (OPUS_AUDIO, None, "a.ogg")


# Encoding


@pytest.mark.parametrize(
    ("preset", "width", "height", "framerate", "bitrate"),
    [
        (0, 1280, 720, 30, 3_000),
        (1, 1280, 720, 60, 4_500),
        (2, 1920, 1080, 30, 4_500),
        (3, 1920, 1080, 60, 6_000),
        (4, 720, 1280, 30, 3_000),
        (5, 720, 1280, 60, 4_500),
        (6, 1080, 1920, 30, 4_500),
        (7, 1080, 1920, 60, 6_000),
    ],
)
def test_presets(preset: int, width: int, height: int, framerate: int, bitrate: int) -> None:
    expected = VideoEncoding(VideoCodec.H264, width, height, framerate, bitrate, H264Profile.MAIN)
    for request in (room(FILE, preset=preset), v2(v2_file(), preset=preset), participant(FILE, preset=preset)):
        plan = planned(request)
        assert plan.video == expected
        assert plan.audio == DEFAULT_AUDIO


def test_advanced_options_replace_single_defaults() -> None:
    options = pb.EncodingOptions(
        width=640,
        framerate=15,
        video_codec=models.VideoCodec.H264_HIGH,
        key_frame_interval=2.5,
        audio_bitrate=64,
        audio_frequency=48_000,
        depth=16,
        audio_quality=99,
    )
    plan = planned(room(FILE, advanced=options))
    assert plan.video == VideoEncoding(
        VideoCodec.H264, 640, 720, 15, 3_000, H264Profile.HIGH, 16, key_frame_interval=2.5, scene_cuts=False
    )
    assert plan.audio == AudioEncoding(AudioCodec.AAC, 64, 48_000)


def test_numbers_of_codecs_that_nobody_knows_mean_the_default() -> None:
    options = pb.EncodingOptions(video_codec=99, audio_codec=99)  # type: ignore[arg-type]
    plan = planned(room(FILE, advanced=options))
    assert (plan.audio, plan.video) == (DEFAULT_AUDIO, DEFAULT_VIDEO)


def test_opus_and_raw_sound_keep_their_rate() -> None:
    options = pb.EncodingOptions(audio_codec=models.AudioCodec.OPUS, audio_frequency=44_100)
    assert planned(room(FILE, advanced=options)).audio == OPUS_AUDIO
    socket = v2(
        pb.Output(stream=pb.StreamOutput(urls=["ws://host/"])),
        media=pb.MediaSource(audio=SOUND),
        advanced=pb.EncodingOptions(audio_frequency=16_000),
    )
    assert planned(socket).audio == AudioEncoding(AudioCodec.PCM, 0, 48_000)


def test_options_of_ours_go_before_the_preset() -> None:
    wish = EncodingWish(width=640, height=360, video_codec=VideoCodec.AV1)
    plan = planned(room(named("a"), preset=3), encoding=wish)
    assert plan.video == VideoEncoding(VideoCodec.AV1, 640, 360, 60, 6_000, None)
    assert file_of(plan).path == "a.webm"


def test_what_the_service_is_configured_with_is_meant_by_requests_that_say_nothing() -> None:
    service = replace(SERVICE, encoding=EncodingWish(quality=Quality.ECONOMY, hardware=Hardware.NVENC, threads=3))
    plan = planned(room(FILE, preset=2), service=service)
    assert plan.video is not None
    assert (plan.video.width, plan.video.quality) == (1920, Quality.ECONOMY)
    assert (plan.video.hardware, plan.video.threads) == (Hardware.NVENC, 3)
    # A card encodes H.264 only.
    other = planned(room(named("a.webm")), service=service).video
    assert other is not None
    assert (other.codec, other.hardware) == (VideoCodec.VP8, Hardware.NONE)
    asked = planned(room(FILE), service=service, encoding=EncodingWish(quality=Quality.HIGH)).video
    assert asked is not None
    assert asked.quality is Quality.HIGH


@pytest.mark.parametrize(
    ("request_", "interval", "scene_cuts", "constant"),
    [
        (room(FILE), 0, True, False),
        (room(FILE, stream_outputs=[STREAM]), 4, False, True),
        (room(stream_outputs=[pb.StreamOutput(urls=["srt://host:9000"])]), 4, False, False),
        (room(segment_outputs=[SEGMENTS]), 4, False, False),
        (room(stream_outputs=[STREAM], segment_outputs=[SEGMENTS]), 4, False, True),
        (room(stream_outputs=[STREAM], advanced=pb.EncodingOptions(key_frame_interval=2)), 2, False, True),
    ],
)
def test_key_frames(request_: EgressRequest, interval: float, scene_cuts: bool, constant: bool) -> None:
    video = planned(request_).video
    assert video is not None
    assert (video.key_frame_interval, video.scene_cuts, video.constant_bitrate) == (interval, scene_cuts, constant)


@pytest.mark.parametrize(
    ("interval", "asked", "duration"), [(2.9, 6, 2), (0.5, 6, 1), (10, 6, 6), (0, 6, 6), (3, 0, 3), (0, 0, 4)]
)
def test_segments_beside_a_stream_are_cut_on_its_key_frames(interval: float, asked: int, duration: int) -> None:
    segments = pb.SegmentedFileOutput(filename_prefix="seg", segment_duration=asked)
    options = pb.EncodingOptions(key_frame_interval=interval)
    plan = planned(room(stream_outputs=[STREAM], segment_outputs=[segments], advanced=options))
    assert segments_of(plan).duration == duration


@pytest.mark.parametrize(
    ("interval", "duration", "expected", "buffer"),
    [(0, 6, 6.0, 6.0), (2, 6, 2.0, 6.0), (2.5, 6, 2.0, 6.0), (7, 6, 6.0, 6.0), (0.7, 1, 0.5, 1.0), (0, 60, 60.0, 10.0)],
)
def test_segments_begin_with_key_frames_that_are_no_further_apart_than_asked(
    interval: float, duration: int, expected: float, buffer: float
) -> None:
    segments = pb.SegmentedFileOutput(filename_prefix="seg", segment_duration=duration)
    video = planned(room(segment_outputs=[segments], advanced=pb.EncodingOptions(key_frame_interval=interval))).video
    assert video is not None
    assert (video.key_frame_interval, video.buffer) == (expected, buffer)


def test_segments_without_a_stream_keep_their_duration() -> None:
    segments = pb.SegmentedFileOutput(filename_prefix="seg", segment_duration=6)
    plan = planned(room(segment_outputs=[segments], advanced=pb.EncodingOptions(key_frame_interval=2)))
    assert segments_of(plan).duration == 6


@pytest.mark.parametrize(
    ("request_", "encoded"),
    [
        (room(FILE), {Kind.VIDEO, Kind.AUDIO}),
        (room(FILE, audio_only=True), {Kind.AUDIO}),
        (room(FILE, image_outputs=[IMAGES]), {Kind.VIDEO, Kind.AUDIO}),
        (room(image_outputs=[IMAGES]), set()),
        (room(segment_outputs=[SEGMENTS]), {Kind.VIDEO, Kind.AUDIO}),
        (v2(pb.Output(stream=pb.StreamOutput(urls=["ws://host/"])), media=pb.MediaSource(audio=SOUND)), set()),
    ],
)
def test_what_needs_an_encoder(request_: EgressRequest, encoded: set[Kind]) -> None:
    assert planned(request_).encoded == encoded


def test_what_is_wanted_of_pictures_and_sound_as_they_are() -> None:
    assert planned(room(FILE)).image_interval == 0
    several = [pb.ImageOutput(filename_prefix=f"{n}", capture_interval=n) for n in (4, 6, 10)]
    assert planned(room(image_outputs=several)).image_interval == 2
    socket = v2(pb.Output(stream=pb.StreamOutput(urls=["ws://host/"])), media=pb.MediaSource(audio=SOUND))
    assert planned(socket).raw_sound
    assert not planned(room(FILE, stream_outputs=[STREAM])).raw_sound


# Containers and codecs of files


OPUS = models.AudioCodec.OPUS
AAC = models.AudioCodec.AAC
MP3 = models.AudioCodec.AC_MP3


@pytest.mark.parametrize(
    ("request_", "path", "container", "audio", "video"),
    [
        (room(named("a")), "a.mp4", Container.MP4, AudioCodec.AAC, VideoCodec.H264),
        (room(named("a.mov")), "a.mov.mp4", Container.MP4, AudioCodec.AAC, VideoCodec.H264),
        (room(named("a.ogg")), "a.mp4", Container.MP4, AudioCodec.AAC, VideoCodec.H264),
        (room(named("a.MP4")), "a.MP4", Container.MP4, AudioCodec.AAC, VideoCodec.H264),
        (room(named("a.m3u8")), "a.mp4", Container.MP4, AudioCodec.AAC, VideoCodec.H264),
        (room(named("a.wav")), "a.mp4", Container.MP4, AudioCodec.AAC, VideoCodec.H264),
        (room(named("a"), video_only=True), "a.mp4", Container.MP4, None, VideoCodec.H264),
        (room(named("a"), audio_only=True), "a.ogg", Container.OGG, AudioCodec.OPUS, None),
        (room(named("a.mp4"), audio_only=True), "a.ogg", Container.OGG, AudioCodec.OPUS, None),
        (room(named("a.wav"), audio_only=True), "a.wav", Container.WAV, AudioCodec.PCM, None),
        (room(named("a.flac"), audio_only=True), "a.flac", Container.FLAC, AudioCodec.FLAC, None),
        (room(named("a.webm"), audio_only=True), "a.webm", Container.WEBM, AudioCodec.OPUS, None),
        (room(named("a.webm")), "a.webm", Container.WEBM, AudioCodec.OPUS, VideoCodec.VP8),
        (
            room(named("a", pb.EncodedFileType.MP3), audio_only=True),
            *("a.mp3", Container.MP3, AudioCodec.MP3, None),
        ),
        (
            room(named("a", pb.EncodedFileType.MP4), audio_only=True),
            *("a.mp4", Container.MP4, AudioCodec.AAC, None),
        ),
        # An explicit type goes before the name.
        (
            room(named("a.webm", pb.EncodedFileType.MP4)),
            *("a.mp4", Container.MP4, AudioCodec.AAC, VideoCodec.H264),
        ),
        (
            room(named("a"), audio_only=True, advanced=pb.EncodingOptions(audio_codec=AAC)),
            *("a.mp4", Container.MP4, AudioCodec.AAC, None),
        ),
        (
            room(named("a"), audio_only=True, advanced=pb.EncodingOptions(audio_codec=MP3)),
            *("a.mp3", Container.MP3, AudioCodec.MP3, None),
        ),
        (
            room(named("a"), advanced=pb.EncodingOptions(audio_codec=OPUS)),
            *("a.mp4", Container.MP4, AudioCodec.OPUS, VideoCodec.H264),
        ),
        (
            room(named("a"), advanced=pb.EncodingOptions(video_codec=models.VideoCodec.VP8)),
            *("a.webm", Container.WEBM, AudioCodec.OPUS, VideoCodec.VP8),
        ),
        # What other outputs need decides with it.
        (
            room(named("a.webm"), segment_outputs=[SEGMENTS]),
            *("a.mp4", Container.MP4, AudioCodec.AAC, VideoCodec.H264),
        ),
        (
            room(named("a"), audio_only=True, stream_outputs=[STREAM]),
            *("a.mp4", Container.MP4, AudioCodec.AAC, None),
        ),
        (
            room(named("a"), stream_outputs=[STREAM], advanced=pb.EncodingOptions(audio_codec=OPUS)),
            *("a.mp4", Container.MP4, AudioCodec.AAC, VideoCodec.H264),
        ),
        (
            v2(
                v2_file("a.wav"),
                pb.Output(stream=pb.StreamOutput(urls=["ws://host/"])),
                media=pb.MediaSource(audio=SOUND),
            ),
            *("a.wav", Container.WAV, AudioCodec.PCM, None),
        ),
    ],
)
def test_files(
    request_: EgressRequest, path: str, container: Container, audio: AudioCodec | None, video: VideoCodec | None
) -> None:
    plan = planned(request_)
    assert (file_of(plan).path, file_of(plan).container) == (path, container)
    assert (plan.audio and plan.audio.codec, plan.video and plan.video.codec) == (audio, video)


@pytest.mark.parametrize(
    ("path", "expected"), [("a.mov", "a.mov"), ("a.mkv", "a.mkv"), ("a.txt", "a.txt.mp4"), ("a", "a.mp4")]
)
def test_in_the_foreground_every_extension_decides(path: str, expected: str) -> None:
    plan = planned(room(named(path)), service=replace(SERVICE, any_extension=True))
    assert file_of(plan).path == expected


def test_the_codec_of_webm_is_configured() -> None:
    plan = planned(room(named("a.webm")), service=replace(SERVICE, webm_codec=VideoCodec.VP9))
    assert plan.video is not None
    assert plan.video.codec is VideoCodec.VP9
    assert plan.video.profile is None


# Other outputs


def test_every_output_at_once() -> None:
    plan = planned(
        room(
            pb.EncodedFileOutput(filepath="a", disable_manifest=True),
            stream_outputs=[pb.StreamOutput(urls=[RTMP, "mux://muxkey", RTMP])],
            segment_outputs=[
                pb.SegmentedFileOutput(
                    playlist_name="p",
                    protocol=pb.SegmentedFileProtocol.HLS_FMP4_PROTOCOL,
                    filename_suffix=pb.SegmentedFileSuffix.TIMESTAMP,
                )
            ],
            image_outputs=[
                pb.ImageOutput(filename_prefix="i", width=320, height=180, capture_interval=5),
                pb.ImageOutput(filename_suffix=pb.ImageFileSuffix.IMAGE_SUFFIX_NONE_OVERWRITE),
                pb.ImageOutput(filename_suffix=pb.ImageFileSuffix.IMAGE_SUFFIX_TIMESTAMP),
            ],
        )
    )
    file, segments, stream, *images = plan.outputs
    assert file == file_of(plan)
    assert not file_of(plan).manifest
    assert segments == segments_of(plan)
    assert (segments_of(plan).format, segments_of(plan).suffix) == (SegmentFormat.FMP4, NameSuffix.TIMESTAMP)
    assert isinstance(stream, StreamOutput)
    assert [target.shown for target in stream.destinations] == ["rtmp://host/app/{str...key}", "mux://{mu...ey}"]
    assert [(i.interval, i.width, i.height, i.suffix) for i in images_of(plan)] == [
        (5, 320, 180, NameSuffix.INDEX),
        (10, 0, 0, NameSuffix.NONE),
        (10, 0, 0, NameSuffix.TIMESTAMP),
    ]
    assert images_of(plan)[2].prefix == images_of(plan)[1].prefix + "-2"
    assert images == images_of(plan)
    assert plan.live
    assert plan.manifest


def test_streams_may_get_their_urls_later() -> None:
    plan = planned(room(FILE, stream_outputs=[pb.StreamOutput(protocol=pb.StreamProtocol.RTMP)]))
    assert StreamOutput(StreamProtocol.RTMP, ()) in plan.outputs


def test_destinations_have_ids() -> None:
    targets = [pb.StreamDestination(id="main", url=RTMP), pb.StreamDestination(id="backup", url="rtmps://b/app/key2")]
    plan = planned(v2(pb.Output(stream=pb.StreamOutput(destinations=targets))))
    (stream,) = plan.outputs
    assert isinstance(stream, StreamOutput)
    assert [(target.id, target.url) for target in stream.destinations] == [
        ("main", RTMP),
        ("backup", "rtmps://b/app/key2"),
    ]


def test_all_websockets_are_served() -> None:
    urls = ["ws://a/?k=1", "wss://b/"]
    plan = planned(v2(pb.Output(stream=pb.StreamOutput(urls=urls)), media=pb.MediaSource(audio=SOUND)))
    (socket,) = plan.outputs
    assert isinstance(socket, WebsocketOutput)
    assert [(target.url, target.shown) for target in socket.destinations] == [
        ("ws://a/?k=1", "ws://a/?k={...}"),
        ("wss://b/", "wss://b/"),
    ]


def test_a_track_to_a_websocket_is_decoded() -> None:
    plan = planned(track(websocket_url="wss://host/in?track=TR_1"))
    assert isinstance(plan.outputs[0], WebsocketOutput)
    assert (plan.passthrough, plan.audio, plan.video) == (False, AudioEncoding(AudioCodec.PCM, 0, 48_000), None)


def test_the_newer_lists_go_before_the_older_single_outputs() -> None:
    plan = planned(room(named("new"), file=named("old")))
    assert file_of(plan).path == "new.mp4"
    plan = planned(room(file=named("old")))
    assert file_of(plan).path == "old.mp4"
    assert isinstance(planned(composite(stream=STREAM)).outputs[0], StreamOutput)
    assert segments_of(planned(room(segments=SEGMENTS, stream_outputs=[STREAM]))).names.prefix == "seg"


# Passthrough


def test_v2_passthrough() -> None:
    route = pb.AudioRoute(track_id="TR_A")
    plan = planned(v2(v2_file("a.mp4"), media=pb.MediaSource(audio=pb.AudioConfig(routes=[route])), **COPY))
    assert plan.passthrough
    assert isinstance(plan.source, MediaSource)
    assert (plan.audio, plan.video, plan.with_audio, plan.with_video) == (None, None, True, False)
    assert file_of(plan).container is None


def test_participants_and_track_composites_are_copied_too() -> None:
    for request in (participant(FILE, **COPY), composite(FILE, **COPY)):
        plan = planned(request)
        assert (plan.passthrough, plan.audio, plan.video, plan.with_video) == (True, None, None, True)
    plan = planned(composite(named("a", pb.EncodedFileType.MP4), **COPY))
    assert file_of(plan).container is Container.MP4


def test_copies_go_to_segments_and_streams_too() -> None:
    fmp4 = pb.SegmentedFileOutput(
        protocol=pb.SegmentedFileProtocol.HLS_FMP4_PROTOCOL, filename_prefix="f", playlist_name="f"
    )
    plan = planned(composite(FILE, segment_outputs=[fmp4], **COPY))
    assert (plan.passthrough, plan.copies_live, plan.audio, plan.video) == (True, True, None, None)
    assert (plan.copied, plan.encoded) == (frozenset(Kind), frozenset())
    assert [type(output) for output in plan.outputs] == [FileOutput, SegmentOutput]
    # Nothing but a file takes the sound of rooms as it is: it is encoded for all that is not one.
    for request in (
        composite(stream_outputs=[STREAM], **COPY),
        participant(FILE, segment_outputs=[SEGMENTS], **COPY),
        composite(segment_outputs=[fmp4], stream_outputs=[STREAM], **COPY),
    ):
        plan = planned(request)
        assert (plan.audio, plan.video) == (AudioEncoding(AudioCodec.AAC, 128, 44_100), None)
        assert (plan.copied, plan.encoded) == (frozenset({Kind.VIDEO}), frozenset({Kind.AUDIO}))
    silent = planned(composite(stream_outputs=[STREAM], audio_track_id="", **COPY))
    assert (silent.audio, silent.copied) == (None, frozenset({Kind.VIDEO}))
    only_file = planned(composite(FILE, **COPY))
    assert (only_file.copies_live, only_file.copied) == (False, frozenset())


def test_v2_copies_of_one_track_to_several_outputs() -> None:
    plan = planned(
        v2(
            v2_file("a"),
            pb.Output(segments=SEGMENTS),
            pb.Output(stream=STREAM),
            media=pb.MediaSource(video_track_id="TR_V"),
            **COPY,
        )
    )
    assert (plan.audio, plan.copied, len(plan.outputs)) == (None, frozenset({Kind.VIDEO}), 3)


def test_options_that_are_not_used_are_not_checked() -> None:
    assert planned(composite(FILE, **COPY), encoding=EncodingWish(width=3)).passthrough


# What the service adds


def test_a_token_goes_before_the_keys() -> None:
    plan = planned(room(FILE), token="ready", ws_url="wss://other")
    assert plan.connection is not None
    assert (plan.connection.token, plan.connection.api_key, plan.connection.url) == ("ready", "", "wss://other")


def test_a_v2_request_without_a_room() -> None:
    plan = planned(v2(v2_file(""), room_name=""), token="ready")
    assert (plan.room_name, file_of(plan).path.partition("-")[0]) == ("", "{room_name}")
    plan = planned(v2(v2_file(""), room_name=""), room_name="other")
    assert plan.room_name == "other"


def test_storage_of_each_output() -> None:
    s3 = pb.StorageConfig(s3=pb.S3Upload(bucket="b"))
    gcp = pb.StorageConfig(gcp=pb.GCPUpload(bucket="g"))
    plan = planned(v2(v2_file(), pb.Output(images=IMAGES, storage=gcp), storage=s3))
    assert isinstance(file_of(plan).storage, S3Storage)
    assert isinstance(images_of(plan)[0].storage, GcsStorage)
    assert file_of(planned(room(FILE))).storage == LocalStorage()
    azure = AzureStorage("c")
    service = replace(SERVICE, storage=StorageDefaults(storage=azure, backup=LocalStorage()))
    plan = planned(room(FILE), service=service)
    assert (file_of(plan).storage, plan.backup) == (azure, LocalStorage())


def test_v2_ignores_the_blocks_inside_of_segments() -> None:
    segments = pb.SegmentedFileOutput(filename_prefix="s", s3=pb.S3Upload(bucket="inner"))
    assert segments_of(planned(v2(pb.Output(segments=segments)))).storage == LocalStorage()


@pytest.mark.parametrize(
    ("request_", "duration", "size"),
    [
        (room(FILE), 100, 7),
        (room(FILE, segment_outputs=[SEGMENTS]), 50, 7),
        (room(stream_outputs=[STREAM]), None, None),
        (room(image_outputs=[IMAGES]), 200, None),
    ],
)
def test_the_shortest_limit_counts(request_: EgressRequest, duration: float | None, size: int | None) -> None:
    limits = SessionLimits(file=100, segment=50, image=200, file_size=7)
    plan = planned(request_, service=replace(SERVICE, limits=limits))
    assert (plan.max_duration, plan.max_file_size) == (duration, size)


def test_rules_limit_the_requests_that_fit() -> None:
    """The shortest of all that apply."""
    rules = (
        LimitRule("trial-*", duration=60.0, file_size=1000),
        LimitRule(types=(RequestType.ROOM_COMPOSITE, RequestType.TEMPLATE), duration=40.0),
        LimitRule("other", duration=1.0, file_size=1),
    )
    service = replace(SERVICE, limits=SessionLimits(file=50.0, file_size=2000, rules=rules))

    def limits(request: EgressRequest) -> tuple[float | None, int | None]:
        plan = planned(request, service=service)
        return plan.max_duration, plan.max_file_size

    composite, person = room(FILE), participant(FILE)
    assert limits(composite) == (40.0, 2000)
    assert limits(person) == (50.0, 2000)
    composite.room_name = person.room_name = "trial-7"
    assert limits(composite) == (40.0, 1000)
    assert limits(person) == (50.0, 1000)
    assert planned(person, service=replace(SERVICE, limits=SessionLimits(rules=rules))).max_duration == 60.0


def test_webhooks_and_waits() -> None:
    hook = models.WebhookConfig(url="https://h/?token=x", signing_key="key")
    hook.filter_params.include_events.append("egress_ended")
    plan = planned(room(FILE, webhooks=[hook]), service=replace(SERVICE, waits=Waits(participant=9)))
    assert plan.webhooks == (Webhook("https://h/?token=x", "key", ("egress_ended",)),)
    assert (plan.waits.participant, plan.waits.tracks) == (9, 30)


def test_a_plan_shows_no_secret() -> None:
    secret = "c2VjcmV0LXNlY3JldA"
    s3 = pb.S3Upload(bucket="b", access_key=secret, secret=secret, session_token=secret)
    s3.proxy.url, s3.proxy.password = f"http://user:{secret}@proxy", secret
    plan = planned(
        room(
            pb.EncodedFileOutput(s3=s3),
            stream_outputs=[pb.StreamOutput(urls=[f"rtmp://host/app/{secret}", f"twitch://{secret}"])],
            custom_base_url=f"https://t.example/?token={secret}",
        ),
        service=replace(SERVICE, api_secret=secret),
        token=secret,
    )
    assert secret not in repr(plan)
    assert file_of(plan).storage == planned(room(pb.EncodedFileOutput(s3=s3)), service=SERVICE).outputs[0].storage  # type: ignore[union-attr]


def test_a_plan_can_be_handed_to_another_process() -> None:
    plan = planned(
        v2(
            v2_file(),
            pb.Output(stream=STREAM),
            pb.Output(images=IMAGES, storage=pb.StorageConfig(s3=pb.S3Upload(bucket="b", secret="hidden"))),
            template=pb.TemplateSource(custom_base_url="https://t.example/?token=hidden"),
        )
    )
    assert pickle.loads(pickle.dumps(plan)) == plan
    assert hash(plan) == hash(replace(plan))
