"""What runs one egress, whatever it records."""

from __future__ import annotations

from typing import Protocol

from livekit.protocol import egress as pb

from pyegress.lifecycle.recording import EndReason, Lifecycle
from pyegress.media.steps import Step
from pyegress.worker.progress import Progress, RecordingResult


class EgressSession(Protocol):
    """`run` once; `stop` and `progress` at any time, on the same event loop."""

    @property
    def lifecycle(self) -> Lifecycle:
        """Where it stands."""

    def stop(self, reason: EndReason = EndReason.STOPPED, details: str = "") -> None:
        """Ask for an ordinary end: nothing more is taken, outputs are finished. Idempotent."""

    def progress(self) -> Progress:
        """A snapshot of now."""

    def steps(self) -> list[Step]:
        """What it is made of behind its sources, for `/debug`. Counters may be of different moments."""

    def update_streams(self, request: pb.UpdateStreamRequest) -> None:
        """Add and remove destinations of the stream. Raises EgressError, also for parts of what was asked."""

    async def run(self) -> RecordingResult:
        """Record until the end. Errors do not raise: they are in the result, beside what was recorded."""
