"""Encoded pictures with encoded sound in every container that takes both."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from functools import cache
from pathlib import Path

import av
import pytest

from pyegress.media.audio_encoder import AudioEncoder
from pyegress.media.engine import FILE_ROUND
from pyegress.media.playout import FILE_DELAY
from pyegress.media.video_encoder import VideoEncoder
from pyegress.outputs.encoded_streams import audio_stream, video_stream
from pyegress.outputs.file_writer import FileWriter
from pyegress.outputs.muxer import StreamSpec
from pyegress.outputs.writer_thread import WRITE_SECONDS, WriterThread
from pyegress.plan.containers import Container
from pyegress.plan.encodings import AudioCodec, VideoCodec
from pyegress.rtp.frame import EncodedFrame
from tests.media.encoding import audio, clicks, encode_pictures, encode_sound, pictures, sound, stamps, video

pytestmark = pytest.mark.media

PAIRS = [
    (".mp4", VideoCodec.H264, AudioCodec.AAC),
    (".mp4", VideoCodec.H264, AudioCodec.OPUS),
    (".mp4", VideoCodec.AV1, AudioCodec.AAC),
    (".mp4", VideoCodec.VP9, AudioCodec.OPUS),
    (".webm", VideoCodec.VP8, AudioCodec.OPUS),
    (".webm", VideoCodec.VP9, AudioCodec.OPUS),
    (".webm", VideoCodec.AV1, AudioCodec.OPUS),
]
each_pair = pytest.mark.parametrize(
    ("extension", "seen", "said"), PAIRS, ids=[f"{v.name}-{a.name}{x}" for x, v, a in PAIRS]
)
SECONDS, FPS = 3, 30
CLICKS = (0.5, 2.4)


@cache
def encoded(
    seen: VideoCodec, said: AudioCodec
) -> tuple[tuple[StreamSpec, StreamSpec], tuple[tuple[EncodedFrame, ...], tuple[EncodedFrame, ...]]]:
    """Three seconds with a key frame each second."""
    encoder, speaker = VideoEncoder(video(seen, interval=1.0)), AudioEncoder(audio(said))
    film = tuple(encode_pictures(encoder, pictures(SECONDS * FPS)))
    voice = tuple(encode_sound(speaker, sound(SECONDS, CLICKS)))
    return (video_stream(encoder.encoding, film[0]), audio_stream(speaker)), (film, voice)


def items(
    seen: VideoCodec, said: AudioCodec, late: tuple[float, float] = (0.0, 0.0)
) -> tuple[tuple[StreamSpec, StreamSpec], list[tuple[int, EncodedFrame, int]]]:
    """What to write, in order of time."""
    specs, streams = encoded(seen, said)
    found = [
        (stream, frame, frame.timestamp + round(late[stream] * specs[stream].clock_rate))
        for stream, frames in enumerate(streams)
        for frame in frames
    ]
    return specs, sorted(found, key=lambda item: item[2] / specs[item[0]].clock_rate)


def write(path: Path, seen: VideoCodec, said: AudioCodec, late: tuple[float, float], *, finish: bool) -> None:
    specs, frames = items(seen, said, late)
    container = Container.from_path(path.name)
    assert container is not None
    writer = FileWriter(path, container, specs)
    for stream, frame, pts in frames:
        writer.write(stream, frame, pts)
    if finish:
        result = writer.close()
        assert result.warning == ""
        assert result.duration == pytest.approx(SECONDS + max(late), abs=0.03)
    else:
        writer.abort()


@each_pair
@pytest.mark.parametrize("finish", [True, False], ids=["finished", "as recorded"])
@pytest.mark.parametrize("late", [(0.0, 0.0), (0.0, 0.7), (0.7, 0.0)], ids=["together", "sound late", "picture late"])
def test_pictures_and_sound_lie_where_they_were(
    tmp_path: Path, extension: str, seen: VideoCodec, said: AudioCodec, late: tuple[float, float], finish: bool
) -> None:
    path = tmp_path / f"film{extension}"
    write(path, seen, said, late, finish=finish)
    shown = stamps(path)
    assert [number for _, number in shown] == list(range(SECONDS * FPS))
    assert all(abs(at - late[0] - number / FPS) < 0.0011 for at, number in shown), shown[:5]
    delays = clicks(path, [at + late[1] for at in CLICKS])
    assert all(abs(delay) < 1.0 for delay in delays), delays


@each_pair
def test_a_finished_file_seeks_and_says_what_it_is(
    tmp_path: Path, extension: str, seen: VideoCodec, said: AudioCodec
) -> None:
    path = tmp_path / f"film{extension}"
    write(path, seen, said, (0.0, 0.0), finish=True)
    if extension == ".mp4":
        data = path.read_bytes()
        assert data.index(b"moov") < data.index(b"mdat")
        assert b"mvex" not in data[: data.index(b"mdat")], "it is no fragmented one any more"
    with av.open(str(path)) as opened:
        assert opened.duration is not None
        assert opened.duration / 1e6 == pytest.approx(SECONDS, abs=0.03)
        stream = opened.streams.video[0]
        keys = [float(p.pts * p.time_base) for p in opened.demux(stream) if p.pts is not None and p.is_keyframe]
        assert keys == pytest.approx([0, 1, 2], abs=0.001)
        opened.seek(2_300_000)
        picture = next(opened.decode(stream))
        assert picture.time == pytest.approx(2.0, abs=0.001)
        # FFmpeg believes VP8's own header, which knows BT.601 only, more than the file's.
        assert picture.colorspace == (5 if seen is VideoCodec.VP8 else 1)


@each_pair
def test_a_file_cut_anywhere_plays_up_to_there(
    tmp_path: Path, extension: str, seen: VideoCodec, said: AudioCodec
) -> None:
    path = tmp_path / f"film{extension}"
    write(path, seen, said, (0.0, 0.0), finish=False)
    data = path.read_bytes()
    for share in (0.61, 0.83):
        path.write_bytes(data[: int(len(data) * share)])
        with av.open(str(path)) as opened:
            shown = 0
            for packet in opened.demux(opened.streams.video[0]):
                try:
                    shown += len(packet.decode())
                except av.error.InvalidDataError:
                    break  # the torn one
        assert shown / FPS > SECONDS * share - 1.1
        assert all(abs(delay) < 1.0 for delay in clicks(path, CLICKS[:1], torn=True))


@pytest.mark.parametrize(
    ("name", "seen", "said"),
    [
        ("film.mp4", "H264", "AAC"),
        ("film.webm", "VP8", "OPUS"),
        ("voice.ogg", "-", "OPUS"),
        ("voice.mp3", "-", "MP3"),
        ("voice.flac", "-", "FLAC"),
        ("voice.wav", "-", "PCM"),
    ],
)
def test_a_killed_process_leaves_a_file_that_plays(tmp_path: Path, name: str, seen: str, said: str) -> None:
    path = tmp_path / name
    command = [sys.executable, "-m", "tests.outputs.encode_child", str(path), seen, said]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=Path(__file__).parents[2]) as child:
        assert child.stdout is not None
        written = 0
        for line in child.stdout:
            written = int(line)
            if written >= 4:
                break
        child.kill()
    late = clicks(path, [second + 0.5 for second in range(written - 1)], torn=True)
    assert all(abs(one) < (1.0 if name != "voice.mp3" else 1.5) for one in late), late
    if seen != "-":
        with av.open(str(path)) as opened:
            numbers = [frame.time for frame in opened.decode(opened.streams.video[0])]
        assert len(numbers) >= (written - 1) * FPS


async def test_the_writer_thread_takes_encoders_streams(tmp_path: Path) -> None:
    path = tmp_path / "film.mp4"
    specs, frames = items(VideoCodec.H264, AudioCodec.AAC)
    writer = WriterThread(path, Container.MP4, specs)
    for stream, frame, pts in frames:
        assert writer.submit(stream, frame, pts)
    result = await writer.aclose()
    assert result.duration == pytest.approx(SECONDS, abs=0.03)
    assert [number for _, number in stamps(path)] == list(range(SECONDS * FPS))
    assert all(abs(late) < 1.0 for late in clicks(path, CLICKS))


def test_sound_that_says_no_configuration_is_our_fault(tmp_path: Path) -> None:
    spec = replace(audio_stream(AudioEncoder(audio(AudioCodec.AAC))), config=b"")
    with pytest.raises(Exception, match="AudioSpecificConfig"):
        FileWriter(tmp_path / "a.mp4", Container.MP4, [spec])
    assert not (tmp_path / "a.mp4").exists()


@pytest.mark.parametrize("framerate", [15, 30, 60])
def test_what_a_kill_costs_of_a_composition(framerate: int) -> None:
    """At most 2 s: what is rendered later, in rounds, waits in the encoder and is written every now and then."""
    encoder = VideoEncoder(video(VideoCodec.H264, framerate=framerate))
    for tick, picture in enumerate(pictures(20)):
        encoder.encode(picture, tick)
    assert FILE_DELAY + FILE_ROUND + (encoder.delay + 1) / framerate + WRITE_SECONDS <= 2.0
