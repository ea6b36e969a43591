"""Keys and URLs of objects."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pyegress.plan.storage import AliOssStorage, AzureStorage, GcsStorage, LocalStorage, Proxy, S3Storage, Storage
from pyegress.storage.locations import location, object_key, path_style, proxy_url

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("storage", "expected"),
    [
        (S3Storage(bucket="meetings"), "https://meetings.s3.amazonaws.com/a/b c.mp4"),
        (S3Storage(bucket="meetings", force_path_style=True), "https://s3.amazonaws.com/meetings/a/b c.mp4"),
        (S3Storage(bucket="meetings", endpoint="https://s3.example.com"), "https://meetings.s3.example.com/a/b c.mp4"),
        (S3Storage(bucket="meetings", endpoint="s3.example.com/"), "https://meetings.s3.example.com/a/b c.mp4"),
        (
            S3Storage(bucket="meetings", endpoint="http://minio:9000", force_path_style=True),
            "https://minio:9000/meetings/a/b c.mp4",
        ),
        (S3Storage(bucket="meetings", endpoint="http://10.0.0.1:9000"), "https://10.0.0.1:9000/meetings/a/b c.mp4"),
        (S3Storage(bucket="my.meetings"), "https://s3.amazonaws.com/my.meetings/a/b c.mp4"),
        (GcsStorage(bucket="meetings"), "https://meetings.storage.googleapis.com/a/b c.mp4"),
        (
            AzureStorage(container_name="box", account_name="acme", account_key="k"),
            "https://acme.blob.core.windows.net/box/a/b c.mp4",
        ),
        (
            AzureStorage(container_name="box", account_name="acme", endpoint="https://acme.blob.core.chinacloudapi.cn"),
            "https://acme.blob.core.chinacloudapi.cn/box/a/b c.mp4",
        ),
        (
            AliOssStorage(bucket="meetings", endpoint="https://oss-cn-hangzhou.aliyuncs.com"),
            "https://meetings.oss-cn-hangzhou.aliyuncs.com/a/b c.mp4",
        ),
        (LocalStorage(), "a/b c.mp4"),
    ],
)
def test_locations(storage: Storage, expected: str) -> None:
    assert location(storage, object_key(storage, "/a/b c.mp4")) == expected


def test_a_prefix_is_a_folder() -> None:
    storage = S3Storage(bucket="b")
    for prefix in ("x/y", "/x/y/", "x/y/"):
        assert object_key(replace(storage, prefix=prefix), "/a.mp4") == "x/y/a.mp4"
    assert object_key(storage, "//a.mp4") == "a.mp4"


def test_buckets_that_cannot_be_a_host_name_go_into_the_path() -> None:
    assert not path_style(S3Storage(bucket="meetings"))
    assert path_style(S3Storage(bucket="Meetings_1"))
    assert path_style(S3Storage(bucket="meetings", endpoint="http://localhost:9000"))
    assert path_style(S3Storage(bucket="meetings", endpoint="http://[::1]:9000"))


def test_proxies() -> None:
    assert proxy_url(None) is None
    assert proxy_url(Proxy("")) is None
    assert proxy_url(Proxy("proxy:3128")) == "http://proxy:3128"
    assert proxy_url(Proxy("http://proxy:3128", "me", "a/b@c")) == "http://me:a%2Fb%40c@proxy:3128"
    assert proxy_url(Proxy("http://old:pass@proxy:3128", "me", "x")) == "http://me:x@proxy:3128"
