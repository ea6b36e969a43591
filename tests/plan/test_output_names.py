from __future__ import annotations

import posixpath

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from livekit.protocol import egress as pb

from pyegress.errors import Code, EgressError
from pyegress.plan.file_names import resolve_names
from pyegress.plan.output_names import (
    Naming,
    clean_path,
    fill_name,
    segment_names,
    strip_extension,
    with_extension,
)
from tests.plan.requests import (
    NOW,
    TIME_TOKEN,
    UTC_TOKEN,
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

AUTOMATIC = f"standup-{TIME_TOKEN}"


def naming(retry: int = 0) -> Naming:
    return Naming.at(NOW, subject="standup", retry=retry, room_name="standup")


@pytest.mark.parametrize(
    ("path", "clean"),
    [
        ("", ""),
        ("a/b.mp4", "a/b.mp4"),
        ("a/", "a/"),
        ("./a//b/../c", "a/c"),
        ("../../a", "a"),
        ("../../a/", "a/"),
        ("a/../../b", "b"),
        ("/a", "/a"),
        ("//a", "/a"),
        ("/../a", "/a"),
        ("/", "/"),
        (".", ""),
        ("..", ""),
        ("a/..", ""),
        ("..a", "..a"),
        ("a\x00\nb", "a_b"),
        ("{room_name}/../a", "a"),
    ],
)
def test_paths_are_cleaned(path: str, clean: str) -> None:
    assert clean_path(path) == clean


@given(st.text("ab./\\\x00 {}", max_size=30))
@settings(max_examples=300, derandomize=True)
def test_no_path_leaves_its_root(path: str) -> None:
    clean = clean_path(path)
    parts = clean.strip("/").split("/")
    assert ".." not in parts
    assert "." not in parts
    assert clean_path(clean) == clean
    assert not clean.startswith("//")
    assert clean.startswith("/") is path.startswith("/")


@pytest.mark.parametrize(
    ("name", "extension", "expected"),
    [
        ("a.mp4", ".mp4", "a.mp4"),
        ("a.MP4", ".mp4", "a.MP4"),
        ("a", ".mp4", "a.mp4"),
        ("a.mov", ".mp4", "a.mov.mp4"),
        ("v1.2", ".ogg", "v1.2.ogg"),
        *((f"a{known}", ".mp4", "a.mp4") for known in (".raw", ".ogg", ".mp3", ".ivf", ".ts", ".webm", ".m3u8")),
        *((f"a{known}", ".mp4", "a.mp4") for known in (".jpeg", ".wav", ".flac")),
    ],
)
def test_extensions_are_kept_replaced_or_appended(name: str, extension: str, expected: str) -> None:
    assert with_extension(name, extension) == expected
    assert strip_extension("dir.mp4/a") == "dir.mp4/a"


# Files


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("", f"{AUTOMATIC}.mp4"),
        ("rec/", f"rec/{AUTOMATIC}.mp4"),
        ("/", f"/{AUTOMATIC}.mp4"),
        ("..", f"{AUTOMATIC}.mp4"),
        ("{room_name}/{room_id}-{utc}", f"standup/RM_1-{UTC_TOKEN}.mp4"),
        ("{time}.mp4", f"{TIME_TOKEN}.mp4"),
        ("{nobody}-{retry}", "{nobody}-{retry}.mp4"),
        ("/abs/x", "/abs/x.mp4"),
    ],
)
def test_files(path: str, expected: str) -> None:
    assert file_of(planned(room(pb.EncodedFileOutput(filepath=path)))).path == expected


def test_a_page_has_no_room_in_its_names() -> None:
    request = pb.WebEgressRequest(url="https://e.example", file_outputs=[pb.EncodedFileOutput()])
    assert file_of(planned(request)).path == f"web-{TIME_TOKEN}.mp4"
    request.file_outputs[0].filepath = "{room_name}-{utc}"
    assert file_of(planned(request)).path == f"{{room_name}}-{UTC_TOKEN}.mp4"


def test_a_track_is_named_by_its_id() -> None:
    assert file_of(planned(track())).path == f"TR_1-{TIME_TOKEN}"
    assert file_of(planned(track("{track_id}-{track_type}"))).path == "TR_1-{track_type}"
    copy = v2(v2_file(""), media=pb.MediaSource(video_track_id="TR_V"), preset=pb.EncodingOptionsPreset.PASSTHROUGH)
    assert file_of(planned(copy)).path == f"TR_V-{TIME_TOKEN}"
    encoded = v2(v2_file(""), media=pb.MediaSource(video_track_id="TR_V"))
    assert file_of(planned(encoded)).path == f"{AUTOMATIC}.mp4"


def test_a_participant_is_known_by_name_at_once() -> None:
    plan = planned(participant(pb.EncodedFileOutput(filepath="{publisher_identity}")))
    assert file_of(plan).path == "alice.mp4"


def test_tokens_that_are_known_after_joining() -> None:
    request = room(
        pb.EncodedFileOutput(filepath="{publisher_identity}/a.mp4"),
        segment_outputs=[pb.SegmentedFileOutput(playlist_name="{publisher_identity}", live_playlist_name="l")],
        image_outputs=[pb.ImageOutput(filename_prefix="{publisher_identity}")],
    )
    plan = resolve_names(planned(request), {"publisher_identity": "../bob"})
    assert file_of(plan).path == ".._bob/a.mp4"
    assert segments_of(plan).names.playlist == ".._bob.m3u8"
    assert segments_of(plan).names.prefix == ".._bob"
    assert segments_of(plan).names.live_playlist == "l.m3u8"
    assert images_of(plan)[0].prefix == ".._bob"


def test_a_long_name_keeps_its_extension() -> None:
    assert fill_name("{x}.m3u8", {"x": "a" * 300}) == "a" * 220 + ".m3u8"


NAMES = st.text(max_size=300) | st.sampled_from(["..", "../..", "a/../../x", "/etc/passwd", ".", "", "\\..\\", "x/"])


@given(NAMES, st.sampled_from(["{room_name}", "rec/{room_name}.mp4", "{room_name}/", "rec/{publisher_identity}", ""]))
@settings(max_examples=200, derandomize=True)
def test_no_room_and_no_identity_leaves_its_folder(value: str, path: str) -> None:
    request = participant(
        pb.EncodedFileOutput(filepath=path),
        room_name=value or "x",
        identity=value or "x",
        segment_outputs=[pb.SegmentedFileOutput(filename_prefix=path, playlist_name=path)],
        image_outputs=[pb.ImageOutput(filename_prefix=path)],
    )
    plan = planned(request)
    names = segments_of(plan).names
    for name in (file_of(plan).path, names.playlist, names.prefix, images_of(plan)[0].prefix):
        parts = name.split("/")
        assert len(parts) == 1 + ("/" in path), name
        assert all(part not in ("", ".", "..") for part in parts), name
        assert posixpath.normpath(name) == name
        assert all(len(part.encode()) <= 230 for part in parts)
        assert "\x00" not in name
        if path.startswith("rec/"):
            assert parts[0] == "rec"


def test_a_long_room_name_leaves_the_time_in_the_automatic_name() -> None:
    path = file_of(planned(room(pb.EncodedFileOutput(), room_name="r" * 400))).path
    assert path.endswith(f"-{TIME_TOKEN}.mp4")


# Segments


@pytest.mark.parametrize(
    ("prefix", "playlist", "live", "expected"),
    [
        ("", "", "", (AUTOMATIC, "", AUTOMATIC)),
        ("seg", "", "", ("seg", "", "seg")),
        ("", "list.m3u8", "", ("list", "", "list")),
        ("seg", "list", "live", ("list", "live", "seg")),
        ("d/seg", "list", "live.m3u8", ("d/list", "d/live", "d/seg")),
        ("seg", "d/list", "d/live", ("d/list", "d/live", "d/seg")),
        ("d/seg", "d/list", "", ("d/list", "", "d/seg")),
        (
            "conf_test_2/filename",
            "conf_test/playlist",
            "",
            ("conf_test/playlist", "", "conf_test/conf_test_2/filename"),
        ),
        ("/x/seg", "/y/list", "", ("/y/list", "", "/y/x/seg")),
        ("d/", "", "live", (f"d/{AUTOMATIC}", "d/live", f"d/{AUTOMATIC}")),
        ("d/", "d/list", "", ("d/list", "", "d/list")),
        ("", "my.show", "my.live.show", ("my.show", "my.live.show", "my.show")),
        ("../seg", "../../list.mp4", "", ("list", "", "seg")),
        ("{room_name}/s", "{room_name}/p-{utc}", "", (f"standup/p-{UTC_TOKEN}", "", "standup/s")),
    ],
)
def test_segments(prefix: str, playlist: str, live: str, expected: tuple[str, str, str]) -> None:
    names = segment_names(prefix, playlist, live, naming())
    live_expected = f"{expected[1]}.m3u8" if expected[1] else ""
    assert (names.playlist, names.live_playlist, names.prefix) == (f"{expected[0]}.m3u8", live_expected, expected[2])


# Images


def test_images_without_a_name_get_one() -> None:
    outputs = [pb.ImageOutput(), pb.ImageOutput(), pb.ImageOutput(filename_prefix="d/"), pb.ImageOutput()]
    prefixes = [image.prefix for image in images_of(planned(room(image_outputs=outputs)))]
    assert prefixes == [AUTOMATIC, f"{AUTOMATIC}-2", f"d/{AUTOMATIC}", f"{AUTOMATIC}-3"]


# Retries


@pytest.mark.parametrize(
    ("path", "expected"),
    [("", f"{AUTOMATIC}-2.mp4"), ("d/", f"d/{AUTOMATIC}-2.mp4"), ("a-{retry}.mp4", "a-2.mp4")],
)
def test_a_retry_writes_under_another_name(path: str, expected: str) -> None:
    plan = planned(room(pb.EncodedFileOutput(filepath=path)), retry_count=2)
    assert (file_of(plan).path, plan.retry_count) == (expected, 2)


@pytest.mark.parametrize(
    ("prefix", "playlist", "fits"),
    [
        ("", "", True),
        ("s-{retry}", "", True),
        ("s-{retry}", "p", True),
        ("", "p-{retry}", True),
        ("s", "p-{retry}", False),
        ("", "p", False),
        ("s", "", False),
    ],
)
def test_segments_of_a_retry(prefix: str, playlist: str, fits: bool) -> None:
    if fits:
        segment_names(prefix, playlist, "", naming(retry=1))
        return
    with pytest.raises(EgressError, match="does not support retry") as caught:
        segment_names(prefix, playlist, "", naming(retry=1))
    assert caught.value.code is Code.FAILED_PRECONDITION
