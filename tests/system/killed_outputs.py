"""What must be true of HLS and images of an egress that was killed."""

from __future__ import annotations

import posixpath
from pathlib import Path

from livekit.protocol import egress as pb

from pyegress.outputs.disk import TEMPORARY_SUFFIX
from tests.support.analysis import read_packets
from tests.support.files import files_below
from tests.support.hls import Playlist, parse_playlist
from tests.support.object_servers import ObjectServer

_JPEG = b"\xff\xd8", b"\xff\xd9"


class Place:
    """Where the objects of a service are: a bucket, or a folder of this machine."""

    def __init__(self, files: Path, bucket: ObjectServer | None) -> None:
        self._files = files
        self._bucket = bucket

    def names(self, prefix: str) -> list[str]:
        """All that begin with `prefix`, sorted."""
        if self._bucket is not None:
            found = self._bucket.names()
        else:
            found = [str(path.relative_to(self._files)) for path in files_below(self._files)]
        return sorted(name for name in found if name.startswith(prefix))

    def stored(self, name: str) -> bytes:
        return self._bucket.stored(name) if self._bucket is not None else (self._files / name).read_bytes()


def segments_problems(place: Place, result: pb.SegmentsInfo, prefix: str, scratch: Path) -> tuple[list[str], float]:
    """What is wrong with an HLS output whose names begin with `prefix`, and the seconds that it plays."""
    wrong: list[str] = []
    names = place.names(prefix)
    lists = {name for name in (result.playlist_name, result.live_playlist_name) if name}
    if missing := lists - set(names):
        return [f"no playlist {sorted(missing)} among {names}"], 0.0
    playlists = {}
    for name in lists:
        try:
            playlists[name] = parse_playlist(place.stored(name).decode())
        except (AssertionError, ValueError) as error:
            return [f"{name} is no playlist: {error}"], 0.0
        if not playlists[name].ended:
            wrong.append(f"{name} does not end")
    event = playlists[result.playlist_name]
    folder = posixpath.dirname(result.playlist_name)
    listed = [posixpath.join(folder, segment.uri) for segment in event.segments]
    if len(listed) != len(set(listed)) or listed != sorted(listed):
        wrong.append(f"segments twice or out of order: {listed}")
    there = [name for name in names if name.endswith(".ts")]
    if there != listed:
        wrong.append(f"listed are {listed}, there are {there}")
    if result.segment_count != len(listed):
        wrong.append(f"{len(listed)} segments, told are {result.segment_count}")
    wrong += _wrong_live(event, [playlists[name] for name in lists if name != result.playlist_name])
    if half := [name for name in names if name.endswith(TEMPORARY_SUFFIX)]:
        wrong.append(f"half objects: {half}")
    if wrong:
        return wrong, 0.0
    scratch.parent.mkdir(parents=True, exist_ok=True)
    scratch.write_bytes(b"".join(map(place.stored, listed)))
    times = sorted(packet.pts for packet in read_packets(scratch, "video") if packet.pts is not None)
    if len(times) != len(set(times)):
        wrong.append("pictures twice")
    played = times[-1] - times[0]
    if abs(played - sum(event.durations)) > 0.5:
        wrong.append(f"segments play {played:.2f} s, the playlist says {sum(event.durations):.2f} s")
    return wrong, played


def _wrong_live(event: Playlist, others: list[Playlist]) -> list[str]:
    """A live playlist names the last segments."""
    uris = [segment.uri for segment in event.segments]
    named = [[segment.uri for segment in live.segments] for live in others]
    return [f"the live playlist names {live}, the other {uris}" for live in named if uris[-len(live) :] != live]


def images_problems(place: Place, result: pb.ImagesInfo, prefix: str) -> list[str]:
    """What is wrong with images whose names begin with `prefix`."""
    names = [name for name in place.names(prefix) if not name.endswith(".json")]
    wrong = []
    if len(names) != result.image_count or not names:
        wrong.append(f"{len(names)} images, told are {result.image_count}: {names}")
    for name in names:
        content = place.stored(name)
        if not (content.startswith(_JPEG[0]) and content.endswith(_JPEG[1])):
            wrong.append(f"{name} is no whole image")
    return wrong
