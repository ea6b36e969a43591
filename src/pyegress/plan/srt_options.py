"""The query of an SRT URL, with the names that srt-live-transmit and players use."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import unquote

#: Milliseconds that a lost packet may take to be sent again.
DEFAULT_LATENCY = 120
MAX_LATENCY = 30_000
_MAX_STREAM_ID = 512
_PASSPHRASE = range(10, 80)
_KEY_LENGTHS = (16, 24, 32)


@dataclass(frozen=True, slots=True)
class SrtOptions:
    """What a caller sets before it connects. `latency` in milliseconds, `key_length` in bytes (0: the library's)."""

    stream_id: str = field(default="", repr=False)
    passphrase: str = field(default="", repr=False)
    latency: int = DEFAULT_LATENCY
    key_length: int = 0


def srt_options(url: str, refuse: Callable[[str, str], Exception]) -> SrtOptions:
    """The options in `url`; raises what `refuse(reason, remedy)` makes of those that cannot be.

    A stream id may stand there as it is, `#` included: `streamid=#!::r=live,m=publish`.
    """
    values: dict[str, str] = {}
    for pair in filter(None, url.partition("?")[2].split("&")):
        name, _, value = pair.partition("=")
        values[name.lower()] = unquote(value)
    if (mode := values.get("mode", "caller")).lower() != "caller":
        raise refuse(f"SRT mode {mode} is not yet supported", "Leave mode out: this service calls, the server listens")
    if values.get("transtype", "live").lower() != "live":
        raise refuse("only SRT's live transmission carries streams", "Leave transtype out")
    passphrase = values.get("passphrase", "")
    if passphrase and len(passphrase.encode()) not in _PASSPHRASE:
        raise refuse("an SRT passphrase has 10 to 79 characters", "Use the listener's passphrase")
    if len(values.get("streamid", "").encode()) > _MAX_STREAM_ID:
        raise refuse(f"an SRT stream id has at most {_MAX_STREAM_ID} bytes", "Use a shorter streamid")
    latency = _number(values, "latency", DEFAULT_LATENCY)
    if latency is None or not 0 <= latency <= MAX_LATENCY:
        raise refuse("its latency is no number of milliseconds", f"Use latency=0 to {MAX_LATENCY}")
    key_length = _number(values, "pbkeylen", 0)
    if key_length not in (0, *_KEY_LENGTHS):
        raise refuse("its pbkeylen is no length of a key", f"Use one of {', '.join(map(str, _KEY_LENGTHS))}")
    return SrtOptions(values.get("streamid", ""), passphrase, latency, key_length)


def _number(values: dict[str, str], name: str, default: int) -> int | None:
    text = values.get(name, str(default))
    return int(text) if text.isascii() and text.isdigit() else None
