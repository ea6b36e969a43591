"""What a killed process left becomes the file that closing would have made, whenever the finishing is killed, too."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pyegress.clock import Wall
from pyegress.errors import Code, OutputFailed
from pyegress.media.audio_encoder import AudioEncoder
from pyegress.outputs import file_writer
from pyegress.outputs.disk import temporary_beside
from pyegress.outputs.encoded_streams import audio_stream
from pyegress.outputs.file_writer import FileWriter
from pyegress.outputs.left_file import checksum_of, finish_left
from tests.media.encoding import audio, clicks, encode_sound, heard, sound
from tests.outputs.media import COMBINATIONS, Combination, decode_audio, decode_video, placed, read_back, spec_of
from tests.outputs.test_encoded_sound import CASES, CLICKS

pytestmark = pytest.mark.media

LENGTH = 3.0
#: Nothing is lost of what was handed over before the last piece.
PIECE = 0.6
Case = tuple[str, Callable[[Path], FileWriter]]


def of_copies(combination: Combination) -> Callable[[Path], FileWriter]:
    def record(path: Path) -> FileWriter:
        streams = combination.frames(LENGTH)
        writer = FileWriter(path, combination.container, [spec_of(frames) for frames in streams], metadata={"a": "b"})
        for stream, frame, pts in placed(streams):
            writer.write(stream, frame, pts)
        return writer

    return record


def of_encoder(case: int) -> Callable[[Path], FileWriter]:
    container, codec, rate, _ = CASES[case]

    def record(path: Path) -> FileWriter:
        encoder = AudioEncoder(audio(codec, rate, 64 if rate < 32_000 else 128))
        writer = FileWriter(path, container, [audio_stream(encoder, title="voice")], metadata={"artist": "Jo"})
        for frame in encode_sound(encoder, sound(LENGTH, CLICKS)):
            writer.write(0, frame, frame.timestamp)
        return writer

    return record


KINDS: list[Case] = [
    *((combination.extension, of_copies(combination)) for combination in COMBINATIONS),
    *((CASES[number][3], of_encoder(number)) for number in range(len(CASES))),
]
IDS = [*map(str, COMBINATIONS), *(f"{codec.name}-{rate}{ext}" for _, codec, rate, ext in CASES)]
#: One of each way to finish.
EACH_WAY = [
    (kind, name)
    for kind, name in zip(KINDS, IDS, strict=True)
    if name in ("H264+OPUS.mp4", "VP8+OPUS.webm", "OPUS.ogg", "PCMU.wav", "MP3-44100.mp3", "FLAC-48000.flac")
]


@pytest.fixture(autouse=True)
def one_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files made twice are the same."""
    monkeypatch.setattr(file_writer, "wall", lambda: Wall(1_700_000_000.0))


def left(tmp_path: Path, kind: Case, name: str = "left") -> Path:
    extension, record = kind
    path = tmp_path / f"{name}{extension}"
    record(path).abort()
    return path


@pytest.mark.parametrize("kind", KINDS, ids=IDS)
def test_it_becomes_what_closing_makes(tmp_path: Path, kind: Case) -> None:
    extension, record = kind
    closed = record(tmp_path / f"closed{extension}").close()
    path = left(tmp_path, kind)
    temporary_beside(path).write_bytes(b"of a process that is gone")
    finished = finish_left(path)
    assert finished is not None
    assert path.read_bytes() == closed.path.read_bytes()
    assert finished.duration == pytest.approx(closed.duration, abs=0.001)
    assert (finished.size, finished.warning) == (closed.size, "")
    assert finished.checksum == checksum_of(closed.path)
    assert finish_left(path) == finished, "once more"
    untouched = finish_left(closed.path)
    assert untouched is not None
    assert untouched.checksum == finished.checksum
    assert sorted(os.listdir(tmp_path)) == sorted([closed.path.name, path.name])


@pytest.mark.parametrize("kind", KINDS, ids=IDS)
def test_a_torn_end_is_cut_off(tmp_path: Path, kind: Case) -> None:
    """Cut anywhere in the last half of the file: what is whole before stays, exactly, and seeking works."""
    path = left(tmp_path, kind)
    whole = path.read_bytes()
    before = read_back(path)
    chance = random.Random(path.suffix)
    for share in (0.55, chance.uniform(0.6, 0.99), 1.0 - 3 / len(whole)):
        path.write_bytes(whole[: int(len(whole) * share)])
        finished = finish_left(path)
        assert finished is not None
        again = finish_left(path)
        assert again == finished
        back = read_back(path)
        for ours, theirs in zip(back.tracks, before.tracks, strict=True):
            if path.suffix == ".wav":
                assert b"".join(theirs.payloads).startswith(b"".join(ours.payloads))
                continue
            assert ours.payloads == theirs.payloads[: len(ours.payloads)]
        assert back.duration is not None
        assert back.duration == pytest.approx(finished.duration, abs=0.05)
        assert LENGTH * share - 1.3 < finished.duration < LENGTH + 0.1
        if back.tracks[0].codec in ("h264", "hevc", "libdav1d", "vp8", "vp9"):
            assert len(decode_video(path)) == len(back.tracks[0].payloads)
        else:
            first, samples, _ = decode_audio(path)
            assert first + samples / 48_000 > 0


@pytest.mark.parametrize(("kind", "name"), EACH_WAY, ids=[name for _, name in EACH_WAY])
def test_killed_before_each_step_of_finishing(tmp_path: Path, kind: Case, name: str) -> None:
    start = left(tmp_path, kind, "start")
    start.write_bytes(start.read_bytes()[:-7])
    aim = tmp_path / f"aim{start.suffix}"
    shutil.copy(start, aim)
    finished = finish_left(aim)
    assert finished is not None
    path = tmp_path / f"killed{start.suffix}"
    killed = 0
    for step in range(1, 40):
        shutil.copy(start, path)
        command = [sys.executable, "-m", "tests.outputs.finish_child", str(path), str(step)]
        code = subprocess.run(command, check=False, timeout=60).returncode
        played, whole = (b"".join(read_back(one).tracks[0].payloads) for one in (path, aim))
        assert played[: len(whole)] == whole, f"plays after step {step}"
        again = finish_left(path)
        assert again is not None
        assert again.checksum == finished.checksum
        if code != -signal.SIGKILL:
            assert code == 0
            break
        killed += 1
    assert killed >= 2, name


def test_clicks_are_where_they_were(tmp_path: Path) -> None:
    """Priming and padding of encoders are still told."""
    for number, name in enumerate(IDS[len(COMBINATIONS) :]):
        kind = KINDS[len(COMBINATIONS) + number]
        path = left(tmp_path, kind, f"left{number}")
        path.write_bytes(path.read_bytes()[:-7])
        finish_left(path)
        if path.suffix == ".flac":
            samples, rate, _ = heard(path)
            assert len(samples) / rate > LENGTH - PIECE
        assert all(abs(late) < 1.0 for late in clicks(path, CLICKS[:2])), name


@pytest.mark.parametrize("extension", [".mp4", ".webm", ".ogg", ".wav", ".mp3", ".flac"])
def test_nothing_was_recorded(tmp_path: Path, extension: str) -> None:
    path = tmp_path / f"a{extension}"
    assert finish_left(path) is None
    path.write_bytes(b"")
    assert finish_left(path) is None
    path.write_bytes(bytes(5000))
    assert finish_left(path) is None, "a power cut left zeros"
    kind = next(kind for kind in KINDS if kind[0] == extension)
    whole = left(tmp_path, kind, "whole").read_bytes()
    for count in (3, 20, 50):
        path.write_bytes(whole[:count])
        assert finish_left(path) is None


def test_zeros_behind_what_was_recorded(tmp_path: Path) -> None:
    """After a power cut the file may be longer than what reached the disk."""
    for kind, name in EACH_WAY:
        path = left(tmp_path, kind, name)
        plain = read_back(path).tracks[0].payloads
        with path.open("ab") as file:
            file.write(bytes(9000))
        finished = finish_left(path)
        assert finished is not None
        payloads = read_back(path).tracks[0].payloads
        if path.suffix == ".wav":
            assert b"".join(payloads).startswith(b"".join(plain))
        else:
            assert payloads == plain, name


def test_other_files_are_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(b"%PDF-1.7 something else")
    with pytest.raises(OutputFailed):
        finish_left(path)
    assert path.read_bytes().startswith(b"%PDF")
    with pytest.raises(OutputFailed) as caught:
        finish_left(tmp_path)
    assert caught.value.code is Code.INVALID_ARGUMENT
