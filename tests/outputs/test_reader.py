from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from pyegress.codecs import Codec
from pyegress.outputs.file_writer import FileWriter
from pyegress.outputs.fragment_reader import NotARecording
from pyegress.outputs.reader import annex_b, read_frames
from pyegress.outputs.sample_entries import mp4_sample
from tests.outputs.media import COMBINATIONS, Combination, placed, spec_of

pytestmark = pytest.mark.media


@pytest.mark.parametrize("combination", COMBINATIONS, ids=str)
def test_a_running_recording_reads_back_as_it_was_written(tmp_path: Path, combination: Combination) -> None:
    path = tmp_path / f"live{combination.extension}"
    streams = combination.frames(2.6)
    writer = FileWriter(path, combination.container, [spec_of(frames) for frames in streams])
    for stream, frame, pts in placed(streams, offsets=(0.0, 0.3)):
        writer.write(stream, frame, pts)
    writer.flush()
    read = list(read_frames(path))
    for index, frames in enumerate(streams):
        offset = round((0.0, 0.3)[index] * frames[0].codec.clock_rate)
        got = [(frame.payload, frame.keyframe, pts) for stream, frame, pts in read if stream == index]
        assert got == [(frame.payload, frame.keyframe, frame.timestamp + offset) for frame in frames]
    seconds = [pts / frame.codec.clock_rate for _, frame, pts in read]
    assert all(later > earlier - 0.51 for earlier, later in pairwise(seconds))
    writer.abort()


@pytest.mark.parametrize("combination", COMBINATIONS, ids=str)
def test_a_torn_end_is_left_out(tmp_path: Path, combination: Combination) -> None:
    path = tmp_path / f"torn{combination.extension}"
    streams = combination.frames(2)
    writer = FileWriter(path, combination.container, [spec_of(frames) for frames in streams])
    for stream, frame, pts in placed(streams):
        writer.write(stream, frame, pts)
    writer.abort()
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) * 3 // 5])
    for index, frames in enumerate(streams):
        got = b"".join(frame.payload for stream, frame, _ in read_frames(path) if stream == index)
        expected = b"".join(frame.payload for frame in frames)
        assert expected.startswith(got)
        assert 0 < len(got) < len(expected)


def test_other_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "text"
    path.write_bytes(b"just some text, no recording")
    with pytest.raises(NotARecording, match="neither"):
        list(read_frames(path))


def test_annex_b_is_the_inverse_of_the_mp4_sample() -> None:
    payload = b"\0\0\0\1\x67abc\0\0\0\1\x65" + b"x" * 300
    assert annex_b(mp4_sample(Codec.H264, payload)) == payload
    assert mp4_sample(Codec.VP8, payload) == payload
