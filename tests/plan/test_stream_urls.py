from __future__ import annotations

import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyegress.errors import InvalidRequest
from pyegress.plan.stream_urls import (
    SCHEMES,
    StreamProtocol,
    destination,
    protocol_of,
    redact_key,
    redact_page_url,
    redact_url,
)

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("url", "protocol", "ingest", "shown"),
    [
        ("rtmp://host/app/streamkey", StreamProtocol.RTMP, "rtmp://host/app/streamkey", "rtmp://host/app/{str...key}"),
        ("RTMPS://h:443/a/b/abcdef", StreamProtocol.RTMP, "RTMPS://h:443/a/b/abcdef", "RTMPS://h:443/a/b/{ab...ef}"),
        (
            "rtmp://host/live/streamkey live=1",
            StreamProtocol.RTMP,
            "rtmp://host/live/streamkey live=1",
            "rtmp://host/live/{str...key} live=1",
        ),
        (
            "rtmp://host/app/streamkey?auth=a/b&x",
            StreamProtocol.RTMP,
            "rtmp://host/app/streamkey?auth=a/b&x",
            "rtmp://host/app/{str...key}?auth={...}&{...}",
        ),
        (
            "mux://1234-5678-9",
            StreamProtocol.RTMP,
            "rtmps://global-live.mux.com:443/app/1234-5678-9",
            "mux://{123...8-9}",
        ),
        (
            "srt://host:9000?mode=caller&passphrase=passphrase",
            StreamProtocol.SRT,
            "srt://host:9000?mode=caller&passphrase=passphrase",
            "srt://host:9000?mode={...}&passphrase={...}",
        ),
        ("ws://[::1]:80/x?a=b", StreamProtocol.WEBSOCKET, "ws://[::1]:80/x?a=b", "ws://[::1]:80/x?a={...}"),
        ("wss://u:p@host/x#frag", StreamProtocol.WEBSOCKET, "wss://u:p@host/x#frag", "wss://{...}@host/x#{...}"),
    ],
)
def test_destinations(url: str, protocol: StreamProtocol, ingest: str, shown: str) -> None:
    found = destination(url)
    assert (found.protocol, found.url, found.ingest, found.shown) == (protocol, url, ingest, shown)
    assert protocol_of(url) is protocol
    assert shown in repr(found)
    assert found.twitch_key == ""


@pytest.mark.parametrize("url", ["twitch://live_123_abc", "rtmps://fra02.contribute.live-video.net/app/live_123_abc"])
def test_twitch_has_to_be_asked_where_its_ingest_is(url: str) -> None:
    found = destination(url)
    assert (found.protocol, found.ingest, found.twitch_key) == (StreamProtocol.RTMP, "", "live_123_abc")
    assert "live_123_abc" not in repr(found)


@pytest.mark.parametrize(
    ("key", "shown"),
    [
        ("", "{...}"),
        ("ab", "{...}"),
        ("abc", "{a...c}"),
        ("abcde", "{a...e}"),
        ("abcdef", "{ab...ef}"),
        ("abcdefgh", "{ab...gh}"),
        ("abcdefghi", "{abc...ghi}"),
        ("{abc...ghi}", "{abc...ghi}"),
    ],
)
def test_keys(key: str, shown: str) -> None:
    assert redact_key(key) == shown


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("nothing", "{...}"),
        ("", "{...}"),
        ("http://host/secret", "http://host/{...}"),
        ("rtmp://user:pa/ss@host/app/key", "rtmp://{...}"),
        ("rtmp://user:pass@host/app/abc", "rtmp://{...}@host/app/{a...c}"),
        ("rtmp://host", "rtmp://host"),
        ("rtmp://host/secretkey", "rtmp://host/{sec...key}"),
        ("srt://host:1?passphrase", "srt://host:1?{...}"),
    ],
)
def test_what_is_no_stream_is_shown_without_secrets_too(url: str, shown: str) -> None:
    assert redact_url(url) == shown


SECRETS = st.text(string.ascii_letters + string.digits + "-_%=+", min_size=12, max_size=40)


@given(SECRETS, st.sampled_from(sorted(SCHEMES)))
@settings(max_examples=100, derandomize=True)
def test_no_secret_is_shown_wherever_it_stands(secret: str, scheme: str) -> None:
    urls = [
        f"{scheme}://user:{secret}@host:1/app/{secret}?a={secret}&{secret}#{secret}",
        f"{scheme}://{secret}@host/app/{secret} live=1",
        f"{scheme}://host/app/{secret}/",
    ]
    if scheme in ("ws", "wss", "srt"):
        # A path is part of the address there.
        urls = [f"{scheme}://user:{secret}@host:1/app?a={secret}&{secret}#{secret}"]
    for url in urls:
        shown = redact_url(url)
        assert secret not in shown
        assert redact_url(shown) == shown


@given(st.text(max_size=60), st.sampled_from(["", "rtmp://", "srt://h:1", "twitch://", "wss://"]))
@settings(max_examples=200, derandomize=True)
def test_any_text_is_a_destination_or_refused(text: str, start: str) -> None:
    url = start + text
    redact_url(url)
    redact_page_url(url)
    try:
        found = destination(url)
    except InvalidRequest as error:
        refusal = error.message
    else:
        refusal = ""
        assert found.ingest or found.twitch_key
    assert not refusal or "invalid url" in refusal


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://host/path?room=a&Token=t&x", "https://host/path?room=a&Token={...}&x"),
        ("https://user:pass@host/", "https://{...}@host/"),
        ("https://host/#access_token=t&state=1", "https://host/#access_token={...}&state=1"),
        ("https://host/#section", "https://host/#section"),
        ("", ""),
    ],
)
def test_pages_keep_what_is_no_credential(url: str, shown: str) -> None:
    assert redact_page_url(url) == shown
