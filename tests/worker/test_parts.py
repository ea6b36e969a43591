"""Real frames through feeds, files and writer threads; the files are read back."""

from __future__ import annotations

from pathlib import Path

import pytest

from pyegress.clock import Monotonic, Wall
from pyegress.codecs import Codec, Kind
from pyegress.errors import EgressError, OutputFailed
from pyegress.outputs import writer_thread
from pyegress.room.events import Source
from pyegress.worker.copy_file import SILENCE_AFTER, STALLED_AFTER, CopyFile
from pyegress.worker.parts import Parts
from tests.outputs.media import decode_audio, decode_video, published, read_back, recovered
from tests.support.waiting import eventually
from tests.worker.playing import Files, Played, at, begin, play

pytestmark = [pytest.mark.media, pytest.mark.usefixtures("no_tasks_left")]

MIC, CAMERA = ("TR_A", Codec.OPUS), ("TR_V", Codec.VP8)


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


async def finish(parts: Parts, end: Monotonic | None = None) -> list[CopyFile]:
    await parts.finish(end)
    return [file for file in parts.files if file.result is not None]


def holds(path: Path, *tracks: Played) -> bool:
    """Whether the file has exactly the frames of these tracks, in its streams' order; silence is passed over."""
    streams = read_back(path).tracks
    assert len(streams) == len(tracks)
    for stream, played in zip(streams, tracks, strict=True):
        expected = [published(frame) for frame in played.frames]
        got = [recovered(played.codec, payload) for payload in stream.payloads]
        if [payload for payload in got if payload in expected] != expected:
            return False
    return True


async def test_a_video_that_joins_late_changes_the_name_and_nothing_else(files: Files) -> None:
    parts = files.parts()
    mic = begin(parts, *MIC)
    play((mic, 0.0, 1.0))
    camera = begin(parts, *CAMERA)
    play((mic, 1.0, 3.0), (camera, 1.4, 3.0))
    assert [path.name for path in parts.paths] == ["talk.webm"]
    (file,) = await finish(parts)
    assert files.names() == ["talk.webm"]
    assert not files.failures
    assert holds(files.folder / "talk.webm", mic, camera)
    sound, pictures = read_back(files.folder / "talk.webm").tracks
    assert float(sound.times[0]) == 0.0
    assert float(pictures.times[0]) == pytest.approx(1.4, abs=0.002)
    described = file.describe(0.0, Wall(0.0))
    assert [(stream.kind, stream.codec, stream.source) for stream in described.streams] == [
        ("audio", "Opus", "microphone"),
        ("video", "VP8", "camera"),
    ]
    assert described.duration == pytest.approx(3.0, abs=0.05)


async def test_audio_that_joins_late(files: Files) -> None:
    files.template = "talk.mp4"
    parts = files.parts()
    camera = begin(parts, "TR_V", Codec.H264)
    play((camera, 0.0, 1.0))
    mic = begin(parts, *MIC)
    play((camera, 1.0, 2.0), (mic, 1.52, 2.0))
    await finish(parts)
    assert holds(files.folder / "talk.mp4", camera, mic)
    assert float(read_back(files.folder / "talk.mp4").tracks[1].times[0]) == pytest.approx(1.52, abs=0.005)
    assert len(decode_video(files.folder / "talk.mp4")) == 50


async def test_sender_reports_move_what_is_recorded(files: Files) -> None:
    parts = files.parts()
    mic = begin(parts, *MIC, rtp=5)
    camera = begin(parts, *CAMERA, rtp=99, transit=0.16)
    play((mic, 0.0, 1.0), (camera, 0.0, 1.0))
    mic.report(1.0)
    camera.report(1.0)
    play((mic, 1.0, 2.0), (camera, 1.0, 2.0))
    await finish(parts)
    assert holds(files.folder / "talk.webm", mic, camera)
    sound, pictures = read_back(files.folder / "talk.webm").tracks
    # Both were captured at the same moments: so they lie, before and after the reports.
    assert float(sound.times[0]) == pytest.approx(float(pictures.times[0]), abs=0.002)
    assert float(sound.times[-1]) == pytest.approx(float(pictures.times[-1]), abs=0.025)


async def test_only_what_is_not_moved_any_more_is_told_to_stay(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer_thread, "_WORTH_TELLING", 1)
    parts = files.parts()
    mic, camera = begin(parts, *MIC), begin(parts, *CAMERA, transit=0.16)
    play((mic, 0.0, 1.0), (camera, 0.0, 1.0))
    path = files.folder / "talk.webm"
    await eventually(lambda: parts.bytes_written and path.stat().st_size > 4000, "what was recorded")
    assert files.grown == []
    for track in (mic, camera):
        track.report(1.0)
    play((mic, 1.0, 2.0), (camera, 1.0, 2.0))
    await eventually(lambda: files.grown, "word of what stays")
    assert files.grown[0][0] == path
    assert files.grown[0][1].version == 2, "it was written anew for the second stream, and to move one"
    await finish(parts)


async def test_what_ends_before_any_report_is_aligned_by_its_fastest_frames(files: Files) -> None:
    parts = files.parts()
    camera = begin(parts, *CAMERA, transit=0.3)
    play((camera, 0.0, 0.04))
    camera.transit = 0.02
    mic = begin(parts, *MIC, transit=0.02)
    play((camera, 0.36, 1.0), (mic, 0.4, 1.0))
    await finish(parts)
    pictures, sound = read_back(files.folder / "talk.webm").tracks
    assert float(sound.times[0] - pictures.times[1]) == pytest.approx(0.04, abs=0.01)


async def test_another_codec_goes_on_in_a_second_part(files: Files) -> None:
    parts = files.parts()
    mic, camera = begin(parts, *MIC), begin(parts, *CAMERA)
    play((mic, 0.0, 1.0), (camera, 0.0, 1.0))
    first = len(mic.frames)
    camera.restart(Codec.H264, 7_000)
    changed = Played(camera.feed, 7_000)
    play((mic, 1.0, 2.0), (changed, 1.04, 2.0))
    await finish(parts)
    assert files.names() == ["talk-2.mp4", "talk.webm"]
    assert len(decode_video(files.folder / "talk.webm")) == 25
    assert len(decode_video(files.folder / "talk-2.mp4")) == 24
    payloads = [
        payload
        for name in ("talk.webm", "talk-2.mp4")
        for track in read_back(files.folder / name).tracks
        if track.codec == "opus"
        for payload in track.payloads
    ]
    assert first > 0
    assert payloads == [frame.payload for frame in mic.frames], "the sound is whole across the parts"
    assert not files.failures


async def test_delta_frames_of_another_codec_wait_for_their_key_frame(files: Files) -> None:
    parts = files.parts()
    camera = begin(parts, *CAMERA)
    play((camera, 0.0, 1.0))
    camera.restart(Codec.H264, 0)
    changed = Played(camera.feed, 0)
    held, parts_frame = [], parts.frame
    parts.frame = lambda feed, frame: held.append(frame)  # type: ignore[method-assign]
    play((changed, 1.0, 2.0))
    for frame in held[5:]:
        parts_frame(camera.feed, frame)
    await finish(parts)
    assert files.names() == ["talk.webm"]


async def test_a_second_camera_takes_over(files: Files) -> None:
    parts = files.parts()
    mic, old = begin(parts, *MIC), begin(parts, *CAMERA)
    play((mic, 0.0, 1.0), (old, 0.0, 1.0))
    old.feed.end()
    new = begin(parts, "TR_V2", Codec.VP8, rank=1, rtp=44)
    play((mic, 1.0, 2.0), (new, 1.2, 2.0))
    (file,) = await finish(parts)
    _, pictures = read_back(files.folder / "talk.webm").tracks
    assert pictures.payloads == [frame.payload for frame in (*old.frames, *new.frames)]
    assert float(pictures.times[25]) == pytest.approx(1.2, abs=0.005)
    assert len(decode_video(files.folder / "talk.webm")) == 45
    assert file.describe(0.0, Wall(0.0)).streams[1].track_ids == ("TR_V", "TR_V2")


async def test_of_two_cameras_the_newer_one_stays_until_it_ends(files: Files) -> None:
    parts = files.parts()
    old = begin(parts, *CAMERA)
    play((old, 0.0, 1.0))
    new = begin(parts, "TR_V2", Codec.VP8, rank=1, rtp=44)
    play((new, 1.0, 2.0))
    play((old, 1.0, 2.0))
    new.feed.end()
    play((old, 3.0, 4.0))
    await finish(parts)
    (pictures,) = read_back(files.folder / "talk.webm").tracks
    assert pictures.payloads == [f.payload for f in (*old.frames[:25], *new.frames, *old.frames[50:])]
    assert float(pictures.times[50]) == pytest.approx(3.0, abs=0.005)


async def test_two_cameras_of_different_codecs_do_not_take_turns(files: Files) -> None:
    parts = files.parts()
    old = begin(parts, *CAMERA)
    play((old, 0.0, 0.4))
    new = begin(parts, "TR_V2", Codec.H264, rank=1)
    play((old, 1.0, 3.0), (new, 1.0, 3.0))
    await finish(parts)
    assert files.names() == ["talk-2.mp4", "talk.webm"]
    assert len(decode_video(files.folder / "talk-2.mp4")) == 50


async def test_silence_fills_a_mute_while_it_lasts(files: Files) -> None:
    parts = files.parts()
    mic = begin(parts, *MIC)
    play((mic, 0.0, 1.0))
    mic.feed.set_muted(True, at(1.0))
    parts.tick(at(1.5))
    file = parts.files[0]
    await _written(file, 50)
    parts.tick(at(5.0))
    await _written(file, 50 + round((5.0 - SILENCE_AFTER - 1.0) * 50))
    play((mic, 6.0, 7.0))
    await finish(parts)
    start, samples, _ = decode_audio(files.folder / "talk.ogg")
    assert start + samples / 48_000 == pytest.approx(7.0, abs=0.03)
    (sound,) = read_back(files.folder / "talk.ogg").tracks
    spoken = {frame.payload for frame in mic.frames}
    silent = [float(time) for time, payload in zip(sound.times, sound.payloads, strict=True) if payload not in spoken]
    assert min(silent) == pytest.approx(1.0, abs=0.03)
    assert max(silent) == pytest.approx(6.0, abs=0.03)


async def test_packets_that_a_stall_held_back_are_kept(files: Files) -> None:
    """Nothing comes for four seconds, then everything at once: no silence may have taken its place."""
    parts = files.parts()
    mic = begin(parts, *MIC)
    play((mic, 0.0, 1.0))
    for quarter in range(4, 20):
        parts.tick(at(quarter / 4))
    mic.transit = 4.0
    play((mic, 1.0, 4.0))
    mic.transit = 0.0
    play((mic, 8.0, 9.0))
    await finish(parts)
    (sound,) = read_back(files.folder / "talk.ogg").tracks
    spoken = [frame.payload for frame in mic.frames]
    assert [payload for payload in sound.payloads if payload in spoken] == spoken
    assert decode_audio(files.folder / "talk.ogg")[1] / 48_000 == pytest.approx(9.0, abs=0.03)


async def test_a_track_that_sends_nothing_for_long_is_filled(files: Files) -> None:
    parts = files.parts()
    mic = begin(parts, *MIC)
    play((mic, 0.0, 1.0))
    parts.tick(at(2.0 + STALLED_AFTER))
    await _written(parts.files[0], 100)
    await finish(parts)


async def _written(file: CopyFile, packets: int) -> None:
    """The filler of the file's audio has given out so many packets of 20 ms."""
    filler = file._streams[Kind.AUDIO].filler
    assert filler is not None
    assert filler.end == pytest.approx(packets * 960, abs=960)


async def test_a_stop_fills_up_to_its_moment(files: Files) -> None:
    parts = files.parts()
    mic = begin(parts, *MIC)
    play((mic, 0.0, 1.0))
    await finish(parts, at(3.0))
    start, samples, _ = decode_audio(files.folder / "talk.ogg")
    assert start + samples / 48_000 == pytest.approx(3.0, abs=0.03)


async def test_nothing_is_filled_once_everything_has_ended(files: Files) -> None:
    parts = files.parts()
    mic, camera = begin(parts, *MIC), begin(parts, *CAMERA)
    play((mic, 0.0, 1.0), (camera, 0.0, 1.0))
    mic.feed.end()
    camera.feed.end()
    parts.tick(at(9.0))
    (file,) = await finish(parts)
    assert file.result is not None
    assert file.result.duration == pytest.approx(1.0, abs=0.05)


async def test_silence_grows_for_an_ended_microphone_beside_a_camera(files: Files) -> None:
    """Else an hour of silence would have to be written at once when the microphone comes back."""
    parts = files.parts()
    mic, camera = begin(parts, *MIC), begin(parts, *CAMERA)
    play((mic, 0.0, 1.0), (camera, 0.0, 1.0))
    mic.feed.end()
    play((camera, 1.0, 4.0))
    parts.tick(at(4.0))
    await _written(parts.files[0], 150)
    await finish(parts)


async def test_a_full_reconnect_leaves_its_gap_in_the_timestamps(files: Files) -> None:
    parts = files.parts()
    mic, camera = begin(parts, *MIC), begin(parts, *CAMERA)
    play((mic, 0.0, 1.0), (camera, 0.0, 1.0))
    mic.restart(Codec.OPUS, 4_000_000_000)
    camera.restart(Codec.VP8, 17)
    play((mic, 4.0, 5.0), (camera, 4.0, 5.0))
    await finish(parts)
    assert files.names() == ["talk.webm"]
    sound, pictures = read_back(files.folder / "talk.webm").tracks
    assert len(pictures.times) == 50
    assert float(pictures.times[25]) == pytest.approx(4.0, abs=0.01)
    assert float(sound.ends[-1]) == pytest.approx(5.0, abs=0.03)
    assert len(sound.times) == pytest.approx(250, abs=3), "silence in between"


async def test_the_duration_clips_the_file(files: Files) -> None:
    files.clip = 1.0
    parts = files.parts()
    mic, camera = begin(parts, *MIC), begin(parts, *CAMERA)
    play((mic, 0.0, 2.0), (camera, 0.0, 2.0))
    (file,) = await finish(parts, at(2.0))
    assert file.result is not None
    assert file.result.duration == pytest.approx(1.0, abs=0.02)
    assert len(decode_video(files.folder / "talk.webm")) == 25


async def test_a_codec_that_does_not_fit_gets_a_file_of_its_own(files: Files) -> None:
    files.template = "talk.mp4"
    parts = files.parts()
    mic = begin(parts, *MIC)
    play((mic, 0.0, 1.0))
    camera = begin(parts, *CAMERA)
    play((mic, 1.0, 2.0), (camera, 1.0, 2.0))
    camera.feed.end()
    again = begin(parts, "TR_V2", Codec.VP8, rank=2)
    play((mic, 2.0, 3.0), (again, 2.0, 3.0))
    await finish(parts)
    assert files.names() == ["talk-2.webm", "talk.mp4"]
    assert holds(files.folder / "talk.mp4", mic)
    assert len(decode_video(files.folder / "talk-2.webm")) == 50, "a republished camera goes on in the same file"
    assert len(files.warnings) == 1
    assert "camera of 'alice' goes into another file" in files.warnings[0]
    assert not files.failures


async def test_a_name_that_is_refused_is_told_once_and_hinders_nobody(files: Files) -> None:
    def path_for(codecs: frozenset[Codec], part: int) -> Path:
        raise OutputFailed("No such luck")

    parts = files.parts(path_for)
    mic = begin(parts, *MIC)
    play((mic, 0.0, 0.5))
    assert [error.message for error in files.failures] == ["No such luck"]
    assert await finish(parts) == []
    assert files.names() == []


async def test_a_file_that_cannot_be_made_is_told_and_finishing_goes_on(files: Files) -> None:
    blocked = files.folder / "blocked"
    blocked.write_text("a file, no folder")

    def path_for(codecs: frozenset[Codec], part: int) -> Path:
        return blocked / "talk.ogg"

    parts = files.parts(path_for)
    mic = begin(parts, *MIC)
    play((mic, 0.0, 0.5))
    assert await finish(parts) == []
    assert files.failures
    assert all(isinstance(error, EgressError) and "no folder" in error.message for error in files.failures)


async def test_nothing_recorded_leaves_nothing(files: Files) -> None:
    parts = files.parts()
    begin(parts, *MIC)
    assert parts.begun is None
    assert await finish(parts) == []
    assert await finish(parts) == [], "finishing may be repeated"
    assert files.names() == []


async def test_closing_early_finishes_at_once(files: Files) -> None:
    parts = files.parts()
    mic = begin(parts, *MIC)
    play((mic, 0.0, 1.0))
    mic.feed.end()
    parts.close()
    await parts.finish(at(60.0))
    (file,) = [file for file in parts.files if file.result is not None]
    assert file.result is not None
    assert file.result.duration == pytest.approx(1.0, abs=0.03), "not filled up to the end of the recording"


async def test_the_screen_is_a_source_like_others(files: Files) -> None:
    parts = files.parts()
    screen = begin(parts, "TR_S", Codec.VP9, Source.SCREEN_SHARE)
    play((screen, 0.0, 1.0))
    (file,) = await finish(parts)
    assert file.describe(0.0, Wall(0.0)).streams[0].source == "screen_share"
    assert parts.bytes_written == (files.folder / "talk.webm").stat().st_size
