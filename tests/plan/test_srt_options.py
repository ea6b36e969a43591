from __future__ import annotations

import pytest

from pyegress.errors import InvalidRequest
from pyegress.plan.srt_options import SrtOptions, srt_options
from pyegress.plan.stream_urls import destination

pytestmark = pytest.mark.unit


def refuse(reason: str, remedy: str) -> Exception:
    return AssertionError(reason)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", SrtOptions()),
        ("?mode=caller&transtype=live&timeout=9", SrtOptions()),
        ("?streamid=#!::r=live/a,m=publish", SrtOptions(stream_id="#!::r=live/a,m=publish")),
        ("?streamid=%23!::r%3Da%26b+c&latency=0", SrtOptions(stream_id="#!::r=a&b+c", latency=0)),
        ("?passphrase=0123456789&pbkeylen=32", SrtOptions(passphrase="0123456789", key_length=32)),
    ],
)
def test_options(query: str, expected: SrtOptions) -> None:
    assert srt_options(f"srt://h:1{query}", refuse) == expected
    assert destination(f"srt://h:1{query}").ingest == f"srt://h:1{query}"


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("mode=listener", "mode listener is not yet supported"),
        ("transtype=file", "live transmission"),
        ("passphrase=short", "10 to 79"),
        ("passphrase=" + "x" * 80, "10 to 79"),
        ("streamid=" + "x" * 513, "512 bytes"),
        ("latency=-1", "no number of milliseconds"),
        ("latency=1e3", "no number of milliseconds"),
        ("latency=30001", "no number of milliseconds"),
        ("pbkeylen=17", "no length of a key"),
    ],
)
def test_what_cannot_be(query: str, reason: str) -> None:
    with pytest.raises(InvalidRequest, match=reason) as refused:
        destination(f"srt://h:1?{query}")
    assert "invalid url" in str(refused.value)
    assert refused.value.remedy
    assert "xxxx" not in str(refused.value)


def test_nothing_is_shown() -> None:
    assert "secret" not in repr(srt_options("srt://h:1?passphrase=secretsecret&streamid=secret", refuse))
