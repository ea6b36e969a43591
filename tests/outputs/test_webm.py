"""What a WebM file looks like inside: clusters while recording; cues, seek head and sizes when finished."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import pytest

from pyegress.codecs import Codec
from pyegress.outputs import ebml
from pyegress.outputs.file_writer import FileWriter
from pyegress.plan.containers import Container
from pyegress.rtp.frame import EncodedFrame
from tests.outputs.media import decode_audio, opus, placed, read_back, spec_of, video

pytestmark = pytest.mark.media


def record(path: Path, streams: Sequence[Sequence[EncodedFrame]], offsets: Sequence[float] = (0.0, 0.0)) -> FileWriter:
    writer = FileWriter(path, Container.WEBM, [spec_of(frames) for frames in streams], metadata={"title": "T"})
    for stream, frame, pts in placed(streams, offsets):
        writer.write(stream, frame, pts)
    return writer


def segment_of(data: bytes) -> tuple[int | None, int]:
    """(size, start of content) of the segment."""
    identifier, size, start = ebml.read_header(data)
    assert identifier == ebml.EBML
    assert size is not None
    identifier, segment_size, content = ebml.read_header(data, start + size)
    assert identifier == ebml.SEGMENT
    return segment_size, content


def number(content: bytes) -> int:
    return int.from_bytes(content, "big")


def test_a_growing_file_has_a_duration_and_whole_clusters(tmp_path: Path) -> None:
    path = tmp_path / "a.webm"
    writer = record(path, [video(Codec.VP8, 75), opus(150)])
    writer.flush()
    data = path.read_bytes()
    size, start = segment_of(data)
    assert size is None
    parts = list(ebml.elements(data[start:]))
    assert ebml.CUES not in dict(parts)
    clusters = [dict(ebml.elements(content)) for name, content in parts if name == ebml.CLUSTER]
    times = [number(cluster[ebml.TIMESTAMP]) for cluster in clusters]
    assert times == sorted(times)
    assert all(later - earlier <= 600 for earlier, later in pairwise(times))
    info = dict(ebml.elements(dict(parts)[ebml.INFO]))
    assert struct.unpack(">d", info[ebml.DURATION]) == (3000.0,)
    writer.abort()


def test_a_finished_file_leads_to_its_key_frames(tmp_path: Path) -> None:
    path = tmp_path / "a.webm"
    frames = video(Codec.VP8, 75)
    record(path, [frames, opus(150)], (0.3, 0.0)).close()
    data = path.read_bytes()
    size, start = segment_of(data)
    assert size == len(data) - start
    parts = dict(ebml.elements(data[start:]))
    assert struct.unpack(">d", dict(ebml.elements(parts[ebml.INFO]))[ebml.DURATION]) == (3300.0,)
    # Every entry of the seek head leads to the element that it names.
    seeks = [dict(ebml.elements(content)) for _, content in ebml.elements(parts[ebml.SEEK_HEAD])]
    places = {seek[ebml.SEEK_ID]: number(seek[ebml.SEEK_POSITION]) for seek in seeks}
    assert set(places) == {ebml.INFO, ebml.TRACKS, ebml.TAGS, ebml.CUES}
    for name, place in places.items():
        assert data[start + place :].startswith(name)
    # Every cue leads to a key frame's block.
    found = []
    for _, content in ebml.elements(parts[ebml.CUES]):
        point = dict(ebml.elements(content))
        cue = dict(ebml.elements(point[ebml.CUE_TRACK_POSITIONS]))
        name, _, body = ebml.read_header(data, start + number(cue[ebml.CUE_CLUSTER_POSITION]))
        assert name == ebml.CLUSTER
        name, length, block = ebml.read_header(data, body + number(cue[ebml.CUE_RELATIVE_POSITION]))
        assert name == ebml.SIMPLE_BLOCK
        assert length is not None
        assert data[block] == 0x81
        assert data[block + 3] == 0x80
        found.append((number(point[ebml.CUE_TIME]), data[block + 4 : block + length]))
    keys = [frame for frame in frames if frame.keyframe]
    assert found == [(frame.timestamp // 90 + 300, frame.payload) for frame in keys]


def test_sound_alone_gets_a_cue_every_two_seconds(tmp_path: Path) -> None:
    path = tmp_path / "a.webm"
    record(path, [opus(500)]).close()
    data = path.read_bytes()
    cues = dict(ebml.elements(data[segment_of(data)[1] :]))[ebml.CUES]
    times = [number(dict(ebml.elements(content))[ebml.CUE_TIME]) for _, content in ebml.elements(cues)]
    assert times[0] == 0
    assert all(2000 <= later - earlier <= 2600 for earlier, later in pairwise(times))
    assert times[-1] >= 7400


def test_frames_less_than_a_millisecond_apart_keep_their_order(tmp_path: Path) -> None:
    path = tmp_path / "a.webm"
    frames = video(Codec.VP8, 6)
    writer = FileWriter(path, Container.WEBM, [spec_of(frames)])
    for step, frame in enumerate(frames):
        writer.write(0, frame, step * 20)
    writer.close()
    track = read_back(path).tracks[0]
    assert [round(t * 1000) for t in track.times] == [0, 1, 2, 3, 4, 5]
    assert track.payloads == [frame.payload for frame in frames]


@pytest.mark.parametrize("skew", [0.7, 5.0, 60.0])
def test_streams_that_arrive_far_apart_keep_their_times(tmp_path: Path, skew: float) -> None:
    """The sound of a moment comes `skew` seconds of writing after its pictures."""
    path = tmp_path / "a.webm"
    frames, sound = video(Codec.VP8, 75), opus(150)
    writer = FileWriter(path, Container.WEBM, [spec_of(frames), spec_of(sound)])
    late = round(skew * 90_000)
    for frame in frames:
        writer.write(0, frame, late + frame.timestamp)
        first = frame.timestamp // 3600 * 2
        for packet in sound[first : first + 2]:
            writer.write(1, packet, packet.timestamp)
    writer.close()
    back = read_back(path)
    assert [float(t) for t in back.tracks[0].times] == pytest.approx([skew + f.timestamp / 90_000 for f in frames])
    assert [float(t) for t in back.tracks[1].times] == pytest.approx([p.timestamp / 48_000 for p in sound])


def test_mono_that_becomes_stereo_is_announced_as_stereo(tmp_path: Path) -> None:
    path = tmp_path / "a.webm"
    writer = record(path, [opus(50)])
    for step, frame in enumerate(opus(50, channels=2)):
        writer.write(0, frame, (50 + step) * 960)
    writer.close()
    data = path.read_bytes()
    tracks = dict(ebml.elements(data[segment_of(data)[1] :]))[ebml.TRACKS]
    entry = dict(ebml.elements(dict(ebml.elements(tracks))[ebml.TRACK_ENTRY]))
    assert entry[ebml.CODEC_PRIVATE][9] == 2
    assert dict(ebml.elements(entry[ebml.AUDIO]))[ebml.CHANNELS] == b"\x02"
    assert decode_audio(path) == (0.0, 100 * 960, 2)


@pytest.mark.parametrize(("name", "doc_type"), [("a.webm", b"webm"), ("a.mkv", b"matroska"), ("A.MKV", b"matroska")])
def test_doc_type_follows_the_extension(tmp_path: Path, name: str, doc_type: bytes) -> None:
    path = tmp_path / name
    record(path, [video(Codec.VP8, 2)]).close()
    data = path.read_bytes()
    _, size, start = ebml.read_header(data)
    assert size is not None
    assert dict(ebml.elements(data[start : start + size]))[ebml.DOC_TYPE] == doc_type


@pytest.mark.parametrize("length", [0, 126, 127, 16_382, 16_383, 2**21, 2**40])
def test_sizes_read_back(length: int) -> None:
    assert ebml.read_header(ebml.VOID + ebml.size_of(length))[1] == length
    assert ebml.read_header(ebml.SEGMENT + ebml.long_size_of(length))[1] == length
    assert ebml.read_header(ebml.SEGMENT + ebml.UNKNOWN_SIZE)[1] is None
