from __future__ import annotations

from datetime import UTC, datetime
from pathlib import PurePosixPath

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyegress.clock import Wall
from pyegress.codecs import Codec
from pyegress.errors import Code, Fault, InvalidRequest
from pyegress.plan.names import fill_template, numbered, output_path, part_path, safe_component, time_tokens

pytestmark = pytest.mark.unit

VP8 = frozenset({Codec.VP8})
VP8_OPUS = frozenset({Codec.VP8, Codec.OPUS})
H264_OPUS = frozenset({Codec.H264, Codec.OPUS})


def path(template: str, codecs: frozenset[Codec] = VP8, **values: str) -> str:
    return str(output_path(template, values, automatic="standup-2026", codecs=codecs))


@pytest.mark.parametrize(
    ("value", "safe"),
    [
        ("alice", "alice"),
        ("../../etc/passwd", ".._.._etc_passwd"),
        ("..", "__"),
        (".", "_"),
        ("", "_"),
        ("/", "_"),
        ("a\\b", "a_b"),
        ("a\x00b\nc", "a_b_c"),
        ("Zoë Müller", "Zoë Müller"),
        ("\ud800", "?"),
    ],
)
def test_values_become_safe_components(value: str, safe: str) -> None:
    assert safe_component(value) == safe


def test_a_long_value_is_cut_between_characters() -> None:
    assert safe_component("ä" * 300) == "ä" * 110
    assert safe_component("a" + "ä" * 300, limit=20) == "a" + "ä" * 9


@given(st.text(max_size=400))
@settings(max_examples=200, derandomize=True)
def test_no_value_leaves_its_component(value: str) -> None:
    filled = fill_template("rec/{room_name}/x-{publisher_identity}.mp4", dict.fromkeys(TOKENS, value))
    parts = filled.split("/")
    assert len(parts) == 3
    assert parts[0] == "rec"
    assert parts[1] not in ("", ".", "..")
    assert parts[2].startswith("x-")
    assert parts[2].endswith(".mp4")
    assert all(len(part.encode()) <= 220 for part in parts)
    assert "\x00" not in filled


TOKENS = ("room_name", "publisher_identity")


def test_a_token_without_a_value_never_makes_the_path_absolute() -> None:
    assert fill_template("{room_id}/x.mp4", {"room_id": ""}) == "_/x.mp4"


def test_unknown_tokens_stay_and_values_bring_none() -> None:
    assert fill_template("{nobody}-{time}", {"time": "now"}) == "{nobody}-now"
    assert fill_template("{a}{b}", {"a": "{b}", "b": "{a}"}) == "{b}{a}"


def test_components_without_tokens_stay_as_they_were_written() -> None:
    assert fill_template("../up/" + "x" * 300, {}) == "../up/" + "x" * 300


def test_times_are_local_and_utc() -> None:
    at = Wall(datetime(2026, 3, 4, 5, 6, 7, 89_000, tzinfo=UTC).timestamp())
    tokens = time_tokens(at)
    assert tokens["utc"] == "20260304050607089"
    local = datetime.fromtimestamp(at, UTC).astimezone()
    assert tokens["time"] == local.strftime("%Y-%m-%dT%H%M%S")


@pytest.mark.parametrize(
    ("template", "codecs", "expected"),
    [
        ("a", VP8, "a.webm"),
        ("a", H264_OPUS, "a.mp4"),
        ("a", frozenset({Codec.AV1}), "a.mp4"),
        ("a", frozenset({Codec.H265}), "a.mp4"),
        ("a", frozenset({Codec.OPUS}), "a.ogg"),
        ("a", frozenset({Codec.PCMU}), "a.wav"),
        ("a.webm", frozenset({Codec.AV1}), "a.webm"),
        ("a.MKV", VP8_OPUS, "a.MKV"),
        ("a.m4a", frozenset({Codec.OPUS}), "a.m4a"),
        ("a.opus", frozenset({Codec.OPUS}), "a.opus"),
        ("v1.2", VP8, "v1.2.webm"),
        ("", VP8, "standup-2026.webm"),
        ("dir/", VP8, "dir/standup-2026.webm"),
        ("dir/{room_name}/", VP8, "dir/{room_name}/standup-2026.webm"),
    ],
)
def test_paths(template: str, codecs: frozenset[Codec], expected: str) -> None:
    assert path(template, codecs) == expected


@pytest.mark.parametrize(
    ("template", "codecs", "message", "remedy"),
    [
        ("a.mp4", VP8, "a.mp4: format MP4 incompatible with codec VP8", "*.webm"),
        ("a.webm", H264_OPUS, "a.webm: format WebM incompatible with codec H.264", "*.mp4"),
        ("a.ogg", VP8, "a.ogg: format Ogg incompatible with codec VP8", "*.webm"),
        ("a.wav", frozenset({Codec.OPUS}), "a.wav: format WAV incompatible with codec Opus", "*.ogg"),
    ],
)
def test_a_container_that_cannot_hold_the_codec(
    template: str, codecs: frozenset[Codec], message: str, remedy: str
) -> None:
    with pytest.raises(InvalidRequest) as caught:
        path(template, codecs)
    assert caught.value.message == message
    assert remedy in caught.value.remedy
    assert (caught.value.code, caught.value.fault) == (Code.INVALID_ARGUMENT, Fault.CALLER)


def test_codecs_that_no_container_holds_together() -> None:
    with pytest.raises(InvalidRequest, match=r"No container holds H\.264 and VP8 together"):
        path("a", frozenset({Codec.H264, Codec.VP8}))


def test_further_parts_are_numbered() -> None:
    assert numbered(PurePosixPath("x/talk.mp4"), 1) == PurePosixPath("x/talk.mp4")
    assert numbered(PurePosixPath("x/talk.v1.mp4"), 3) == PurePosixPath("x/talk.v1-3.mp4")


@pytest.mark.parametrize(
    ("template", "codecs", "expected"),
    [
        ("talk.webm", VP8_OPUS, "talk-2.webm"),
        ("talk.webm", H264_OPUS, "talk-2.mp4"),
        ("talk", H264_OPUS, "talk-2.mp4"),
        ("v1.2", VP8, "v1.2-2.webm"),
        ("dir/", VP8, "dir/standup-2026-2.webm"),
    ],
)
def test_a_further_part_takes_the_extension_that_its_codecs_need(
    template: str, codecs: frozenset[Codec], expected: str
) -> None:
    assert str(part_path(template, {}, automatic="standup-2026", codecs=codecs, part=2)) == expected


def test_a_further_part_that_fits_nowhere() -> None:
    with pytest.raises(InvalidRequest, match="No container"):
        part_path("a", {}, automatic="a", codecs=frozenset({Codec.VP8, Codec.PCMU}), part=2)
