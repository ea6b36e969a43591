from __future__ import annotations

import re
import string
from collections.abc import Iterator

import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from hypothesis import given, settings
from hypothesis import strategies as st
from livekit.protocol import egress as pb
from livekit.protocol import models

from pyegress.plan.form import EgressRequest
from pyegress.plan.redact import PLACEHOLDERS, URLS, redacted
from tests.plan.requests import room, track, v2

pytestmark = pytest.mark.unit

REQUESTS: list[type[EgressRequest]] = [
    pb.RoomCompositeEgressRequest,
    pb.WebEgressRequest,
    pb.ParticipantEgressRequest,
    pb.TrackCompositeEgressRequest,
    pb.TrackEgressRequest,
    pb.StartEgressRequest,
    pb.ExportReplayRequest,
]


def s3(secret: str) -> pb.S3Upload:
    return pb.S3Upload(
        access_key=secret,
        secret=secret,
        session_token=secret,
        assume_role_external_id=secret,
        bucket="bucket",
        metadata={"a": "b"},
        proxy=pb.ProxyConfig(url=f"http://user:{secret}@proxy:1/", username=secret, password=secret),
    )


def test_placeholders_stand_for_credentials() -> None:
    shown = redacted(room(pb.EncodedFileOutput(filepath="a", s3=s3("hidden")))).file_outputs[0]
    assert shown.filepath == "a"
    assert shown.s3 == pb.S3Upload(
        access_key="{access_key}",
        secret="{secret}",
        session_token="{session_token}",
        assume_role_external_id="{external_id}",
        bucket="bucket",
        metadata={"a": "b"},
        proxy=pb.ProxyConfig(url="http://{...}@proxy:1/", username="{username}", password="{password}"),
    )
    shown = redacted(room(pb.EncodedFileOutput(gcp=pb.GCPUpload(credentials="{}", bucket="b")))).file_outputs[0]
    assert shown.gcp == pb.GCPUpload(credentials="{credentials}", bucket="b")
    azure = pb.AzureBlobUpload(account_name="n", account_key="k", container_name="c")
    shown = redacted(room(pb.EncodedFileOutput(azure=azure))).file_outputs[0]
    assert shown.azure == pb.AzureBlobUpload(
        account_name="{account_name}", account_key="{account_key}", container_name="c"
    )
    oss = pb.AliOSSUpload(access_key="a", secret="s", endpoint="e", bucket="b")
    shown = redacted(room(pb.EncodedFileOutput(aliOSS=oss))).file_outputs[0]
    assert shown.aliOSS == pb.AliOSSUpload(access_key="{access_key}", secret="{secret}", endpoint="e", bucket="b")


def test_what_is_not_set_stays_unset() -> None:
    shown = redacted(room(pb.EncodedFileOutput(s3=pb.S3Upload(bucket="b"))))
    assert shown.file_outputs[0].s3 == pb.S3Upload(bucket="b")
    assert redacted(pb.StartEgressRequest()) == pb.StartEgressRequest()


def test_the_request_itself_stays_as_it_is() -> None:
    request = room(pb.EncodedFileOutput(s3=s3("hidden")))
    before = request.SerializeToString(deterministic=True)
    redacted(request)
    assert request.SerializeToString(deterministic=True) == before


def test_urls() -> None:
    request = v2(
        pb.Output(
            stream=pb.StreamOutput(
                urls=["rtmp://host/app/streamkey", "srt://host:1?passphrase=hidden"],
                destinations=[pb.StreamDestination(id="a", url="wss://host/?k=hidden")],
            )
        ),
        web=pb.WebSource(url="https://host/?id=3&token=hidden"),
    )
    shown = redacted(request)
    assert list(shown.outputs[0].stream.urls) == ["rtmp://host/app/{str...key}", "srt://host:1?passphrase={...}"]
    assert shown.outputs[0].stream.destinations[0] == pb.StreamDestination(id="a", url="wss://host/?k={...}")
    assert shown.web.url == "https://host/?id=3&token={...}"
    assert redacted(track(websocket_url="ws://h/?t=hidden")).websocket_url == "ws://h/?t={...}"


def test_webhooks_stay_as_they_are_since_the_server_calls_them() -> None:
    hook = models.WebhookConfig(url="https://h/?token=x", signing_key="key")
    assert redacted(room(webhooks=[hook])).webhooks[0] == hook


def test_fields_of_a_newer_protocol_are_left_out() -> None:
    # Field 99, length delimited.
    request = pb.TrackEgressRequest.FromString(b"\x9a\x06\x06hidden" + track("a").SerializeToString())
    assert b"hidden" in request.SerializeToString()
    assert b"hidden" not in redacted(request).SerializeToString()


def _descriptors(descriptor: Descriptor, seen: dict[str, Descriptor]) -> dict[str, Descriptor]:
    if descriptor.full_name not in seen:
        seen[descriptor.full_name] = descriptor
        for field in descriptor.fields:
            if field.message_type is not None:
                _descriptors(field.message_type, seen)
    return seen


def _reachable() -> dict[str, Descriptor]:
    seen: dict[str, Descriptor] = {}
    for request in [*REQUESTS, pb.EgressInfo, pb.UpdateStreamRequest]:
        _descriptors(request.DESCRIPTOR, seen)  # type: ignore[arg-type]
    return seen


def test_the_tables_name_fields_that_exist() -> None:
    known = _reachable()
    for name, fields in [*PLACEHOLDERS.items(), *URLS.items()]:
        assert set(fields) <= set(known[name].fields_by_name), name


def test_no_field_that_sounds_like_a_secret_is_missing() -> None:
    """A field that a newer protocol brings has to be put into a table, or here."""
    harmless = {
        "livekit.WebhookConfig.signing_key",  # the name of a key
        "livekit.WebhookConfig.url",
        "livekit.EncodingOptions.key_frame_interval",
        "livekit.S3Upload.MetadataEntry.key",
    }
    sounds = re.compile(r"key|secret|token|pass|cred|external|account|url|username")
    missing = []
    for name, descriptor in _reachable().items():
        listed = {*PLACEHOLDERS.get(name, ()), *URLS.get(name, ())}
        for field in descriptor.fields:
            scalar = field.message_type is None and field.enum_type is None
            if scalar and sounds.search(field.name) and field.name not in listed:
                missing.append(f"{name}.{field.name}")
    assert set(missing) <= harmless


def _is_secret(descriptor: Descriptor, field: FieldDescriptor) -> bool:
    return field.name in PLACEHOLDERS.get(descriptor.full_name, ())


def _poison(message: Message, secret: str, choose: Iterator[int]) -> None:
    """Put `secret` wherever one may be, in every block of the message; of each oneof the member that `choose` says."""
    descriptor = message.DESCRIPTOR
    skipped = set()
    for oneof in descriptor.oneofs:
        members = [field.name for field in oneof.fields]
        chosen = members[next(choose) % len(members)]
        skipped |= set(members) - {chosen}
    for field in descriptor.fields:
        if field.name in skipped:
            continue
        value = getattr(message, field.name)
        if field.message_type is not None:
            if field.message_type.GetOptions().map_entry or field.message_type.name == "WebhookConfig":
                continue
            for part in [value.add(), value.add()] if field.is_repeated else [value]:
                part.SetInParent()
                _poison(part, secret, choose)
        elif _is_secret(descriptor, field):  # type: ignore[arg-type]
            setattr(message, field.name, secret)
        elif field.name in URLS.get(descriptor.full_name, ()):
            if field.is_repeated:
                value.extend(_urls(secret))
            else:
                setattr(message, field.name, f"wss://user:{secret}@host/x?token={secret}")


def _urls(secret: str) -> list[str]:
    return [
        f"rtmp://host/app/{secret}",
        f"rtmps://u:{secret}@host/app/{secret}?k={secret}",
        f"mux://{secret}",
        f"twitch://{secret}",
        f"srt://host:1?passphrase={secret}&streamid={secret}",
        f"ws://host/?{secret}",
        secret,
    ]


@given(
    st.sampled_from(REQUESTS),
    st.text(string.ascii_letters + string.digits + "+/=", min_size=16, max_size=40),
    st.lists(st.integers(0, 10), min_size=1, max_size=12),
)
@settings(max_examples=150, derandomize=True)
def test_no_secret_survives(kind: type[EgressRequest], secret: str, choices: list[int]) -> None:
    def endless() -> Iterator[int]:
        while True:
            yield from choices

    # Within URLs the characters mean something else.
    plain = re.sub(r"[+/=]", "x", secret)
    request = kind()
    _poison(request, plain, endless())
    shown = redacted(request)
    assert plain.encode() not in shown.SerializeToString()
    assert redacted(shown) == shown
    assert redacted(shown) is not shown
