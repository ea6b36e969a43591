"""One stream to any number of destinations, as an output of a plan that encodes."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from livekit.protocol import egress as pb

from pyegress.codecs import Kind
from pyegress.errors import EgressError
from pyegress.outputs.rtmp.publisher import RtmpPublisher
from pyegress.outputs.srt.publisher import SrtPublisher
from pyegress.outputs.streaming.group import Publisher, StreamGroup
from pyegress.plan.recording_plan import RecordingPlan, StreamOutput
from pyegress.plan.stream_updates import joined_error, read_update
from pyegress.plan.stream_urls import StreamProtocol
from pyegress.rtp.frame import EncodedFrame
from pyegress.worker.live_sink import LiveSink
from pyegress.worker.output_sink import Source


class StreamSink(LiveSink):
    """Takes packets. Must be made with a running loop."""

    def __init__(
        self,
        output: StreamOutput,
        plan: RecordingPlan,
        source: Source,
        *,
        on_failed: Callable[[EgressError], None],
        on_empty: Callable[[EgressError | None], None],
    ) -> None:
        """`on_failed` is told of each destination that fails; `on_empty` when none is left, with the error or None."""
        self._protocol = output.protocol
        self._group = StreamGroup(
            source.kinds,
            _publisher(output.protocol, plan, source),
            window=plan.waits.stream,
            want_start=source.request_keyframe,
            on_failed=on_failed,
            on_empty=on_empty,
        )
        super().__init__(self._group)
        for target in output.destinations:
            self._group.add(target)

    def packet(self, kind: Kind, packet: EncodedFrame) -> None:
        self._group.packet(kind, packet)

    def update(self, request: pb.UpdateStreamRequest) -> None:
        """Add, then remove destinations. What can be done is done; raises EgressError for the rest."""
        update = read_update(request, self._protocol)
        errors = list(update.errors)
        steps = [partial(self._group.add, target) for target in update.add]
        steps += [partial(self._group.remove, url) for url in update.remove]
        for step in steps:
            try:
                step()
            except EgressError as error:
                errors.append(error)
        if (joined := joined_error(errors)) is not None:
            raise joined

    def fail(self, error: EgressError) -> None:
        """Nothing that comes can be streamed any more."""
        self._group.fail(error)


def _publisher(protocol: StreamProtocol, plan: RecordingPlan, source: Source) -> Publisher:
    match protocol:
        case StreamProtocol.RTMP:
            return RtmpPublisher(source.kinds, plan.video, plan.audio, source.spec_for)
        case StreamProtocol.SRT:
            return SrtPublisher(source.kinds, source.spec_for)
        case _:
            raise ValueError(f"{protocol.value} is no protocol of stream outputs")
