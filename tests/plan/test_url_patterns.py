from __future__ import annotations

import pytest

from pyegress.errors import InvalidRequest
from pyegress.plan.url_patterns import Url, UrlPattern, plain_path

pytestmark = pytest.mark.unit


def fits(pattern: str, text: str) -> bool:
    url = Url.parse(text)
    assert url is not None
    return UrlPattern.parse(pattern).fits(url)


@pytest.mark.parametrize(
    ("pattern", "url"),
    [
        ("*", "https://example.com/a"),
        ("example.com", "http://example.com/"),
        ("Example.COM", "http://EXAMPLE.com:8080/a?b#c"),
        ("example.com:443", "https://example.com/"),
        ("example.com:80", "http://example.com./"),
        ("https://*.example.com", "https://a.b.example.com/x"),
        ("example.com/public", "http://example.com/public/a"),
        ("example.com/public*", "http://example.com/publication"),
        ("example.com/public/", "http://user@example.com/public/"),
        ("http://[::1]:81/a", "http://[::1]:81/a/b"),
        ("*/a", "http://10.0.0.1/a"),
        ("bücher.example", "http://xn--bcher-kva.example/"),
        # Several ways to write one path.
        ("example.com/secret", "http://example.com/%73ecret"),
        ("example.com/secret", "http://example.com//secret"),
        ("example.com/secret", "http://example.com/x/..%2fsecret"),
        ("example.com/secret", "http://example.com/./x/%2e%2e\\secret"),
        ("example.com/a%20b", "http://example.com/a%20b"),
    ],
)
def test_what_fits(pattern: str, url: str) -> None:
    assert fits(pattern, url)


@pytest.mark.parametrize(
    ("pattern", "url"),
    [
        ("example.com", "http://www.example.com/"),
        ("*.example.com", "http://example.com/"),
        ("*.example.com", "http://badexample.com/"),
        ("https://example.com", "http://example.com/"),
        ("example.com:443", "http://example.com/"),
        ("example.com:80", "https://example.com/"),
        ("example.com/public/", "http://example.com/public"),
        ("example.com/public/", "http://example.com/public/../secret"),
        ("example.com/public/", "http://example.com/public/%2e%2e/secret"),
        ("example.com/public/", "http://example.com/public/..%2fsecret"),
        ("example.com/public/", "http://example.com/Public/"),
        ("example.com/public/", "http://example.com/?x=/public/"),
        ("example.com", "http://example.com@evil.example/"),
    ],
)
def test_what_does_not(pattern: str, url: str) -> None:
    assert not fits(pattern, url)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "/path",
        "https://",
        "ftp://example.com",
        "example.com/a?b=c",
        "example.com/#a",
        "a@example.com",
        "x/*/y",
        "h:0",
    ],
)
def test_what_is_no_pattern(text: str) -> None:
    with pytest.raises(InvalidRequest, match="no pattern"):
        UrlPattern.parse(text)


@pytest.mark.parametrize("text", ["data:text/html,x", "blob:http://h/1", "about:blank", "http://", "http://h:x/", "x"])
def test_what_is_no_url_of_the_network(text: str) -> None:
    assert Url.parse(text) is None


def test_the_more_precise_of_two_patterns() -> None:
    texts = ["*", "*/a", "*.com", "*.example.com", "example.com", "example.com:80", "http://example.com:80"]
    texts += ["example.com/a", "example.com/ab"]
    precise = [UrlPattern.parse(text).precision for text in texts]
    assert precise == sorted(precise)
    assert len(set(precise)) == len(precise)


@pytest.mark.parametrize(
    ("path", "plain"),
    [("", "/"), ("/", "/"), ("/a/", "/a/"), ("/a/..", "/"), ("/../..", "/"), ("//a///b", "/a/b"), ("/%2573", "/%73")],
)
def test_paths(path: str, plain: str) -> None:
    assert plain_path(path) == plain
