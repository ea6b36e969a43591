"""Which hosts and addresses a page may reach: what is never reachable, and the lists of the options. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Network, ip_network

from pyegress.browser.url_rules import UrlRules
from pyegress.plan.browser_options import BrowserOptions
from pyegress.plan.host_patterns import Address, HostPattern

#: Names of clouds' metadata services, whatever they resolve to.
METADATA_NAMES = frozenset(
    {
        *("metadata", "metadata.google.internal", "metadata.goog", "metadata.internal", "metadata.tencentyun.com"),
        *("instance-data", "instance-data.ec2.internal", "metadata.azure.internal", "metadata.platformequinix.com"),
    }
)
#: Never reachable: link-local (which holds most metadata services), their other addresses, and what is no host.
NEVER = tuple(
    ip_network(network)
    for network in (
        *("169.254.0.0/16", "fe80::/10", "fd00:ec2::/32", "fd20:ce::/64"),  # link-local; EC2 and GCP over IPv6
        *("100.100.100.200/32", "192.0.0.192/32", "168.63.129.16/32"),  # Alibaba, Oracle, Azure
        *("0.0.0.0/8", "::/128", "224.0.0.0/4", "ff00::/8", "255.255.255.255/32"),
    )
)
_NAT64 = IPv6Network("64:ff9b::/96")
_SHARED = ip_network("100.64.0.0/10")


class AddressRules:
    """Answers with the reason why something is refused, "" when it is not."""

    def __init__(self, options: BrowserOptions) -> None:
        self._allow = _patterns(options.allow_hosts)
        self._deny = _patterns(options.deny_hosts)
        self._trusted = _patterns(options.trusted)
        self._private = options.block_private_networks
        self._urls = UrlRules(options)

    def refuses_name(self, name: str, port: int) -> str:
        """What can be said before a name is resolved."""
        name = name.lower().rstrip(".")
        if name in METADATA_NAMES:
            return "it is a metadata service"
        if any(pattern.fits_name(name, port) for pattern in self._deny):
            return "it is on the list of hosts that are denied"
        return self._urls.refuses_host(name, port)

    def refuses(self, name: str, address: Address, port: int) -> str:
        """The verdict about the address that a name was resolved to."""
        name = name.lower().rstrip(".")
        for meant in embedded(address):
            if any(meant in network for network in NEVER):
                return "metadata services and link-local addresses cannot be reached"
            if any(pattern.fits_address(meant, port) for pattern in self._deny):
                return "it is on the list of hosts that are denied"
            if self._private and is_private(meant) and not self._is(self._trusted, name, meant, port):
                return "private networks cannot be reached"
        if self._allow and not self._is((*self._allow, *self._trusted), name, address, port):
            return "it is not on the list of hosts that are allowed"
        return ""

    @staticmethod
    def _is(patterns: Iterable[HostPattern], name: str, address: Address, port: int) -> bool:
        return any(pattern.fits_name(name, port) or pattern.fits_address(address, port) for pattern in patterns)


def embedded(address: Address) -> tuple[Address, ...]:
    """An address and the IPv4 addresses that it carries in itself: mapped, 6to4, Teredo, NAT64, compatible."""
    if isinstance(address, IPv4Address):
        return (address,)
    inner: list[Address] = [address]
    if address.ipv4_mapped is not None:
        inner.append(address.ipv4_mapped)
    if address.sixtofour is not None:
        inner.append(address.sixtofour)
    if address.teredo is not None:
        inner += address.teredo
    if address in _NAT64 or (int(address) >> 32 == 0 and int(address) > 1):
        inner.append(IPv4Address(int(address) & 0xFFFFFFFF))
    return tuple(inner)


def is_private(address: Address) -> bool:
    """Loopback, private and shared networks, and whatever else is not for everybody."""
    return not address.is_global or (isinstance(address, IPv4Address) and address in _SHARED)


def _patterns(texts: Iterable[str]) -> tuple[HostPattern, ...]:
    return tuple(HostPattern.parse(text) for text in texts)
