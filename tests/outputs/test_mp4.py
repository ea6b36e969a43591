"""What the two forms of an MP4 look like inside: fragments while recording, the movie header in front when finished."""

from __future__ import annotations

import os
import struct
from collections.abc import Sequence
from pathlib import Path

import pytest

from pyegress.codecs import Codec
from pyegress.outputs.file_writer import FileWriter
from pyegress.outputs.fragment_reader import NotARecording, read_fragments
from pyegress.outputs.progressive_mp4 import finish_mp4, media_start
from pyegress.plan.containers import Container
from pyegress.rtp.codec_config import split_annexb
from pyegress.rtp.frame import EncodedFrame
from tests.outputs.media import STEP, frames_of, opus, placed, read_back, spec_of, video

pytestmark = pytest.mark.media

CONTAINERS = (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"edts", b"moof", b"traf", b"mvex", b"dinf")


def boxes(data: bytes, start: int = 0, end: int | None = None, path: str = "") -> list[tuple[str, int, int]]:
    """(path, start of content, end) of all boxes, depth first; sizes must add up."""
    out: list[tuple[str, int, int]] = []
    end = len(data) if end is None else end
    while start < end:
        size, kind = struct.unpack_from(">I4s", data, start)
        content = start + 8
        if size == 1:
            (size,) = struct.unpack_from(">Q", data, content)
            content += 8
        assert content <= start + size <= end, f"{path}/{kind!r} does not fit"
        name = f"{path}/{kind.decode()}"
        out.append((name, content, start + size))
        if kind in CONTAINERS:
            out += boxes(data, content, start + size, name)
        start += size
    return out


def top(data: bytes) -> list[str]:
    return [name[1:] for name, _, _ in boxes(data) if name.count("/") == 1]


def find(data: bytes, name: str) -> list[bytes]:
    return [data[start:end] for path, start, end in boxes(data) if path == name]


def record(path: Path, streams: Sequence[Sequence[EncodedFrame]], offsets: Sequence[float] = (0.0, 0.0)) -> FileWriter:
    writer = FileWriter(path, Container.MP4, [spec_of(frames) for frames in streams])
    for stream, frame, pts in placed(streams, offsets):
        writer.write(stream, frame, pts)
    return writer


def test_a_growing_file_is_header_and_short_fragments(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    record(path, [video(Codec.H264, 75), opus(150)]).abort()
    data = path.read_bytes()
    kinds = top(data)
    assert kinds[:2] == ["ftyp", "moov"]
    assert kinds[2:] == ["moof", "mdat"] * (len(kinds) // 2 - 1)
    for run in find(data, "/moof/traf/trun"):
        assert 1 <= struct.unpack_from(">I", run, 4)[0] <= 25
    numbers = [struct.unpack(">II", header)[1] for header in find(data, "/moof/mfhd")]
    assert numbers == list(range(1, len(numbers) + 1))


def test_a_finished_file_has_the_movie_header_in_front_and_no_fragments(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    frames, sound = video(Codec.H264, 75), opus(150)
    writer = record(path, [frames, sound], (0.0, 0.3))
    writer.flush()
    recorded = path.read_bytes()
    writer.close()
    data = path.read_bytes()
    assert top(data) == ["ftyp", "moov", "mdat"]
    assert not find(data, "/moov/mvex")
    timescale, duration = struct.unpack_from(">IQ", find(data, "/moov/mvhd")[0], 20)
    assert duration / timescale == 3.3
    assert [struct.unpack_from(">IQ", m, 20) for m in find(data, "/moov/trak/mdia/mdhd")] == [
        (90_000, 75 * STEP),
        (48_000, 150 * 960),
    ]
    # Constant frame rate and packet duration need one entry each, whatever fragments there were.
    assert find(data, "/moov/trak/mdia/minf/stbl/stts") == [
        struct.pack(">IIII", 0, 1, 75, STEP),
        struct.pack(">IIII", 0, 1, 150, 960),
    ]
    assert find(data, "/moov/trak/mdia/minf/stbl/stss") == [struct.pack(">II3I", 0, 3, 1, 26, 51)]
    # The sound begins 0.3 s late: an empty edit of exactly that.
    [edits] = find(data, "/moov/trak/edts/elst")
    assert struct.unpack_from(">IQq", edits, 4) == (2, timescale * 3 // 10, -1)
    assert struct.unpack_from(">Qq", edits, 28) == (timescale * 3, 0)
    assert b"roll" in find(data, "/moov/trak/mdia/minf/stbl/sgpd")[0]
    # What was recorded is in it unchanged, so that it can be on its way before the header is known.
    assert find(data, "/mdat") == [recorded[_media_start(recorded, tmp_path) :]]
    assert _media_start(data, tmp_path) == data.index(b"mdat") + 4 + 8


def _media_start(data: bytes, folder: Path) -> int:
    path = folder / "looked at"
    path.write_bytes(data)
    fd = os.open(path, os.O_RDONLY)
    try:
        return media_start(fd)
    finally:
        os.close(fd)


def test_only_mp4_has_a_header_of_another_size_when_it_is_finished(tmp_path: Path) -> None:
    for other in (b"", b"OggS" + bytes(40), b"\x1a\x45\xdf\xa3" + bytes(40), b"ID3\x04" + bytes(40), b"fLaC\0\0"):
        assert _media_start(other, tmp_path) == 0


@pytest.mark.parametrize(
    ("codec", "entry", "record_box"),
    [
        (Codec.H264, b"avc1", b"avcC"),
        (Codec.H265, b"hvc1", b"hvcC"),
        (Codec.AV1, b"av01", b"av1C"),
        (Codec.VP9, b"vp09", b"vpcC"),
        (Codec.OPUS, b"Opus", b"dOps"),
    ],
)
def test_sample_entries(tmp_path: Path, codec: Codec, entry: bytes, record_box: bytes) -> None:
    path = tmp_path / "a.mp4"
    frames = frames_of(codec, 1)
    record(path, [frames]).close()
    [stsd] = find(path.read_bytes(), "/moov/trak/mdia/minf/stbl/stsd")
    assert stsd[12:16] == entry
    fields = 8 + 8 + (28 if codec is Codec.OPUS else 78)
    size, kind = struct.unpack_from(">I4s", stsd, fields)
    assert kind == record_box
    assert fields + size == len(stsd)
    config = stsd[fields + 8 :]
    if codec is Codec.OPUS:
        assert struct.unpack_from(">HH", stsd, 8 + 24) == (1, 16)
    else:
        assert struct.unpack_from(">HH", stsd, 8 + 32) == (160, 96)
    if codec in (Codec.H264, Codec.H265):
        sets = [nal for nal in split_annexb(frames[0].payload) if nal in config]
        assert len(sets) >= 2  # in the record and, unchanged, in the sample
    if codec is Codec.VP9:
        assert config[:7] == bytes((1, 0, 0, 0, 0, 10, 0x82))


def test_mono_that_becomes_stereo_is_announced_as_stereo_live_and_finished(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    writer = record(path, [video(Codec.H264, 25), opus(50)])
    for number, frame in enumerate(opus(50, channels=2)):
        writer.write(1, frame, (50 + number) * 960)
    writer.flush()
    live = find(path.read_bytes(), "/moov/trak/mdia/minf/stbl/stsd")[1]
    writer.close()
    finished = find(path.read_bytes(), "/moov/trak/mdia/minf/stbl/stsd")[1]
    assert live == finished
    assert struct.unpack_from(">H", live, 8 + 24) == (2,)
    assert live[live.index(b"dOps") + 5] == 2


def test_a_recording_whose_process_died_can_be_finished_from_its_file(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    frames = video(Codec.H264, 75)
    record(path, [frames]).abort()
    torn = path.read_bytes()
    path.write_bytes(torn[:-400])
    fd = os.open(path, os.O_RDWR)
    finish_mp4(fd, path)
    os.close(fd)
    assert top(path.read_bytes()) == ["ftyp", "moov", "mdat"]
    times = read_back(path).tracks[0].times
    assert 50 <= len(times) < 75
    assert [t * 90_000 for t in times] == [f.timestamp for f in frames[: len(times)]]


def test_a_file_that_is_no_recording_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    for content in (b"", b"\0\0\0\x10ftypisom\0\0\0\0", b"text that is not MP4"):
        path.write_bytes(content)
        fd = os.open(path, os.O_RDWR)
        with pytest.raises(NotARecording):
            finish_mp4(fd, path)
        os.close(fd)
        assert path.read_bytes() == content
    assert os.listdir(tmp_path) == ["a.mp4"]


def test_estimated_durations_are_corrected_by_the_next_fragment(tmp_path: Path) -> None:
    """Flushing after every frame leaves each duration a guess; the finished file has the true ones."""
    path = tmp_path / "a.mp4"
    frames = video(Codec.H264, 5)
    writer = FileWriter(path, Container.MP4, [spec_of(frames)])
    places = [0, 9000, 12_000, 13_000, 99_000]
    for frame, pts in zip(frames, places, strict=True):
        writer.write(0, frame, pts)
        writer.flush()
    fd = os.open(path, os.O_RDONLY)
    table = read_fragments(fd).tracks[1]
    os.close(fd)
    assert list(table.runs[:8]) == [1, 9000, 1, 3000, 1, 1000, 2, 86_000]
    writer.close()
    assert [t * 90_000 for t in read_back(path).tracks[0].times] == places


def test_empty_recording_closes_to_an_empty_file(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    result = FileWriter(path, Container.MP4, [spec_of(video(Codec.H264, 1))]).close()
    assert (result.duration, result.warning) == (0.0, "")
    assert top(path.read_bytes()) == ["ftyp", "moov", "mdat"]


def test_offsets_beyond_4_gib_take_64_bits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pyegress.outputs import progressive_mp4

    monkeypatch.setattr(progressive_mp4, "_MAX_32", 10_000)  # as if the file were that large
    path = tmp_path / "a.mp4"
    frames = video(Codec.H264, 75)
    record(path, [frames]).close()
    data = path.read_bytes()
    assert find(data, "/moov/trak/mdia/minf/stbl/co64")
    assert not find(data, "/moov/trak/mdia/minf/stbl/stco")
    assert len(read_back(path).tracks[0].payloads) == 75


def test_an_hour_of_silence_is_small_and_exact(tmp_path: Path) -> None:
    from pyegress.outputs.gap_filler import OpusGapFiller

    path = tmp_path / "a.mp4"
    [first] = opus(1)
    filler = OpusGapFiller()
    writer = FileWriter(path, Container.MP4, [spec_of([first])])
    for frame, pts in filler.packet(first, 0):
        writer.write(0, frame, pts)
    for frame, pts in filler.fill_until(3600 * 48_000):
        writer.write(0, frame, pts)
        assert writer._pending_bytes < 1000
    result = writer.close()
    assert result.duration == 3600.0
    assert result.size < 4_000_000
    assert result.streams[0].frames == 180_000
    data = path.read_bytes()
    assert find(data, "/moov/trak/mdia/minf/stbl/stts") == [struct.pack(">IIII", 0, 1, 180_000, 960)]
