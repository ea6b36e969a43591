"""Where buckets of S3, and of OSS which speaks its protocol, are spoken with: host, region, and the bucket's place."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from urllib.parse import quote, urlsplit, urlunsplit

from pyegress.plan.storage import AliOssStorage, S3Storage
from pyegress.storage.http_call import call
from pyegress.storage.locations import S3_HOST, path_style, with_scheme

DEFAULT_REGION = "us-east-1"
_OSS_REGION = re.compile(r"^(?:s3\.)?oss-([a-z0-9-]+?)(?:-internal)?\.aliyuncs\.com$")
_PORTS = {"http": ":80", "https": ":443"}


@dataclass(frozen=True, slots=True)
class S3Address:
    """`endpoint` is a URL without a path; it names the bucket unless that goes into the path (`in_path`)."""

    endpoint: str
    region: str
    bucket: str
    in_path: bool

    def url(self, key: str = "", query: str = "") -> str:
        """The URL of an object, or of the bucket, encoded as it is signed. `query` is encoded and sorted."""
        path = f"/{self.bucket}" if self.in_path else ""
        path += f"/{quote(key, safe='/-_.~')}" if key or not path else ""
        return f"{self.endpoint}{path}" + (f"?{query}" if query else "")


async def s3_address(storage: S3Storage) -> S3Address:
    """May ask Amazon where the bucket is. Raises OutputFailed."""
    region = storage.region or os.environ.get("AWS_REGION", "") or os.environ.get("AWS_DEFAULT_REGION", "")
    if not region:
        region = DEFAULT_REGION if storage.endpoint else await region_of(storage)
    endpoint = storage.endpoint or f"s3.{region}.amazonaws.com"
    return _address(endpoint, "", region, storage.bucket, in_path=path_style(storage))


async def region_of(storage: S3Storage, amazon: str = f"https://{S3_HOST}") -> str:
    """Where a bucket is: Amazon tells everybody in a header, allowed to read it or not. Raises OutputFailed."""
    answer = await call(storage, "HEAD", f"{amazon}/{quote(storage.bucket)}", proxy=storage.proxy, timeout=15)
    return answer.headers.get("x-amz-bucket-region", DEFAULT_REGION)


def oss_address(storage: AliOssStorage) -> S3Address:
    """OSS answers to S3's protocol at its own endpoints, with the bucket in the host's name."""
    host = urlsplit(with_scheme(storage.endpoint)).netloc
    named = _OSS_REGION.match(urlsplit(with_scheme(storage.endpoint)).hostname or "")
    prefix = "s3." if named and not host.startswith("s3.") else ""
    region = (f"oss-{named[1]}" if named else "") or storage.region or DEFAULT_REGION
    # Only what stands in for OSS in a test has no name of its own for each bucket.
    in_path = path_style(S3Storage(bucket=storage.bucket, endpoint=storage.endpoint))
    return _address(storage.endpoint, prefix, region, storage.bucket, in_path=in_path)


def _address(endpoint: str, prefix: str, region: str, bucket: str, *, in_path: bool) -> S3Address:
    parts = urlsplit(with_scheme(endpoint).rstrip("/"))
    # What is signed is the host as it is sent: without the port that goes without saying.
    host = prefix + parts.netloc.removesuffix(_PORTS.get(parts.scheme, ":"))
    netloc = host if in_path else f"{bucket}.{host}"
    return S3Address(urlunsplit(parts._replace(netloc=netloc)), region, bucket, in_path)
