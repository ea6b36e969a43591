"""URLs of streams: what schemes mean, which shape is right, where they lead, how they are shown without keys."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import Enum
from functools import partial
from urllib.parse import SplitResult, urlsplit

from pyegress.plan.refusals import invalid_url
from pyegress.plan.srt_options import srt_options
from pyegress.plan.websocket_format import USUAL, websocket_format


class StreamProtocol(Enum):
    """How media gets to a stream destination."""

    RTMP = "RTMP"
    SRT = "SRT"
    WEBSOCKET = "WebSocket"


#: Where the streams of services go that are named by their scheme (`youtube://KEY`); the key is appended.
INGESTS = {
    "mux": "rtmps://global-live.mux.com:443/app/",
    "youtube": "rtmps://a.rtmps.youtube.com:443/live2/",
    "facebook": "rtmps://live-api-s.facebook.com:443/rtmp/",
    "instagram": "rtmps://live-upload.instagram.com:443/rtmp/",
    "vimeo": "rtmps://rtmp-global.cloud.vimeo.com:443/live/",
    "cloudflare": "rtmps://live.cloudflare.com:443/live/",
    "restream": "rtmp://live.restream.io/live/",
    "trovo": "rtmp://livepush.trovo.live/live/",
}
#: Twitch names its ingest by location, so it has to be asked for: https://ingest.twitch.tv/ingests
_TWITCH = "twitch"
#: Schemes that stand for a service, with nothing but a key behind them.
SERVICES = frozenset((*INGESTS, _TWITCH))
#: The protocol of each URL scheme.
SCHEMES = {
    "rtmp": StreamProtocol.RTMP,
    "rtmps": StreamProtocol.RTMP,
    **dict.fromkeys((*INGESTS, _TWITCH), StreamProtocol.RTMP),
    "srt": StreamProtocol.SRT,
    "ws": StreamProtocol.WEBSOCKET,
    "wss": StreamProtocol.WEBSOCKET,
}
_TWITCH_HOST = "contribute.live-video.net"

#: A key that is reduced already: infos are redacted where they are made and where they are shown.
_REDUCED = re.compile(r"\{.{0,3}\.{3}.{0,3}\}")
_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://(.*)", re.DOTALL)
#: librtmp's option for live streams, written behind the URL.
_LIVE_OPTION = " live=1"
_HOST_AND_PORT = re.compile(r"(\[[0-9A-Fa-f:.%]*\]|[^:\[\]]*)(:\d*)?")
_UNSAFE = re.compile(r"[\x00-\x20\x7f]")
HIDDEN = "{...}"


@dataclass(frozen=True, slots=True)
class Destination:
    """One place a stream is sent to.

    `url` is as requested and `ingest` where it leads, empty when the service must be asked first (`twitch_key` is set
    then). `shown` is the URL as infos, logs and errors show it. `id` is the caller's own name for it.
    """

    protocol: StreamProtocol
    url: str = field(repr=False)
    ingest: str = field(repr=False)
    shown: str
    twitch_key: str = field(default="", repr=False)
    id: str = ""


def protocol_of(url: str) -> StreamProtocol | None:
    """The protocol that the scheme of `url` means, None for another scheme."""
    found = _URL.match(url)
    return SCHEMES.get(found[1].lower()) if found else None


def destination(url: str, protocol: StreamProtocol | None = None, *, id: str = "") -> Destination:
    """The destination that `url` names; InvalidRequest when it is none, or none of `protocol`."""
    shown = redact_url(url)
    found = _URL.match(url)
    if not found:
        raise invalid_url(shown, "it has no scheme", "Use rtmp://HOST/APP/KEY, srt://HOST:PORT or wss://HOST/PATH")
    scheme = found[1].lower()
    meant = SCHEMES.get(scheme)
    if meant is None:
        raise invalid_url(
            shown, f"invalid scheme {scheme}", f"Use one of {', '.join(f'{name}://' for name in SCHEMES)}"
        )
    if protocol is not None and meant is not protocol:
        remedy = f"Use {_names(protocol)} here, and an egress of its own for other protocols"
        raise invalid_url(shown, f"invalid protocol: {scheme}:// is not {protocol.value} but {meant.value}", remedy)
    if _UNSAFE.search(url.removesuffix(_LIVE_OPTION)):
        raise invalid_url(shown, "it has spaces or control characters", "Write them as %20 and the like")
    if scheme in SERVICES:
        return _service(url, scheme, found[2], shown, id)
    parts = _parts(url, shown)
    match meant:
        case StreamProtocol.RTMP:
            return _rtmp(url, parts, shown, id)
        case StreamProtocol.SRT if parts.port is None:
            raise invalid_url(shown, "it has no port", "Use srt://HOST:PORT?streamid=…&passphrase=…")
        case StreamProtocol.SRT:
            srt_options(url, partial(invalid_url, shown))
            return Destination(meant, url, url, shown, id=id)
        case StreamProtocol.WEBSOCKET:
            _, called = websocket_format(url, USUAL, partial(invalid_url, shown))
            return Destination(meant, url, called, shown, id=id)


def _names(protocol: StreamProtocol) -> str:
    return ", ".join(f"{scheme}://" for scheme, meant in SCHEMES.items() if meant is protocol)


def _parts(url: str, shown: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise invalid_url(shown, "host or port cannot be read", "Use SCHEME://HOST:PORT/…") from None
    if not parts.hostname:
        raise invalid_url(shown, "it has no host", "Use SCHEME://HOST:PORT/…")
    return parts


def _rtmp(url: str, parts: SplitResult, shown: str, id: str) -> Destination:
    path = parts.path.removesuffix(_LIVE_OPTION) if not parts.query else parts.path
    app, _, key = path.strip("/").rpartition("/")
    if not app or not key:
        raise invalid_url(shown, "it has no application or no stream key", "Use rtmp://HOST/APP/KEY")
    if (parts.hostname or "").endswith("." + _TWITCH_HOST):
        return Destination(StreamProtocol.RTMP, url, "", shown, twitch_key=key, id=id)
    return Destination(StreamProtocol.RTMP, url, url, shown, id=id)


def _service(url: str, scheme: str, key: str, shown: str, id: str) -> Destination:
    if not key or "/" in key:
        raise invalid_url(shown, "it has no stream key", f"Use {scheme}://KEY")
    if scheme == _TWITCH:
        return Destination(StreamProtocol.RTMP, url, "", shown, twitch_key=key, id=id)
    return Destination(StreamProtocol.RTMP, url, INGESTS[scheme] + key, shown, id=id)


# What is shown


def redact_key(key: str) -> str:
    """A stream key as it is shown: at most three characters of each end, `{abc...xyz}`."""
    if _REDUCED.fullmatch(key):
        return key
    keep = next((count for count, least in ((3, 9), (2, 6), (1, 3)) if len(key) >= least), 0)
    return f"{{{key[:keep]}...{key[-keep:]}}}" if keep else HIDDEN


def redact_url(url: str) -> str:
    """`url` without stream key, user, password, query values and fragment. Never raises; what is no URL is hidden."""
    found = _URL.match(url)
    if not found:
        return HIDDEN
    scheme, rest = found[1], found[2]
    lowered = scheme.lower()
    if lowered in SERVICES:
        return f"{scheme}://{redact_key(rest)}"
    rest, fragment, _ = rest.partition("#")
    rest, question, query = rest.partition("?")
    authority, slash, path = rest.partition("/")
    if not _HOST_AND_PORT.fullmatch(authority.rpartition("@")[2]):
        # Perhaps a password with a slash: nobody can tell what is what.
        return f"{scheme}://{HIDDEN}"
    if SCHEMES.get(lowered) is StreamProtocol.RTMP:
        path = _redact_rtmp_path(path)
    elif lowered not in SCHEMES:
        # Whatever this is, it may carry a key anywhere.
        path = HIDDEN if path else ""
    shown = f"{scheme}://{_redact_user(authority)}{slash}{path}"
    if question:
        shown += "?" + _redact_query(query)
    return shown + ("#" + HIDDEN if fragment else "")


def _redact_rtmp_path(path: str) -> str:
    path, live = (path.removesuffix(_LIVE_OPTION), _LIVE_OPTION) if path.endswith(_LIVE_OPTION) else (path, "")
    app, slash, key = path.rstrip("/").rpartition("/")
    return f"{app}{slash}{redact_key(key) if key else ''}{live}"


def _redact_user(authority: str) -> str:
    _, at, host = authority.rpartition("@")
    return f"{HIDDEN}@{host}" if at else host


def _redact_query(query: str) -> str:
    def hidden(pair: str) -> str:
        name, _, value = pair.partition("=")
        # A part without a value is one itself: `?secret`, or in Base64 `?c2VjcmV0==`.
        return f"{name}={HIDDEN}" if value.strip("=") else HIDDEN if name else ""

    return "&".join(hidden(pair) for pair in query.split("&"))


#: Words in the names of query parameters whose values are credentials.
_CREDENTIAL_WORDS = ("token", "key", "secret", "pass", "pwd", "auth", "sig", "jwt", "credential", "session", "code")


def redact_page_url(url: str) -> str:
    """The URL of a web page without user, password and the values of query parameters that are named like credentials.

    The rest stays: people tell their egresses apart by it.
    """
    base, hash_, fragment = url.partition("#")
    base, question, query = base.partition("?")
    scheme, separator, rest = base.partition("://")
    if separator:
        authority, slash, path = rest.partition("/")
        base = f"{scheme}://{_redact_user(authority)}{slash}{path}"
    return (
        base
        + (question + _redact_credentials(query) if question else "")
        + (hash_ + _redact_credentials(fragment) if hash_ else "")
    )


def _redact_credentials(query: str) -> str:
    def hidden(pair: str) -> str:
        name, equals, _ = pair.partition("=")
        secret = equals and any(word in name.lower() for word in _CREDENTIAL_WORDS)
        return f"{name}={HIDDEN}" if secret else pair

    return "&".join(hidden(pair) for pair in query.split("&"))
