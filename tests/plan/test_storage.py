from __future__ import annotations

from dataclasses import replace

import pytest
from livekit.protocol import egress as pb

from pyegress.errors import Code, EgressError
from pyegress.plan.storage import (
    AliOssStorage,
    AssumeRole,
    AzureStorage,
    GcsStorage,
    LocalStorage,
    Proxy,
    Retries,
    S3Storage,
    Storage,
    StorageDefaults,
    Upload,
    storage_for,
)

pytestmark = pytest.mark.unit

NOTHING = StorageDefaults()
ROLE = AssumeRole(access_key="ours", secret="our-secret", arn="arn:ours", external_id="our-id")


@pytest.mark.parametrize(
    ("upload", "expected", "label"),
    [
        (
            pb.StorageConfig(
                s3=pb.S3Upload(
                    bucket="b",
                    region="r",
                    endpoint="e",
                    force_path_style=True,
                    access_key="k",
                    secret="s",
                    session_token="t",
                    metadata={"z": "1", "a": "2"},
                    tagging="x=y",
                    content_disposition="attachment",
                    proxy=pb.ProxyConfig(url="http://p", username="u", password="w"),
                )
            ),
            S3Storage(
                bucket="b",
                region="r",
                endpoint="e",
                force_path_style=True,
                access_key="k",
                secret="s",
                session_token="t",
                metadata=(("a", "2"), ("z", "1")),
                tagging="x=y",
                content_disposition="attachment",
                proxy=Proxy("http://p", "u", "w"),
            ),
            "S3",
        ),
        (
            pb.EncodedFileOutput(gcp=pb.GCPUpload(bucket="g", credentials="{}", proxy=pb.ProxyConfig(url="http://p"))),
            GcsStorage(bucket="g", credentials="{}", proxy=Proxy("http://p")),
            "GCP",
        ),
        (
            pb.ImageOutput(azure=pb.AzureBlobUpload(account_name="n", account_key="k", container_name="c")),
            AzureStorage(container_name="c", account_name="n", account_key="k"),
            "Azure",
        ),
        (
            pb.DirectFileOutput(
                aliOSS=pb.AliOSSUpload(access_key="a", secret="s", endpoint="e", bucket="b", region="r")
            ),
            AliOssStorage(bucket="b", endpoint="e", region="r", access_key="a", secret="s"),
            "AliOSS",
        ),
        (pb.SegmentedFileOutput(), LocalStorage(), "Local"),
    ],
)
def test_blocks(upload: Upload, expected: Storage, label: str) -> None:
    found = storage_for((upload,), NOTHING)
    assert found == expected
    assert found.label == label


def test_the_first_block_counts_then_the_service() -> None:
    own, shared = pb.StorageConfig(gcp=pb.GCPUpload(bucket="own")), pb.StorageConfig(gcp=pb.GCPUpload(bucket="shared"))
    service = StorageDefaults(storage=GcsStorage("service"))
    assert storage_for((own, shared), service) == GcsStorage("own")
    assert storage_for((pb.StorageConfig(), shared), service) == GcsStorage("shared")
    assert storage_for((pb.StorageConfig(), pb.StorageConfig()), service) == GcsStorage("service")


def test_prefix_presigning_and_retries_of_the_service_count_for_requests() -> None:
    service = StorageDefaults(prefix="p", presigned=True, s3_retries=Retries(attempts=2))
    found = storage_for((pb.StorageConfig(s3=pb.S3Upload(bucket="b")),), service)
    assert found == S3Storage(bucket="b", retries=Retries(attempts=2), prefix="p", presigned=True)
    assert storage_for((), service) == LocalStorage(prefix="p", presigned=True)


def test_the_local_disk_may_be_forbidden() -> None:
    service = StorageDefaults(local_allowed=False)
    with pytest.raises(EgressError, match="invalid field: output"):
        storage_for((pb.StorageConfig(),), service)
    storage_for((pb.StorageConfig(gcp=pb.GCPUpload(bucket="b")),), service)
    storage_for((), replace(service, storage=GcsStorage("b")))


def s3(defaults: StorageDefaults, **block: object) -> S3Storage:
    upload = pb.StorageConfig(s3=pb.S3Upload(**{"bucket": "b", **block}))  # type: ignore[arg-type]
    found = storage_for((upload,), defaults)
    assert isinstance(found, S3Storage)
    return found


def test_roles_are_assumed_by_the_service() -> None:
    found = s3(StorageDefaults(assume_role=ROLE), assume_role_arn="arn:theirs", assume_role_external_id="their-id")
    assert (found.assume_role_arn, found.assume_role_external_id) == ("arn:theirs", "their-id")
    assert (found.access_key, found.secret) == ("ours", "our-secret")
    found = s3(StorageDefaults(assume_role=ROLE))
    assert (found.assume_role_arn, found.assume_role_external_id, found.access_key) == ("arn:ours", "our-id", "ours")


def test_our_external_id_is_not_given_to_roles_of_others() -> None:
    assert s3(StorageDefaults(assume_role=ROLE), assume_role_arn="arn:theirs").assume_role_external_id == ""


def test_roles_with_keys_of_the_request() -> None:
    found = s3(NOTHING, assume_role_arn="arn:theirs", access_key="k", secret="s")
    assert (found.access_key, found.secret, found.assume_role_arn) == ("k", "s", "arn:theirs")


def test_roles_without_any_keys() -> None:
    with pytest.raises(EgressError, match="feature disabled") as caught:
        s3(NOTHING, assume_role_arn="arn:theirs")
    assert caught.value.code is Code.PERMISSION_DENIED


@pytest.mark.parametrize(
    ("upload", "field"),
    [
        (pb.StorageConfig(s3=pb.S3Upload()), "s3.bucket"),
        (pb.StorageConfig(gcp=pb.GCPUpload()), "gcp.bucket"),
        (pb.StorageConfig(azure=pb.AzureBlobUpload()), "azure.container_name"),
        (pb.StorageConfig(aliOSS=pb.AliOSSUpload(endpoint="e")), "aliOSS.bucket"),
    ],
)
def test_blocks_without_a_bucket(upload: pb.StorageConfig, field: str) -> None:
    with pytest.raises(EgressError) as caught:
        storage_for((upload,), NOTHING)
    assert caught.value.field == field


def test_secrets_have_no_repr() -> None:
    secret = "c2VjcmV0"
    shown = repr(
        [
            S3Storage("b", access_key=secret, secret=secret, session_token=secret, assume_role_external_id=secret),
            GcsStorage("b", credentials=secret, proxy=Proxy(f"http://{secret}@p", secret, secret)),
            AzureStorage("b", account_name=secret, account_key=secret),
            AliOssStorage("b", "e", access_key=secret, secret=secret),
            StorageDefaults(assume_role=AssumeRole(access_key=secret, secret=secret, external_id=secret)),
        ]
    )
    assert secret not in shown
