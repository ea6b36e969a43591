"""What a recording shows while it runs: one live line on a terminal, plain lines elsewhere."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import TextIO

from pyegress.clock import Monotonic, monotonic
from pyegress.lifecycle.outcome import StreamOutcome, StreamStatus
from pyegress.lifecycle.recording import RecordingState
from pyegress.worker.progress import Progress, TrackProgress

#: Seconds between plain lines while nothing changes.
PLAIN_INTERVAL = 10.0
#: Seconds for which a track that is not muted must bring nothing before it is shown.
NOTABLE_SILENCE = 5.0
_NAMED = 4


class LiveLine:
    """Shows progress on `stream` (standard error). `quiet` shows nothing."""

    def __init__(self, stream: TextIO | None = None, *, quiet: bool = False) -> None:
        self._stream = stream or sys.stderr
        self._quiet = quiet
        self._terminal = self._stream.isatty()
        self._shown = False
        self._last = ""
        self._last_at = Monotonic(float("-inf"))

    def show(self, progress: Progress) -> None:
        """Show a snapshot."""
        if self._quiet:
            return
        try:
            self._show(progress)
        except OSError:  # the terminal or the reader is gone; the recording goes on
            self._quiet = True

    def _show(self, progress: Progress) -> None:
        if self._terminal:
            self._overwrite(describe(progress))
            return
        if progress.state.final:
            return
        headline = _headline(progress)
        now = monotonic()
        if headline != self._last or now - self._last_at >= PLAIN_INTERVAL:
            self._last, self._last_at = headline, now
            self._stream.write(describe(progress) + "\n")
            self._stream.flush()

    def clear(self) -> None:
        """Take the live line away."""
        if self._terminal and self._shown:
            with suppress(OSError):
                self._stream.write("\r\x1b[2K")
                self._stream.flush()
            self._shown = False

    def _overwrite(self, text: str) -> None:
        width = shutil.get_terminal_size().columns
        if len(text) >= width:
            text = text[: width - 2] + "…"
        self._shown = True
        self._stream.write(f"\r\x1b[2K{text}")
        self._stream.flush()


def describe(progress: Progress) -> str:
    """One line: time, tracks, bit rate, loss, size; or what is waited for and what is seen."""
    if progress.state is RecordingState.STARTING:
        return f"waiting for {progress.waiting_for}" if progress.waiting_for else "joining the room"
    if progress.state is RecordingState.WAITING:
        if progress.of_page:
            console = f"; on its console: {' | '.join(progress.seen)}" if progress.seen else ""
            return f"waiting for {progress.waiting_for}{console}"
        again = "RECONNECTING; " if progress.reconnecting else ""
        return f"{again}waiting for {progress.waiting_for}; in the room: {'; '.join(progress.seen) or 'nobody'}"
    if progress.state is RecordingState.ENDING:
        return (progress.uploads.text if progress.uploads is not None else "") or "finishing the files"
    if progress.state.final:
        return str(progress.state.value)
    if progress.of_page:
        streams = f"  {_describe_streams(progress.streams)}" if progress.streams else ""
        return f"● {duration(progress.elapsed)}  the page  {size(progress.bytes_written)}{streams}"
    tracks = ", ".join(map(_describe_track, progress.tracks[:_NAMED]))
    if len(progress.tracks) > _NAMED:
        silent = sum(track.silent >= NOTABLE_SILENCE for track in progress.tracks)
        tracks = f"{len(progress.tracks)} tracks" + (f" ({silent} silent)" if silent else "")
    parts = [
        f"● {duration(progress.elapsed)}",
        tracks or "no track now",
        f"{progress.bitrate / 1000:.0f} kbit/s",
        f"loss {progress.loss:.1%}",
        size(progress.bytes_written),
    ]
    if progress.streams:
        parts.append(_describe_streams(progress.streams))
    if progress.reconnecting:
        parts.insert(1, "RECONNECTING")
    if progress.uploads is not None and progress.uploads.text:
        parts.append(progress.uploads.text)
    return "  ".join(parts)


def _describe_track(track: TrackProgress) -> str:
    note = " (muted)" if track.muted else ""
    if track.silent >= NOTABLE_SILENCE:
        note = f" (nothing for {track.silent:.0f} s)"
    return f"{track.identity}/{track.source} {track.codec}{note}"


def _describe_streams(streams: Sequence[StreamOutcome]) -> str:
    going = [stream for stream in streams if stream.status is StreamStatus.ACTIVE]
    failed = sum(stream.status is StreamStatus.FAILED for stream in streams)
    notes = [f"{failed} FAILED"] if failed else []
    if retries := sum(stream.retries for stream in going):
        notes.append(f"{retries} retries")
    word = "stream" if len(going) == 1 else "streams"
    return f"{len(going)} {word}" + (f" ({', '.join(notes)})" if notes else "")


def duration(seconds: float) -> str:
    """`h:mm:ss`."""
    whole = int(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"


def size(octets: int) -> str:
    """A file size in the unit that suits it."""
    value = float(octets)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000 or unit == "GB":
            break
        value /= 1000
    return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"


def _headline(progress: Progress) -> str:
    """What makes a new plain line worth it."""
    tracks = ",".join(f"{track.track_id}{track.muted}{track.silent >= NOTABLE_SILENCE}" for track in progress.tracks)
    streams = _describe_streams(progress.streams)
    return f"{progress.state}{progress.waiting_for}{progress.seen}{progress.reconnecting}{tracks}{streams}"
