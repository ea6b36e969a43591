"""From complete frames to what the sink gets: only frames that can be decoded, and what is counted on the way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from pyegress.clock import Monotonic
from pyegress.codecs import Codec, Kind
from pyegress.rtp.continuity import Continuity
from pyegress.rtp.errors import ProtocolError
from pyegress.rtp.frame import EncodedFrame
from pyegress.rtp.jitter import CodecLane
from pyegress.rtp.keyframes import KeyframePolicy
from pyegress.rtp.nack import MissingPackets


@dataclass(slots=True)
class ReceiverStats:
    """Counters of one stream since its beginning."""

    #: Packets that were of use, retransmitted ones included; octets of their payload.
    packets: int = 0
    octets: int = 0
    #: Frames handed out.
    frames: int = 0
    #: Sequence numbers that never came, not even by retransmission.
    packets_lost: int = 0
    #: Packets that came by retransmission or out of redundancy.
    packets_recovered: int = 0
    #: Packets that came after their gap had been given up, and copies of packets.
    packets_late: int = 0
    packets_duplicate: int = 0
    #: Packets or frames that break their payload format.
    malformed: int = 0
    #: Frames that came, wholly or in part, but could not be decoded or completed.
    frames_dropped: int = 0
    #: Packets asked for by NACK, repetitions included.
    nacks_sent: int = 0
    plis_sent: int = 0
    #: RFC 3550 section 6.4.1 interarrival jitter, seconds.
    jitter: float = 0.0


class ReceiverSink(Protocol):
    """Takes what a stream carries. Called from within `TrackReceiver`: must not raise, nor call it back."""

    def on_codec(self, codec: Codec) -> None:
        """Frames of this codec follow: before the first frame, and when the payload type changes the codec."""

    def on_frame(self, frame: EncodedFrame) -> None:
        """The next frame in decoding order. Video begins with a key frame and never lacks what it refers to."""


class FrameAssembly:
    """The jitter buffer's sink of one stream: puts frames together and hands out those that can be decoded."""

    def __init__(
        self,
        sink: ReceiverSink,
        kind: Kind,
        stats: ReceiverStats,
        missing: MissingPackets,
        keyframes: KeyframePolicy,
    ) -> None:
        self._sink = sink
        self._video = kind is Kind.VIDEO
        self._stats = stats
        self._missing = missing
        self._keyframes = keyframes
        self._continuity = Continuity()
        #: The codec of the last frame that was handed out.
        self._lane: CodecLane | None = None
        #: Extended timestamp of the last frame that was handed out, -1 before.
        self.last_timestamp = -1

    def on_complete(self, lane: CodecLane, payloads: list[bytes], timestamp: int, arrival: Monotonic) -> None:
        """All packets of a frame are there."""
        try:
            frame = lane.depacketizer.assemble(payloads)
        except ProtocolError:
            self._stats.malformed += 1
            self.on_frame_lost(arrival)
            return
        if frame is None:
            return  # nothing that was published: parameter sets alone, or a blank frame of the server
        continuity = self._continuity
        if self._video:
            if lane is not self._lane:
                continuity.needs_keyframe = True
            if not continuity.admit(frame):
                self._stats.frames_dropped += 1
                if continuity.needs_keyframe:
                    self._keyframes.want(arrival)
                return
            self._keyframes.satisfied(keyframe=frame.keyframe)
        if lane is not self._lane:
            if self._lane is None or self._lane.codec is not lane.codec:
                self._sink.on_codec(lane.codec)
            self._lane = lane
        discontinuity, continuity.discontinuity = continuity.discontinuity, False
        self.last_timestamp = timestamp
        self._stats.frames += 1
        self._sink.on_frame(
            EncodedFrame(
                lane.codec,
                frame.payload,
                timestamp,
                arrival,
                frame.keyframe,
                frame.size,
                frame.duration,
                discontinuity,
            )
        )

    def on_gap_lost(self, first: int, count: int, now: Monotonic) -> None:
        """The jitter buffer gave up a gap."""
        self._stats.packets_lost += count
        self._missing.give_up(first, count)
        self._lose(now)

    def on_frame_lost(self, now: Monotonic) -> None:
        """A frame cannot be completed."""
        self._stats.frames_dropped += 1
        self._lose(now)

    def interrupt(self, now: Monotonic) -> None:
        """Another stream begins under the same SSRC: only a key frame can go on."""
        self._continuity.needs_keyframe = True
        self._lose(now)

    def _lose(self, now: Monotonic) -> None:
        if self._lane is None:
            return  # before the first frame nothing is missed, and a key frame is asked for anyway
        self._continuity.lose()
        if self._video and self._continuity.needs_keyframe:
            self._keyframes.want(now)
