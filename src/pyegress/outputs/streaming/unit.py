"""What is sent to live destinations: the smallest piece that travels whole."""

from __future__ import annotations

from dataclasses import dataclass

from pyegress.codecs import Kind


@dataclass(frozen=True, slots=True)
class Unit:
    """One frame as its protocol carries it. `seconds` is its place in the output; a receiver can begin at a `start`."""

    kind: Kind
    seconds: float
    start: bool
    payload: bytes
