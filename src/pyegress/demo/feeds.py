"""What fills a published track in real time: drawn pictures, pre-encoded frames, sound.

All feeds of a participant count from one epoch, so picture and sound belong together and go on counting across mute,
unpublish and republish.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any, Protocol

from livekit import rtc

from pyegress.clock import Monotonic, monotonic
from pyegress.codecs import Codec
from pyegress.demo.clips import Clip, ClipFrame
from pyegress.demo.content import SAMPLE_RATE, DemoPicture, DemoSound

#: Names of the rtc SDK's `VideoCodec`.
RTC_CODECS = {
    Codec.VP8: rtc.VideoCodec.VP8,
    Codec.VP9: rtc.VideoCodec.VP9,
    Codec.H264: rtc.VideoCodec.H264,
    Codec.H265: rtc.VideoCodec.H265,
    Codec.AV1: rtc.VideoCodec.AV1,
}
#: The only length that the SDK sends on at once. Longer pieces go through its queue, which delays sound against
#: pictures by 150-450 ms, another amount each time.
_PIECE = SAMPLE_RATE // 100
#: Seconds that drawn pictures may lag behind on a busy machine before some are left out. The SDK takes how late the
#: first ones come for the distance of its clock from ours, and moves pictures against sound by as much.
_PATIENCE = 0.05


@dataclass(frozen=True, slots=True)
class SubmittedFrame:
    """One entry of a feed's log."""

    #: Frames since the epoch; the picture shows it modulo the clip's length (pre-encoded) or as it is (drawn).
    index: int
    #: Capture time given to the SDK, microseconds of the monotonic clock.
    capture_us: int
    #: Whether the SDK took it. It refuses pre-encoded frames while nobody is subscribed.
    accepted: bool = True
    keyframe: bool = False
    #: The access unit; empty for pictures that the SDK encodes.
    data: bytes = b""


class Feed(Protocol):
    """Fills `source`, an rtc source, from `run` on until it is cancelled."""

    source: Any

    async def run(self, epoch: Monotonic) -> None: ...

    async def aclose(self) -> None: ...


class VideoFeed(Feed, Protocol):
    log: list[SubmittedFrame]


class DrawnVideo:
    """Pictures drawn when they are due; the SDK encodes them. Frames far too late are left out, as a camera does.

    `picture` may be exchanged at any time, also for one of another size.
    """

    def __init__(self, picture: DemoPicture) -> None:
        self.picture = picture
        self.source: Any = rtc.VideoSource(*picture.size)
        self.log: list[SubmittedFrame] = []

    async def run(self, epoch: Monotonic) -> None:
        fps = self.picture.fps
        index = _next_index(epoch, fps)
        while True:
            await _until(Monotonic(epoch + index / fps))
            width, height = self.picture.size
            frame = rtc.VideoFrame(width, height, rtc.VideoBufferType.I420, self.picture.draw(index).tobytes())
            at = _microseconds(epoch, index, fps)
            self.source.capture_frame(frame, timestamp_us=at)
            self.log.append(SubmittedFrame(index, at))
            now = _next_index(epoch, fps)
            index = index + 1 if now - index <= fps * _PATIENCE else now

    async def aclose(self) -> None:
        await self.source.aclose()


class EncodedVideo:
    """Pre-encoded frames, each submitted and logged as it is. None is left out: a late one goes with the next.

    `clip` may be exchanged at any time for one of the same codec, frame rate and length; it starts with a key frame.
    """

    def __init__(self, clip: Clip) -> None:
        self.clip = clip
        self.source: Any = rtc.EncodedVideoSource(*clip.spec.size)
        self.log: list[SubmittedFrame] = []
        #: Key frames asked for by the subscribers' side.
        self.keyframe_requests = 0

    async def run(self, epoch: Monotonic) -> None:
        fps = self.clip.spec.fps
        index = _next_index(epoch, fps)
        playing: tuple[ClipFrame, ...] = ()
        clip: Clip | None = None
        wanted = True
        while True:
            await _until(Monotonic(epoch + index / fps))
            if clip is not self.clip:
                clip, wanted, playing = self.clip, True, ()
            if self.source.take_feedback().keyframe_requested:
                self.keyframe_requests += 1
                wanted = True
            phase = clip.phase_with_keyframe(index) if wanted else None
            if phase is not None:
                playing, wanted = clip.phases[phase], False
            if playing:
                # A frame that is refused breaks the chain of references.
                wanted |= not self._submit(clip, playing[index % clip.spec.length], index, epoch)
            index += 1

    def _submit(self, clip: Clip, frame: ClipFrame, index: int, epoch: Monotonic) -> bool:
        at = _microseconds(epoch, index, clip.spec.fps)
        kind = rtc.EncodedFrameType.ENCODED_FRAME_KEY if frame.keyframe else rtc.EncodedFrameType.ENCODED_FRAME_DELTA
        width, height = clip.spec.size
        accepted = bool(
            self.source.capture_frame(
                rtc.EncodedVideoFrame(frame.data, width, height, RTC_CODECS[clip.spec.codec], kind, at)
            )
        )
        self.log.append(SubmittedFrame(index, at, accepted, frame.keyframe, frame.data))
        return accepted

    async def aclose(self) -> None:
        await self.source.aclose()


class SoundFeed:
    """Sound whose sample 0 belongs to the epoch; its tone is a whole number of Hz."""

    def __init__(self, sound: DemoSound) -> None:
        self.sound = sound
        self.source: Any = rtc.AudioSource(SAMPLE_RATE, sound.channels, queue_size_ms=0)
        # Every second sounds the same.
        second = sound.samples(0, SAMPLE_RATE).tobytes()
        size = len(second) * _PIECE // SAMPLE_RATE
        self._pieces = [second[at : at + size] for at in range(0, len(second), size)]

    async def run(self, epoch: Monotonic) -> None:
        sample = round((monotonic() - epoch) * SAMPLE_RATE) // _PIECE * _PIECE + _PIECE
        while True:
            await _until(Monotonic(epoch + sample / SAMPLE_RATE))
            samples = self._pieces[sample // _PIECE % len(self._pieces)]
            await self.source.capture_frame(rtc.AudioFrame(samples, SAMPLE_RATE, self.sound.channels, _PIECE))
            sample += _PIECE

    async def aclose(self) -> None:
        await self.source.aclose()


def _next_index(epoch: Monotonic, fps: int) -> int:
    return max(0, int((monotonic() - epoch) * fps) + 1)


def _microseconds(epoch: Monotonic, index: int, fps: int) -> int:
    return round((epoch + index / fps) * 1_000_000)


async def _until(due: Monotonic) -> None:
    # Also when late: the loop must get its turn.
    await asyncio.sleep(max(0.0, due - monotonic()))
