"""Encoded sound in every container: where it lies, how long it is, what a cut file plays, seeking."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from pyegress.media.audio_encoder import AudioEncoder
from pyegress.outputs.encoded_streams import audio_stream
from pyegress.outputs.file_writer import FileWriter
from pyegress.plan.containers import Container
from pyegress.plan.encodings import AudioCodec
from tests.media.encoding import audio, clicks, encode_sound, heard, sound

pytestmark = pytest.mark.media

CASES = [
    (Container.MP4, AudioCodec.AAC, 44_100, ".mp4"),
    (Container.MP4, AudioCodec.AAC, 48_000, ".m4a"),
    (Container.MP4, AudioCodec.OPUS, 48_000, ".mp4"),
    (Container.WEBM, AudioCodec.OPUS, 48_000, ".webm"),
    (Container.OGG, AudioCodec.OPUS, 48_000, ".ogg"),
    (Container.MP3, AudioCodec.MP3, 44_100, ".mp3"),
    (Container.MP3, AudioCodec.MP3, 48_000, ".mp3"),
    (Container.MP3, AudioCodec.MP3, 16_000, ".mp3"),
    (Container.FLAC, AudioCodec.FLAC, 48_000, ".flac"),
    (Container.FLAC, AudioCodec.FLAC, 44_100, ".flac"),
    (Container.WAV, AudioCodec.PCM, 48_000, ".wav"),
    (Container.WAV, AudioCodec.PCM, 44_100, ".wav"),
]
each_case = pytest.mark.parametrize(
    ("container", "codec", "rate", "extension"), CASES, ids=[f"{c.name}-{a.name}-{r}" for c, a, r, _ in CASES]
)
CLICKS = (0.1, 1.0, 2.75)
SECONDS = 3.123


def record(
    path: Path, container: Container, codec: AudioCodec, rate: int, *, late: float = 0.0, finish: bool = True
) -> int:
    """Write clicks; the size of the file."""
    encoder = AudioEncoder(audio(codec, rate, 64 if rate < 32_000 else 128))
    writer = FileWriter(path, container, [audio_stream(encoder, title="voice")], metadata={"artist": "Jo"})
    for frame in encode_sound(encoder, sound(SECONDS, CLICKS)):
        writer.write(0, frame, frame.timestamp + round(late * rate))
    result = writer.close() if finish else writer.abort()
    assert not finish or result.warning == ""
    assert result.duration == pytest.approx(late + SECONDS, abs=0.03)
    return result.size


@each_case
def test_sound_lies_where_it_was(
    tmp_path: Path, container: Container, codec: AudioCodec, rate: int, extension: str
) -> None:
    path = tmp_path / f"sound{extension}"
    record(path, container, codec, rate)
    assert all(abs(late) < 1.0 for late in clicks(path, CLICKS)), clicks(path, CLICKS)
    samples, decoded_rate, first = heard(path)
    assert decoded_rate == rate
    assert first == pytest.approx(0.0, abs=0.001)
    # The end is exact but for AAC in MP4, whose last frame FFmpeg plays to its end.
    assert len(samples) / rate == pytest.approx(SECONDS, abs=0.024)
    # Left and right were kept apart.
    assert np.corrcoef(samples[:, 0], samples[:, 1])[0, 1] < -0.9
    with av.open(str(path)) as opened:
        assert opened.duration is not None
        assert opened.duration / 1e6 == pytest.approx(SECONDS, abs=0.03)


@each_case
def test_a_recording_that_was_never_finished_plays(
    tmp_path: Path, container: Container, codec: AudioCodec, rate: int, extension: str
) -> None:
    path = tmp_path / f"sound{extension}"
    record(path, container, codec, rate, finish=False)
    assert all(abs(late) < 1.0 for late in clicks(path, CLICKS)), clicks(path, CLICKS)


@each_case
def test_a_file_cut_anywhere_plays_up_to_there(
    tmp_path: Path, container: Container, codec: AudioCodec, rate: int, extension: str
) -> None:
    path = tmp_path / f"sound{extension}"
    size = record(path, container, codec, rate, finish=False)
    data = path.read_bytes()
    for share in (0.5, 0.77, 0.93):
        path.write_bytes(data[: int(size * share) + 1])
        samples, _, _ = heard(path, torn=True)
        # Sizes are not quite even over time, and a piece of half a second may be torn.
        assert len(samples) / rate > SECONDS * share - 0.9
        assert all(abs(late) < 1.0 for late in clicks(path, CLICKS[:1], torn=True))


@each_case
def test_seeking_leads_to_the_right_sound(
    tmp_path: Path, container: Container, codec: AudioCodec, rate: int, extension: str
) -> None:
    path = tmp_path / f"sound{extension}"
    record(path, container, codec, rate)
    with av.open(str(path)) as opened:
        stream = opened.streams.audio[0]
        zero = float((stream.start_time or 0) * (stream.time_base or 0)) if container is Container.MP3 else 0.0
        opened.seek(2_500_000)
        loudest, at = 0.0, 0.0
        first = None
        for frame in opened.decode(stream):
            first = float(frame.time or 0) if first is None else first
            block = frame.to_ndarray().astype(np.float32)
            if not frame.format.is_planar:
                block = block.reshape(-1, 2).T
            if (peak := float(np.abs(block[0]).max())) > loudest:
                loudest, at = peak, float(frame.time or 0) + int(np.abs(block[0]).argmax()) / rate
    assert first is not None
    assert first > 1.4  # the first click is not even read
    # Players that seek by a table of contents in MP3 are off by some frames; FFmpeg is.
    assert at - zero == pytest.approx(2.75, abs=0.1 if container is Container.MP3 else 0.002)


@pytest.mark.parametrize(
    ("container", "codec", "rate", "extension"),
    [case for case in CASES if case[1] is not AudioCodec.FLAC],
    ids=[f"{c.name}-{a.name}-{r}" for c, a, r, _ in CASES if a is not AudioCodec.FLAC],
)
def test_sound_that_begins_late_stays_late(
    tmp_path: Path, container: Container, codec: AudioCodec, rate: int, extension: str
) -> None:
    path = tmp_path / f"sound{extension}"
    record(path, container, codec, rate, late=1.5)
    # MP3 has no timestamps: silent frames fill the time, to the nearest frame.
    tolerance = 1000 * 1152 / rate / 2 + 1 if container is Container.MP3 else 1.0
    late = clicks(path, [at + 1.5 for at in CLICKS])
    assert all(abs(one) < tolerance for one in late), late


def test_mp4_has_the_header_in_front_and_tags(tmp_path: Path) -> None:
    path = tmp_path / "sound.m4a"
    record(path, Container.MP4, AudioCodec.AAC, 44_100)
    data = path.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")
    with av.open(str(path)) as opened:
        assert opened.metadata["artist"] == "Jo"
        assert opened.streams.audio[0].codec_context.profile == "LC"


@pytest.mark.parametrize(
    ("container", "codec", "extension"),
    [(Container.MP3, AudioCodec.MP3, ".mp3"), (Container.FLAC, AudioCodec.FLAC, ".flac")],
)
def test_tags_of_files_of_sound(tmp_path: Path, container: Container, codec: AudioCodec, extension: str) -> None:
    path = tmp_path / f"sound{extension}"
    record(path, container, codec, codec.default_sample_rate)
    with av.open(str(path)) as opened:
        tags = {name.lower(): value for name, value in opened.metadata.items()}
        assert (tags["artist"], tags["title"]) == ("Jo", "voice")
