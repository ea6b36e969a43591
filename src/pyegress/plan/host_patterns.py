"""Hosts as lists of the configuration name them. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network

from pyegress.errors import InvalidRequest

Address = IPv4Address | IPv6Address


@dataclass(frozen=True, slots=True)
class HostPattern:
    """`example.com`, `*.example.com`, an address or a network, each for one port or for all (0)."""

    text: str
    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> HostPattern:
        """Raises InvalidRequest."""
        host, port = text.strip().lower(), 0
        if host.startswith("[") and "]" in host:  # an IPv6 address with a port
            host, _, rest = host[1:].partition("]")
            number = rest.removeprefix(":")
        elif host.count(":") == 1:
            host, _, number = host.partition(":")
        else:
            number = ""
        host = _ascii(host)
        if number.isdigit() and 0 < int(number) < 65536:
            port = int(number)
        elif number or not host or "://" in text or ("/" in host and _network(host) is None):
            raise InvalidRequest(
                f"{text!r} is no host",
                field="hosts",
                remedy="Write example.com, *.example.com, an address or a network, each with :port or without",
            )
        return cls(text, host, port)

    def fits_name(self, name: str, port: int) -> bool:
        """Whether a host that was asked for by name is meant."""
        if self.port not in (0, port):
            return False
        return name == self.host or (self.host.startswith("*.") and name.endswith(self.host[1:])) or self.host == "*"

    def fits_address(self, address: Address, port: int) -> bool:
        """Whether an address is meant."""
        network = _network(self.host)
        return self.port in (0, port) and network is not None and address in network


def _ascii(host: str) -> str:
    """A name as it is asked for, in which other letters are written by ASCII ones; "" where that cannot be."""
    try:
        return host.encode("idna").decode() if not host.isascii() else host
    except UnicodeError:
        return ""


def _network(host: str) -> IPv4Network | IPv6Network | None:
    try:
        return ip_network(host, strict=False)
    except ValueError:
        return None
