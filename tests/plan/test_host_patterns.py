from __future__ import annotations

from ipaddress import ip_address

import pytest

from pyegress.errors import InvalidRequest
from pyegress.plan.host_patterns import HostPattern

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("Example.com", "example.com", 0),
        ("*.example.com:443", "*.example.com", 443),
        ("10.0.0.0/8", "10.0.0.0/8", 0),
        ("10.0.0.0/8:81", "10.0.0.0/8", 81),
        ("::1", "::1", 0),
        ("[::1]:7880", "::1", 7880),
        ("*:80", "*", 80),
    ],
)
def test_hosts(text: str, host: str, port: int) -> None:
    pattern = HostPattern.parse(text)
    assert (pattern.host, pattern.port) == (host, port)


@pytest.mark.parametrize(
    "text", ["", "http://example.com", "example.com/path", "example.com:port", "example.com:0", ":", "[fd00::]/8"]
)
def test_what_is_no_host(text: str) -> None:
    with pytest.raises(InvalidRequest):
        HostPattern.parse(text)


def test_what_fits() -> None:
    assert HostPattern.parse("*.example.com").fits_name("a.b.example.com", 1)
    assert not HostPattern.parse("*.example.com").fits_name("badexample.com", 1)
    assert HostPattern.parse("h:80").fits_name("h", 80)
    assert not HostPattern.parse("h:80").fits_name("h", 81)
    assert HostPattern.parse("fd00::/8").fits_address(ip_address("fd12::1"), 1)
    assert not HostPattern.parse("10.0.0.0/8").fits_address(ip_address("fd12::1"), 1)
    assert not HostPattern.parse("example.com").fits_address(ip_address("10.0.0.1"), 1)
