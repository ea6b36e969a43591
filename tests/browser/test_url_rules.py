from __future__ import annotations

import pytest

from pyegress.browser.url_rules import UrlRules
from pyegress.errors import InvalidRequest
from pyegress.plan.browser_options import BrowserOptions

pytestmark = pytest.mark.unit


def rules(allow: tuple[str, ...] = (), deny: tuple[str, ...] = (), **options: tuple[str, ...]) -> UrlRules:
    return UrlRules(BrowserOptions(allow_urls=allow, deny_urls=deny, **options))  # type: ignore[arg-type]


def test_without_lists_nothing_is_refused() -> None:
    assert not rules()
    assert rules().refuses("http://h/") == rules().refuses_host("h", 80) == ""


def test_what_is_denied() -> None:
    lists = rules(deny=("example.com/private", "evil.example"))
    assert "denied" in lists.refuses("https://example.com/private/x")
    assert lists.refuses("https://example.com/public") == ""
    assert "denied" in lists.refuses("http://evil.example/")
    assert lists.refuses("data:text/html,evil.example") == ""


def test_what_is_allowed_leaves_everything_else_out() -> None:
    lists = rules(allow=("https://example.com/public/",))
    assert lists.refuses("https://example.com/public/x") == ""
    assert "not on the list" in lists.refuses("http://example.com/public/x")
    assert "not on the list" in lists.refuses("https://example.com/")
    assert "not on the list" in lists.refuses("https://example.org/public/")


def test_the_more_precise_pattern_decides() -> None:
    lists = rules(allow=("example.com", "example.com/a/b"), deny=("*", "example.com/a", "*.example.com"))
    assert lists.refuses("http://example.com/") == ""
    assert "denied" in lists.refuses("http://example.com/a/c")
    assert lists.refuses("http://example.com/a/b") == ""
    assert "denied" in lists.refuses("http://www.example.com/")
    assert "denied" in rules(allow=("h",), deny=("h",)).refuses("http://h/"), "of two alike the one that denies"


def test_connections_are_refused_when_no_url_behind_them_can_be_allowed() -> None:
    lists = rules(
        allow=("https://example.com/public/", "*.example.org:8443"), deny=("a.example.org", "b.example.org/x")
    )
    assert lists.refuses_host("example.com", 443) == ""
    assert lists.refuses_host("c.example.org", 8443) == lists.refuses_host("b.example.org", 8443) == ""
    assert "denied" in lists.refuses_host("a.example.org", 8443)
    assert "not on the list" in lists.refuses_host("c.example.org", 443)
    assert "not on the list" in lists.refuses_host("other", 443)
    assert rules(deny=("example.com/x", "https://example.com")).refuses_host("example.com", 443) == ""
    assert rules(allow=("example.com/public",), deny=("example.com",)).refuses_host("example.com", 80) == ""


def test_who_is_trusted_need_not_be_allowed() -> None:
    lists = rules(allow=("example.com",), deny=("h:80/x",), trusted=("h:80",))
    assert lists.refuses("http://h/") == lists.refuses_host("h", 80) == ""
    assert "denied" in lists.refuses("http://h/x")
    assert "not on the list" in lists.refuses("http://h:81/")


def test_lists_that_cannot_be_read_are_refused() -> None:
    with pytest.raises(InvalidRequest):
        rules(deny=("ftp://h",))
