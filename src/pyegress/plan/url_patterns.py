"""URLs as lists of the configuration name them. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from pyegress.errors import InvalidRequest
from pyegress.plan.host_patterns import HostPattern

_PORTS = {"http": 80, "https": 443}
_REMEDY = "Write example.com, https://*.example.com, example.com:8443/public/ or *, as for hosts, with scheme and path"


@dataclass(frozen=True, slots=True)
class Url:
    """The parts of an http or https URL that patterns look at. `path` is what a server understands."""

    scheme: str
    host: str
    port: int
    path: str

    @classmethod
    def parse(cls, text: str) -> Url | None:
        """None for what is no http or https URL."""
        try:
            parts = urlsplit(text)
            port = parts.port
        except ValueError:
            return None
        if parts.scheme not in _PORTS or not parts.hostname:
            return None
        return cls(parts.scheme, parts.hostname.rstrip("."), port or _PORTS[parts.scheme], plain_path(parts.path))


@dataclass(frozen=True, slots=True)
class UrlPattern:
    """`example.com/public/`: a host as in lists of hosts, with http:// or https:// before it or without, and with the
    beginning of a path or without."""

    text: str
    scheme: str
    host: HostPattern
    path: str

    @classmethod
    def parse(cls, text: str) -> UrlPattern:
        """Raises InvalidRequest."""
        before, found, rest = text.strip().partition("://")
        scheme = before.lower() if found else ""
        authority, slash, path = (rest if found else before).partition("/")
        path = plain_path(f"/{path.removesuffix('*')}") if slash else ""
        if (found and scheme not in _PORTS) or not authority or any(sign in text for sign in "?#@ ") or "*" in path:
            raise InvalidRequest(f"{text!r} is no pattern of URLs", field="urls", remedy=_REMEDY)
        try:
            host = HostPattern.parse(authority)
        except InvalidRequest as error:
            raise InvalidRequest(f"{text!r} is no pattern of URLs", field="urls", remedy=_REMEDY) from error
        return cls(text, scheme, host, path)

    def fits(self, url: Url) -> bool:
        """Whether a URL is meant."""
        return self.scheme in ("", url.scheme) and self.fits_host(url.host, url.port) and url.path.startswith(self.path)

    def fits_host(self, host: str, port: int) -> bool:
        """Whether URLs of a host are meant."""
        return self.host.fits_name(host, port)

    @property
    def whole_host(self) -> bool:
        """Whether all URLs of its hosts are meant."""
        return not self.scheme and self.path in ("", "/")

    @property
    def precision(self) -> tuple[int, int, int, int, int]:
        """More of two that fit the same URL is said by the greater one: host, path, port, scheme."""
        host = self.host.host
        kind = 0 if host == "*" else 1 if host.startswith("*") else 2
        return kind, len(host), len(self.path), int(self.host.port > 0), int(bool(self.scheme))


def plain_path(path: str) -> str:
    """A path without what may be written in several ways: `%61`, `//`, `/./`, `/x/..`, and backslashes."""
    parts: list[str] = []
    pieces = unquote(path).replace("\\", "/").split("/")
    for piece in pieces:
        if piece == "..":
            del parts[-1:]
        elif piece not in ("", "."):
            parts.append(piece)
    end = "/" if parts and pieces[-1] in ("", ".", "..") else ""
    return f"/{'/'.join(parts)}{end}"
