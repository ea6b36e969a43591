"""What is told of a finished file that a composition made."""

from __future__ import annotations

from collections.abc import Sequence

from pyegress.clock import Wall
from pyegress.outputs.file_writer import FileResult
from pyegress.worker.feed import Feed
from pyegress.worker.progress import RecordedFile, RecordedStream


def composed_file(result: FileResult, dropped: int, started_at: Wall, feeds: Sequence[Feed] = ()) -> RecordedFile:
    """A file with what is known of the tracks in it; `dropped` packets were not written."""
    streams = []
    for stream in result.streams:
        heard = [feed for feed in feeds if feed.kind is stream.codec.kind and feed.first_arrival is not None]
        streams.append(
            RecordedStream(
                kind=stream.codec.kind.value,
                codec=stream.codec.label,
                frames=stream.frames,
                size=stream.size,
                track_ids=tuple(dict.fromkeys(feed.track_id for feed in heard)),
                source=", ".join(dict.fromkeys(feed.source for feed in heard)),
            )
        )
    warnings = [result.warning] if result.warning else []
    if dropped:
        warnings.append(f"The disk was too slow: {dropped} packets were not written")
    people = {feed.identity: feed.name for feed in feeds}
    identity, name = next(iter(people.items())) if len(people) == 1 else ("", "")
    return RecordedFile(
        path=result.path,
        size=result.size,
        duration=result.duration,
        streams=tuple(streams),
        identity=identity,
        name=name,
        started_at=started_at,
        start=0.0,
        end=result.duration,
        warnings=tuple(warnings),
    )
