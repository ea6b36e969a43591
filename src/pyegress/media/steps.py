"""What a running recording is made of, step by step with its counters, for people who look for what is wrong."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import Enum
from typing import Any


class Stage(Enum):
    """Where a step stands: media goes from each to the next."""

    SOURCE = "sources"
    DECODER = "decoders"
    COMPOSITION = "composition"
    ENCODER = "encoders"
    OUTPUT = "outputs"


@dataclass(frozen=True, slots=True)
class Step:
    """One part. `counters` are in the units of their names; those that are 0 may be left out where they are shown."""

    stage: Stage
    name: str
    counters: Mapping[str, float | str] = field(default_factory=dict)


def counted(counters: Any) -> dict[str, float | str]:
    """The counters of a dataclass that another thread may be writing."""
    return asdict(counters)
