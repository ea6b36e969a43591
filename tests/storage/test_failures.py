"""What is said when a storage refuses: the cause, and none of the foreign text."""

from __future__ import annotations

import pytest

from pyegress.errors import Code, Fault
from pyegress.plan.storage import AliOssStorage, AzureStorage, GcsStorage, S3Storage
from pyegress.storage.failures import both_failed, upload_failed

pytestmark = pytest.mark.unit

S3 = S3Storage(bucket="meetings", access_key="AKIAKEY", secret="hush")
FOREIGN = (
    "Generic S3 error: Error performing PUT https://meetings.s3.amazonaws.com/a?X-Amz-Signature=abcdef in 1ms - Server "
    "returned non-2xx status code: {status}: <Error><Code>{code}</Code><Message>hush</Message>"
    "<AWSAccessKeyId>AKIAKEY</AWSAccessKeyId><Region>eu-west-1</Region></Error>"
)


@pytest.mark.parametrize(
    ("status", "code", "words", "retryable"),
    [
        (403, "SignatureDoesNotMatch", "the secret is wrong", False),
        (403, "InvalidAccessKeyId", "the access key is not known", False),
        (400, "ExpiredToken", "the session token has expired", False),
        (403, "AccessDenied", "these keys may not write into bucket meetings", False),
        (404, "NoSuchBucket", "bucket meetings does not exist", False),
        (301, "PermanentRedirect", "the region is wrong, eu-west-1 is right", False),
        (503, "SlowDown", "it asks to slow down", True),
        (500, "InternalError", "s3.amazonaws.com has a problem of its own", True),
        (429, "TooManyRequests", "s3.amazonaws.com refused it", True),
        (409, "OperationAborted", "s3.amazonaws.com refused it", True),
        (400, "Whatever", "s3.amazonaws.com refused it", False),
    ],
)
def test_what_s3_answers(status: int, code: str, words: str, retryable: bool) -> None:
    error = upload_failed(S3, FOREIGN.format(status=status, code=code))
    assert error.message == f"S3 upload failed: {words} (HTTP {status} {code})"
    assert error.retryable is retryable
    assert (error.code, error.fault, error.field) == (Code.INVALID_ARGUMENT, Fault.DESTINATION, "bucket meetings")
    assert error.remedy
    for secret in ("hush", "AKIAKEY", "abcdef", "X-Amz"):
        assert secret not in f"{error} {error!r}"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('ConnectError("dns error", ...)', "the host s3.amazonaws.com is not known (DNS)"),
        ('ConnectError("tcp connect error", ...)', "s3.amazonaws.com takes no connections"),
        ("connection closed before message completed", "the connection to s3.amazonaws.com broke"),
        ("operation timed out", "s3.amazonaws.com did not answer in time"),
    ],
)
def test_what_may_pass_by_itself(text: str, words: str) -> None:
    error = upload_failed(S3, text)
    assert error.message == f"S3 upload failed: {words}"
    assert error.retryable


def test_a_machine_without_credentials() -> None:
    text = "Error performing PUT http://169.254.169.254/latest/api/token - tcp connect error"
    error = upload_failed(S3, text)
    assert (error.message, error.retryable) == ("S3 upload failed: this machine has no credentials", False)


def test_certificates_do_not_get_better() -> None:
    error = upload_failed(S3, "invalid peer certificate: UnknownIssuer")
    assert (error.message, error.retryable) == (
        "S3 upload failed: the certificate of s3.amazonaws.com is not trusted",
        False,
    )


def test_each_storage_has_the_name_that_clients_know() -> None:
    storages = (GcsStorage(bucket="b"), AzureStorage(container_name="c", account_name="a"), AliOssStorage("b", "oss.x"))
    assert [upload_failed(storage, "").message.split(":")[0] for storage in storages] == [
        "GCP upload failed",
        "Azure upload failed",
        "AliOSS upload failed",
    ]


def test_both_failed() -> None:
    gcs = GcsStorage(bucket="b")
    error = both_failed(upload_failed(S3, "status code: 403"), upload_failed(gcs, "tcp connect error"))
    assert error.message.splitlines() == [
        "primary: S3 upload failed: these keys may not write into bucket meetings (HTTP 403)",
        "backup: GCP upload failed: storage.googleapis.com takes no connections",
    ]
    assert error.retryable
