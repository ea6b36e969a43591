"""The seam between the jitter buffer and the payload formats."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol


class Fragment(NamedTuple):
    """What one packet's payload says about its frame, computed once at arrival.

    A named tuple because one is made for every packet: it costs half of a frozen dataclass.
    """

    #: The RTP payload, payload descriptor included.
    payload: bytes
    #: The packet can be the first of a frame. False: it surely is not, something precedes it in the same frame.
    starts_frame: bool
    #: The packet is the last of its frame, by the marker bit or by the payload.
    ends_frame: bool


@dataclass(frozen=True, slots=True)
class AssembledFrame:
    """One frame put together from its packets. `payload` is as `EncodedFrame.payload` describes it."""

    payload: bytes
    keyframe: bool
    #: Pixels (width, height), on video key frames whose headers say it.
    size: tuple[int, int] | None = None
    #: Ticks of audio; 0 for video.
    duration: int = 0
    #: No frame that follows needs this one: losing it costs nothing else (upper temporal layer).
    discardable: bool = False


class Depacketizer(Protocol):
    """One payload format. May keep state between frames (parameter sets, sequence headers), hence one per stream."""

    def inspect(self, payload: bytes, marker: bool) -> Fragment:
        """Judge one packet at arrival, in any order, so without touching state. Raises ProtocolError if malformed."""

    def assemble(self, payloads: Sequence[bytes]) -> AssembledFrame | None:
        """Put the complete, ordered run of one frame's payloads together; frames come in decoding order.

        None: nothing to output (for instance only parameter sets or a delimiter). Raises ProtocolError if malformed.
        """
