"""How far a file is that still grows."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Written:
    """The first `size` bytes of a file stay as they are, but for its header. `version` counts from 0 how often
    the whole file was written anew."""

    size: int
    version: int = 0
