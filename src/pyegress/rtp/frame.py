"""The unit that reception hands to recording: one complete encoded frame."""

from __future__ import annotations

from dataclasses import dataclass

from pyegress.clock import Monotonic
from pyegress.codecs import Codec


@dataclass(frozen=True, slots=True)
class EncodedFrame:
    """One access unit (video) or one codec packet (audio), exactly as it was published.

    `payload` by codec: VP8 and VP9: the frame (VP9: all spatial layers of the picture, a superframe where needed);
    H.264 and H.265: NAL units in Annex B form, each behind a 4-byte start code, nothing added or removed; AV1: the
    OBUs of the temporal unit in the low-overhead format (AV1 section 5.2: every OBU with its size field, no temporal
    delimiter); Opus: one packet; G.711: the samples of one packet.
    """

    codec: Codec
    payload: bytes
    #: RTP timestamp in ticks of the codec's clock, extended beyond 32 bits, never wraps (RFC 3550 section 5.1).
    timestamp: int
    #: When the packet that completed the frame arrived.
    arrival: Monotonic
    #: Decoding can start here. Always true for audio.
    keyframe: bool = True
    #: Pixels (width, height), on video key frames whose headers say it.
    size: tuple[int, int] | None = None
    #: Ticks of audio in the packet; 0 for video, where only the next frame tells.
    duration: int = 0
    #: Something before this frame was lost for good.
    discontinuity: bool = False
