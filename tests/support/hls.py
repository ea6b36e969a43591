"""A strict reader of the playlists that we write (RFC 8216 section 4; parts: rfc8216bis section 4.4.4.9)."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from urllib.parse import unquote

_ATTRIBUTE = re.compile(r'([A-Z0-9-]+)=("[^"]*"|[^,]*)(?:,|$)')
#: Tags and the kind of value that they have.
_ONCE = {
    "EXT-X-VERSION",
    "EXT-X-TARGETDURATION",
    "EXT-X-PLAYLIST-TYPE",
    "EXT-X-MEDIA-SEQUENCE",
    "EXT-X-DISCONTINUITY-SEQUENCE",
    "EXT-X-INDEPENDENT-SEGMENTS",
    "EXT-X-MAP",
    "EXT-X-SERVER-CONTROL",
    "EXT-X-PART-INF",
    "EXT-X-ENDLIST",
}


@dataclass
class PartEntry:
    uri: str
    duration: float
    offset: int
    size: int
    independent: bool


@dataclass
class SegmentEntry:
    uri: str = ""
    duration: float = 0.0
    #: UTC seconds.
    at: float = 0.0
    discontinuity: bool = False
    #: The initialization segment that begins here, if another one does.
    map_uri: str = ""
    parts: list[PartEntry] = field(default_factory=list)


@dataclass
class Playlist:
    tags: dict[str, str]
    segments: list[SegmentEntry]
    #: Parts of a segment that is not there yet.
    open_parts: list[PartEntry]

    @property
    def ended(self) -> bool:
        return "EXT-X-ENDLIST" in self.tags

    @property
    def target(self) -> int:
        return int(self.tags["EXT-X-TARGETDURATION"])

    @property
    def first(self) -> int:
        return int(self.tags.get("EXT-X-MEDIA-SEQUENCE", "0"))

    @property
    def durations(self) -> list[float]:
        return [segment.duration for segment in self.segments]

    @property
    def map_uri(self) -> str:
        return attributes(self.tags["EXT-X-MAP"])["URI"] if "EXT-X-MAP" in self.tags else ""


def attributes(text: str) -> dict[str, str]:
    found = {name: value.strip('"') for name, value in _ATTRIBUTE.findall(text)}
    assert found, f"no attributes in {text!r}"
    return found


def parse_playlist(text: str) -> Playlist:
    """Fails for anything that is not as the RFC wants it."""
    assert text.endswith("\n"), "the last line is torn"
    lines = text.splitlines()
    assert lines[0] == "#EXTM3U"
    tags: dict[str, str] = {}
    segments: list[SegmentEntry] = []
    current = SegmentEntry()
    for line in lines[1:]:
        assert line, "an empty line"
        assert "EXT-X-ENDLIST" not in tags, f"{line!r} behind the end"
        if not line.startswith("#"):
            assert current.duration > 0, f"{line} without EXTINF"
            current.uri = line
            segments.append(current)
            current = SegmentEntry()
            continue
        tag, _, value = line[1:].partition(":")
        if tag == "EXT-X-MAP" and (segments or current.discontinuity):
            current.map_uri = attributes(value)["URI"]
        elif tag in _ONCE:
            assert tag not in tags, f"{tag} twice"
            tags[tag] = value
        elif tag == "EXTINF":
            assert value.endswith(",")
            current.duration = float(value[:-1])
        elif tag == "EXT-X-PROGRAM-DATE-TIME":
            assert value.endswith("Z")
            current.at = datetime.fromisoformat(value).timestamp()
        elif tag == "EXT-X-DISCONTINUITY":
            current.discontinuity = True
        elif tag == "EXT-X-PART":
            found = attributes(value)
            size, offset = found["BYTERANGE"].split("@")
            current.parts.append(
                PartEntry(
                    found["URI"], float(found["DURATION"]), int(offset), int(size), found.get("INDEPENDENT") == "YES"
                )
            )
        else:
            raise AssertionError(f"an unknown tag: {line}")
    playlist = Playlist(tags, segments, current.parts)
    _check(playlist)
    return playlist


def _check(playlist: Playlist) -> None:
    tags = playlist.tags
    assert {"EXT-X-VERSION", "EXT-X-TARGETDURATION", "EXT-X-INDEPENDENT-SEGMENTS"} <= set(tags)
    assert int(tags["EXT-X-VERSION"]) >= (6 if playlist.map_uri else 3)
    assert all(int(segment.duration + 0.5) <= playlist.target for segment in playlist.segments)
    parts = [part for segment in playlist.segments for part in segment.parts] + playlist.open_parts
    if "EXT-X-PART-INF" not in tags:
        assert not parts
        return
    target = float(attributes(tags["EXT-X-PART-INF"])["PART-TARGET"])
    control = attributes(tags["EXT-X-SERVER-CONTROL"])
    assert float(control["PART-HOLD-BACK"]) >= 2 * target
    assert "CAN-BLOCK-RELOAD" not in control
    assert all(part.duration <= target + 1e-6 for part in parts)
    for group in [segment.parts for segment in playlist.segments] + [playlist.open_parts]:
        assert all(part.duration >= 0.85 * target for part in group[:-1]), "only the last part may be short"
    for segment in playlist.segments:
        if segment.parts:
            assert abs(sum(part.duration for part in segment.parts) - segment.duration) < 1e-3


def read_playlist(path: Path) -> Playlist:
    """A playlist on the disk, everything that it names is there."""
    playlist = parse_playlist(path.read_text())
    uris = [uri for segment in playlist.segments for uri in (segment.map_uri, segment.uri) if uri]
    uris += [playlist.map_uri] if playlist.map_uri else []
    missing = [uri for uri in uris if not (path.parent / unquote(uri)).is_file()]
    assert not missing, f"named but not there: {missing}"
    for segment in playlist.segments:
        for part in segment.parts or []:
            assert part.offset + part.size <= (path.parent / unquote(segment.uri)).stat().st_size
    return playlist


def whole(path: Path, into: Path) -> Path:
    """All that a playlist names in one file, in its order. There must be one initialization segment at most."""
    (one,) = stretches(path, into.parent, into.name)
    return one


def stretches(path: Path, folder: Path, name: str) -> list[Path]:
    """All that a playlist names, a file for each initialization segment."""
    playlist = read_playlist(path)
    files: list[Path] = []
    header = playlist.map_uri
    for segment in playlist.segments:
        header = segment.map_uri or header
        if not files or segment.map_uri:
            files.append(folder / (f"{len(files)}-{name}" if files else name))
            files[-1].write_bytes((path.parent / unquote(header)).read_bytes() if header else b"")
        with files[-1].open("ab") as file:
            file.write((path.parent / unquote(segment.uri)).read_bytes())
    return files
