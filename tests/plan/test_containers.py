from __future__ import annotations

from itertools import combinations

import pytest

from pyegress.codecs import Codec, Kind
from pyegress.plan.containers import DEFAULT_CONTAINER, Container, container_for, content_type
from pyegress.plan.recording_plan import ImageFormat

pytestmark = pytest.mark.unit


def test_every_codec_has_a_container_that_holds_it() -> None:
    assert set(DEFAULT_CONTAINER) == {codec for codec in Codec if codec.published}
    for codec, container in DEFAULT_CONTAINER.items():
        assert container.holds(codec)
        assert container_for(frozenset({codec})) is container


def test_every_extension_means_one_container() -> None:
    extensions = [extension for container in Container for extension in container.value.extensions]
    assert len(set(extensions)) == len(extensions)
    for container in Container:
        for extension in container.value.extensions:
            assert Container.from_path(f"a/b.c{extension.upper()}") is container


@pytest.mark.parametrize("path", ["a", "a.txt", "mp4", "a.mp4/b", ""])
def test_other_names_mean_none(path: str) -> None:
    assert Container.from_path(path) is None


@pytest.mark.parametrize(
    ("codecs", "container"),
    [
        ({Codec.H264, Codec.OPUS}, Container.MP4),
        ({Codec.H265, Codec.OPUS}, Container.MP4),
        ({Codec.AV1, Codec.OPUS}, Container.MP4),
        ({Codec.VP8, Codec.OPUS}, Container.WEBM),
        ({Codec.VP9, Codec.OPUS}, Container.WEBM),
        ({Codec.VP8, Codec.PCMU}, None),
        ({Codec.H264, Codec.VP8}, None),
    ],
)
def test_the_container_of_a_pair(codecs: set[Codec], container: Container | None) -> None:
    assert container_for(frozenset(codecs)) is container


def test_a_container_for_codecs_holds_all_of_them() -> None:
    for pair in combinations([codec for codec in Codec if codec.published], 2):
        found = container_for(frozenset(pair))
        assert found is None or all(map(found.holds, pair))


def test_audio_containers_hold_no_video() -> None:
    for container in Container:
        has_video = any(codec.kind is Kind.VIDEO for codec in container.value.codecs)
        assert has_video is not container.value.audio_only


def test_objects_are_told_what_they_are() -> None:
    for name, told in (
        ("a/talk.mp4", "video/mp4"),
        ("a/talk_00001.ts", "video/mp2t"),
        ("a/talk_init.mp4", "video/mp4"),
        ("a/talk_00001.m4s", "video/mp4"),
        ("a/talk.M3U8", "application/x-mpegurl"),
        *((f"a/shot{image.extension}", image.value[1]) for image in ImageFormat),
        ("a/EG_1.json", "application/json"),
        ("a/talk", "application/octet-stream"),
    ):
        assert content_type(name) == told
