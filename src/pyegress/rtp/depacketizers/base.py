"""The seam between the jitter buffer and the payload formats.

RED (RFC 2198, `rtp/red.py`) and RTX (RFC 4588, `rtp/rtx.py`) are undone before this seam: a depacketizer sees plain
payloads of its codec only. PCMU and PCMA are codecs like the others here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

#: NAL units or OBUs in one frame. Real frames stay far below; more would only cost the receiver time.
MAX_UNITS = 8192


class Fragment(NamedTuple):
    """What one packet's payload says about its frame, computed once at arrival.

    The types of this seam are named tuples because they are made for every packet or frame: a frozen dataclass costs
    three times as much.
    """

    #: The RTP payload, payload descriptor included.
    payload: bytes
    #: The packet can be the first of a frame. False: it surely is not, something precedes it in the same frame.
    starts_frame: bool
    #: The packet is the last of its frame, by the marker bit or by the payload.
    ends_frame: bool


class PictureIndex(NamedTuple):
    """Where a picture stands by its payload descriptor (VP8: RFC 7741 section 4.2, VP9: RFC 9628 section 4.2).

    With it a receiver knows, after packets are lost, whether the next picture still can be decoded.
    """

    #: PictureID as written, and its width in bits (7 or 15). None when absent.
    picture_id: int | None
    picture_id_bits: int = 15
    #: TL0PICIDX (8 bits), None when absent.
    base_index: int | None = None
    #: Temporal layer: TID, 0 when absent.
    layer: int = 0
    #: The picture needs only pictures of the base layer (VP8: Y bit, VP9: U bit).
    layer_sync: bool = False


class AssembledFrame(NamedTuple):
    """One frame put together from its packets. `payload` is as `EncodedFrame.payload` describes it."""

    payload: bytes
    keyframe: bool
    #: Pixels (width, height), on video key frames whose headers say it.
    size: tuple[int, int] | None = None
    #: Ticks of audio; 0 for video.
    duration: int = 0
    #: No frame that follows needs this one: losing it costs nothing else (upper temporal layer).
    discardable: bool = False
    #: The place in the sequence of pictures, where the payload format has one (VP8, VP9).
    picture: PictureIndex | None = None


class Depacketizer(Protocol):
    """One payload format. May keep state between frames (parameter sets, sequence headers), hence one per stream."""

    def inspect(self, payload: bytes, marker: bool) -> Fragment:
        """Judge one packet at arrival, in any order, so without touching state. Raises ProtocolError if malformed."""

    def assemble(self, payloads: Sequence[bytes]) -> AssembledFrame | None:
        """Put the complete, ordered run of one frame's payloads together; frames come in decoding order.

        None: nothing to output (for instance only parameter sets or a delimiter). Raises ProtocolError if malformed.
        """
