"""Participants that publish known content with the official rtc SDK."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any, Self

from livekit import rtc

from pyegress.clock import Monotonic, monotonic
from pyegress.codecs import Codec, Kind
from pyegress.demo.clips import ClipSpec, load_clip
from pyegress.demo.content import DemoPicture, DemoSound, tone_of
from pyegress.demo.feeds import RTC_CODECS, DrawnVideo, EncodedVideo, Feed, SoundFeed, SubmittedFrame
from pyegress.room.events import Source

_log = logging.getLogger(__name__)

_RTC_SOURCES = {
    Source.CAMERA: rtc.TrackSource.SOURCE_CAMERA,
    Source.MICROPHONE: rtc.TrackSource.SOURCE_MICROPHONE,
    Source.SCREEN_SHARE: rtc.TrackSource.SOURCE_SCREENSHARE,
    Source.SCREEN_SHARE_AUDIO: rtc.TrackSource.SOURCE_SCREENSHARE_AUDIO,
}
#: Longest wait for the SDK to leave a room; without a server it may wait for ever.
_LEAVE_TIMEOUT = 5.0


@dataclass(frozen=True, slots=True)
class Content:
    """What a participant shows and says.

    `participant` (0..255) is the number in the stamp and picks the tone; `encoded` publishes pre-encoded frames, whose
    bytes are logged, instead of pictures that the SDK encodes. `bitrate` in bit/s, None: by size. `clip_seconds`,
    `gop` (seconds) and `phases` are those of `ClipSpec`.
    """

    participant: int = 0
    codec: Codec = Codec.VP8
    size: tuple[int, int] = (640, 360)
    fps: int = 30
    bitrate: int | None = None
    encoded: bool = False
    simulcast: bool = False
    #: Scalability mode of what the SDK encodes, for instance L1T3 or L3T3_KEY; "" leaves it to the SDK.
    scalability: str = ""
    #: Hz, a whole number; None: by participant.
    tone: float | None = None
    continuous: bool = False
    channels: int = 1
    dtx: bool = True
    red: bool = True
    clip_seconds: int = 8
    gop: int = 2
    phases: int = 6

    @property
    def bits(self) -> int:
        """Bit/s of the video."""
        return self.bitrate or max(100_000, round(self.size[0] * self.size[1] * self.fps * 0.07))


class DemoParticipant:
    """One participant; `name` is also what the token should give as its identity and what the picture shows.

    Publishes camera and microphone on `join` unless told not to. Every track counts frames and samples from `epoch`.
    Not for use by several tasks at once. Raises what the rtc SDK raises.
    """

    def __init__(
        self, url: str, token: str, name: str, content: Content | None = None, *, video: bool = True, audio: bool = True
    ) -> None:
        self.name = name
        self.content = content or Content()
        self.room: Any = rtc.Room()
        self.epoch = Monotonic(0.0)
        self._url, self._token = url, token
        self._initial = [s for s, on in ((Source.MICROPHONE, audio), (Source.CAMERA, video)) if on]
        self._published: dict[Source, _Published] = {}
        self._logs: dict[Source, list[SubmittedFrame]] = {}

    async def __aenter__(self) -> Self:
        try:
            await self.join()
        except BaseException:
            await self.leave()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.leave()

    @property
    def tone(self) -> float:
        """Hz of the microphone's beeps; screen share audio is 100 Hz above."""
        return self.content.tone or tone_of(self.content.participant)

    @property
    def sids(self) -> dict[Source, str]:
        """The track sids of what is published now."""
        return {source: published.sid for source, published in self._published.items()}

    def log(self, source: Source = Source.CAMERA) -> list[SubmittedFrame]:
        """Every frame of a video source that was ever submitted, republished tracks included, in order."""
        now = self._published.get(source)
        current = now.feed.log if now and isinstance(now.feed, DrawnVideo | EncodedVideo) else []
        return self._logs.get(source, []) + current

    async def join(self) -> None:
        """Connect and publish."""
        if self.content.encoded:
            await asyncio.to_thread(load_clip, self._clip_spec(self.content))
        await self.room.connect(self._url, self._token, rtc.RoomOptions(auto_subscribe=False))
        self.epoch = monotonic()
        for source in self._initial:
            await self.publish(source)

    async def publish(self, source: Source, content: Content | None = None) -> str:
        """Publish one track, by default with the participant's content; gives its sid."""
        if source in self._published:
            raise ValueError(f"{self.name} already publishes {source.value}")
        content = content or self.content
        options = rtc.TrackPublishOptions(source=_RTC_SOURCES[source], simulcast=False)
        feed: Feed
        if _kind(source) is Kind.VIDEO:
            feed = await self._video_feed(content)
            options.simulcast = content.simulcast and not content.encoded
            options.video_codec = RTC_CODECS[content.codec]
            options.video_encoding.max_framerate = content.fps
            # A limit at the clip's own rate would make the pacer hold frames back.
            options.video_encoding.max_bitrate = content.bits * (4 if content.encoded else 1)
            if content.scalability:
                options.scalability_mode = content.scalability
            if content.encoded:
                options.video_encoder = rtc.VideoEncoderBackend.ENCODER_BACKEND_PRE_ENCODED
            track = rtc.LocalVideoTrack.create_video_track(source.value, feed.source)
        else:
            tone = self.tone + (100 if source is Source.SCREEN_SHARE_AUDIO else 0)
            feed = SoundFeed(DemoSound(tone, channels=content.channels, continuous=content.continuous))
            options.dtx, options.red = content.dtx, content.red
            track = rtc.LocalAudioTrack.create_audio_track(source.value, feed.source)
        try:
            publication = await self.room.local_participant.publish_track(track, options)
        except BaseException:
            await feed.aclose()
            raise
        task = asyncio.create_task(feed.run(self.epoch), name=f"demo {self.name} {source.value}")
        task.add_done_callback(_report_end)
        self._published[source] = _Published(str(publication.sid), track, feed, task, content)
        return str(publication.sid)

    async def unpublish(self, source: Source) -> None:
        """Take a track away; a later `publish` may have another codec."""
        published = self._published.pop(source)
        await self._stop_feed(source, published)
        await self.room.local_participant.unpublish_track(published.sid)
        await published.feed.aclose()

    async def republish(self, source: Source, content: Content | None = None) -> str:
        """Unpublish and publish again."""
        await self.unpublish(source)
        return await self.publish(source, content)

    def mute(self, source: Source) -> None:
        """Mute a track; its content goes on counting."""
        self._published[source].track.mute()

    def unmute(self, source: Source) -> None:
        self._published[source].track.unmute()

    async def resize(self, size: tuple[int, int], source: Source = Source.CAMERA) -> None:
        """Change the resolution of a published video track from the next frame on."""
        published = self._published[source]
        content = replace(published.content, size=size)
        if isinstance(published.feed, EncodedVideo):
            published.feed.clip = await asyncio.to_thread(load_clip, self._clip_spec(content))
        elif isinstance(published.feed, DrawnVideo):
            published.feed.picture = self._picture(content)
        published.content = content

    async def leave(self) -> None:
        """Stop everything and leave. May be repeated."""
        published, self._published = self._published, {}
        for source, one in published.items():
            await self._stop_feed(source, one)
        try:
            await asyncio.wait_for(self.room.disconnect(), _LEAVE_TIMEOUT)
        except TimeoutError:
            _log.warning("%s could not leave in %g s", self.name, _LEAVE_TIMEOUT)
        for one in published.values():
            await one.feed.aclose()

    async def _video_feed(self, content: Content) -> DrawnVideo | EncodedVideo:
        if content.encoded:
            return EncodedVideo(await asyncio.to_thread(load_clip, self._clip_spec(content)))
        return DrawnVideo(self._picture(content))

    def _picture(self, content: Content) -> DemoPicture:
        return DemoPicture(self.name, content.participant, size=content.size, fps=content.fps)

    def _clip_spec(self, content: Content) -> ClipSpec:
        return ClipSpec(
            name=self.name,
            participant=content.participant,
            codec=content.codec,
            size=content.size,
            fps=content.fps,
            bitrate=content.bits,
            seconds=content.clip_seconds,
            gop=content.gop,
            phases=content.phases,
        )

    async def _stop_feed(self, source: Source, published: _Published) -> None:
        published.task.cancel()
        await asyncio.gather(published.task, return_exceptions=True)
        if isinstance(published.feed, DrawnVideo | EncodedVideo):
            self._logs.setdefault(source, []).extend(published.feed.log)


def release_sdk() -> None:
    """End the rtc SDK's runtime; to be called once, when nobody needs it any more, before the program ends.

    It would end by itself at exit, but its threads may then call a Python that no longer answers, and abort.
    """
    from livekit.rtc._ffi_client import FfiClient

    if FfiClient._instance is not None:
        FfiClient._instance._dispose()


@dataclass(slots=True)
class _Published:
    sid: str
    track: Any
    feed: Feed
    task: asyncio.Task[None]
    content: Content


def _kind(source: Source) -> Kind:
    return Kind.VIDEO if source in (Source.CAMERA, Source.SCREEN_SHARE) else Kind.AUDIO


def _report_end(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()):
        _log.error("%s ended: %r", task.get_name(), error)
