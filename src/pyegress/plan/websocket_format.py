"""What a WebSocket is sent: the configuration's choice, and the reserved query parameters of a URL."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum

#: In front of the parameters that are ours: they are taken out of the URL before it is called.
PREFIX = "pyegress."
RATES = (8_000, 12_000, 16_000, 24_000, 32_000, 44_100, 48_000)


class SoundEncoding(Enum):
    """What binary frames hold: 10 ms of samples each, or one packet each as it was published."""

    PCM = "pcm_s16le"
    OPUS = "opus"


@dataclass(frozen=True, slots=True)
class WebsocketFormat:
    """`sample_rate` in Hz, 0 for the track's own; with `describe` the first text frame says what follows."""

    encoding: SoundEncoding = SoundEncoding.PCM
    sample_rate: int = 0
    channels: int = 2
    describe: bool = False


#: As receivers of LiveKit Egress expect it.
USUAL = WebsocketFormat()


def websocket_format(
    url: str, default: WebsocketFormat, refuse: Callable[[str, str], Exception]
) -> tuple[WebsocketFormat, str]:
    """The format that `url` asks for, and the URL without what asks; raises `refuse(reason, remedy)`."""
    base, hash_, fragment = url.partition("#")
    base, question, query = base.partition("?")
    chosen, kept = default, []
    for pair in query.split("&"):
        name, _, value = pair.partition("=")
        if name.startswith(PREFIX):
            chosen = _with(chosen, name.removeprefix(PREFIX), value, refuse)
        else:
            kept.append(pair)
    rest = "&".join(kept)
    return chosen, base + (question + rest if rest else "") + hash_ + fragment


def _with(chosen: WebsocketFormat, name: str, value: str, refuse: Callable[[str, str], Exception]) -> WebsocketFormat:
    match name, value:
        case "encoding", _ if value in [each.value for each in SoundEncoding]:
            return replace(chosen, encoding=SoundEncoding(value))
        case "sample_rate", _ if value in map(str, RATES):
            return replace(chosen, sample_rate=int(value))
        case "channels", "1" | "2":
            return replace(chosen, channels=int(value))
        case "describe", "0" | "1":
            return replace(chosen, describe=value == "1")
    raise refuse(
        f"{PREFIX}{name} is no parameter of ours, or has no such value",
        f"Use {PREFIX}encoding={'|'.join(each.value for each in SoundEncoding)}, "
        f"{PREFIX}sample_rate={'|'.join(map(str, RATES))}, {PREFIX}channels=1|2, {PREFIX}describe=0|1",
    )
