from __future__ import annotations

from dataclasses import replace

import pytest
from livekit.protocol import egress as pb

from pyegress.codecs import Codec
from pyegress.errors import InvalidRequest
from pyegress.plan.containers import Container
from pyegress.plan.file_names import copy_target, file_name, named_container, resolve_names, waits_for_publisher
from pyegress.plan.recording_plan import FileOutput, Service
from tests.plan.requests import SERVICE, composite, file_of, planned, track

pytestmark = pytest.mark.unit

FOREGROUND = replace(SERVICE, any_extension=True)
TOKENS = {"publisher_identity": "a/b", "track_type": "video", "track_source": "camera"}


def copied(path: str, *codecs: Codec, service: Service = SERVICE) -> tuple[str, Container]:
    output = file_of(planned(track(path), service=service))
    target = copy_target(output, TOKENS, frozenset(codecs))
    return target.path, target.container


@pytest.mark.parametrize(
    ("path", "codec", "expected", "container"),
    [
        ("a", Codec.H264, "a.mp4", Container.MP4),
        ("a", Codec.H265, "a.mp4", Container.MP4),
        ("a", Codec.AV1, "a.mp4", Container.MP4),
        ("a", Codec.VP8, "a.webm", Container.WEBM),
        ("a", Codec.VP9, "a.webm", Container.WEBM),
        ("a", Codec.OPUS, "a.ogg", Container.OGG),
        ("a", Codec.PCMU, "a.wav", Container.WAV),
        ("a.mp4", Codec.VP8, "a.webm", Container.WEBM),
        ("a.mp4", Codec.OPUS, "a.ogg", Container.OGG),
        ("a.webm", Codec.H264, "a.mp4", Container.MP4),
        ("a.webm", Codec.AV1, "a.webm", Container.WEBM),
        ("a.mov", Codec.H264, "a.mov.mp4", Container.MP4),
        ("{publisher_identity}-{track_source}", Codec.VP8, "a_b-camera.webm", Container.WEBM),
    ],
)
def test_copies(path: str, codec: Codec, expected: str, container: Container) -> None:
    assert copied(path, codec) == (expected, container)


@pytest.mark.parametrize(
    ("path", "codec", "expected", "container"),
    [
        ("a.mov", Codec.H264, "a.mov", Container.MP4),
        ("a.mkv", Codec.VP8, "a.mkv", Container.WEBM),
        ("a.mp4", Codec.OPUS, "a.mp4", Container.MP4),
        ("a.txt", Codec.OPUS, "a.txt.ogg", Container.OGG),
    ],
)
def test_copies_in_the_foreground(path: str, codec: Codec, expected: str, container: Container) -> None:
    assert copied(path, codec, service=FOREGROUND) == (expected, container)


def test_a_container_that_was_asked_for_has_to_hold_the_copies() -> None:
    with pytest.raises(InvalidRequest, match=r"format WebM incompatible with codec H\.264"):
        copied("a.webm", Codec.H264, service=FOREGROUND)
    asked = pb.EncodedFileOutput(filepath="a", file_type=pb.EncodedFileType.MP4)
    output = file_of(planned(composite(asked, preset=pb.EncodingOptionsPreset.PASSTHROUGH)))
    assert copy_target(output, {}, frozenset({Codec.H264, Codec.OPUS})).path == "a.mp4"
    with pytest.raises(InvalidRequest, match="format MP4 incompatible with codec VP8"):
        copy_target(output, {}, frozenset({Codec.VP8, Codec.OPUS}))


def test_codecs_that_fit_nowhere_together() -> None:
    with pytest.raises(InvalidRequest, match="No container holds"):
        copied("a", Codec.VP8, Codec.PCMU)


def test_a_long_alias_keeps_its_extension() -> None:
    output = file_of(planned(track("{publisher_identity}.mov"), service=FOREGROUND))
    path = copy_target(output, {"publisher_identity": "x" * 300}, frozenset({Codec.H264})).path
    assert path == "x" * 220 + ".mov"


def test_names_decide_only_when_they_mean_it() -> None:
    assert named_container("a.webm", any_extension=False) is Container.WEBM
    assert named_container("a.mkv", any_extension=False) is None
    assert named_container("a.mp4", any_extension=False) is None
    assert named_container("a.mp4", any_extension=True) is Container.MP4
    assert file_name("a.m4a", Container.MP4, any_extension=True) == "a.m4a"
    assert file_name("a.m4a", Container.MP4, any_extension=False) == "a.m4a.mp4"


def test_a_file_output_is_frozen_and_comparable() -> None:
    output = file_of(planned(track("a")))
    assert output == FileOutput("a", None, output.storage)


def test_names_that_wait_for_a_publisher() -> None:
    """Of a track composite it is known only when a track is there: the room's tokens come before."""
    asked = planned(composite(pb.EncodedFileOutput(filepath="{room_id}/{publisher_identity}/a")))
    joined = resolve_names(asked, {"room_name": "standup", "room_id": "RM_1"})
    assert waits_for_publisher(joined)
    named = resolve_names(joined, {"publisher_identity": "ada/.."})
    assert not waits_for_publisher(named)
    assert file_of(named).path == "RM_1/ada_../a.mp4"
    assert not waits_for_publisher(planned(composite(pb.EncodedFileOutput(filepath="a"))))
