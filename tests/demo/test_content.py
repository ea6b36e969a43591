"""Pictures and sounds of the demo, read back after real encoders."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from pyegress.demo.content import SAMPLE_RATE, DemoPicture, DemoSound, tone_of
from pyegress.demo.stamp import Stamp, read_stamp
from tests.support.analysis import (
    Sound,
    av_offsets,
    beep_onsets,
    check_numbers,
    file_facts,
    flash_onsets,
    numbers_of,
    read_packets,
    read_pictures,
    read_sound,
)
from tests.support.encoding import write_file

pytestmark = pytest.mark.media


@pytest.mark.parametrize(("codec", "suffix"), [("libvpx", ".webm"), ("libx264", ".mp4"), ("libvpx-vp9", ".webm")])
def test_every_frame_number_survives_300_kbps(tmp_path: Path, codec: str, suffix: str) -> None:
    path = tmp_path / f"file{suffix}"
    options = {} if codec == "libx264" else {"deadline": "realtime", "cpu-used": "8", "lag-in-frames": "0"}
    write_file(path, picture=DemoPicture("alice", 7), numbers=range(90), video_codec=codec, options=options)
    pictures = read_pictures(path)
    assert numbers_of(pictures) == list(range(90))
    assert {picture.participant for picture in pictures} == {7}
    assert [picture.at for picture in pictures] == pytest.approx([n / 30 for n in range(90)], abs=0.0006)
    assert flash_onsets(pictures) == pytest.approx([1.0, 2.0], abs=0.0006)


@pytest.mark.parametrize("scale", [0.25, 0.5, 1.3, 2.0])
def test_frame_numbers_survive_scaling(tmp_path: Path, scale: float) -> None:
    path = tmp_path / "file.mp4"
    size = (round(640 * scale) // 2 * 2, round(360 * scale) // 2 * 2)
    write_file(path, picture=DemoPicture("bob", 200), numbers=range(1000, 1020), size=size)
    pictures = read_pictures(path)
    assert numbers_of(pictures) == list(range(1000, 1020))
    assert {(picture.participant, picture.size) for picture in pictures} == {(200, size)}


@pytest.mark.parametrize("size", [(160, 90), (320, 180), (360, 640), (1280, 720)])
def test_stamps_at_every_size(size: tuple[int, int]) -> None:
    picture = DemoPicture("carol", 31, size=size)
    for number in (0, 1, 0x5555, (1 << 20) - 1):
        assert read_stamp(picture.draw(number)[: size[1]]) == Stamp(number, 31)


def test_a_stamp_inside_a_larger_frame() -> None:
    canvas = np.full((720, 1280), 16, np.uint8)
    canvas[180:540, 600:1240] = DemoPicture("dave", 4).draw(77)[:360]
    assert read_stamp(canvas, (600, 180, 640, 360)) == Stamp(77, 4)
    assert read_stamp(canvas) is None


@pytest.mark.parametrize("level", [0, 16, 128, 235, 255])
def test_a_plain_picture_has_no_stamp(level: int) -> None:
    assert read_stamp(np.full((360, 640), level, np.uint8)) is None


def test_a_mix_of_two_frames_is_not_taken_for_either() -> None:
    picture = DemoPicture("erin", 1)
    half = (picture.draw(1000)[:360] // 2 + picture.draw(1979)[:360] // 2).astype(np.uint8)
    assert read_stamp(half) not in (Stamp(1000, 1), Stamp(1979, 1))


def test_the_picture_moves_and_names_differ() -> None:
    one, other = DemoPicture("alice", 1), DemoPicture("bob", 1)
    assert (one.draw(40)[223:245] != one.draw(44)[223:245]).any()
    assert (one.draw(0)[:90, 192:] != other.draw(0)[:90, 192:]).any()


def test_missing_duplicated_and_reordered_numbers_are_told_apart() -> None:
    found = check_numbers([3, 4, 4, 6, 5, 9])
    assert (found.first, found.last) == (3, 9)
    assert (found.missing, found.duplicated, found.reordered) == ((7, 8), (4,), (5,))


def test_beeps_of_several_tones_in_one_mix() -> None:
    seconds = 3 * SAMPLE_RATE
    tones = [tone_of(participant) for participant in range(8)]
    mixed = sum(DemoSound(tone, level=0.1).samples(240 * i, seconds).astype(int) for i, tone in enumerate(tones))
    sound = _sound(np.asarray(mixed)[:, 0] / 32768)
    for i, tone in enumerate(tones):
        expected = [second - 0.005 * i for second in ([0, 1, 2] if i == 0 else [1, 2])]
        # A beep that begins with the first sample passes half of its amplitude only inside the first window.
        found = [onset for onset in beep_onsets(sound, tone) if onset > 0.5]
        assert found == pytest.approx([e for e in expected if e > 0.5], abs=0.004), tone


def test_beeps_are_found_where_they_are_after_opus(tmp_path: Path) -> None:
    path = tmp_path / "file.ogg"
    write_file(path, sound=DemoSound(900), sound_seconds=4)
    sound = read_sound(path)
    assert sound.gaps == ()
    assert sound.duration == pytest.approx(4, abs=0.03)
    assert [onset for onset in beep_onsets(sound, 900) if onset > 0.5] == pytest.approx([1, 2, 3], abs=0.003)
    assert beep_onsets(sound, 1500) == []


def test_a_continuous_tone_has_no_pause() -> None:
    sound = _sound(DemoSound(700, continuous=True).samples(12345, 2 * SAMPLE_RATE)[:, 0] / 32768)
    assert beep_onsets(sound, 700) == pytest.approx([0.005], abs=0.003)


@pytest.mark.parametrize("delay", [0.0, 0.08])
def test_offset_of_sound_against_picture(tmp_path: Path, delay: float) -> None:
    path = tmp_path / "file.webm"
    write_file(
        path,
        picture=DemoPicture("frank", 2, size=(320, 180)),
        numbers=range(120),
        video_codec="libvpx",
        options={"deadline": "realtime", "cpu-used": "8"},
        sound=DemoSound(1100),
        sound_seconds=4,
        sound_delay=delay,
    )
    offsets = av_offsets(flash_onsets(read_pictures(path)), beep_onsets(read_sound(path), 1100))
    assert offsets == pytest.approx([delay] * 3, abs=0.004)


def test_packets_and_facts_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "file.webm"
    write_file(path, picture=DemoPicture("gina", 1, size=(160, 90)), numbers=range(30), video_codec="libvpx")
    packets = read_packets(path, "video")
    assert len(packets) == 30
    assert packets[0].keyframe
    assert packets[0].pts == 0
    assert packets[0].data[3:6] == b"\x9d\x01\x2a"  # the start code of a VP8 key frame, RFC 6386 section 9.1
    facts = file_facts(path)
    assert [(stream.kind, stream.codec, stream.size) for stream in facts.streams] == [("video", "vp8", (160, 90))]
    assert facts.duration == pytest.approx(1.0, abs=0.04)


def _sound(samples: NDArray[np.float64]) -> Sound:
    return Sound(samples.astype(np.float32), 0.0, ())
