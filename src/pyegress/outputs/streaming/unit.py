"""What is sent to live destinations: the smallest piece that travels whole."""

from __future__ import annotations

from dataclasses import dataclass

from pyegress.codecs import Kind


@dataclass(frozen=True, slots=True)
class Unit:
    """One frame as its protocol carries it. `seconds` is its place in the output; a receiver can begin at a `start`.

    `announcement` comes before it, for those who have begun: the stream is another one from here on.
    """

    kind: Kind
    seconds: float
    start: bool
    payload: bytes
    announcement: bytes = b""
