"""Buckets as they are typed."""

from __future__ import annotations

import pytest

from pyegress.errors import InvalidRequest
from pyegress.plan.output_words import FileWord, HlsWord, ImagesWord, parse_output
from pyegress.plan.storage_urls import split_storage_url, storage_of

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("s3://meetings/a/b.mp4", ("s3://meetings", "a/b.mp4")),
        ("gs://meetings/a b.mp4", ("gs://meetings", "a b.mp4")),
        ("az://box/", ("az://box", "")),
        ("oss://meetings", ("oss://meetings", "")),
        ("a/b.mp4", ("", "a/b.mp4")),
        ("rtmp://host/app/key", ("", "rtmp://host/app/key")),
        ("s3:b.mp4", ("", "s3:b.mp4")),
    ],
)
def test_bucket_and_key(text: str, expected: tuple[str, str]) -> None:
    assert split_storage_url(text) == expected


def test_a_bucket_needs_a_name() -> None:
    with pytest.raises(InvalidRequest, match="names no bucket") as caught:
        split_storage_url("s3:///a.mp4")
    assert caught.value.field == "output"


def test_every_output_may_go_to_a_bucket() -> None:
    assert parse_output("s3://m/a.mp4") == FileWord("a.mp4", "s3://m")
    hls = parse_output("hls:gs://m/live/a.m3u8?duration=2")
    assert isinstance(hls, HlsWord)
    assert (hls.place, hls.path, hls.duration) == ("gs://m", "live/a.m3u8", 2)
    images = parse_output("images:az://box/shots/a@5s")
    assert isinstance(images, ImagesWord)
    assert (images.place, images.path, images.interval) == ("az://box", "shots/a", 5)


def test_what_the_environment_knows() -> None:
    environment = {
        "AWS_ENDPOINT_URL": "http://minio:9000",
        "AWS_DEFAULT_REGION": "eu-west-1",
        "AWS_S3_ADDRESSING_STYLE": "path",
        "AWS_SECRET_ACCESS_KEY": "found later, with the whole chain",
        "OSS_ENDPOINT": "https://oss-eu-central-1.aliyuncs.com",
        "OSS_ACCESS_KEY_ID": "id",
        "OSS_ACCESS_KEY_SECRET": "secret",
    }
    s3 = storage_of("s3://m", environment).s3
    assert (s3.bucket, s3.endpoint, s3.region, s3.force_path_style) == ("m", "http://minio:9000", "eu-west-1", True)
    assert not s3.secret
    oss = storage_of("oss://m", environment).aliOSS
    assert (oss.bucket, oss.endpoint, oss.access_key, oss.secret) == ("m", environment["OSS_ENDPOINT"], "id", "secret")
    assert storage_of("gs://m", environment).gcp.bucket == "m"
    assert storage_of("az://m", environment).azure.container_name == "m"
    with pytest.raises(InvalidRequest, match="Where the bucket m is") as caught:
        storage_of("oss://m", {})
    assert "OSS_ENDPOINT" in caught.value.remedy
