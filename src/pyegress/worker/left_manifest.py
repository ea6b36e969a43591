"""The manifest of an egress that another process left: what its journal knows."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Iterator
from dataclasses import replace

from pyegress.clock import wall
from pyegress.outputs.manifest import Manifest, ManifestFile, ManifestImage, ManifestPlaylist, ManifestSegment
from pyegress.plan.containers import MANIFEST
from pyegress.plan.recording_plan import FileOutput, ImageOutput, RecordingPlan, SegmentOutput
from pyegress.plan.selection import OneTrack, ParticipantTracks, TrackPair
from pyegress.plan.sources import PageSource
from pyegress.plan.storage import Storage
from pyegress.storage.journal_entries import Record, SpooledObject
from pyegress.storage.objects import ObjectKind


def left_manifest(plan: RecordingPlan, record: Record, *, error: str) -> Manifest:
    """What `record` says of what was made, as an egress that was interrupted."""
    made = [item for item in record.objects.values() if item.finished]
    manifest = Manifest(
        egress_id=plan.egress_id,
        room_id=plan.room_id,
        room_name=plan.room_name,
        status="EGRESS_FAILED" if error else "EGRESS_COMPLETE",
        error=error,
        started_at=plan.started_at,
        ended_at=wall(),
        zero=record.zero,
        tracks=tuple(track for _, track in sorted(record.tracks.items())),
        backup_used=any(item.backup for item in made),
        files=tuple(
            ManifestFile(item.key.name, item.location, duration=item.duration, backup=item.backup)
            for item in _of(made, ObjectKind.FILE)
        ),
        playlists=tuple(_playlists(made)),
        images=tuple(
            ManifestImage(item.key.name, item.location, record.zero or plan.started_at)
            for item in _of(made, ObjectKind.IMAGE)
        ),
    )
    match plan.source:
        case ParticipantTracks(identity=identity):
            return replace(manifest, publisher_identity=identity)
        case TrackPair(audio_track_id=audio, video_track_id=video):
            return replace(manifest, audio_track_id=audio, video_track_id=video)
        case OneTrack(track_id=track_id):
            return replace(manifest, track_id=track_id)
        case PageSource():
            return replace(manifest, url=plan.source.shown)
        case _:
            return manifest


def manifest_places(plan: RecordingPlan, record: Record) -> Iterator[tuple[str, Storage]]:
    """Where manifests go: beside each output that wants one, by the names that its objects have got."""
    used = any(item.backup for item in record.objects.values())
    places: dict[tuple[str, Storage], None] = {}
    for output in plan.outputs:
        if not isinstance(output, FileOutput | SegmentOutput | ImageOutput):
            continue
        if not (output.manifest or (plan.backup is not None and used)):
            continue
        kind = {FileOutput: ObjectKind.FILE, SegmentOutput: ObjectKind.PLAYLIST, ImageOutput: ObjectKind.IMAGE}
        found = next(_of(record.objects.values(), kind[type(output)]), None)
        if found is not None:
            folder = posixpath.dirname(found.key.name)
            places[posixpath.join(folder, plan.egress_id + MANIFEST[0]), output.storage] = None
    yield from places


def _of(items: Iterable[SpooledObject], kind: ObjectKind) -> Iterator[SpooledObject]:
    return (item for item in items if item.kind is kind)


def _playlists(made: list[SpooledObject]) -> Iterator[ManifestPlaylist]:
    segments = tuple(ManifestSegment(item.key.name, item.location) for item in _of(made, ObjectKind.SEGMENT))
    # The live playlist is not listed.
    for playlist in list(_of(made, ObjectKind.PLAYLIST))[:1]:
        yield ManifestPlaylist(playlist.location, segments)
