"""What manifests say of the source: whom or what the plan names, and the only track that was copied. Pure."""

from __future__ import annotations

from dataclasses import replace

from pyegress.outputs.manifest import Manifest
from pyegress.plan.recording_plan import RecordingPlan
from pyegress.plan.selection import OneTrack, ParticipantTracks, TrackPair
from pyegress.plan.sources import MediaSource, PageSource


def of_source(manifest: Manifest, plan: RecordingPlan) -> Manifest:
    """`manifest`, whose tracks are known, with what is to be said of the source of `plan`."""
    match plan.source:
        case ParticipantTracks(identity=identity):
            return replace(manifest, publisher_identity=identity)
        case TrackPair(audio_track_id=audio, video_track_id=video):
            return replace(manifest, audio_track_id=audio, video_track_id=video)
        case OneTrack(track_id=track_id):
            manifest = replace(manifest, track_id=track_id)
        case MediaSource(video=selection) if selection is not None and selection.identity:
            return replace(manifest, publisher_identity=selection.identity)
        case PageSource():
            return replace(manifest, url=plan.source.shown)
    if plan.passthrough and len({track.track_id for track in manifest.tracks}) == 1:
        only = manifest.tracks[0]
        return replace(
            manifest,
            publisher_identity=only.identity,
            track_id=only.track_id,
            track_kind=only.kind,
            track_source=only.source,
        )
    return manifest
