"""An egress as one row of a table: what it is, how it stands, where its media goes, what it waits for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from livekit.protocol import egress as pb

from pyegress.cli.live import duration, size
from pyegress.clock import Wall

COLUMNS = ("egress", "status", "elapsed", "room", "type", "outputs", "size", "details")
#: How a status is shown, `rich` style by number.
_STYLES = {
    pb.EgressStatus.EGRESS_STARTING: "yellow",
    pb.EgressStatus.EGRESS_ACTIVE: "green",
    pb.EgressStatus.EGRESS_ENDING: "cyan",
    pb.EgressStatus.EGRESS_COMPLETE: "",
    pb.EgressStatus.EGRESS_FAILED: "red",
    pb.EgressStatus.EGRESS_ABORTED: "red",
    pb.EgressStatus.EGRESS_LIMIT_REACHED: "",
}
_STREAMS = {
    pb.StreamInfo.Status.ACTIVE: "",
    pb.StreamInfo.Status.FINISHED: " (finished)",
    pb.StreamInfo.Status.FAILED: " (failed)",
}


@dataclass(frozen=True, slots=True)
class Row:
    """The cells of `COLUMNS`, and the style of the status."""

    egress_id: str
    status: str
    elapsed: str
    room: str
    type: str
    outputs: tuple[str, ...]
    size: str
    details: str
    style: str = ""

    @property
    def cells(self) -> tuple[str, ...]:
        """As text, in the order of `COLUMNS`."""
        outputs = "\n".join(self.outputs)
        return (self.egress_id, self.status, self.elapsed, self.room, self.type, outputs, self.size, self.details)


def row(info: pb.EgressInfo, now: Wall) -> Row:
    """The row of an egress at `now`. Streams are shown as the server shows them: without their keys."""
    written = sum(file.size for file in info.file_results) + sum(each.size for each in info.segment_results)
    return Row(
        egress_id=info.egress_id,
        status=pb.EgressStatus.Name(info.status).removeprefix("EGRESS_"),
        elapsed=duration(_elapsed(info, now)) if info.started_at else "",
        room=info.room_name,
        type=(info.WhichOneof("request") or "").replace("_", " "),
        outputs=tuple(_outputs(info)),
        size=size(written) if written else "",
        details=info.error or info.details,
        style=_STYLES.get(info.status, ""),
    )


def is_over(info: pb.EgressInfo) -> bool:
    """Whether an egress has ended."""
    return info.status >= pb.EgressStatus.EGRESS_COMPLETE


def _elapsed(info: pb.EgressInfo, now: Wall) -> float:
    """Seconds of media where they are known, else since it was asked for."""
    known = [file.duration for file in info.file_results] + [each.duration for each in info.segment_results]
    if is_over(info) and any(known):
        return max(known) / 1e9
    end = info.ended_at / 1e9 if info.ended_at else now
    return max(0.0, end - info.started_at / 1e9)


def _outputs(info: pb.EgressInfo) -> Iterator[str]:
    for file in info.file_results:
        yield file.location or file.filename
    for segments in info.segment_results:
        yield f"{segments.playlist_location or segments.playlist_name} ({segments.segment_count} segments)"
    for images in info.image_results:
        yield f"{images.filename_prefix}* ({images.image_count} images)"
    for stream in info.stream_results:
        retries = f", tried again {stream.retries} times" if stream.retries else ""
        yield f"{stream.url}{_STREAMS.get(stream.status, '')}{retries}"
