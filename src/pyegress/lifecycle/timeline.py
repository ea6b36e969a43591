"""When each track of an egress began, was muted, and ended: what puts its files beside others. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from pyegress.clock import Wall


@dataclass(frozen=True, slots=True)
class Span:
    """From a moment to another, UTC seconds; `end` None: until the end of the recording."""

    begin: Wall
    end: Wall | None = None


@dataclass(frozen=True, slots=True)
class TrackSpan:
    """One publication that was recorded. `kind`, `source` and `codec` in words; `muted` in order."""

    track_id: str
    identity: str
    name: str
    kind: str
    source: str
    codec: str
    span: Span
    muted: tuple[Span, ...] = ()
