"""STUN and TURN servers of the join response and their URLs (RFC 7064, RFC 7065)."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from pyegress.errors import EgressError


@dataclass(frozen=True, slots=True)
class IceServer:
    """A STUN or TURN server of the join response (`ICEServer`): one `stun:`, `turn:` or `turns:` URL each."""

    url: str
    username: str = ""
    credential: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class IceUrl:
    """A parsed STUN or TURN URL (RFC 7064, RFC 7065)."""

    scheme: str
    host: str
    port: int
    transport: str


_ICE_URL = re.compile(
    r"(?P<scheme>stun|turns?):(?://)?(?P<host>\[[0-9a-fA-F:.]+\]|[^:?\[\]]+)(?::(?P<port>\d{1,5}))?"
    r"(?:\?transport=(?P<transport>udp|tcp))?",
    re.IGNORECASE,
)


class IceUrlError(EgressError, ValueError):
    """A STUN or TURN URL that cannot be used."""


def parse_ice_url(url: str) -> IceUrl:
    """Parse `stun:`, `turn:` or `turns:`; raises IceUrlError. TURN over DTLS does not exist here."""
    match = _ICE_URL.fullmatch(url)
    if match is None:
        raise IceUrlError("The URL of an ICE server cannot be read", field=url)
    scheme = match["scheme"].lower()
    transport = (match["transport"] or ("tcp" if scheme == "turns" else "udp")).lower()
    if scheme == "turns" and transport == "udp":
        raise IceUrlError("TURN over DTLS is not supported", field=url)
    port = int(match["port"] or (5349 if scheme == "turns" else 3478))
    return IceUrl(scheme, match["host"].strip("[]"), port, transport)
