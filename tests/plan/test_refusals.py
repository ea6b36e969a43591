"""One case for each token and code that clients of LiveKit Egress look for."""

from __future__ import annotations

from dataclasses import replace

import pytest
from livekit.protocol import egress as pb
from livekit.protocol import models

from pyegress.errors import Code, EgressError, Fault
from pyegress.plan.form import EgressRequest
from pyegress.plan.recording_plan import Service
from pyegress.plan.refusals import not_supported, websocket_takes_no_video
from pyegress.plan.storage import AssumeRole, StorageDefaults
from tests.plan.requests import FILE, RTMP, SERVICE, composite, participant, planned, refused, room, track, v2, v2_file

pytestmark = pytest.mark.unit

OGG = pb.EncodedFileOutput(file_type=pb.EncodedFileType.OGG)
STREAM = pb.StreamOutput(urls=[RTMP])
SEGMENTS = pb.SegmentedFileOutput(filename_prefix="seg")
IMAGES = pb.ImageOutput(filename_prefix="shot")
ADVANCED = pb.EncodingOptions
SOUND = pb.AudioConfig(capture_all=True)
MIC = pb.AudioRoute(track_id="TR_A")
COPY = {"preset": pb.EncodingOptionsPreset.PASSTHROUGH}


def media(**fields: object) -> pb.MediaSource:
    return pb.MediaSource(**fields)  # type: ignore[arg-type]


def web(*files: pb.EncodedFileOutput, **fields: object) -> pb.WebEgressRequest:
    return pb.WebEgressRequest(**{"url": "https://example.com", "file_outputs": files, **fields})  # type: ignore[arg-type]


FIELDS: list[tuple[str, EgressRequest]] = [
    ("template base url", room(FILE, custom_base_url="file:///etc/passwd")),
    ("template base url", room(FILE, custom_base_url="example.com")),
    ("template base url", v2(v2_file(), template=pb.TemplateSource(custom_base_url="ftp://x/"))),
    ("web url", web(FILE, url="")),
    ("web url", web(FILE, url="javascript:alert(1)")),
    ("web url", web(FILE, url="http://")),
    ("web url", web(FILE, url="http://[::1")),
    ("web url", v2(v2_file(), web=pb.WebSource(url="x"))),
    ("audio_only and video_only", room(FILE, audio_only=True, video_only=True)),
    ("audio_only and video_only", web(FILE, audio_only=True, video_only=True)),
    ("audio_only and video_only", v2(v2_file(), template=pb.TemplateSource(audio_only=True, video_only=True))),
    ("identity", participant(FILE, identity="")),
    ("identity", v2(v2_file(), media=media(participant_video=pb.ParticipantVideo()))),
    ("audio_track_id or video_track_id", composite(FILE, audio_track_id="", video_track_id="")),
    ("audio_track_id", composite(FILE, audio_track_id="TR_1", video_track_id="TR_1")),
    ("video_track_id", v2(v2_file(), media=media(video_track_id=""))),
    ("track_id", track("a", track_id="")),
    ("source", pb.StartEgressRequest(room_name="standup", outputs=[v2_file()])),
    ("audio or video", v2(v2_file(), media=media())),
    ("audio or video", v2(v2_file(), media=media(audio=pb.AudioConfig()))),
    ("audio route match", v2(v2_file(), media=media(audio=pb.AudioConfig(routes=[pb.AudioRoute()])))),
    ("audio route track_id", v2(v2_file(), media=media(audio=pb.AudioConfig(routes=[pb.AudioRoute(track_id="")])))),
    ("audio_mixing", room(FILE, audio_mixing=9)),
    # Encoding
    ("preset", room(FILE, preset=77)),
    ("width", room(FILE, advanced=ADVANCED(width=14))),
    ("width", room(FILE, advanced=ADVANCED(width=1281))),
    ("width", room(FILE, advanced=ADVANCED(width=100_000))),
    ("height", room(FILE, advanced=ADVANCED(height=-720))),
    ("height", v2(v2_file(), advanced=ADVANCED(height=17))),
    ("depth", room(FILE, advanced=ADVANCED(depth=32))),
    ("framerate", room(FILE, advanced=ADVANCED(framerate=-1))),
    ("framerate", room(FILE, advanced=ADVANCED(framerate=10_000))),
    ("video_bitrate", room(FILE, advanced=ADVANCED(video_bitrate=-1))),
    ("audio_bitrate", room(FILE, advanced=ADVANCED(audio_bitrate=-1))),
    ("audio_frequency", room(FILE, advanced=ADVANCED(audio_frequency=12_345))),
    ("key_frame_interval", room(FILE, advanced=ADVANCED(key_frame_interval=float("nan")))),
    ("key_frame_interval", room(FILE, advanced=ADVANCED(key_frame_interval=float("inf")))),
    # Outputs
    ("output", room()),
    ("output", web()),
    ("output", participant()),
    ("output", composite()),
    ("output", pb.TrackEgressRequest(room_name="standup", track_id="TR_1")),
    ("output", track(websocket_url="")),
    ("output", v2()),
    ("output config", v2(pb.Output())),
    ("output type", room(pb.EncodedFileOutput(file_type=9))),  # type: ignore[arg-type]
    ("output type", room(segment_outputs=[pb.SegmentedFileOutput(protocol=9)])),  # type: ignore[arg-type]
    ("multiple file outputs", room(FILE, FILE)),
    ("multiple file outputs", v2(v2_file(), v2_file("b.mp4"))),
    ("multiple stream outputs", room(stream_outputs=[STREAM, STREAM])),
    ("multiple segmented file outputs", participant(segment_outputs=[SEGMENTS, SEGMENTS])),
    ("stream protocol", room(stream_outputs=[pb.StreamOutput()])),
    ("stream protocol", room(stream_outputs=[pb.StreamOutput(protocol=pb.StreamProtocol.WEBSOCKET)])),
    ("stream output type", room(stream_outputs=[pb.StreamOutput(protocol=9)])),  # type: ignore[arg-type]
    ("stream url", room(stream_outputs=[pb.StreamOutput(protocol=pb.StreamProtocol.RTMP)])),
    ("stream url", v2(v2_file(), pb.Output(stream=pb.StreamOutput(protocol=pb.StreamProtocol.WEBSOCKET)))),
    (
        "destinations",
        v2(pb.Output(stream=pb.StreamOutput(destinations=[pb.StreamDestination(id="a", url=RTMP + i) for i in "12"]))),
    ),
    ("audio_only images", room(audio_only=True, image_outputs=[IMAGES])),
    ("audio_only images", composite(video_track_id="", image_outputs=[IMAGES])),
    ("audio_only images", v2(pb.Output(images=IMAGES), media=media(audio=SOUND))),
    (
        "audio_only images",
        v2(
            pb.Output(images=IMAGES),
            pb.Output(stream=pb.StreamOutput(urls=["ws://host/"])),
            media=media(audio=SOUND, video_track_id="TR_V"),
        ),
    ),
    ("filename_suffix", room(image_outputs=[pb.ImageOutput(filename_suffix=9)])),  # type: ignore[arg-type]
    ("filename_suffix", room(segment_outputs=[pb.SegmentedFileOutput(filename_suffix=9)])),  # type: ignore[arg-type]
    ("filename_prefix", room(image_outputs=[IMAGES, IMAGES])),
    ("width", room(image_outputs=[pb.ImageOutput(width=-1)])),
    (
        "live_playlist_name must be in same directory as playlist_name",
        room(segment_outputs=[pb.SegmentedFileOutput(playlist_name="a/p", live_playlist_name="b/l")]),
    ),
    (
        "live_playlist_name cannot be identical to playlist_name",
        room(segment_outputs=[pb.SegmentedFileOutput(playlist_name="a/p", live_playlist_name="p.m3u8")]),
    ),
    (
        "live_playlist_name",
        room(segment_outputs=[pb.SegmentedFileOutput(playlist_name="a/p", live_playlist_name="a/")]),
    ),
    ("s3.bucket", room(pb.EncodedFileOutput(s3=pb.S3Upload(region="x")))),
    ("aliOSS.endpoint", room(pb.EncodedFileOutput(aliOSS=pb.AliOSSUpload(bucket="x")))),
    # Passthrough
    ("preset", room(FILE, **COPY)),
    ("preset", web(FILE, **COPY)),
    ("passthrough source", v2(v2_file(), **COPY)),
    ("passthrough source", v2(v2_file(), web=pb.WebSource(url="https://example.com"), **COPY)),
    ("passthrough video_track_id", v2(v2_file(), media=media(video_track_id=""), **COPY)),
    (
        "passthrough participant_video",
        v2(v2_file(), media=media(participant_video=pb.ParticipantVideo(identity="alice")), **COPY),
    ),
    ("passthrough capture_all", v2(v2_file(), media=media(audio=SOUND), **COPY)),
    ("passthrough audio routes", v2(v2_file(), media=media(audio=pb.AudioConfig(routes=[MIC, MIC])), **COPY)),
    (
        "passthrough audio route match",
        v2(v2_file(), media=media(audio=pb.AudioConfig(routes=[pb.AudioRoute(participant_identity="a")])), **COPY),
    ),
    (
        "passthrough audio route track_id",
        v2(v2_file(), media=media(audio=pb.AudioConfig(routes=[pb.AudioRoute(track_id="")])), **COPY),
    ),
    (
        "passthrough track_id",
        v2(v2_file(), media=media(video_track_id="TR_V", audio=pb.AudioConfig(routes=[MIC])), **COPY),
    ),
    ("passthrough track_id", v2(v2_file(), media=media(), **COPY)),
    ("passthrough file_type", v2(v2_file(file_type=1), media=media(video_track_id="TR_V"), **COPY)),
    ("passthrough output", v2(v2_file(), pb.Output(images=IMAGES), media=media(video_track_id="TR_V"), **COPY)),
    (
        "passthrough output",
        v2(
            pb.Output(stream=pb.StreamOutput(urls=["wss://h/x"])),
            media=media(audio=pb.AudioConfig(routes=[MIC])),
            **COPY,
        ),
    ),
    ("passthrough output", v2(pb.Output(images=IMAGES), media=media(audio=pb.AudioConfig(routes=[MIC])), **COPY)),
    ("passthrough output", participant(FILE, image_outputs=[IMAGES], **COPY)),
    ("passthrough file_type", composite(pb.EncodedFileOutput(file_type=pb.EncodedFileType.MP3), **COPY)),
    # Connection
    ("token or api key/secret", room(FILE, room_name="")),
    ("token or api key/secret", v2(v2_file(), room_name="")),
]


@pytest.mark.parametrize(("token", "request_"), FIELDS, ids=[f"{i}-{token}" for i, (token, _) in enumerate(FIELDS)])
def test_fields(token: str, request_: EgressRequest) -> None:
    error = refused(request_)
    assert error.field == token
    assert f"request has missing or invalid field: {token}." in str(error)
    assert (error.code, error.fault, error.retryable) == (Code.INVALID_ARGUMENT, Fault.CALLER, False)
    _says_what_to_do(error)


def _says_what_to_do(error: EgressError) -> None:
    cause, remedy = error.message, error.remedy
    assert len(cause) > 20
    assert remedy
    assert not remedy.endswith(".")
    assert remedy[0].isupper()


def test_every_token_of_the_protocol_has_a_case() -> None:
    tokens = {token for token, _ in FIELDS}
    passthrough = (
        "source|video_track_id|participant_video|capture_all|audio routes|audio route match|audio route track_id|"
        "track_id|file_type|output"
    )
    assert {f"passthrough {token}" for token in passthrough.split("|")} <= tokens


def test_without_an_egress_id() -> None:
    assert refused(room(FILE), egress_id="").field == "egressID"


def test_something_that_is_no_request() -> None:
    assert refused(pb.StopEgressRequest()).field == "request"  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("service", "field"),
    [
        (replace(SERVICE, ws_url=""), "ws_url"),
        (replace(SERVICE, ws_url="localhost:7880"), "ws_url"),
        (replace(SERVICE, api_key=""), "token or api key/secret"),
        (replace(SERVICE, api_secret=""), "token or api key/secret"),
        (replace(SERVICE, storage=StorageDefaults(local_allowed=False)), "output"),
    ],
)
def test_what_the_service_lacks(service: Service, field: str) -> None:
    error = refused(room(FILE), service=service)
    assert error.field == field
    assert f"invalid field: {field}" in str(error)


def test_a_page_needs_no_room() -> None:
    assert planned(web(FILE), service=Service()).connection is None


URLS = [
    (["ftp://host/app/key"], "invalid scheme"),
    (["rtmp://host/app/key1", "srt://host:9000"], "invalid protocol"),
    (["rtmp://host/key"], "no stream key"),
    (["rtmp:///app/key"], "no host"),
    (["rtmp://host:port/app/key"], "cannot be read"),
    (["srt://host"], "no port"),
    (["mux://"], "no stream key"),
    (["streamkey"], "no scheme"),
    (["rtmp://host/app/key with space"], "spaces"),
    (["wss://host/audio"], "invalid scheme"),
]


@pytest.mark.parametrize(("urls", "reason"), URLS)
def test_stream_urls(urls: list[str], reason: str) -> None:
    error = refused(room(stream_outputs=[pb.StreamOutput(urls=urls)]))
    assert "invalid url" in str(error)
    assert reason in str(error)
    assert (error.code, error.field) == (Code.INVALID_ARGUMENT, "stream url")
    _says_what_to_do(error)


def test_an_explicit_protocol_counts_for_every_url() -> None:
    output = pb.StreamOutput(protocol=pb.StreamProtocol.SRT, urls=[RTMP])
    error = refused(room(stream_outputs=[output]))
    assert "invalid protocol" in str(error)
    assert "streamkey" not in str(error)


def test_a_websocket_of_another_scheme() -> None:
    error = refused(track(websocket_url="https://host/audio"))
    assert "invalid url" in str(error)
    assert "invalid scheme" in str(error)


OPUS = ADVANCED(audio_codec=models.AudioCodec.OPUS)
VP8 = ADVANCED(video_codec=models.VideoCodec.VP8)
MP3 = pb.EncodedFileOutput(file_type=pb.EncodedFileType.MP3)
MP4 = pb.EncodedFileOutput(file_type=pb.EncodedFileType.MP4)


@pytest.mark.parametrize(
    ("request_", "format_", "codec"),
    [
        (room(MP3, audio_only=True, advanced=OPUS), "audio/mpeg", "audio/opus"),
        (room(OGG, audio_only=True, stream_outputs=[STREAM]), "audio/ogg", "audio/aac"),
        (room(MP4, advanced=VP8), "video/mp4", "video/vp8"),
        (room(segment_outputs=[SEGMENTS], advanced=OPUS), "application/x-mpegurl", "audio/opus"),
        (
            v2(
                v2_file(file_type=1),
                pb.Output(stream=pb.StreamOutput(urls=["ws://host/"])),
                media=media(audio=SOUND),
            ),
            "video/mp4",
            "audio/x-raw",
        ),
        (
            v2(
                pb.Output(segments=SEGMENTS),
                pb.Output(stream=pb.StreamOutput(urls=["ws://host/"])),
                media=media(audio=SOUND),
            ),
            "application/x-mpegurl",
            "audio/x-raw",
        ),
    ],
)
def test_codecs_that_an_output_cannot_take(request_: EgressRequest, format_: str, codec: str) -> None:
    error = refused(request_)
    assert f"format {format_} incompatible with codec {codec}" in str(error)
    assert error.code is Code.INVALID_ARGUMENT
    _says_what_to_do(error)


@pytest.mark.parametrize(
    "request_",
    [
        room(OGG),
        room(MP3),
        composite(OGG),
        room(OGG, audio_only=True, segment_outputs=[SEGMENTS]),
        room(image_outputs=[pb.ImageOutput(image_codec=7)]),  # type: ignore[arg-type]
        v2(pb.Output(stream=pb.StreamOutput(urls=["ws://host/"])), media=media(video_track_id="TR_V")),
    ],
)
def test_outputs_without_a_codec_in_common(request_: EgressRequest) -> None:
    error = refused(request_)
    assert "no supported codec is compatible with all outputs" in str(error)
    assert error.code is Code.INVALID_ARGUMENT


def test_pictures_in_a_file_of_sound() -> None:
    error = refused(room(OGG))
    assert error.message.endswith("audio/ogg holds no video")
    assert "audio_only" in error.remedy
    asked = refused(room(OGG, advanced=ADVANCED(video_codec=models.VideoCodec.H264_HIGH)))
    assert "format audio/ogg incompatible with codec video/h264" in str(asked)


def test_no_file_type_for_the_codecs() -> None:
    options = ADVANCED(audio_codec=models.AudioCodec.AC_MP3)
    error = refused(room(FILE, advanced=options))
    assert "no supported file output type" in str(error)
    assert error.code is Code.INVALID_ARGUMENT


def test_replays_are_not_implemented() -> None:
    assert refused(pb.ExportReplayRequest(replay_id="RP_1")).code is Code.UNIMPLEMENTED


ROLE = pb.EncodedFileOutput(s3=pb.S3Upload(bucket="b", assume_role_arn="arn:x"))


def test_a_role_without_somebody_to_assume_it() -> None:
    error = refused(room(ROLE))
    assert (error.code, error.fault) == (Code.PERMISSION_DENIED, Fault.CALLER)
    assert error.code.http == 403
    assert "feature disabled" in str(error)


def test_a_role_with_somebody_to_assume_it() -> None:
    role = AssumeRole(access_key="k", secret="s")
    planned(room(ROLE), service=replace(SERVICE, storage=StorageDefaults(assume_role=role)))


@pytest.mark.parametrize(
    "request_",
    [
        room(FILE),
        track("a.mp4"),
        room(segment_outputs=[pb.SegmentedFileOutput(filename_prefix="seg")]),
        room(segment_outputs=[pb.SegmentedFileOutput(playlist_name="p")]),
    ],
)
def test_a_retry_needs_names_of_its_own(request_: EgressRequest) -> None:
    error = refused(request_, retry_count=1)
    assert (error.code, error.code.http) == (Code.FAILED_PRECONDITION, 412)
    assert "{retry}" in error.remedy
    planned(request_, retry_count=0)


def test_what_the_track_tells_later() -> None:
    assert "format websocket incompatible with codec video/VP8" in str(websocket_takes_no_video("video/VP8"))
    assert "xyz is not yet supported" in str(not_supported("xyz", "Use another"))


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        # Form, encoding, outputs, passthrough, connection, codecs.
        (participant(identity="", advanced=ADVANCED(width=1)), "identity"),
        (participant(advanced=ADVANCED(width=1)), "width"),
        (room(room_name="", preset=pb.EncodingOptionsPreset.PASSTHROUGH), "output"),
        (room(FILE, room_name="", **COPY), "preset"),
        (room(OGG, room_name=""), "token or api key/secret"),
    ],
)
def test_the_first_failure_wins(request_: EgressRequest, field: str) -> None:
    assert refused(request_).field == field


def test_no_error_shows_a_secret() -> None:
    secret = "c2VjcmV0LXNlY3JldA"
    requests: list[EgressRequest] = [
        room(stream_outputs=[pb.StreamOutput(urls=[f"rtmp://host/app/{secret} x"])]),
        room(stream_outputs=[pb.StreamOutput(urls=[f"srt://host?passphrase={secret}"])]),
        room(stream_outputs=[pb.StreamOutput(urls=[f"wss://host/?token={secret}"])]),
        room(stream_outputs=[pb.StreamOutput(urls=[f"ftp://host/{secret}"])]),
        room(stream_outputs=[pb.StreamOutput(urls=[secret])]),
        web(FILE, url=f"ftp://user:{secret}@host/?token={secret}"),
        room(FILE, custom_base_url=f"ftp://host/?access_token={secret}"),
        track(websocket_url=f"rtmp://host/{secret}"),
        room(pb.EncodedFileOutput(s3=pb.S3Upload(access_key=secret, secret=secret))),
    ]
    for request in requests:
        assert secret not in repr(refused(request)) + str(refused(request))
