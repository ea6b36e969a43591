"""A running egress as text: how it stands, and each step from its sources to its outputs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pyegress.media.steps import Stage, Step
from pyegress.worker.egress_session import EgressSession
from pyegress.worker.progress import TrackProgress


def pipeline_text(session: EgressSession) -> str:
    """The pipeline of a session, one line a step."""
    progress = session.progress()
    lines = [f"{progress.state.value}, {progress.elapsed:.1f} s, {progress.bytes_written} bytes written"]
    if progress.waiting_for:
        lines.append(f"waits for {progress.waiting_for}; sees {'; '.join(progress.seen) or 'nobody'}")
    if (uploads := progress.uploads) is not None:
        lines.append(
            f"uploads: {uploads.waiting} objects and {uploads.bytes_waiting} bytes wait, {uploads.delivered} delivered"
            + (f"; failing: {uploads.failing}" if uploads.failing else "")
        )
    if progress.reconnecting:
        lines.append("the connection is being re-established")
    steps = [_source(track) for track in progress.tracks]
    steps += session.steps()
    shown = [stage for stage in Stage if any(step.stage is stage for step in steps)]
    lines.append(" -> ".join(stage.value for stage in shown) or "no media yet")
    for stage in shown:
        lines += ["", stage.value, *_table(step for step in steps if step.stage is stage)]
    return "\n".join(lines) + "\n"


def _source(track: TrackProgress) -> Step:
    counters: dict[str, float | str] = {
        "codec": track.codec or "unknown",
        "frames": track.frames,
        "kbit/s": round(track.bitrate / 1000),
        "loss %": round(track.loss * 100, 2),
        "silent s": round(track.silent, 1),
    }
    if track.muted:
        counters["muted"] = "yes"
    return Step(Stage.SOURCE, f"{track.track_id} {track.source} of {track.identity}", counters)


def _table(steps: Iterable[Step]) -> Iterator[str]:
    for step in steps:
        counters = [f"{name} {value}" for name, value in step.counters.items() if value not in (0, "")]
        yield f"  {step.name:<40}  {', '.join(counters)}".rstrip()
