from __future__ import annotations

import io
import os
import pty
import select
from dataclasses import replace
from typing import Any

import pytest

from pyegress.cli.live import LiveLine, describe, duration, size
from pyegress.lifecycle.outcome import StreamOutcome, StreamStatus
from pyegress.lifecycle.recording import RecordingState
from pyegress.lifecycle.uploading import UploadProgress
from pyegress.worker.progress import Progress, TrackProgress

pytestmark = pytest.mark.unit


GOING = StreamOutcome("rtmp://h/a/{k...y}", StreamStatus.ACTIVE)
FAILED = replace(GOING, status=StreamStatus.FAILED, error="refused")


def track(identity: str = "alice", **changes: Any) -> TrackProgress:
    base = TrackProgress("TR_1", identity, "camera", "VP8", False, 640_000.0, 0.0123, 100)
    return replace(base, **changes)


def progress(state: RecordingState = RecordingState.ACTIVE, **changes: Any) -> Progress:
    return replace(Progress(state, 65.4, 1_234_567, (track(),)), **changes)


@pytest.mark.parametrize(
    ("snapshot", "text"),
    [
        (progress(), "● 0:01:05  alice/camera VP8  640 kbit/s  loss 1.2%  1.2 MB"),
        (progress(tracks=(track(muted=True),)), "alice/camera VP8 (muted)"),
        (progress(tracks=(track(silent=7.2),)), "alice/camera VP8 (nothing for 7 s)"),
        (progress(tracks=(track(silent=3.0),)), "alice/camera VP8  640"),
        (progress(tracks=()), "no track now  0 kbit/s  loss 0.0%"),
        (progress(tracks=tuple(track(f"p{n}") for n in range(5))), "  5 tracks  3200 kbit/s"),
        (progress(tracks=(*(track(f"p{n}") for n in range(5)), track(silent=9.0))), "  6 tracks (1 silent)  "),
        (progress(streams=(GOING,)), "  1.2 MB  1 stream"),
        (progress(streams=(GOING, replace(GOING, retries=2), FAILED)), "  2 streams (1 FAILED, 2 retries)"),
        (progress(reconnecting=True), "● 0:01:05  RECONNECTING  alice/camera"),
        (progress(RecordingState.STARTING), "joining the room"),
        (progress(RecordingState.STARTING, waiting_for="room 'x' (the server has no rooms)"), "waiting for room 'x'"),
        (
            progress(RecordingState.WAITING, waiting_for="the camera of 'bob'", seen=("alice: publishes nothing",)),
            "waiting for the camera of 'bob'; in the room: alice: publishes nothing",
        ),
        (progress(RecordingState.WAITING, waiting_for="track TR_1"), "waiting for track TR_1; in the room: nobody"),
        (progress(RecordingState.WAITING, waiting_for="track TR_1", reconnecting=True), "RECONNECTING; waiting"),
        (progress(RecordingState.ENDING), "finishing the files"),
        (progress(RecordingState.ENDING, uploads=UploadProgress(2, 3_450_000)), "uploading 2 objects, 3.5 MB left"),
        (progress(RecordingState.ENDING, uploads=UploadProgress(delivered=3)), "finishing the files"),
        (
            progress(uploads=UploadProgress(1, 1_000_000, failing="S3 upload failed: it takes no connections")),
            "1.2 MB  uploading 1 object, 1.0 MB left (S3 upload failed: it takes no connections)",
        ),
        (
            progress(uploads=UploadProgress(failing="S3 upload failed: it takes no connections")),
            "1.2 MB  nothing is uploaded now (S3 upload failed: it takes no connections)",
        ),
        (progress(RecordingState.COMPLETE), "complete"),
    ],
)
def test_texts(snapshot: Progress, text: str) -> None:
    assert text in describe(snapshot)


def test_plain_lines_come_when_something_changes() -> None:
    stream = io.StringIO()
    line = LiveLine(stream)
    waiting = progress(RecordingState.WAITING, waiting_for="track TR_1")
    for snapshot in (
        waiting,
        waiting,
        replace(waiting, seen=("bob: publishes nothing",)),
        progress(),
        progress(elapsed=66.0),
        progress(elapsed=67.0, tracks=(track(muted=True),)),
        progress(RecordingState.ENDING),
        progress(RecordingState.COMPLETE),
    ):
        line.show(snapshot)
    line.clear()
    lines = stream.getvalue().splitlines()
    assert lines[0] == "waiting for track TR_1; in the room: nobody"
    assert lines[1].endswith("bob: publishes nothing")
    assert lines[2].startswith("● 0:01:05")
    assert lines[3].startswith("● 0:01:07")
    assert lines[4:] == ["finishing the files"]
    assert "\x1b" not in stream.getvalue()


def test_quiet_shows_nothing() -> None:
    stream = io.StringIO()
    line = LiveLine(stream, quiet=True)
    line.show(progress())
    line.clear()
    assert stream.getvalue() == ""


def test_on_a_terminal_one_line_is_written_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    leader, follower = pty.openpty()
    try:
        with os.fdopen(follower, "w") as stream:
            line = LiveLine(stream)
            line.clear()
            line.show(progress())
            line.show(progress(elapsed=66.0))
            line.clear()
            line.clear()
            written = b""
            while written.count(b"\r\x1b[2K") < 3:
                assert select.select([leader], [], [], 5.0)[0], f"the terminal got {written!r} only"
                written += os.read(leader, 4096)
            shown = written.decode()
    finally:
        os.close(leader)
    first, second, *rest = shown.split("\r\x1b[2K")[1:]
    assert "\n" not in shown
    assert first.startswith("● 0:01:05")
    assert first.endswith("…")
    assert len(first) == 39
    assert second.startswith("● 0:01:06")
    assert rest == [""]


def test_a_terminal_that_goes_away_does_not_end_the_recording() -> None:
    line = LiveLine(Gone())
    line.show(progress())
    line.show(progress(RecordingState.ENDING))
    line.clear()


class Gone(io.StringIO):
    """A terminal that was closed."""

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        raise OSError(5, "Input/output error")


@pytest.mark.parametrize(("seconds", "text"), [(0.9, "0:00:00"), (61.0, "0:01:01"), (36_610.5, "10:10:10")])
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("octets", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (1_234_567, "1.2 MB"), (5_000_000_000_000, "5000.0 GB")],
)
def test_sizes(octets: int, text: str) -> None:
    assert size(octets) == text
