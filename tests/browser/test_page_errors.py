from __future__ import annotations

import pytest

from pyegress.browser.page_errors import load_error, no_signal_error, status_error, template_error, timeout_error
from pyegress.errors import Code

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("net", "words"),
    [
        ("net::ERR_NAME_NOT_RESOLVED", "cannot be resolved"),
        ("net::ERR_CERT_DATE_INVALID", "not valid today"),
        ("net::ERR_CERT_WEAK_KEY", "TLS certificate"),
        ("net::ERR_TOO_MANY_REDIRECTS", "circle"),
        ("net::ERR_SOMETHING_NEW", "ERR_SOMETHING_NEW"),
    ],
)
def test_errors_of_the_network_say_what_they_mean(net: str, words: str) -> None:
    error = load_error("http://h/", net, "")
    assert words in error.message
    assert error.message.startswith("page load error: http://h/")
    assert error.remedy
    assert error.code is Code.INVALID_ARGUMENT


def test_what_the_proxy_knows_goes_before() -> None:
    error = load_error("http://h/", "net::ERR_SOCKS_CONNECTION_FAILED", "it refuses connections")
    assert "it refuses connections" in error.message
    assert "SOCKS" not in str(error)
    refused = load_error("http://h/", "net::ERR_SOCKS_CONNECTION_FAILED", "private networks cannot be reached")
    assert "block_private_networks" in refused.remedy


def test_the_other_errors() -> None:
    assert "HTTP 404 Not Found" in status_error("http://h/", 404).message
    assert "HTTP 799" in status_error("http://h/", 799).message
    assert "timed out after 30 s, 3 times" in timeout_error("http://h/", 30.0, 3).message
    assert template_error("no room").message == "template error: no room"
    assert "START_RECORDING" in no_signal_error(5.0, "; on its console: x").message
