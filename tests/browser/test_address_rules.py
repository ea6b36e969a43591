from __future__ import annotations

from ipaddress import ip_address

import pytest

from pyegress.browser.address_rules import METADATA_NAMES, AddressRules, embedded, is_private
from pyegress.plan.browser_options import BrowserOptions

pytestmark = pytest.mark.unit


def refusal(address: str, name: str = "h", port: int = 80, **options: object) -> str:
    return AddressRules(BrowserOptions(**options)).refuses(name, ip_address(address), port)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "address",
    [
        *("169.254.169.254", "169.254.170.2", "169.254.0.1", "fe80::1", "fd00:ec2::254", "fd20:ce::254"),
        *("100.100.100.200", "192.0.0.192", "168.63.129.16", "0.0.0.0", "::", "224.0.0.1", "255.255.255.255"),
        # The same by other names: mapped, NAT64, 6to4, compatible.
        *("::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe", "2002:a9fe:a9fe::1", "::a9fe:a9fe"),
    ],
)
def test_metadata_and_link_local_addresses_are_never_reached(address: str) -> None:
    assert "metadata" in refusal(address, allow_hosts=("*",), trusted=("h:80",))


@pytest.mark.parametrize("name", [*sorted(METADATA_NAMES), "METADATA.google.internal.", "Metadata"])
def test_names_of_metadata_services_are_refused_before_they_are_resolved(name: str) -> None:
    assert AddressRules(BrowserOptions()).refuses_name(name, 80)


@pytest.mark.parametrize(
    "address", ["127.0.0.1", "10.1.2.3", "192.168.1.1", "172.16.0.1", "100.64.1.1", "::1", "fd00::1"]
)
def test_private_addresses_are_reached_unless_that_is_switched_off(address: str) -> None:
    assert is_private(ip_address(address))
    assert refusal(address) == ""
    assert "private" in refusal(address, block_private_networks=True)
    assert refusal(address, block_private_networks=True, trusted=("h:80",)) == ""
    assert "private" in refusal(address, port=81, block_private_networks=True, trusted=("h:80",))


def test_public_addresses_are_reached() -> None:
    assert refusal("93.184.216.34", block_private_networks=True) == ""
    assert refusal("2606:2800:220:1::1", block_private_networks=True) == ""


def test_a_mapped_private_address_is_private() -> None:
    assert "private" in refusal("::ffff:10.0.0.1", block_private_networks=True)
    assert ip_address("10.0.0.1") in embedded(ip_address("::ffff:10.0.0.1"))


def test_lists() -> None:
    rules = AddressRules(
        BrowserOptions(allow_hosts=("*.example.com", "10.0.0.0/8:8080"), deny_hosts=("bad.example.com",))
    )
    public = ip_address("93.184.216.34")
    assert rules.refuses("www.example.com", public, 443) == ""
    assert "allowed" in rules.refuses("example.org", public, 443)
    assert "allowed" in rules.refuses("example.com", public, 443)
    assert rules.refuses("x", ip_address("10.1.1.1"), 8080) == ""
    assert "allowed" in rules.refuses("x", ip_address("10.1.1.1"), 80)
    assert "denied" in rules.refuses_name("BAD.example.com", 443)
    assert rules.refuses_name("good.example.com", 443) == ""


def test_what_is_denied_by_address_is_denied_whatever_its_name() -> None:
    assert "denied" in refusal("10.1.1.1", name="innocent", deny_hosts=("10.0.0.0/8",))
    assert "denied" in refusal("::ffff:10.1.1.1", name="innocent", deny_hosts=("10.0.0.0/8",))
