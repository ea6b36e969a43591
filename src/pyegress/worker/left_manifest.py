"""The manifest of an egress that another process left: what its journal knows."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Iterator

from pyegress.clock import wall
from pyegress.lifecycle.timeline import TrackSpan
from pyegress.outputs.manifest import (
    Manifest,
    ManifestFile,
    ManifestImage,
    ManifestPlaylist,
    ManifestSegment,
    first_of_each,
)
from pyegress.plan.containers import MANIFEST
from pyegress.plan.recording_plan import FileOutput, ImageOutput, RecordingPlan, SegmentOutput
from pyegress.plan.storage import Storage
from pyegress.storage.journal_entries import Record, SpooledObject
from pyegress.storage.objects import ObjectKind
from pyegress.worker.manifest_source import of_source


def left_manifest(plan: RecordingPlan, record: Record, *, error: str) -> Manifest:
    """What `record` says of what was made, as an egress that was interrupted."""
    made = [item for item in record.objects.values() if item.finished]
    tracks = tuple(track for _, track in sorted(record.tracks.items()))
    files = tuple(_of(made, ObjectKind.FILE))
    manifest = Manifest(
        egress_id=plan.egress_id,
        room_id=plan.room_id,
        room_name=plan.room_name,
        status="EGRESS_FAILED" if error else "EGRESS_COMPLETE",
        error=error,
        started_at=plan.started_at,
        ended_at=wall(),
        zero=record.zero,
        tracks=tracks,
        backup_used=any(item.backup for item in made),
        # Which track went into which of several files is not known.
        files=tuple(_file(item, tracks if len(files) == 1 else ()) for item in files),
        playlists=tuple(_playlists(made)),
        images=tuple(
            ManifestImage(item.key.name, item.location, record.zero or plan.started_at)
            for item in _of(made, ObjectKind.IMAGE)
        ),
    )
    return of_source(manifest, plan)


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


def _file(item: SpooledObject, tracks: tuple[TrackSpan, ...]) -> ManifestFile:
    people = first_of_each(track.identity for track in tracks)
    return ManifestFile(
        item.key.name,
        item.location,
        duration=item.duration,
        identity=people[0] if len(people) == 1 else "",
        track_ids=first_of_each(track.track_id for track in tracks),
        sources=first_of_each(track.source for track in tracks),
        backup=item.backup,
    )


def _playlists(made: list[SpooledObject]) -> Iterator[ManifestPlaylist]:
    segments = tuple(ManifestSegment(item.key.name, item.location) for item in _of(made, ObjectKind.SEGMENT))
    # The live playlist is not listed.
    for playlist in list(_of(made, ObjectKind.PLAYLIST))[:1]:
        yield ManifestPlaylist(playlist.location, segments)
