"""Encoded pictures and sound as an encoder gives them, and segments made of them without any thread."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from pyegress.clock import Wall
from pyegress.media.audio_encoder import AudioEncoder
from pyegress.media.video_encoder import VideoEncoder
from pyegress.outputs.encoded_streams import audio_stream, video_stream
from pyegress.outputs.hls.segment_muxer import SegmentMuxer, before_start, segment_muxer, segment_streams
from pyegress.outputs.hls.segmenter import Piece, Segmenter
from pyegress.outputs.muxer import Sample, StreamSpec
from pyegress.plan.encodings import AudioCodec, VideoCodec
from pyegress.plan.recording_plan import SegmentFormat
from pyegress.rtp.frame import EncodedFrame
from tests.media.encoding import audio, encode_pictures, encode_sound, pictures, sound, video

SECONDS, FPS = 5, 30
CLICKS = (0.5, 1.99, 2.5, 4.2)
Streams = tuple[tuple[StreamSpec, ...], tuple[tuple[EncodedFrame, ...], ...]]


@cache
def encoded(seen: VideoCodec | None, said: AudioCodec | None, *, interval: float = 1.0) -> Streams:
    """Five seconds of stamped pictures with a key frame each `interval`, and clicks at CLICKS."""
    specs: list[StreamSpec] = []
    streams: list[tuple[EncodedFrame, ...]] = []
    if seen is not None:
        encoder = VideoEncoder(video(seen, interval=interval))
        film = tuple(encode_pictures(encoder, pictures(SECONDS * FPS)))
        specs.append(video_stream(encoder.encoding, film[0]))
        streams.append(film)
    if said is not None:
        speaker = AudioEncoder(audio(said))
        streams.append(tuple(encode_sound(speaker, sound(SECONDS, CLICKS))))
        specs.append(audio_stream(speaker))
    return tuple(specs), tuple(streams)


def in_order(specs: Sequence[StreamSpec], streams: Sequence[Sequence[EncodedFrame]]) -> list[tuple[int, EncodedFrame]]:
    """The frames of all streams in the order of their time."""
    found = [(index, frame) for index, frames in enumerate(streams) for frame in frames]
    return sorted(found, key=lambda entry: entry[1].timestamp / specs[entry[0]].clock_rate)


@dataclass
class Made:
    """Segments as bytes, and what they are made of."""

    header: bytes
    pieces: list[Piece] = field(default_factory=list)
    segments: list[bytes] = field(default_factory=list)
    durations: list[float] = field(default_factory=list)

    def whole(self, folder: Path) -> Path:
        """All of it as one file, as a player puts it together."""
        path = folder / "whole"
        path.write_bytes(self.header + b"".join(self.segments))
        return path

    def alone(self, folder: Path, number: int) -> Path:
        """One segment as a file that plays alone."""
        path = folder / f"segment-{number}"
        path.write_bytes(self.header + self.segments[number])
        return path


def samples_of(specs: Sequence[StreamSpec], entries: Sequence[tuple[int, EncodedFrame]]) -> list[tuple[int, Sample]]:
    """What a segmenter takes: priming counted, whole packets of it left out."""
    announced = segment_streams(specs)
    return [
        (
            index,
            Sample(frame.timestamp + announced[index].priming, frame.duration, frame.payload, frame.keyframe),
        )
        for index, frame in entries
        if not before_start(frame.codec, frame.timestamp, frame.duration)
    ]


def segments(format_: SegmentFormat, made_of: Streams, *, duration: float = 1.0, piece: float = 0.5) -> Made:
    """Cut and mux all of it."""
    specs = segment_streams(made_of[0])
    muxer: SegmentMuxer = segment_muxer(format_, specs, Wall(1e9))
    segmenter = Segmenter(specs, duration=duration, piece=piece)
    made = Made(muxer.header)
    for index, sample in samples_of(made_of[0], in_order(*made_of)):
        made.pieces.extend(segmenter.push(index, sample))
    made.pieces.extend(segmenter.finish())
    start = 0.0
    for given in made.pieces:
        if given.begins:
            made.segments.append(muxer.begin_segment())
            start = given.start
        made.segments[-1] += muxer.piece(given.batch)
        if given.ends:
            made.durations.append(given.end - start)
    return made
