"""Signatures of AWS, against the example that Amazon documents."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime

import pytest

from pyegress.clock import Wall
from pyegress.storage.sigv4 import Keys, signed_headers

pytestmark = pytest.mark.unit

KEYS = Keys("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
AT = Wall(datetime(2015, 8, 30, 12, 36, tzinfo=UTC).timestamp())


def _sign(keys: Keys) -> dict[str, str]:
    return signed_headers(
        "GET",
        "https://iam.amazonaws.com/?Action=ListUsers&Version=2010-05-08",
        hashlib.sha256(b"").hexdigest(),
        keys,
        region="us-east-1",
        service="iam",
        at=AT,
        headers={"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"},
    )


def test_the_documented_example() -> None:
    """Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-signing-examples.html"""
    assert _sign(KEYS)["Authorization"] == (
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/iam/aws4_request, "
        "SignedHeaders=content-type;host;x-amz-date, "
        "Signature=5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7"
    )


def test_a_session_token_is_signed_too() -> None:
    headers = _sign(Keys(KEYS.access_key, KEYS.secret, "token"))
    assert headers["X-Amz-Security-Token"] == "token"
    assert "x-amz-security-token" in headers["Authorization"]


def test_keys_are_not_shown() -> None:
    assert repr(KEYS) == "Keys()"


def test_the_documented_example_of_s3() -> None:
    """Source: https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html (List Objects)"""
    empty = hashlib.sha256(b"").hexdigest()
    headers = signed_headers(
        "GET",
        "https://examplebucket.s3.amazonaws.com/?max-keys=2&prefix=J",
        empty,
        Keys("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
        region="us-east-1",
        service="s3",
        at=Wall(datetime(2013, 5, 24, tzinfo=UTC).timestamp()),
        headers={"x-amz-content-sha256": empty},
    )
    signature = headers["Authorization"].rpartition("=")[2]
    assert signature == "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"
