"""Where buckets are spoken with."""

from __future__ import annotations

import pytest

from pyegress.plan.storage import AliOssStorage, S3Storage
from pyegress.storage.s3_address import oss_address, s3_address

pytestmark = pytest.mark.unit


async def test_buckets_of_s3() -> None:
    amazon = await s3_address(S3Storage(bucket="meetings", region="eu-west-1"))
    assert amazon.url("a b/ü.mp4", "uploads=") == (
        "https://meetings.s3.eu-west-1.amazonaws.com/a%20b/%C3%BC.mp4?uploads="
    )
    assert amazon.url("", "prefix=a&uploads=") == "https://meetings.s3.eu-west-1.amazonaws.com/?prefix=a&uploads="
    minio = await s3_address(S3Storage(bucket="b", region="x", endpoint="http://127.0.0.1:9000/"))
    assert (minio.url("a?b"), minio.url()) == ("http://127.0.0.1:9000/b/a%3Fb", "http://127.0.0.1:9000/b")
    # A port that goes without saying is not sent, so it is not signed.
    other = await s3_address(S3Storage(bucket="b", region="x", endpoint="https://s3.x.com:443", force_path_style=True))
    assert other.url("k") == "https://s3.x.com/b/k"


def test_buckets_of_oss() -> None:
    hangzhou = oss_address(AliOssStorage("talks", "oss-cn-hangzhou.aliyuncs.com"))
    assert (hangzhou.region, hangzhou.endpoint) == (
        "oss-cn-hangzhou",
        "https://talks.s3.oss-cn-hangzhou.aliyuncs.com",
    )
    own = oss_address(AliOssStorage("talks", "https://s3.oss-cn-hangzhou.aliyuncs.com"))
    assert own.endpoint == hangzhou.endpoint
    assert (
        oss_address(AliOssStorage("talks", "http://127.0.0.1:1", region="r")).url("k") == "http://127.0.0.1:1/talks/k"
    )
