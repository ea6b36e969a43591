from __future__ import annotations

import os
import stat
from fractions import Fraction
from pathlib import Path

import av
import pytest

from pyegress.codecs import Codec, Kind
from pyegress.errors import Code, Fault, OutputFailed
from pyegress.outputs.disk import GrowingFile, temporary_beside
from pyegress.outputs.file_writer import FileWriter
from pyegress.outputs.muxer import StreamSpec
from pyegress.plan.containers import Container
from tests.outputs.media import (
    COMBINATIONS,
    FPS,
    STEP,
    Combination,
    decode_audio,
    decode_video,
    frames_of,
    opus,
    placed,
    published,
    read_back,
    recovered,
    spec_of,
    video,
)

pytestmark = pytest.mark.media

SECONDS = 3.0
TWO_STREAMS = [combination for combination in COMBINATIONS if len(combination.codecs) == 2]
WITH_TIMESTAMPS = [combination for combination in COMBINATIONS if combination.container is not Container.WAV]


def write(
    path: Path, combination: Combination, *, offsets: tuple[float, float] = (0.0, 0.0), finish: bool
) -> list[tuple[int, ...]]:
    """Write 3 s of the combination; returns the ticks of each stream."""
    streams = combination.frames(SECONDS)
    writer = FileWriter(path, combination.container, [spec_of(frames, "camera") for frames in streams])
    ticks: list[list[int]] = [[] for _ in streams]
    for stream, frame, pts in placed(streams, offsets):
        writer.write(stream, frame, pts)
        ticks[stream].append(pts)
    result = writer.close() if finish else writer.abort()
    assert result.optimised is finish
    assert [s.frames for s in result.streams] == [len(frames) for frames in streams]
    assert [s.octets for s in result.streams] == [sum(len(f.payload) for f in frames) for frames in streams]
    assert result.size == path.stat().st_size
    assert os.listdir(path.parent) == [path.name]
    return [tuple(of_stream) for of_stream in ticks]


@pytest.mark.parametrize("finish", [False, True], ids=["left as recorded", "finished"])
@pytest.mark.parametrize("combination", WITH_TIMESTAMPS, ids=str)
@pytest.mark.parametrize("offsets", [(0.0, 0.3), (0.3, 0.0)], ids=["second late", "first late"])
def test_a_demuxer_gives_back_bytes_and_times(
    tmp_path: Path, combination: Combination, offsets: tuple[float, float], finish: bool
) -> None:
    path = tmp_path / f"a{combination.extension}"
    ticks = write(path, combination, offsets=offsets, finish=finish)
    back = read_back(path)
    for stream, frames in enumerate(combination.frames(SECONDS)):
        codec, track = frames[0].codec, back.tracks[stream]
        assert [recovered(codec, payload) for payload in track.payloads] == [published(frame) for frame in frames]
        assert track.times == [Fraction(pts, codec.clock_rate) for pts in ticks[stream]]
        assert track.keyframes == [frame.keyframe for frame in frames]
        if combination.container is Container.MP4:
            assert track.time_base == Fraction(1, codec.clock_rate)
    if finish or combination.container is not Container.MP4:
        used = offsets[: len(combination.codecs)]
        # FFmpeg counts an MP4's duration from its first frame, a WebM's and an Ogg's from zero.
        begins = min(used) if combination.container is Container.MP4 else 0
        assert back.duration == pytest.approx(max(used) + SECONDS - begins, abs=0.002)


@pytest.mark.parametrize("finish", [False, True], ids=["left as recorded", "finished"])
@pytest.mark.parametrize("combination", COMBINATIONS, ids=str)
def test_every_frame_decodes(tmp_path: Path, combination: Combination, finish: bool) -> None:
    path = tmp_path / f"a{combination.extension}"
    write(path, combination, finish=finish)
    if combination.codecs[0].kind is Kind.VIDEO:
        pictures = decode_video(path)
        assert [size for _, size in pictures] == [(160, 96)] * 75
        assert [time for time, _ in pictures] == pytest.approx([n / FPS for n in range(75)])
    if combination.codecs[-1].kind is Kind.AUDIO:
        rate = 48_000 if combination.codecs[-1] is Codec.OPUS else 8_000
        assert decode_audio(path) == (0.0, SECONDS * rate, 1)


@pytest.mark.parametrize(
    "combination", [c for c in COMBINATIONS if c.container in (Container.MP4, Container.WEBM)], ids=str
)
def test_seeking_finds_the_key_frame_before_the_middle(tmp_path: Path, combination: Combination) -> None:
    path = tmp_path / f"a{combination.extension}"
    streams = combination.frames(8)
    writer = FileWriter(path, combination.container, [spec_of(frames) for frames in streams])
    for stream, frame, pts in placed(streams):
        writer.write(stream, frame, pts)
    writer.close()
    with av.open(str(path)) as container:
        container.seek(4_500_000)  # microseconds
        packet = next(p for p in container.demux(container.streams[0]) if p.size)
        assert packet.is_keyframe
        assert packet.pts is not None
        assert 1.9 <= float(packet.pts * packet.time_base) <= 4.5
        if combination.codecs[0].kind is Kind.VIDEO:
            assert packet.pts * packet.time_base == 4


@pytest.mark.parametrize("finish", [False, True], ids=["left as recorded", "finished"])
@pytest.mark.parametrize(
    ("codec", "container"),
    [
        (Codec.H264, Container.MP4),
        (Codec.H265, Container.MP4),
        (Codec.AV1, Container.MP4),
        (Codec.VP9, Container.MP4),
        (Codec.VP8, Container.WEBM),
        (Codec.VP9, Container.WEBM),
        (Codec.AV1, Container.WEBM),
    ],
    ids=lambda value: value.name,
)
def test_a_resolution_change_decodes_to_the_end(
    tmp_path: Path, codec: Codec, container: Container, finish: bool
) -> None:
    path = tmp_path / "a"
    parts = [video(codec, 30), video(codec, 30, (320, 192)), video(codec, 30, (128, 128))]
    writer = FileWriter(path, container, [spec_of(parts[0])])
    for number, frame in enumerate(frame for part in parts for frame in part):
        writer.write(0, frame, number * STEP)
    _ = writer.close() if finish else writer.abort()
    pictures = decode_video(path)
    assert [size for _, size in pictures] == [(160, 96)] * 30 + [(320, 192)] * 30 + [(128, 128)] * 30
    assert [time for time, _ in pictures] == pytest.approx([n / FPS for n in range(90)], abs=0.001)


@pytest.mark.parametrize("combination", TWO_STREAMS, ids=str)
def test_a_paused_stream_does_not_hold_back_the_other(tmp_path: Path, combination: Combination) -> None:
    """Whichever stream goes on, it is in the file while the other one says nothing."""
    pictures, sound = frames_of(combination.codecs[0], 10), opus(500)
    for goes_on, frames in ((0, pictures), (1, sound)):
        path = tmp_path / f"{goes_on}{combination.extension}"
        writer = FileWriter(path, combination.container, [spec_of(pictures), spec_of(sound)])
        for stream in (0, 1):
            for frame in (pictures, sound)[stream][:3]:
                writer.write(stream, frame, frame.timestamp)
        rate = frames[0].codec.clock_rate
        for frame in frames[3:]:
            writer.write(goes_on, frame, frame.timestamp)
            if frame.timestamp % rate == 0:
                track = read_back(path).tracks[goes_on]
                assert float(track.times[-1]) >= frame.timestamp / rate - 0.6
        paused = read_back(path).tracks[1 - goes_on]
        assert len(paused.payloads) == 3
        writer.close()
        assert [len(track.payloads) for track in read_back(path).tracks][goes_on] == len(frames)


@pytest.mark.parametrize("combination", TWO_STREAMS, ids=str)
def test_a_stream_that_returns_after_a_long_pause_is_at_its_time(tmp_path: Path, combination: Combination) -> None:
    path = tmp_path / f"a{combination.extension}"
    pictures, sound = frames_of(combination.codecs[0], 2), opus(100)
    writer = FileWriter(path, combination.container, [spec_of(pictures), spec_of(sound)])
    late = 100 * 90_000
    for frame in pictures[:FPS]:
        writer.write(0, frame, frame.timestamp)
    for number in range(50 * 101):
        writer.write(1, sound[number % 100], number * 960)
    for frame in pictures[FPS:]:
        writer.write(0, frame, late + frame.timestamp)
    writer.close()
    track = read_back(path).tracks[0]
    assert track.times == [
        Fraction(frame.timestamp + (late if n >= FPS else 0), 90_000) for n, frame in enumerate(pictures)
    ]
    assert len(decode_video(path)) == 2 * FPS


def test_a_pts_that_does_not_rise_becomes_the_next_tick(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    frames = video(Codec.H264, 6)
    writer = FileWriter(path, Container.MP4, [spec_of(frames)])
    for frame, pts in zip(frames, [0, 0, 10, 5, 7200, 7200], strict=True):
        writer.write(0, frame, pts)
    writer.close()
    assert [t * 90_000 for t in read_back(path).tracks[0].times] == [0, 1, 10, 11, 7200, 7201]


@pytest.mark.parametrize("combination", COMBINATIONS, ids=str)
def test_the_first_frame_and_what_flush_was_told_are_in_the_file(tmp_path: Path, combination: Combination) -> None:
    path = tmp_path / f"a{combination.extension}"
    streams = combination.frames(0.4)
    writer = FileWriter(path, combination.container, [spec_of(frames) for frames in streams])
    header = path.stat().st_size
    assert header > 0
    writer.write(0, streams[0][0], 0)
    assert path.stat().st_size >= header + len(streams[0][0].payload)
    for stream, frame, pts in placed(streams)[1:]:
        writer.write(stream, frame, pts)
    writer.flush()
    waiting = path.stat().st_size
    writer.flush()
    assert path.stat().st_size == waiting == writer.bytes_written
    tracks = read_back(path).tracks
    assert [sum(map(len, t.payloads)) for t in tracks] == [sum(len(f.payload) for f in fs) for fs in streams]
    writer.abort()


def test_close_and_abort_are_idempotent_and_writing_afterwards_is_an_error(tmp_path: Path) -> None:
    frames = opus(3)
    writer = FileWriter(tmp_path / "a.ogg", Container.OGG, [spec_of(frames)])
    writer.write(0, frames[0], 0)
    result = writer.close()
    assert writer.close() is result
    assert writer.abort() is result
    writer.flush()
    with pytest.raises(OutputFailed, match="already closed"):
        writer.write(0, frames[1], 960)


def test_tags_titles_and_language_can_be_read(tmp_path: Path) -> None:
    tags = {"title": "Daily – 3 März", "comment": "c", "room_name": "stand-up"}
    for container, codec in ((Container.MP4, Codec.H264), (Container.WEBM, Codec.VP8), (Container.OGG, Codec.OPUS)):
        path = tmp_path / f"a{container.value.extensions[0]}"
        frames = frames_of(codec, 1)
        spec = StreamSpec(codec, None, frames[0], language="deu", title="screen_share")
        writer = FileWriter(path, container, [spec], metadata=tags)
        writer.write(0, frames[0], 0)
        writer.close()
        with av.open(str(path)) as opened:
            holder = opened.streams[0].metadata if container is Container.OGG else opened.metadata
            found = {name.lower(): value for name, value in holder.items()}
            assert tags.items() <= found.items()
            if container is not Container.OGG:
                stream = {name.lower(): value for name, value in opened.streams[0].metadata.items()}
                assert stream["language"] == "deu"
                assert "screen_share" in (stream.get("title"), stream.get("handler_name"))


def test_container_that_cannot_hold_the_codec_names_both_and_the_remedy(tmp_path: Path) -> None:
    frames = video(Codec.VP8, 1)
    path = tmp_path / "new" / "a.mp4"
    with pytest.raises(OutputFailed) as caught:
        FileWriter(path, Container.MP4, [spec_of(frames)])
    assert str(caught.value) == f"MP4 cannot hold VP8: {path}. Use WebM (.webm)"
    assert (caught.value.fault, caught.value.field) == (Fault.CALLER, str(path))
    assert not path.parent.exists()
    with pytest.raises(OutputFailed, match="Ogg holds one audio stream, not 2"):
        FileWriter(tmp_path / "a.ogg", Container.OGG, [spec_of(opus(1)), spec_of(opus(1))])


def test_first_frame_without_parameter_sets_is_refused_and_leaves_no_file(tmp_path: Path) -> None:
    frames = video(Codec.H264, 2)
    with pytest.raises(OutputFailed, match="no size"):
        FileWriter(tmp_path / "a.mp4", Container.MP4, [spec_of(frames[1:])])
    for codec in (Codec.H264, Codec.AV1):
        spec = StreamSpec(codec, (160, 96), video(codec, 2)[1])
        with pytest.raises(OutputFailed, match="Cannot begin"):
            FileWriter(tmp_path / "a.mp4", Container.MP4, [spec])
    assert os.listdir(tmp_path) == []


def ogg(path: Path) -> FileWriter:
    return FileWriter(path, Container.OGG, [spec_of(opus(1))])


def test_path_errors_name_path_reason_and_remedy(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    cases = {
        tmp_path / "folder": ("Is a directory", "Add a file name to the path"),
        tmp_path / "file" / "a.ogg": ("a part of the path is no folder", "Choose a path whose parents are folders"),
        tmp_path / ("n" * 300): ("File name too long", "Choose a shorter name"),
        tmp_path / "pipe": ("Invalid argument", "ordinary file"),
        Path("/proc/a.ogg"): ("No such file", ""),
    }
    for path, (reason, remedy) in cases.items():
        with pytest.raises(OutputFailed, match=reason) as caught:
            ogg(path)
        assert str(path) in caught.value.message
        assert remedy in caught.value.remedy
        assert caught.value.fault is Fault.DESTINATION
        assert caught.value.code is Code.INVALID_ARGUMENT


def test_folder_without_permission(tmp_path: Path) -> None:
    tmp_path.chmod(stat.S_IRUSR | stat.S_IXUSR)
    user = os.geteuid()
    if user == 0:
        os.seteuid(65_534)  # root may write everywhere
    try:
        with pytest.raises(OutputFailed, match="Permission denied") as caught:
            ogg(tmp_path / "a.ogg")
    finally:
        os.seteuid(user)
    assert "permissions" in caught.value.remedy


def test_a_file_that_another_recording_writes_is_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "a.ogg"
    first = ogg(path)
    first.write(0, opus(1)[0], 0)
    before = path.read_bytes()
    with pytest.raises(OutputFailed, match="another recording is writing it"):
        ogg(path)
    assert path.read_bytes() == before
    first.close()
    ogg(path).close()


def test_a_symbolic_link_is_followed_and_stays(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    link = tmp_path / "link.mp4"
    link.symlink_to(tmp_path / "disk" / "real.mp4")
    frames = video(Codec.H264, 3)
    writer = FileWriter(link, Container.MP4, [spec_of(frames)])
    writer.write(0, frames[0], 0)
    result = writer.close()
    assert link.is_symlink()
    assert result.path == tmp_path / "disk" / "real.mp4"
    assert len(read_back(link).tracks[0].payloads) == 1


def test_temporary_names_are_hidden_recognisable_and_never_too_long() -> None:
    assert temporary_beside(Path("/r/a.mp4")) == Path("/r/.a.mp4.pyegress-tmp")
    assert len(temporary_beside(Path("/r") / ("ä" * 127)).name.encode()) <= 255


def test_growing_file_takes_back_a_piece_that_did_not_fit(tmp_path: Path) -> None:
    file = GrowingFile(tmp_path / "f")
    assert file.append(b"abc") == 0
    assert file.append(b"def") == 3
    file.patch(1, b"XX")
    file.close()
    file.close()
    assert (tmp_path / "f").read_bytes() == b"aXXdef"
