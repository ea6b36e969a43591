"""What livekit-server 1.13.5 and a node of ours said on Redis during one egress (see record_recordings.py)."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_FILE = Path(__file__).with_name("recordings.json")


@dataclass(frozen=True, slots=True)
class Message:
    """One PUBLISH."""

    channel: str
    payload: bytes


@cache
def recorded_messages() -> tuple[Message, ...]:
    """All messages in order."""
    messages = json.loads(_FILE.read_text())["messages"]
    return tuple(Message(m["channel"], base64.b64decode(m["payload"])) for m in messages)


@cache
def recorded_keys() -> tuple[str, ...]:
    """The keys that receivers of queue requests took."""
    return tuple(json.loads(_FILE.read_text())["keys"])


def on(channel_end: str) -> Message:
    """The first message whose channel ends so."""
    return next(m for m in recorded_messages() if m.channel.endswith(channel_end))
