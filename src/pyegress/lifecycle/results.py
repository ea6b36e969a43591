"""The results in an EgressInfo: what outcomes look like there. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from livekit.protocol import egress as pb

from pyegress.clock import Wall
from pyegress.lifecycle.outcome import FileOutcome, ImagesOutcome, Outcome, SegmentsOutcome, StreamOutcome
from pyegress.plan.egress_info import copy_single_result, nanoseconds


def write_results(info: pb.EgressInfo, outcome: Outcome) -> None:
    """Everything that was made, in the order of the plan's outputs. What the outcome does not know stays as it is.

    A recording that went on in further files has more of them than outputs.
    """
    for file, result in zip(outcome.files, _grown(info.file_results, len(outcome.files)), strict=False):
        _write_file(result, file)
    for segments, result in zip(outcome.segments, _grown(info.segment_results, len(outcome.segments)), strict=False):
        _write_segments(result, segments)
    for images, result in zip(outcome.images, _grown(info.image_results, len(outcome.images)), strict=False):
        _write_images(result, images)
    if outcome.streams:
        write_streams(info, outcome.streams)
    if outcome.manifest_location:
        info.manifest_location = outcome.manifest_location
    if outcome.backup_used:
        info.backup_storage_used = True
    if outcome.made:
        copy_single_result(info)


def write_streams(info: pb.EgressInfo, streams: Sequence[StreamOutcome]) -> None:
    """The destinations of streams as they are: all of them, in the order in which they came."""
    del info.stream_results[:]
    for stream in streams:
        result = info.stream_results.add(url=stream.url, id=stream.id, error=stream.error, retries=stream.retries)
        result.status = stream.status.value  # type: ignore[assignment]
        result.started_at = _or_zero(stream.started_at)
        result.ended_at = _or_zero(stream.ended_at)
        result.last_retry_at = _or_zero(stream.last_retry_at)
        if stream.started_at is not None and stream.ended_at is not None:
            result.duration = max(0, result.ended_at - result.started_at)
    copy_single_result(info)


def _grown(results: Any, count: int) -> Any:
    while len(results) < count:
        results.add()
    return results


def _write_file(result: pb.FileInfo, file: FileOutcome) -> None:
    result.filename = file.filename
    result.location = file.location
    result.size = file.size
    _write_times(result, file.started_at, file.duration)


def _write_segments(result: pb.SegmentsInfo, segments: SegmentsOutcome) -> None:
    result.playlist_name = segments.playlist_name
    result.live_playlist_name = segments.live_playlist_name
    result.playlist_location = segments.playlist_location
    result.live_playlist_location = segments.live_playlist_location
    result.segment_count = segments.segment_count
    result.size = segments.size
    _write_times(result, segments.started_at, segments.duration)


def _write_images(result: pb.ImagesInfo, images: ImagesOutcome) -> None:
    result.filename_prefix = images.filename_prefix
    result.image_count = images.image_count
    result.started_at = nanoseconds(images.started_at)
    result.ended_at = nanoseconds(images.ended_at)


def _write_times(result: pb.FileInfo | pb.SegmentsInfo, started_at: Wall, seconds: float) -> None:
    result.started_at = nanoseconds(started_at)
    result.duration = round(seconds * 1_000_000) * 1_000
    result.ended_at = result.started_at + result.duration


def _or_zero(at: Wall | None) -> int:
    return 0 if at is None else nanoseconds(at)
