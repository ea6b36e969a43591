"""Playlists of HLS as text (RFC 8216; parts: draft-pantos-hls-rfc8216bis). Pure.

The event playlist grows from the first segment to the last, the live playlist shows the newest few. Both are complete
at any moment and name only what was put into them.
"""

from __future__ import annotations

import math
import posixpath
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import quote

from pyegress.clock import Wall

#: Segments in a live playlist: section 6.2.2 wants at least three target durations.
LIVE_WINDOW = 5
#: Parts are named for segments this near to the end (rfc8216bis section 4.4.4.9: three target durations).
_TARGETS_WITH_PARTS = 3
#: PART-HOLD-BACK in parts (section 4.4.3.8: at least 3 is recommended), beside the target duration: a file server does
#: not hold answers back until there is a new part, so players may ask only that often (section 6.3.4).
_HOLD_BACK = 3
#: EXT-X-VERSION by what is used (section 7): decimal durations; EXT-X-MAP beside ordinary segments.
_VERSION_TS, _VERSION_MAP = 3, 6


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a segment that is being written: seconds, and the bytes of the segment's file that it is."""

    duration: float
    offset: int
    size: int
    independent: bool


@dataclass(frozen=True, slots=True)
class Segment:
    """One segment: its URI, seconds, when its first picture was taken (UTC)."""

    uri: str
    duration: float
    at: Wall
    discontinuity: bool = False
    parts: tuple[Part, ...] = ()
    #: The initialization segment that begins with this segment; "" goes on with the former.
    map_uri: str = ""


@dataclass(slots=True)
class PlaylistSettings:
    """What does not change: seconds of segments as planned, the first initialization segment, and seconds of parts, 0
    without any."""

    duration: int
    map_uri: str = ""
    part: float = 0.0


def relative_uri(name: str, playlist: str) -> str:
    """The URI of the object `name` in the playlist of the name `playlist`."""
    return quote(posixpath.relpath(name, posixpath.dirname(playlist) or "."))


@dataclass(slots=True)
class _Head:
    """How long segments are, and what tags of the playlist's beginning say."""

    settings: PlaylistSettings
    longest: int = 0

    def saw(self, duration: float) -> None:
        self.longest = max(self.longest, math.floor(duration + 0.5))

    def lines(
        self, *, ended: bool, map_uri: str, kind: str = "", first: int = 0, discontinuities: int = 0
    ) -> list[str]:
        settings = self.settings
        # It must not change while players watch, so what is planned counts; at the end what is true.
        target = max(1, self.longest) if ended and self.longest else max(settings.duration, self.longest)
        lines = [
            "#EXTM3U",
            f"#EXT-X-VERSION:{_VERSION_MAP if settings.map_uri else _VERSION_TS}",
            f"#EXT-X-TARGETDURATION:{target}",
        ]
        if kind:
            lines.append(f"#EXT-X-PLAYLIST-TYPE:{kind}")
        if settings.part and not ended:
            hold_back = target + settings.part * _HOLD_BACK
            lines.append(f"#EXT-X-SERVER-CONTROL:HOLD-BACK={3 * target:.1f},PART-HOLD-BACK={hold_back:.3f}")
            lines.append(f"#EXT-X-PART-INF:PART-TARGET={settings.part:.3f}")
        lines.append(f"#EXT-X-MEDIA-SEQUENCE:{first}")
        if discontinuities:
            lines.append(f"#EXT-X-DISCONTINUITY-SEQUENCE:{discontinuities}")
        lines.append("#EXT-X-INDEPENDENT-SEGMENTS")
        if map_uri:
            lines.append(f'#EXT-X-MAP:URI="{map_uri}"')
        return lines


def _date(at: Wall) -> str:
    moment = datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return f"#EXT-X-PROGRAM-DATE-TIME:{moment}"


def _before(segment: Segment) -> list[str]:
    changes = ["#EXT-X-DISCONTINUITY"] * segment.discontinuity
    changes += [f'#EXT-X-MAP:URI="{segment.map_uri}"'] * bool(segment.map_uri)
    return [*changes, _date(segment.at)]


def _parts(uri: str, parts: Iterable[Part]) -> list[str]:
    return [
        f'#EXT-X-PART:DURATION={part.duration:.6f},URI="{uri}",BYTERANGE="{part.size}@{part.offset}"'
        + (",INDEPENDENT=YES" if part.independent else "")
        for part in parts
    ]


def _entry(segment: Segment, *, parts: bool) -> list[str]:
    lines = _before(segment)
    if parts:
        lines += _parts(segment.uri, segment.parts)
    return [*lines, f"#EXTINF:{segment.duration:.6f},", segment.uri]


def _text(lines: Iterable[str]) -> str:
    return "\n".join(lines) + "\n"


@dataclass(slots=True)
class _Recent:
    """The newest segments, and the one that is being written."""

    settings: PlaylistSettings
    segments: deque[Segment] = field(default_factory=deque)
    open: Segment | None = None

    def lines(self, *, ended: bool) -> list[str]:
        left = float(_TARGETS_WITH_PARTS * self.settings.duration)
        shown: deque[list[str]] = deque()
        for segment in reversed(self.segments):
            shown.appendleft(_entry(segment, parts=bool(self.settings.part) and not ended and left > 0))
            left -= segment.duration
        lines = [line for entry in shown for line in entry]
        if not self.settings.part or ended:
            return lines
        if self.open is not None:
            return lines + _before(self.open) + _parts(self.open.uri, self.open.parts)
        if self.segments:
            # hls.js takes the last segment for the one that is being written where nothing follows it.
            last = self.segments[-1]
            lines.append(_date(Wall(last.at + last.duration)))
        return lines


class EventPlaylist:
    """Every segment from the first on. Costs the same for each segment, however many there are."""

    def __init__(self, settings: PlaylistSettings) -> None:
        self._head = _Head(settings)
        self._settings = settings
        self._old = bytearray()
        self._recent = _Recent(settings)
        self._kept = _TARGETS_WITH_PARTS + 1 if settings.part else 0

    def add(self, segment: Segment) -> None:
        """The next segment, which is there as a whole."""
        self._head.saw(segment.duration)
        recent = self._recent
        recent.open = None
        recent.segments.append(segment)
        while len(recent.segments) > self._kept:
            self._old += _text(_entry(recent.segments.popleft(), parts=False)).encode()

    def grow(self, segment: Segment) -> None:
        """The segment that is being written, with the parts that are there."""
        self._recent.open = segment

    def render(self, *, ended: bool) -> bytes:
        """The playlist. `ended`: nothing will be added."""
        head = _text(self._head.lines(ended=ended, map_uri=self._settings.map_uri, kind="EVENT")).encode()
        tail = self._recent.lines(ended=ended) + (["#EXT-X-ENDLIST"] if ended else [])
        return b"".join((head, self._old, _text(tail).encode() if tail else b""))


class LivePlaylist:
    """The newest segments."""

    def __init__(self, settings: PlaylistSettings, *, window: int = LIVE_WINDOW) -> None:
        self._head = _Head(settings)
        self._settings = settings
        self._recent = _Recent(settings)
        self._window = window
        self._first = 0
        self._discontinuities = 0
        #: The initialization segment that is in force where the window begins.
        self._map_uri = settings.map_uri

    def add(self, segment: Segment) -> None:
        """The next segment, which is there as a whole."""
        self._head.saw(segment.duration)
        recent = self._recent
        recent.open = None
        recent.segments.append(segment)
        if len(recent.segments) > self._window:
            gone = recent.segments.popleft()
            self._discontinuities += gone.discontinuity
            self._map_uri = gone.map_uri or self._map_uri
            self._first += 1

    def grow(self, segment: Segment) -> None:
        """The segment that is being written, with the parts that are there."""
        self._recent.open = segment

    def render(self, *, ended: bool) -> bytes:
        """The playlist. `ended`: nothing will be added."""
        head = self._head.lines(
            ended=ended, map_uri=self._map_uri, first=self._first, discontinuities=self._discontinuities
        )
        return _text(head + self._recent.lines(ended=ended) + ["#EXT-X-ENDLIST"] * ended).encode()
