"""What a browser shows and plays, in the outputs of a plan: the counterpart of `Composition` for pages."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path

from livekit.protocol import egress as pb

from pyegress.browser.browser import Browser
from pyegress.clock import Monotonic, Wall, monotonic, wall
from pyegress.errors import EgressError, Fault
from pyegress.lifecycle.outcome import StreamOutcome
from pyegress.media.capture_engine import CaptureEngine
from pyegress.media.steps import Stage, Step
from pyegress.media.taps import PictureTap
from pyegress.outputs.file_writer import FileResult
from pyegress.plan.recording_plan import RecordingPlan
from pyegress.worker.delivery import Delivery
from pyegress.worker.encoded_outputs import EncodedOutputs
from pyegress.worker.output_sink import Source
from pyegress.worker.progress import Recorded, RecordedFile, RecordedStream
from pyegress.worker.stop import Stop
from pyegress.worker.stream_specs import spec_of, too_slow

logger = logging.getLogger(__name__)


class PageCapture:
    """Made when the browser runs, `begin` when the recording does, `end` and `finish` once. Nothing blocks the loop."""

    def __init__(
        self,
        plan: RecordingPlan,
        browser: Browser,
        delivery: Delivery,
        *,
        title: str,
        on_over: Callable[[Stop | EgressError], None],
        on_warning: Callable[[str], None],
    ) -> None:
        """`plan` has its final names. Raises BrowserFailed."""
        self._plan = plan
        self._on_warning = on_warning
        self._utc_offset = wall() - monotonic()
        loop = asyncio.get_running_loop()
        source = Source(
            kinds=plan.encoded,
            spec_for=lambda first: spec_of(first, plan, self._engine),
            started_at=lambda: self.started_at,
            describe=self._describe,
            request_keyframe=lambda: self._engine.request_keyframe(),
        )
        self._outputs = EncodedOutputs(
            plan,
            source,
            delivery,
            metadata={"title": title, "encoder": "pyegress"},
            on_over=on_over,
            on_warning=on_warning,
        )

        def failed(error: BaseException) -> None:
            loop.call_soon_threadsafe(on_over, _translated(error))

        screen = browser.display.connect() if plan.video is not None else None
        try:
            sound = browser.sound.connect() if plan.audio is not None else None
        except EgressError:
            if screen is not None:
                screen.close()
            raise
        self._engine = CaptureEngine(
            video=plan.video,
            audio=plan.audio,
            screen=screen,
            sound=sound,
            live=plan.live,
            longest=plan.max_duration,
            on_packet=self._outputs.packet,
            on_failed=failed,
            encoded=plan.encoded,
            pictures=[PictureTap(every, self._outputs.picture)] if (every := plan.image_interval) else [],
            on_sound=self._outputs.sound if plan.raw_sound else None,
        )

    @property
    def started_at(self) -> Wall | None:
        """Second 0 in UTC; None before."""
        zero = self._engine.zero
        return None if zero is None else Wall(round(zero + self._utc_offset, 6))

    @property
    def bytes_written(self) -> int:
        return self._outputs.bytes_written

    @property
    def paths(self) -> list[Path]:
        return self._outputs.paths

    @property
    def streams(self) -> tuple[StreamOutcome, ...]:
        return self._outputs.streams

    def elapsed(self, now: Monotonic) -> float:
        """Seconds since second 0, 0 before."""
        return 0.0 if self._engine.zero is None else max(0.0, now - self._engine.zero)

    def begin(self, at: Monotonic) -> None:
        """Second 0 of the outputs is `at`."""
        self._engine.begin(at)

    def steps(self) -> list[Step]:
        """What is captured, and what becomes of it."""
        stats, video = self._engine.stats, self._plan.video
        steps = []
        if video is not None:
            name = f"page {video.width}x{video.height} at {video.framerate:g} fps"
            counters: dict[str, float | str] = {"pictures": stats.pictures, "dropped": stats.dropped}
            steps.append(Step(Stage.COMPOSITION, name, counters))
        return [*steps, *self._outputs.steps()]

    def update_streams(self, request: pb.UpdateStreamRequest) -> None:
        """Add and remove destinations of the stream. Raises EgressError, also for parts of what was asked."""
        self._outputs.update_streams(request)

    async def end(self, end: Monotonic) -> None:
        """Capture up to `end`; the browser is not needed any more then."""
        await asyncio.wrap_future(self._engine.finish(end))
        if text := too_slow(self._engine.stats):
            self._on_warning(text)

    async def finish(self) -> Recorded:
        """Finish and deliver every output."""
        return await self._outputs.finish()

    def _describe(self, result: FileResult, dropped: int) -> RecordedFile:
        warnings = [result.warning] if result.warning else []
        if dropped:
            warnings.append(f"The disk was too slow: {dropped} packets were not written")
        started_at = self.started_at
        assert started_at is not None
        return RecordedFile(
            path=result.path,
            size=result.size,
            duration=result.duration,
            streams=tuple(
                RecordedStream(
                    kind=stream.codec.kind.value,
                    codec=stream.codec.label,
                    frames=stream.frames,
                    size=stream.size,
                    track_ids=(),
                    source="page",
                )
                for stream in result.streams
            ),
            identity="",
            name="",
            started_at=started_at,
            start=0.0,
            end=result.duration,
            warnings=tuple(warnings),
        )


def _translated(error: BaseException) -> EgressError:
    if isinstance(error, EgressError):
        return error
    failure = EgressError(f"Capturing the page failed: {error!r}", fault=Fault.OURS)
    failure.__cause__ = error
    return failure
