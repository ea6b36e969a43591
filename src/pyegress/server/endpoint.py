"""Where a server of LiveKit is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlencode, urlsplit, urlunsplit

from pyegress.errors import InvalidRequest


@dataclass(frozen=True, slots=True)
class Endpoint:
    """The address of a livekit-server, from any of the forms that LIVEKIT_URL takes."""

    scheme: str
    host: str
    port: int
    path: str

    @classmethod
    def parse(cls, url: str) -> Endpoint:
        """Take ws, wss, http or https URLs. Raises InvalidRequest."""
        bad = InvalidRequest(
            "The LiveKit URL is not one of ws://, wss://, http:// or https:// with a host",
            field="url",
            remedy="Set LIVEKIT_URL, for instance wss://livekit.example.com or ws://localhost:7880",
        )
        try:
            parts = urlsplit(url.strip())
            port = parts.port
        except ValueError:
            raise bad from None
        secure = {"ws": False, "http": False, "wss": True, "https": True}.get(parts.scheme.lower())
        if secure is None or not parts.hostname:
            raise bad
        path = parts.path.rstrip("/").removesuffix("/rtc")
        return cls("wss" if secure else "ws", parts.hostname, port or (443 if secure else 80), path)

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def url(self, path: str, query: Mapping[str, str | int], *, http: bool = False) -> str:
        scheme = self.scheme.replace("ws", "http") if http else self.scheme
        return urlunsplit((scheme, str(self), f"{self.path}{path}", urlencode(query), ""))
