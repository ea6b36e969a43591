"""All outputs of one plan that encodes, or copies live: every packet to every output, and none disturbs another."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, assert_never

from livekit.protocol import egress as pb

from pyegress.codecs import Codec, Kind
from pyegress.errors import Code, EgressError
from pyegress.lifecycle.outcome import StreamOutcome
from pyegress.lifecycle.recording import EndReason
from pyegress.media.steps import Stage, Step
from pyegress.plan.containers import Container
from pyegress.plan.passthrough import live_of, no_copies
from pyegress.plan.recording_plan import (
    FileOutput,
    ImageOutput,
    Output,
    RecordingPlan,
    SegmentOutput,
    StreamOutput,
    WebsocketOutput,
)
from pyegress.plan.stream_updates import no_streams
from pyegress.rtp.frame import EncodedFrame
from pyegress.worker.copied_file import CopiedFile
from pyegress.worker.delivery import Delivery
from pyegress.worker.encoded_file import EncodedFile
from pyegress.worker.image_sink import ImageSink
from pyegress.worker.live_sink import LiveSink
from pyegress.worker.output_sink import OutputSink, Source
from pyegress.worker.progress import Recorded
from pyegress.worker.segment_sink import SegmentSink
from pyegress.worker.stop import Stop

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from pyegress.media.picture import Picture
    from pyegress.worker.stream_sink import StreamSink
    from pyegress.worker.websocket_sink import WebsocketSink

logger = logging.getLogger(__name__)


class EncodedOutputs:
    """Made on the event loop, once names are known. `packet`, `picture` and `sound` come from media threads."""

    def __init__(
        self,
        plan: RecordingPlan,
        source: Source,
        delivery: Delivery,
        *,
        metadata: Mapping[str, str],
        copied_file: CopiedFile | None = None,
        on_over: Callable[[Stop | EgressError], None],
        on_warning: Callable[[str], None],
    ) -> None:
        """`on_over` ends the recording: no output is left; `on_warning` tells of one that failed beside others.

        `copied_file` is the file of a plan that copies, which is open from the beginning.
        """
        self._source = source
        self._copied_file = copied_file
        self._loop = asyncio.get_running_loop()
        self._delivery = delivery
        self._metadata = metadata
        self._on_over = on_over
        self._on_warning = on_warning
        #: Packets and bytes by codec.
        self._encoded: dict[str, tuple[int, int]] = {}
        #: By output; what made them fail, as far as they did.
        self._failed: dict[int, EgressError] = {}
        self._plan = plan
        #: Those of the sinks that are told more than others.
        self._websocket: WebsocketSink | None = None
        self._stream: StreamSink | None = None
        self._sinks: list[OutputSink] = [self._make(index, output) for index, output in enumerate(plan.outputs)]
        #: Codecs that an output takes as they were published, by output.
        self._copies = {
            index: live_of(output)
            for index, output in enumerate(plan.outputs)
            if plan.passthrough and isinstance(output, SegmentOutput | StreamOutput)
        }
        self._refused: set[int] = set()

    @property
    def bytes_written(self) -> int:
        return sum(sink.bytes_written for sink in self._sinks)

    @property
    def paths(self) -> list[Path]:
        return [path for sink in self._sinks for path in sink.paths]

    @property
    def streams(self) -> tuple[StreamOutcome, ...]:
        return tuple(stream for sink in self._sinks for stream in sink.streams)

    def steps(self) -> list[Step]:
        """Encoders, by what came of them, and outputs."""
        encoders = [
            Step(Stage.ENCODER, name, {"packets": packets, "bytes": octets})
            for name, (packets, octets) in list(self._encoded.items())
        ]
        outputs = []
        for sink in self._sinks:
            paths, streams = [str(path) for path in sink.paths], list(sink.streams)
            name = ", ".join([*paths, *(stream.url for stream in streams)]) or "nothing written yet"
            counters: dict[str, float | str] = {"bytes": sink.bytes_written}
            outputs.append(Step(Stage.OUTPUT, f"{type(sink).__name__} {name}", counters))
        return [*encoders, *outputs]

    def packet(self, kind: Kind, packet: EncodedFrame) -> None:
        packets, octets = self._encoded.get(packet.codec.label, (0, 0))
        self._encoded[packet.codec.label] = packets + 1, octets + len(packet.payload)
        for index, sink in enumerate(self._sinks):
            if index not in self._copies or not packet.codec.published or self._fits(index, sink, packet.codec):
                sink.packet(kind, packet)

    def picture(self, picture: Picture, at: float) -> None:
        for sink in self._sinks:
            sink.picture(picture, at)

    def sound(self, block: NDArray[np.float32], sample: int) -> None:
        for sink in self._sinks:
            sink.sound(block, sample)

    def published(self, frame: EncodedFrame) -> None:
        """The next frame of the sound's track as it was published. On the event loop."""
        if self._websocket is not None:
            self._websocket.published(frame)

    def muted(self, muted: bool, at: float | None, track_id: str) -> None:
        """A track of the sound is muted or not, at so many seconds of the output (None: now). On the event loop."""
        if self._websocket is not None:
            self._websocket.muted(muted, at, track_id)

    def update_streams(self, request: pb.UpdateStreamRequest) -> None:
        """Add and remove destinations of the stream. Raises EgressError, also for parts of what was asked."""
        if self._stream is None:
            raise no_streams()
        self._stream.update(request)

    async def finish(self) -> Recorded:
        """Finish every output, in the order of the plan, and wait until all is delivered."""
        recorded = Recorded()
        for sink in self._sinks:
            recorded += await sink.finish()
        await self._delivery.aclose()
        errors = dict.fromkeys((*self._failed.values(), *recorded.errors))
        return replace(recorded, errors=tuple(errors))

    def _fits(self, index: int, sink: OutputSink, codec: Codec) -> bool:
        """Whether an output takes a copy. One that got a codec which it does not take gets nothing more."""
        live = self._copies[index]
        if index not in self._refused and codec not in live.value.copies:
            self._refused.add(index)
            stream = self._stream
            fail = stream.fail if stream is not None and stream is sink else partial(self._on_failed, index)
            self._loop.call_soon_threadsafe(fail, no_copies(codec, live))
        return index not in self._refused

    def _make(self, index: int, output: Output) -> OutputSink:
        def failed(error: EgressError) -> None:
            self._on_failed(index, error)

        match output:
            case FileOutput() if self._copied_file is not None:
                self._copied_file.on_failed = failed
                return self._copied_file
            case FileOutput(container=container):
                return EncodedFile(
                    self._delivery.place(output.path, output.storage),
                    container or Container.MP4,
                    self._source,
                    self._delivery,
                    metadata=self._metadata,
                    on_failed=failed,
                )
            case WebsocketOutput():
                # An HTTP client and TLS, a tenth of a second to load: recordings of pages to files do without.
                from pyegress.worker.websocket_sink import WebsocketSink

                self._websocket = WebsocketSink(
                    output,
                    self._source,
                    window=self._plan.waits.stream,
                    on_failed=lambda error: self._on_warning(str(error)),
                    on_empty=self._on_streams_over,
                    on_warning=self._on_warning,
                )
                return self._websocket
            case SegmentOutput():
                return SegmentSink(output, self._source, self._delivery, on_failed=failed)
            case ImageOutput():
                return ImageSink(output, self._source, self._delivery, on_failed=failed)
            case StreamOutput():
                from pyegress.worker.stream_sink import StreamSink

                self._stream = StreamSink(
                    output,
                    self._plan,
                    self._source,
                    on_failed=lambda error: self._on_warning(str(error)),
                    on_empty=self._on_streams_over,
                )
                return self._stream
            case _:
                assert_never(output)

    def _on_failed(self, index: int, error: EgressError) -> None:
        """On the event loop."""
        if index in self._failed:
            return
        self._failed[index] = error
        logger.error("an output failed: %s", error)
        if self._others_left():
            self._on_warning(str(error))
        else:
            self._on_over(error)

    def _on_streams_over(self, error: EgressError | None) -> None:
        """No destination is left: the last one failed, or was removed. While there are files, others may be added."""
        if not self._others_left():
            self._on_over(error or Stop(EndReason.STREAMS_STOPPED))

    def _others_left(self) -> bool:
        return any(
            index not in self._failed and not (isinstance(sink, LiveSink) and sink.idle)
            for index, sink in enumerate(self._sinks)
        )


def not_recording_yet() -> EgressError:
    """Somebody asks something of outputs that are not there yet."""
    return EgressError(
        "The egress does not record yet", code=Code.UNAVAILABLE, retryable=True, remedy="Try again in a second"
    )
