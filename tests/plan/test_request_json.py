from __future__ import annotations

import json

import pytest
from google.protobuf import json_format
from hypothesis import given, settings
from hypothesis import strategies as st
from livekit.protocol import egress as pb

from pyegress.errors import Code, EgressError, InvalidRequest
from pyegress.plan.request_json import REQUEST_TYPES, request_from_json
from tests.plan.requests import planned, room

pytestmark = pytest.mark.unit

ROOM = {
    "room_name": "standup",
    "layout": "grid",
    "audioMixing": "DUAL_CHANNEL_AGENT",
    "advanced": {"width": 640, "keyFrameInterval": 2.5, "videoCodec": 2, "audio_codec": "OPUS"},
    "file_outputs": [
        {"filepath": "a", "fileType": "MP4", "disableManifest": True, "s3": {"bucket": "b", "metadata": {"k": "v"}}}
    ],
    "segmentOutputs": [{"filename_prefix": "s", "segmentDuration": "6", "aliOSS": {"bucket": "o", "endpoint": "e"}}],
    "imageOutputs": [{"captureInterval": 5.0, "gcp": None}],
    "streamOutputs": [{"protocol": "RTMP", "urls": ["rtmp://host/app/key", "mux://key"]}],
    "webhooks": [{"url": "https://h/", "filter_params": {"includeEvents": ["egress_ended"]}}],
}


def test_both_spellings_are_read() -> None:
    request = request_from_json("room-composite", json.dumps(ROOM))
    assert request == json_format.Parse(json.dumps(ROOM), pb.RoomCompositeEgressRequest())


def test_the_example_of_the_documentation() -> None:
    text = '{"room_name": "my-room", "track_id": "TR_X", "websocket_url": "wss://my-websocket-server.com"}'
    assert request_from_json("track", text) == pb.TrackEgressRequest(
        room_name="my-room", track_id="TR_X", websocket_url="wss://my-websocket-server.com"
    )


@pytest.mark.parametrize("type_", REQUEST_TYPES)
def test_every_type_is_read(type_: str) -> None:
    assert request_from_json(type_, b"{}") == REQUEST_TYPES[type_]()


def test_an_empty_block_is_there() -> None:
    request = request_from_json("egress", '{"template": {}, "outputs": [{"file": {}}]}')
    assert isinstance(request, pb.StartEgressRequest)
    assert request.WhichOneof("source") == "template"
    assert request.outputs[0].WhichOneof("config") == "file"


def error_of(text: str | bytes, type_: str = "room-composite") -> EgressError:
    with pytest.raises(InvalidRequest) as caught:
        request_from_json(type_, text)
    assert caught.value.code is Code.INVALID_ARGUMENT
    assert caught.value.remedy
    return caught.value


@pytest.mark.parametrize(
    ("data", "field", "says"),
    [
        ({"room_nam": "x"}, "room_nam", "Did you mean room_name?"),
        ({"zzz": 1}, "zzz", "There are room_name"),
        ({"room_name": 5}, "room_name", "must be text, not a number"),
        ({"room_name": ["x"]}, "room_name", "must be text, not a list"),
        ({"audio_only": "yes"}, "audio_only", "must be true or false, not text"),
        ({"audio_only": 1}, "audio_only", "must be true or false, not a number"),
        ({"advanced": {"width": "wide"}}, "advanced.width", "must be a whole number, not text"),
        ({"advanced": {"width": 1.5}}, "advanced.width", "must be a whole number"),
        ({"advanced": {"width": True}}, "advanced.width", "must be a whole number, not true or false"),
        ({"advanced": {"width": 2**40}}, "advanced.width", "out of range"),
        ({"advanced": {"key_frame_interval": "x"}}, "advanced.key_frame_interval", "must be a number"),
        ({"advanced": {"key_frame_interval": "NaN"}}, "advanced.key_frame_interval", "not finite"),
        ({"advanced": []}, "advanced", "must be an object, not a list"),
        ({"preset": "H264_1080p_30"}, "preset", "Did you mean H264_1080P_30?"),
        ({"preset": "zzz"}, "preset", "Use one of H264_720P_30"),
        ({"preset": {}}, "preset", "must be a name, not an object"),
        ({"preset": 1, "advanced": {}}, "advanced", "exclude each other"),
        ({"room_name": "a", "roomName": "b"}, "roomName", "exclude each other"),
        ({"file_outputs": {}}, "file_outputs", "must be a list, not an object"),
        ({"file_outputs": [{}, {"filepath": 3}]}, "file_outputs[1].filepath", "must be text"),
        ({"file_outputs": [{"s3": {"bukket": "b"}}]}, "file_outputs[0].s3.bukket", "Did you mean bucket?"),
        ({"file_outputs": [{"s3": {}, "gcp": {}}]}, "file_outputs[0].gcp", "exclude each other"),
        ({"file_outputs": [{"s3": {"metadata": {"a": 1}}}]}, "file_outputs[0].s3.metadata.a", "must be text"),
        ({"file_outputs": [{"s3": {"metadata": []}}]}, "file_outputs[0].s3.metadata", "must be an object"),
        ({"file_outputs": [None]}, "file_outputs[0]", "must be an object, not null"),
        ({"stream_outputs": [{"urls": [1]}]}, "stream_outputs[0].urls[0]", "must be text"),
        ({"segment_outputs": [{"segment_duration": -1}]}, "segment_outputs[0].segment_duration", "out of range"),
        ({"room_name": "\ud800"}, "room_name", "half a character"),
        ([], "request", "must be an object, not a list"),
    ],
)
def test_errors_name_the_field(data: object, field: str, says: str) -> None:
    error = error_of(json.dumps(data))
    assert error.field == field
    assert says in str(error)
    assert field in str(error) or field == "request"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "not JSON"),
        ('{"room_name": "x"\n "layout": 1}', "in line 2, column 2"),
        (b"\xff\xfe{", "UTF-8"),
        ('{"advanced": {"width": ' + "9" * 5000 + "}}", "not JSON"),
        ("[" * 200_000, "nested too deeply"),
    ],
)
def test_what_is_not_json(text: str | bytes, says: str) -> None:
    error = error_of(text)
    assert error.field == "request"
    assert says in str(error)


def test_a_name_that_is_there_twice() -> None:
    assert "is there twice" in str(error_of('{"layout": "a", "layout": "b"}'))


def test_a_type_that_is_none() -> None:
    error = error_of("{}", "room")
    assert error.field == "type"
    assert "room-composite" in error.remedy


def test_unknown_fields_may_be_skipped() -> None:
    text = '{"room_name": "a", "later": {"x": 1}, "file_outputs": [{"later": 1}]}'
    request = request_from_json("room-composite", text, ignore_unknown=True)
    assert request == pb.RoomCompositeEgressRequest(room_name="a", file_outputs=[pb.EncodedFileOutput()])


def test_no_value_is_shown() -> None:
    for data in (
        {"file_outputs": [{"s3": {"secret": ["hidden-value"]}}]},
        {"stream_outputs": [{"urls": "hidden-value"}]},
        {"preset": "hidden-value"},
        {"advanced": {"width": "hidden-value"}},
    ):
        assert "hidden-value" not in str(error_of(json.dumps(data)))


@pytest.mark.parametrize("preserving", [True, False])
def test_what_protobuf_writes_is_read(preserving: bool) -> None:
    request = room(
        pb.EncodedFileOutput(filepath="a", s3=pb.S3Upload(bucket="b", metadata={"x": "y"})),
        advanced=pb.EncodingOptions(width=640, key_frame_interval=1.5),
    )
    text = json_format.MessageToJson(
        request, preserving_proto_field_name=preserving, always_print_fields_with_no_presence=True
    )
    assert request_from_json("room-composite", text) == request
    planned(request)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["advanced", "file_outputs", "s3", "preset", "width", "x"]), inner, max_size=4
        )
    ),
    max_leaves=12,
)


@given(JSON, st.sampled_from(sorted(REQUEST_TYPES)), st.booleans())
@settings(max_examples=200, derandomize=True)
def test_any_json_is_read_or_refused(data: object, type_: str, ignore_unknown: bool) -> None:
    try:
        request = request_from_json(type_, json.dumps(data), ignore_unknown=ignore_unknown)
    except InvalidRequest:
        return
    assert isinstance(request, REQUEST_TYPES[type_])
