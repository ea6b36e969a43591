"""Where an RTMP stream goes: host, application and key of an ingest URL."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import urlsplit

PORT, TLS_PORT = 1935, 443
#: What librtmp's users write behind the URL.
_LIVE_OPTION = " live=1"


@dataclass(frozen=True, slots=True)
class RtmpAddress:
    """`key` is the stream's name with its query, `application` everything between host and key."""

    host: str
    port: int
    tls: bool
    application: str
    key: str = field(repr=False)
    #: `tcUrl` of the connect command (RTMP specification 1.0, section 7.2.1.1).
    url: str

    @classmethod
    def of(cls, ingest: str) -> RtmpAddress:
        """The address of a URL that `plan.stream_urls` has checked: rtmp(s)://HOST[:PORT]/APP[/…]/KEY[?QUERY]."""
        parts = urlsplit(ingest.removesuffix(_LIVE_OPTION))
        tls = parts.scheme.lower() == "rtmps"
        application, _, key = parts.path.strip("/").rpartition("/")
        host = parts.hostname or ""
        named = f"[{host}]" if ":" in host else host
        where = named if parts.port is None else f"{named}:{parts.port}"
        return cls(
            host=host,
            port=parts.port or (TLS_PORT if tls else PORT),
            tls=tls,
            application=application,
            key=f"{key}?{parts.query}" if parts.query else key,
            url=f"{'rtmps' if tls else 'rtmp'}://{where}/{application}",
        )
