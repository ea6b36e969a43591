"""The manifest of an egress: one JSON object that says what was recorded, from whom, when, and where it lies. Pure.

The fields are those of LiveKit Egress; `status`, `error`, `backup_storage_used`, what files say of their tracks, and
`timeline` are ours.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pyegress.clock import Wall
from pyegress.lifecycle.timeline import Span, TrackSpan
from pyegress.plan.egress_info import nanoseconds

_NS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class ManifestFile:
    """A file and what is in it. `start` is its second 0 on the recording's clock."""

    filename: str
    location: str
    start: float = 0.0
    duration: float = 0.0
    identity: str = ""
    track_ids: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    backup: bool = False


@dataclass(frozen=True, slots=True)
class ManifestSegment:
    filename: str
    location: str


@dataclass(frozen=True, slots=True)
class ManifestPlaylist:
    location: str
    segments: tuple[ManifestSegment, ...] = ()


@dataclass(frozen=True, slots=True)
class ManifestImage:
    filename: str
    location: str
    taken: Wall


@dataclass(frozen=True, slots=True)
class Manifest:
    """Ids are "" where they do not apply; times are UTC seconds, `zero` that of second 0 of the outputs."""

    egress_id: str
    room_id: str = ""
    room_name: str = ""
    url: str = ""
    status: str = ""
    error: str = ""
    started_at: Wall | None = None
    ended_at: Wall | None = None
    zero: Wall | None = None
    publisher_identity: str = ""
    track_id: str = ""
    track_kind: str = ""
    track_source: str = ""
    audio_track_id: str = ""
    video_track_id: str = ""
    backup_used: bool = False
    files: tuple[ManifestFile, ...] = ()
    playlists: tuple[ManifestPlaylist, ...] = ()
    images: tuple[ManifestImage, ...] = ()
    tracks: tuple[TrackSpan, ...] = ()

    def encode(self) -> bytes:
        """One JSON object and a newline. What is empty is left out."""
        content = {
            "egress_id": self.egress_id,
            "room_id": self.room_id,
            "room_name": self.room_name,
            "url": self.url,
            "status": self.status,
            "error": self.error,
            "started_at": _ns(self.started_at),
            "ended_at": _ns(self.ended_at),
            "publisher_identity": self.publisher_identity,
            "track_id": self.track_id,
            "track_kind": self.track_kind,
            "track_source": self.track_source,
            "audio_track_id": self.audio_track_id,
            "video_track_id": self.video_track_id,
            "backup_storage_used": self.backup_used,
            "files": [_filled(_file(file)) for file in self.files],
            "playlists": [
                _filled(
                    {
                        "location": playlist.location,
                        "segments": [
                            {"filename": segment.filename, "location": segment.location}
                            for segment in playlist.segments
                        ],
                    }
                )
                for playlist in self.playlists
            ],
            "images": [
                {"filename": image.filename, "timestamp": rfc3339(image.taken), "location": image.location}
                for image in self.images
            ],
            "timeline": self._timeline(),
        }
        return (json.dumps(_filled(content), ensure_ascii=False) + "\n").encode()

    def _timeline(self) -> dict[str, Any]:
        zero = self.zero
        if zero is None:
            return {}
        return {"started_at": _ns(zero), "tracks": [_filled(_track(track, zero)) for track in self.tracks]}


def rfc3339(at: Wall) -> str:
    """UTC with nanoseconds, without zeros at the end, as Go writes it."""
    seconds, rest = divmod(nanoseconds(at), _NS)
    text = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    fraction = f".{rest:09}".rstrip("0").rstrip(".")
    return f"{text}{fraction}Z"


def _file(file: ManifestFile) -> dict[str, Any]:
    return {
        "filename": file.filename,
        "location": file.location,
        "start": round(file.start, 6),
        "duration": round(file.duration, 6),
        "identity": file.identity,
        "track_ids": list(file.track_ids),
        "sources": list(file.sources),
        "backup_storage_used": file.backup,
    }


def _track(track: TrackSpan, zero: Wall) -> dict[str, Any]:
    return {
        "track_id": track.track_id,
        "identity": track.identity,
        "name": track.name,
        "kind": track.kind,
        "source": track.source,
        "codec": track.codec,
        "began": _moment(track.span.begin, zero),
        "ended": _moment(track.span.end, zero),
        "muted": [_filled(_span(span, zero)) for span in track.muted],
    }


def _span(span: Span, zero: Wall) -> dict[str, Any]:
    return {"began": _moment(span.begin, zero), "ended": _moment(span.end, zero)}


def _moment(at: Wall | None, zero: Wall) -> dict[str, Any] | None:
    """A moment on the one clock, and where it is in the outputs; before their beginning is at their beginning."""
    return None if at is None else {"at": _ns(at), "time": round(max(0.0, at - zero), 3)}


def _ns(at: Wall | None) -> int:
    return 0 if at is None else nanoseconds(at)


def _filled(content: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in content.items() if value or (value == 0.0 and isinstance(value, float))}


def first_of_each(values: Iterable[str]) -> tuple[str, ...]:
    """Every value once, in order, without empty ones."""
    return tuple(dict.fromkeys(value for value in values if value))
