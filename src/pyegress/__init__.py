"""LiveKit Egress in Python: records LiveKit rooms, participants and tracks.

`record_track`, `record_participant`, `record_track_composite`, `record_tracks`, `record_room` and `record_web` are the
API for programs that record; see `pyegress.worker.record` and `pyegress.worker.record_web`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyegress.errors import EgressError
    from pyegress.worker.progress import Progress, RecordedFile, RecordedStream, RecordingResult, TrackProgress
    from pyegress.worker.record import (
        Recording,
        record_participant,
        record_room,
        record_track,
        record_track_composite,
        record_tracks,
    )
    from pyegress.worker.record_web import record_web

__all__ = [
    "EgressError",
    "Progress",
    "RecordedFile",
    "RecordedStream",
    "Recording",
    "RecordingResult",
    "TrackProgress",
    "record_participant",
    "record_room",
    "record_track",
    "record_track_composite",
    "record_tracks",
    "record_web",
]

_HOMES = {
    "EgressError": "pyegress.errors",
    "Progress": "pyegress.worker.progress",
    "RecordedFile": "pyegress.worker.progress",
    "RecordedStream": "pyegress.worker.progress",
    "RecordingResult": "pyegress.worker.progress",
    "TrackProgress": "pyegress.worker.progress",
    "record_web": "pyegress.worker.record_web",
}


def __getattr__(name: str) -> object:
    # Loaded on first use: whoever needs only a part of pyegress does not pay for all of it.
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES.get(name, "pyegress.worker.record")), name)
