"""Finishes an HLS output whose process is gone: the segment that was being written is cut, playlists are ended."""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pyegress.outputs.disk import disk_failure, temporary_beside, write_all
from pyegress.outputs.fragment_reader import NotARecording, children, track_runs
from pyegress.outputs.hls.playlist import relative_uri
from pyegress.outputs.left_file import LeftFile, checksum_of

_TS_PACKET = 188
_TS_CLOCK = 90_000
_PTS_WRAP = 1 << 33
_ENDED = "#EXT-X-ENDLIST"
_TARGET = "#EXT-X-TARGETDURATION:"
_MAP = "#EXT-X-MAP:"
_DATE = "#EXT-X-PROGRAM-DATE-TIME:"
_EXTINF = "#EXTINF:"
#: Tags of low latency, which say nothing of what has ended.
_PARTS = ("#EXT-X-PART", "#EXT-X-SERVER-CONTROL", "#EXT-X-PRELOAD-HINT")
#: A picture or packet is taken to last this long when nothing tells, seconds.
_LAST_FRAME = 0.033


@dataclass(frozen=True, slots=True)
class ListedSegment:
    """A segment as playlists may name it: its name in the storage, and seconds; the name of its initialization segment,
    if it has one."""

    name: str
    duration: float
    header: str = ""


def finish_segment(path: Path, header: Path | None = None) -> LeftFile | None:
    """Cut what is torn off a segment; None when nothing plays. `header` is the initialization segment of fMP4.

    Raises OutputFailed. Idempotent.
    """
    try:
        data = path.read_bytes()
        try:
            end, duration = _transport_stream(data) if data[:1] == b"\x47" else _fragments(data, header)
        except (NotARecording, struct.error, IndexError):
            return None
        if end < len(data):
            with path.open("r+b") as file:
                file.truncate(end)
        return LeftFile(path, end, duration, checksum_of(path))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise disk_failure(error, path, "finish") from error


def finish_playlist(path: Path, name: str, segments: Sequence[ListedSegment], header: str = "") -> LeftFile | None:
    """End the playlist `name` with the segments that it lacks; None when there are none at all.

    `segments` are all that there are, in order; `header` is the name of the initialization segment. Raises
    OutputFailed.
    """
    try:
        text = path.read_text() if path.exists() else ""
        ended = end_playlist(text, name, segments, header)
        if not ended:
            return None
        if ended != text:
            path.parent.mkdir(parents=True, exist_ok=True)
            beside = temporary_beside(path)
            with beside.open("wb") as file:
                write_all(file.fileno(), ended.encode())
            beside.replace(path)
        return LeftFile(path, len(ended.encode()), playlist_seconds(ended), checksum_of(path))
    except (OSError, UnicodeDecodeError) as error:
        if isinstance(error, OSError):
            raise disk_failure(error, path, "finish") from error
        return None


def end_playlist(text: str, name: str, segments: Sequence[ListedSegment], header: str = "") -> str:
    """The ended playlist; "" without any segment. Pure."""
    lines = [line for line in text.splitlines() if line and not line.startswith(_PARTS) and line != _ENDED]
    listed = [index for index, line in enumerate(lines) if not line.startswith("#")]
    uris = [relative_uri(segment.name, name) for segment in segments]
    if not listed and not uris:
        return ""
    # Tags behind the last segment were for one that was not complete.
    lines = lines[: listed[-1] + 1] if listed else [line for line in lines if not line.startswith((_DATE, _EXTINF))]
    if not lines:
        version = 6 if header else 3
        lines = ["#EXTM3U", f"#EXT-X-VERSION:{version}", f"{_TARGET}1", "#EXT-X-PLAYLIST-TYPE:EVENT"]
        lines += ["#EXT-X-MEDIA-SEQUENCE:0", "#EXT-X-INDEPENDENT-SEGMENTS"]
        lines += [f'{_MAP}URI="{relative_uri(header, name)}"'] if header else []
    known = [uris.index(lines[index]) for index in listed if lines[index] in uris]
    at = _end_date(lines)
    last = max(known, default=-1)
    former = segments[last].header if last >= 0 else header
    for segment, uri in list(zip(segments, uris, strict=True))[last + 1 :]:
        if segment.header and segment.header != former:
            former = segment.header
            lines += ["#EXT-X-DISCONTINUITY", f'{_MAP}URI="{relative_uri(former, name)}"']
        if at is not None:
            lines.append(_DATE + at.isoformat(timespec="milliseconds").replace("+00:00", "Z"))
            at += timedelta(seconds=segment.duration)
        lines += [f"{_EXTINF}{segment.duration:.6f},", uri]
    longest = max((math.floor(float(line[len(_EXTINF) :].split(",")[0]) + 0.5) for line in _extinf(lines)), default=1)
    lines = [f"{_TARGET}{max(1, longest)}" if line.startswith(_TARGET) else line for line in lines]
    return "\n".join([*lines, _ENDED]) + "\n"


def playlist_seconds(text: str) -> float:
    """Seconds of all segments that a playlist names."""
    return sum(float(line[len(_EXTINF) :].split(",")[0]) for line in _extinf(text.splitlines()))


def _extinf(lines: Sequence[str]) -> list[str]:
    return [line for line in lines if line.startswith(_EXTINF)]


def _end_date(lines: Sequence[str]) -> datetime | None:
    """When the last segment ends, where dates are told."""
    dates = [line for line in lines if line.startswith(_DATE)]
    lengths = _extinf(lines)
    if not dates or not lengths:
        return None
    began = datetime.fromisoformat(dates[-1][len(_DATE) :].replace("Z", "+00:00")).astimezone(UTC)
    return began + timedelta(seconds=float(lengths[-1][len(_EXTINF) :].split(",")[0]))


def _transport_stream(data: bytes) -> tuple[int, float]:
    """Bytes of whole packets, and seconds by the times of pictures, else of sound (ISO/IEC 13818-1 section 2.4.3.7)."""
    times: dict[int, list[int]] = {}
    end = 0
    while end + _TS_PACKET <= len(data) and data[end] == 0x47:
        packet = data[end : end + _TS_PACKET]
        body = 4 + (packet[4] + 1 if packet[3] & 0x20 else 0)
        pes = packet[body:]
        if packet[1] & 0x40 and pes[:3] == b"\x00\x00\x01" and len(pes) >= 14 and pes[7] & 0x80:
            times.setdefault(pes[3], []).append(_timestamp(pes[9:14]))
        end += _TS_PACKET
    if not times:
        raise NotARecording("no frame")
    stream = min(times, key=lambda kind: kind & 0xE0 != 0xE0)
    first, *_, last = [*times[stream], times[stream][-1]]
    step = (last - times[stream][-2]) % _PTS_WRAP / _TS_CLOCK if len(times[stream]) > 1 else _LAST_FRAME
    return end, (last - first) % _PTS_WRAP / _TS_CLOCK + step


def _timestamp(data: bytes) -> int:
    return (data[0] & 0x0E) << 29 | data[1] << 22 | (data[2] & 0xFE) << 14 | data[3] << 7 | data[4] >> 1


def _fragments(data: bytes, header: Path | None) -> tuple[int, float]:
    """Bytes of whole fragments, and seconds of the first track."""
    if header is None:
        raise NotARecording("no initialization segment")
    scale = _first_scale(header.read_bytes())
    end = at = 0
    ticks = 0
    moof = b""
    while at + 8 <= len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        if size < 8 or at + size > len(data):
            break
        if kind == b"moof":
            moof = data[at : at + size]
        elif kind == b"mdat" and moof:
            ticks += sum(sum(run.durations) for run in track_runs(moof) if run.track == 1)
            moof = b""
            end = at + size
        at += size
    if not end:
        raise NotARecording("no fragment")
    return end, ticks / scale


def _first_scale(header: bytes) -> int:
    """The timescale of the first track."""
    for kind, start, end in children(header):
        if kind == b"moov":
            mdhd = header.index(b"mdhd", start, end) + 4
            return int(struct.unpack_from(">I", header, mdhd + (20 if header[mdhd] else 12))[0])
    raise NotARecording("no movie header")
