"""A second subscriber in the room: what was forwarded to a recorder at that time, and when it was captured.

The publisher's own clocks are not perfect (its sender reports wander, its timestamps follow its load), so a recording
is judged by what the publisher claimed and not by what the test meant to publish.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Self

import av
import numpy as np
from numpy.typing import NDArray

from pyegress.demo.content import SAMPLE_RATE
from pyegress.demo.feeds import SubmittedFrame
from pyegress.demo.publishers import DemoParticipant
from pyegress.room.events import RoomEvent, Source, TrackPublication, TrackPublished
from pyegress.room.room import Room
from pyegress.rtp.frame import EncodedFrame
from tests.room.rooms import options
from tests.support.analysis import Sound, av_offsets, beep_onsets
from tests.support.bitstream import split_frame
from tests.support.collecting_sink import CollectingSink
from tests.support.comparison import Lost, lost_frames, video_units
from tests.support.livekit_server import LiveKitServer
from tests.support.waiting import eventually


class Witness:
    """Subscribes to every track of everybody; `sinks` are by track sid. Async context manager."""

    def __init__(self, server: LiveKitServer, room: str) -> None:
        self._options = options(server, room, identity="EG_witness")
        self._room: Room | None = None
        self.sinks: dict[str, CollectingSink] = {}
        self._tracks: dict[str, tuple[str, TrackPublication]] = {}

    async def __aenter__(self) -> Self:
        self._room = room = await Room.connect(self._options)
        room.add_listener(self._on_event)
        for participant in list(room.participants.values()):
            for track in participant.tracks.values():
                self._take(participant.identity, track)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._room is not None
        await self._room.aclose()

    def _on_event(self, event: RoomEvent) -> None:
        if isinstance(event, TrackPublished):
            self._take(event.participant.identity, event.track)

    def _take(self, identity: str, track: TrackPublication) -> None:
        if self._room is not None and track.sid not in self.sinks:
            self._tracks[track.sid] = (identity, track)
            self.sinks[track.sid] = CollectingSink()
            self._room.subscribe(track.sid, self.sinks[track.sid])

    def sids(self, identity: str, source: Source) -> list[str]:
        """The tracks of one source, in the order in which they were published."""
        return [sid for sid, (who, track) in self._tracks.items() if (who, track.source) == (identity, source)]

    def frames(self, sid: str) -> list[EncodedFrame]:
        return self.sinks[sid].frames

    async def sees(self, sid: str) -> None:
        """Wait until this track arrives here."""
        await eventually(lambda: sid in self.sinks and self.sinks[sid].frames, f"a frame of {sid}", within=20)

    async def knows(self, participant: DemoParticipant) -> None:
        """Wait until sender reports say when each track of somebody, the newest of a source, was captured.

        Sound is reported only each 2.5 to 7.5 s, and a publisher's first report may come before its track does.
        """
        for source in Source:
            for sid in self.sids(participant.name, source)[-1:]:
                await eventually(lambda sid=sid: self.sinks[sid].reports, f"a sender report of {sid}", within=30)  # type: ignore[misc]

    def captured(self, sid: str, frame: EncodedFrame) -> float | None:
        """When the publisher captured it, on its own clock; None before the first sender report."""
        rate = frame.codec.clock_rate
        claims = [report.sender_time - report.timestamp / rate for report in self.sinks[sid].reports]
        # The median: a first report may be wrong by more than a second.
        return statistics.median(claims[1:] or claims) + frame.timestamp / rate if claims else None

    def lost(self, path: Path, *sids: str) -> Lost:
        """What arrived here and is not in the file, of video tracks of one codec that follow each other."""
        frames = [frame for sid in sids for frame in self.frames(sid)]
        return lost_frames(
            video_units(path, frames[0].codec), [split_frame(frame.codec, frame.payload) for frame in frames]
        )

    def slip(self, sid: str) -> float:
        """By how much the publisher's timestamps were off real time at most, seconds: it was busy."""
        lags: dict[int, float] = {}
        for frame in self.frames(sid):
            second = int(frame.arrival)
            lag = frame.arrival - frame.timestamp / frame.codec.clock_rate
            lags[second] = min(lag, lags.get(second, lag))
        return max(lags.values()) - min(lags.values())

    def sound(self, sid: str) -> Sound:
        """Decoded sound of one Opus track, at the time of its capture."""
        frames = self.frames(sid)
        start = self.captured(sid, frames[0])
        assert start is not None, f"no sender report of {sid}"
        last = frames[-1]
        samples = np.zeros(last.timestamp + last.duration - frames[0].timestamp, np.float32)
        decoder: Any = av.CodecContext.create("libopus", "r")
        decoder.sample_rate = SAMPLE_RATE
        for frame in frames:
            piece = _samples(decoder, frame.payload)
            begin = frame.timestamp - frames[0].timestamp
            room = min(len(piece), len(samples) - begin)
            samples[begin : begin + room] = piece[:room]
        return Sound(samples, start, ())

    def offsets(self, participant: DemoParticipant) -> list[float]:
        """Seconds by which the publisher's own beeps come after its flashes, by its own clock.

        Of its last microphone, and with pre-encoded content only.
        """
        microphone = self.sids(participant.name, Source.MICROPHONE)[-1]
        flashes = [
            captured
            for camera in self.sids(participant.name, Source.CAMERA)
            for index, frame in indexed(self.frames(camera), participant.log())
            if index % participant.content.fps == 0 and (captured := self.captured(camera, frame)) is not None
        ]
        return av_offsets(flashes, beep_onsets(self.sound(microphone), participant.tone))


def indexed(frames: Iterable[EncodedFrame], log: Sequence[SubmittedFrame]) -> list[tuple[int, EncodedFrame]]:
    """Frames that arrived, each with its index in the publisher's log. Both are in order; what is lost is left out."""
    found: list[tuple[int, EncodedFrame]] = []
    position = 0
    for frame in frames:
        units = split_frame(frame.codec, frame.payload)
        for at in range(position, len(log)):
            if split_frame(frame.codec, log[at].data) == units:
                found.append((log[at].index, frame))
                position = at + 1
                break
    return found


def _samples(decoder: Any, packet: bytes) -> NDArray[np.float32]:
    """Mono samples of one Opus packet at 48 kHz."""
    pieces = []
    for frame in decoder.decode(av.Packet(packet)):
        raw = frame.to_ndarray()
        planes = raw.reshape(-1, len(frame.layout.channels)).T if not frame.format.is_planar else raw
        scale = 32768.0 if planes.dtype == np.int16 else 1.0
        pieces.append(planes.astype(np.float32).mean(axis=0) / scale)
    return np.concatenate(pieces) if pieces else np.zeros(0, np.float32)
