"""Which container holds which codec, and which file extension means which container: the one table."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from pyegress.codecs import Codec, Kind


@dataclass(frozen=True, slots=True)
class ContainerInfo:
    """`extensions` are in lower case with the dot, the preferred one first; `codecs` those it can hold as copies."""

    label: str
    extensions: tuple[str, ...]
    content_type: str
    codecs: frozenset[Codec]
    #: How many tracks of one kind fit.
    audio_only: bool = False


class Container(Enum):
    """A file format that recordings are written in."""

    MP4 = ContainerInfo(
        "MP4",
        (".mp4", ".m4v", ".m4a", ".mov"),
        "video/mp4",
        frozenset({Codec.H264, Codec.H265, Codec.AV1, Codec.OPUS, Codec.VP9}),
    )
    WEBM = ContainerInfo(
        "WebM", (".webm", ".mkv"), "video/webm", frozenset({Codec.VP8, Codec.VP9, Codec.AV1, Codec.OPUS})
    )
    OGG = ContainerInfo("Ogg", (".ogg", ".opus", ".oga"), "audio/ogg", frozenset({Codec.OPUS}), audio_only=True)
    WAV = ContainerInfo("WAV", (".wav",), "audio/wav", frozenset({Codec.PCMU, Codec.PCMA}), audio_only=True)

    @property
    def label(self) -> str:
        return self.value.label

    def holds(self, codec: Codec) -> bool:
        """Whether a copy of the codec fits."""
        return codec in self.value.codecs

    @classmethod
    def from_path(cls, path: str) -> Container | None:
        """The container that the extension of `path` names, None without a known one."""
        lowered = path.lower()
        for container in cls:
            if lowered.endswith(container.value.extensions):
                return container
        return None


#: The container of a copy when the path names none (Track egress).
DEFAULT_CONTAINER = {
    Codec.H264: Container.MP4,
    Codec.H265: Container.MP4,
    Codec.AV1: Container.MP4,
    Codec.VP8: Container.WEBM,
    Codec.VP9: Container.WEBM,
    Codec.OPUS: Container.OGG,
    Codec.PCMU: Container.WAV,
    Codec.PCMA: Container.WAV,
}


def container_for(codecs: frozenset[Codec]) -> Container | None:
    """The container for a copy of all `codecs` in one file, None when no container holds them together.

    Video decides (H.264 wants MP4, VP8 and VP9 want WebM); without video the default of the audio codec.
    """
    preferred = sorted(codecs, key=lambda codec: codec.kind is not Kind.VIDEO)
    for codec in preferred:
        if all(DEFAULT_CONTAINER[codec].holds(other) for other in codecs):
            return DEFAULT_CONTAINER[codec]
    for container in Container:
        if all(container.holds(codec) for codec in codecs):
            return container
    return None
