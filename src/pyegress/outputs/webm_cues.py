"""Cues and seek head of WebM (RFC 9559 sections 5.1.5 and 5.1.1): where players may jump to, and where that is told."""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence

from pyegress.outputs import ebml

#: Room for a seek head of four entries.
SEEK_HEAD_BYTES = 112
#: Without video, one cue in this many milliseconds.
_AUDIO_CUE_INTERVAL = 2000


class Cues:
    """Collects one cue for each key picture, or, without pictures, one for some seconds of sound."""

    __slots__ = ("_clusters", "_offsets", "_times", "_tracks", "_video")

    def __init__(self, video: Sequence[bool]) -> None:
        """`video` says of each stream whether it has pictures."""
        self._video = tuple(video)
        self._times = array("Q")
        self._tracks = array("B")
        self._clusters = array("Q")
        self._offsets = array("L")

    def wants(self, at: int, stream: int, *, keyframe: bool, have_one: bool) -> bool:
        """Whether a block at `at` ms is one to jump to; `have_one`: its cluster has a cue already."""
        if any(self._video):
            return self._video[stream] and keyframe
        return not have_one and (not self._times or at >= self._times[-1] + _AUDIO_CUE_INTERVAL)

    def add(self, at: int, stream: int, cluster: int, offset: int) -> None:
        """A block at `at` ms, `offset` bytes into the content of the cluster that is at `cluster` in the segment."""
        self._times.append(at)
        self._tracks.append(stream + 1)
        self._clusters.append(cluster)
        self._offsets.append(offset)

    def element(self) -> bytes:
        """The cues as they are written."""
        points = bytearray()
        for at, track, cluster, offset in zip(self._times, self._tracks, self._clusters, self._offsets, strict=True):
            place = ebml.unsigned(ebml.CUE_TRACK, track) + ebml.unsigned(ebml.CUE_CLUSTER_POSITION, cluster)
            place += ebml.unsigned(ebml.CUE_RELATIVE_POSITION, offset)
            points += ebml.element(
                ebml.CUE_POINT, ebml.unsigned(ebml.CUE_TIME, at), ebml.element(ebml.CUE_TRACK_POSITIONS, place)
            )
        return ebml.element(ebml.CUES, bytes(points))


def seek_head(positions: Mapping[bytes, int]) -> bytes:
    """SEEK_HEAD_BYTES that say where elements lie, from the segment's start."""
    seeks = [
        ebml.element(ebml.SEEK, ebml.element(ebml.SEEK_ID, name), ebml.unsigned(ebml.SEEK_POSITION, position))
        for name, position in positions.items()
    ]
    head = ebml.element(ebml.SEEK_HEAD, *seeks)
    return head + ebml.void(SEEK_HEAD_BYTES - len(head))
