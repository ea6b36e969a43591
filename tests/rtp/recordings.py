"""Recorded RTP packets, `tests/data/rtp/<name>.bin` (16-bit length, packet, ...), and what they are, `<name>.json`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pyegress.codecs import Codec
from tests.rtp.depacketizers.driver import units

DIRECTORY = Path(__file__).parent.parent / "data" / "rtp"


@dataclass(frozen=True, slots=True)
class ExpectedFrame:
    """A frame that the publisher submitted. `digest` covers its NAL units, OBUs or bytes, whatever frames them."""

    #: As in the packets: 32 bits, wraps.
    timestamp: int
    keyframe: bool
    digest: str


@dataclass(frozen=True, slots=True)
class Recording:
    """The packets of one stream in the order of their sequence numbers, without padding-only packets."""

    name: str
    codec: Codec
    #: What was published, in words.
    content: str
    #: Pixels of the highest layer; None for audio.
    size: tuple[int, int] | None
    #: The payload type of RED packets, if the stream has them.
    red: int | None
    packets: tuple[bytes, ...]
    #: Empty where an encoder inside the publisher made the frames, so that nobody has a log of them.
    frames: tuple[ExpectedFrame, ...]

    def save(self) -> None:
        """Write both files."""
        DIRECTORY.mkdir(parents=True, exist_ok=True)
        data = b"".join(len(packet).to_bytes(2, "big") + packet for packet in self.packets)
        (DIRECTORY / f"{self.name}.bin").write_bytes(data)
        described: dict[str, Any] = {
            "codec": self.codec.name,
            "content": self.content,
            "size": self.size,
            "red": self.red,
            "frames": [[frame.timestamp, frame.keyframe, frame.digest] for frame in self.frames],
        }
        (DIRECTORY / f"{self.name}.json").write_text(json.dumps(described, indent=1) + "\n")


def names() -> Sequence[str]:
    """All recordings."""
    return sorted(path.stem for path in DIRECTORY.glob("*.json"))


def load(name: str) -> Recording:
    """Read a recording."""
    described = json.loads((DIRECTORY / f"{name}.json").read_text())
    data = (DIRECTORY / f"{name}.bin").read_bytes()
    packets, at = [], 0
    while at < len(data):
        end = at + 2 + int.from_bytes(data[at : at + 2], "big")
        packets.append(data[at + 2 : end])
        at = end
    return Recording(
        name,
        Codec[described["codec"]],
        described["content"],
        tuple(described["size"]) if described["size"] else None,
        described["red"],
        tuple(packets),
        tuple(ExpectedFrame(*frame) for frame in described["frames"]),
    )


def digest(codec: Codec, data: bytes) -> str:
    """A digest of a frame's content."""
    sha = hashlib.sha256()
    for unit in units(codec, data):
        sha.update(len(unit).to_bytes(4, "big") + unit)
    return sha.hexdigest()[:24]
