"""Buckets as they are typed: `s3://bucket/key`, `gs://`, `az://container/key`, `oss://`. Credentials are those of the
environment, as the providers' own tools find them. Pure: the environment is passed in.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from livekit.protocol import egress as pb

from pyegress.errors import InvalidRequest

_URL = re.compile(r"(s3|gs|gcs|az|azure|oss)://([^/?]*)(?:/(.*))?", re.DOTALL)


def split_storage_url(text: str) -> tuple[str, str]:
    """The bucket (`s3://bucket`) and the key in it; "" and `text` for what is no bucket. Raises InvalidRequest."""
    found = _URL.fullmatch(text)
    if found is None:
        return "", text
    scheme, bucket, key = found[1], found[2], found[3] or ""
    if not bucket:
        raise InvalidRequest(
            f"{scheme}:// names no bucket", field="output", remedy=f"Write {scheme}://BUCKET/NAME, for instance a .mp4"
        )
    # An automatic name, as behind any other folder.
    return f"{scheme}://{bucket}", key


def storage_of(place: str, environment: Mapping[str, str]) -> pb.StorageConfig:
    """The storage block of a bucket that `split_storage_url` found. Raises InvalidRequest."""
    scheme, _, bucket = place.partition("://")

    def first(*names: str) -> str:
        return next((value for name in names if (value := environment.get(name, ""))), "")

    match scheme:
        case "s3":
            return pb.StorageConfig(
                s3=pb.S3Upload(
                    bucket=bucket,
                    region=first("AWS_REGION", "AWS_DEFAULT_REGION"),
                    endpoint=first("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"),
                    force_path_style=first("AWS_S3_ADDRESSING_STYLE") == "path",
                )
            )
        case "gs" | "gcs":
            return pb.StorageConfig(
                gcp=pb.GCPUpload(bucket=bucket, credentials=first("GOOGLE_SERVICE_ACCOUNT_KEY", "GOOGLE_CREDENTIALS"))
            )
        case "az" | "azure":
            return pb.StorageConfig(azure=pb.AzureBlobUpload(container_name=bucket))
        case _:
            endpoint = first("OSS_ENDPOINT", "ALIBABA_CLOUD_OSS_ENDPOINT")
            if not endpoint:
                raise InvalidRequest(
                    f"Where the bucket {bucket} is, is not known",
                    field="output",
                    remedy="Set OSS_ENDPOINT, for instance to https://oss-eu-central-1.aliyuncs.com",
                )
            return pb.StorageConfig(
                aliOSS=pb.AliOSSUpload(
                    bucket=bucket,
                    endpoint=endpoint,
                    region=first("OSS_REGION"),
                    access_key=first("OSS_ACCESS_KEY_ID", "ALIBABA_CLOUD_ACCESS_KEY_ID"),
                    secret=first("OSS_ACCESS_KEY_SECRET", "ALIBABA_CLOUD_ACCESS_KEY_SECRET"),
                )
            )


def azure_endpoint(environment: Mapping[str, str]) -> str:
    """Of another cloud than the public one."""
    return environment.get("AZURE_STORAGE_ENDPOINT", "")
