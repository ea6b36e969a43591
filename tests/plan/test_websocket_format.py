from __future__ import annotations

import pytest

from pyegress.errors import InvalidRequest
from pyegress.plan.stream_urls import destination
from pyegress.plan.websocket_format import USUAL, SoundEncoding, WebsocketFormat, websocket_format

pytestmark = pytest.mark.unit


def refuse(reason: str, remedy: str) -> Exception:
    return AssertionError(reason)


@pytest.mark.parametrize(
    ("url", "called", "expected"),
    [
        ("ws://h/p", "ws://h/p", USUAL),
        ("ws://h/p?a=b&c", "ws://h/p?a=b&c", USUAL),
        ("ws://h/p?pyegress.sample_rate=16000", "ws://h/p", WebsocketFormat(sample_rate=16_000)),
        (
            "wss://h?t=1&pyegress.channels=1&pyegress.describe=1&u=2#x",
            "wss://h?t=1&u=2#x",
            WebsocketFormat(channels=1, describe=True),
        ),
        ("ws://h/?pyegress.encoding=opus", "ws://h/", WebsocketFormat(encoding=SoundEncoding.OPUS)),
    ],
)
def test_parameters_of_ours_are_taken_out(url: str, called: str, expected: WebsocketFormat) -> None:
    assert websocket_format(url, USUAL, refuse) == (expected, called)
    target = destination(url)
    assert (target.url, target.ingest) == (url, called)


def test_a_url_goes_before_the_configuration() -> None:
    configured = WebsocketFormat(sample_rate=16_000, channels=1, describe=True)
    assert websocket_format("ws://h", configured, refuse)[0] is configured
    chosen, _ = websocket_format("ws://h?pyegress.channels=2&pyegress.describe=0", configured, refuse)
    assert chosen == WebsocketFormat(sample_rate=16_000, channels=2)


@pytest.mark.parametrize(
    "query", ["sample_rate=44000", "channels=3", "encoding=mp3", "describe=yes", "sample_rate", "volume=1", "=1"]
)
def test_what_cannot_be(query: str) -> None:
    with pytest.raises(InvalidRequest, match="no parameter of ours, or has no such value") as refused:
        destination(f"ws://h/p?token=secret&pyegress.{query}")
    assert "secret" not in str(refused.value)
    assert "pyegress.sample_rate=8000|" in refused.value.remedy
