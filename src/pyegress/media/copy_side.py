"""The seam for a kind of media that is not composed: frames as they were published, on the clock of the output."""

from __future__ import annotations

from typing import Protocol

from pyegress.media.steps import Step
from pyegress.rtp.frame import EncodedFrame


class CopySide(Protocol):
    """Gets the frames of all tracks of its kind, each in order. Media thread only, but for `steps`."""

    def begin(self, track: str) -> None:
        """A track will bring frames."""

    def end(self, track: str) -> None:
        """Nothing more comes of a track."""

    def mute(self, track: str, at: float) -> None:
        """A track is muted at second `at` of the output; frames from before may still come."""

    def push(self, track: str, frame: EncodedFrame, at: float) -> None:
        """A frame of a track, captured at second `at` of the output."""

    def render(self, until: float) -> None:
        """All that lies before second `until` of the output has come."""

    def steps(self) -> list[Step]:
        """What became of the frames. Any thread."""
