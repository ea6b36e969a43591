from __future__ import annotations

import struct
from pathlib import Path

import pytest

from pyegress.clock import Monotonic
from pyegress.codecs import Codec
from pyegress.outputs.file_writer import FileWriter
from pyegress.plan.containers import Container
from pyegress.rtp.frame import EncodedFrame
from tests.outputs.media import decode_audio, g711, spec_of

pytestmark = pytest.mark.media


def sizes(data: bytes) -> tuple[int, int, int]:
    """(RIFF, fact, data) sizes of a header."""
    assert data[:4] == b"RIFF"
    assert data[8:16] == b"WAVEfmt "
    assert data[38:42] == b"fact"
    assert data[50:54] == b"data"
    return (
        *struct.unpack_from("<I", data, 4),
        *struct.unpack_from("<I", data, 46),
        *struct.unpack_from("<I", data, 54),
    )


@pytest.mark.parametrize(("codec", "tag"), [(Codec.PCMU, 7), (Codec.PCMA, 6)])
def test_samples_are_the_published_bytes_and_the_header_is_right_at_every_flush(
    tmp_path: Path, codec: Codec, tag: int
) -> None:
    frames = g711(codec, 100)
    path = tmp_path / "voice.wav"
    writer = FileWriter(path, Container.WAV, [spec_of(frames)])
    for number, frame in enumerate(frames, 1):
        writer.write(0, frame, frame.timestamp)
        if number % 30 == 0:
            writer.flush()
            assert sizes(path.read_bytes()) == (50 + number * 160, number * 160, number * 160)
    result = writer.close()
    data = path.read_bytes()
    assert data[58:] == b"".join(frame.payload for frame in frames)
    assert struct.unpack_from("<HHIIHH", data, 20) == (tag, 1, 8000, 8000, 1, 8)
    assert (result.duration, result.size, result.warning) == (2.0, 58 + 16_000, "")
    assert decode_audio(path) == (0.0, 16_000, 1)


def test_time_without_samples_is_silence_since_the_file_has_no_timestamps(tmp_path: Path) -> None:
    path = tmp_path / "gap.wav"
    frames = g711(Codec.PCMA, 2)
    writer = FileWriter(path, Container.WAV, [spec_of(frames)])
    writer.write(0, frames[0], 80)
    writer.write(0, frames[1], 3_000_000)
    writer.close()
    data = path.read_bytes()[58:]
    assert data[:80] == b"\xd5" * 80
    assert data[80:240] == frames[0].payload
    assert set(data[240:3_000_000]) == {0xD5}
    assert data[3_000_000:] == frames[1].payload


def test_odd_length_is_padded_but_not_counted(tmp_path: Path) -> None:
    path = tmp_path / "odd.wav"
    frame = EncodedFrame(Codec.PCMU, b"\x01\x02\x03", 0, Monotonic(0.0), duration=3)
    writer = FileWriter(path, Container.WAV, [spec_of([frame])])
    writer.write(0, frame, 0)
    writer.close()
    data = path.read_bytes()
    assert len(data) == 62
    assert sizes(data) == (54, 3, 3)
    assert decode_audio(path)[1] == 3
