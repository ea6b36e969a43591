"""Recordings of one participant and of every track: files, clock, index."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from pyegress.codecs import Codec
from pyegress.errors import Code, EgressError, InvalidRequest
from pyegress.plan.copy_plan import Connection, CopyPlan
from pyegress.plan.selection import EveryTrack, ParticipantTracks, Selection
from pyegress.room.events import Participant, Source, TrackPublication
from pyegress.worker.index_file import IndexWriter
from pyegress.worker.recorder import Recorder
from tests.worker.playing import Played, at, participant, play, publication

pytestmark = [pytest.mark.media, pytest.mark.usefixtures("no_tasks_left")]

MIC = publication("TR_A", Codec.OPUS, Source.MICROPHONE)
CAMERA = publication("TR_V", Codec.VP8)
ALICE, BOB = participant("alice", MIC, CAMERA), participant("bob", CAMERA)


class Recording:
    def __init__(self, output: object, selection: Selection | None = None, **changes: Any) -> None:
        self.errors: list[EgressError] = []
        connection = Connection(url="ws://h", room="standup", token="a.b.c")
        plan = CopyPlan(connection, selection or EveryTrack(), str(output), **changes)
        self.recorder = Recorder(plan, on_error=self.errors.append)
        self.recorder.check_output()
        self.recorder.joined("standup", "RM_1")

    def begin(
        self,
        who: Participant,
        track: TrackPublication,
        *,
        rtp: int = 500,
        transit: float = 0.0,
        codec: Codec | None = None,
    ) -> Played:
        played = Played(self.recorder.feed(who, track), rtp, transit)
        played.feed.on_stream(codec or played.codec)
        return played


def entries(recorder: Recorder) -> dict[str, dict[str, Any]]:
    """The index by track and identity."""
    return {f"{entry['identity']} {entry['track_id']}": entry for entry in recorder.index()[1]}


async def test_every_track_gets_a_file(tmp_path: Path) -> None:
    recording = Recording(tmp_path)
    mic, camera = recording.begin(ALICE, MIC), recording.begin(ALICE, CAMERA)
    play((mic, 1.0, 3.0), (camera, 1.5, 3.0))
    files = (await recording.recorder.finish(None)).files
    assert [file.path.name for file in files] == ["alice-microphone-TR_A.ogg", "alice-camera-TR_V.webm"]
    assert [file.start for file in files] == [pytest.approx(0.0), pytest.approx(0.5)]
    assert [file.end for file in files] == [pytest.approx(2.0, abs=0.05)] * 2
    assert files[1].started_at - files[0].started_at == pytest.approx(0.5)
    assert recording.recorder.started_at == files[0].started_at
    assert not recording.errors


async def test_a_file_is_finished_when_its_track_is_over(tmp_path: Path) -> None:
    recording = Recording(tmp_path)
    mic, camera = recording.begin(ALICE, MIC), recording.begin(ALICE, CAMERA)
    play((mic, 0.0, 1.0), (camera, 0.0, 1.0))
    camera.feed.end()
    recording.recorder.track_over(camera.feed)
    await camera.feed.target.finish()  # type: ignore[attr-defined]
    index = entries(recording.recorder)
    assert index["alice TR_V"]["end"] == pytest.approx(1.0, abs=0.05)
    assert index["alice TR_V"]["files"][0]["end"] == index["alice TR_V"]["end"]
    assert index["alice TR_A"]["end"] is None
    assert index["alice TR_A"]["files"] == [{"path": "alice-microphone-TR_A.ogg", "start": 0.0, "end": None}]
    play((mic, 1.0, 2.0))
    files = (await recording.recorder.finish(at(2.0))).files
    durations = {file.path.name: file.duration for file in files}
    assert durations == {
        "alice-camera-TR_V.webm": pytest.approx(1.0, abs=0.05),
        "alice-microphone-TR_A.ogg": pytest.approx(2.0, abs=0.05),
    }


async def test_sender_reports_put_the_tracks_of_a_participant_on_one_clock(tmp_path: Path) -> None:
    recording = Recording(tmp_path)
    # The camera's first frames come late, and are then as fast as the sound.
    mic, camera = recording.begin(ALICE, MIC, transit=0.03), recording.begin(ALICE, CAMERA, transit=0.25)
    play((mic, 0.0, 1.0), (camera, 0.48, 0.52))
    camera.transit = 0.03
    play((mic, 1.0, 4.0), (camera, 0.8, 4.0))
    for track in (mic, camera):
        track.report(3.0)
    start, entry = recording.recorder.index()[0], entries(recording.recorder)
    assert start is not None
    assert entry["alice TR_V"]["start"] - entry["alice TR_A"]["start"] == pytest.approx(0.48, abs=0.002)
    files = (await recording.recorder.finish(None)).files
    assert files[1].start - files[0].start == pytest.approx(0.48, abs=0.002)
    assert files[1].path.name == "alice-camera-TR_V.webm"


async def test_reports_that_arrival_contradicts_move_nothing(tmp_path: Path) -> None:
    recording = Recording(tmp_path)
    mic, camera = recording.begin(ALICE, MIC), recording.begin(ALICE, CAMERA)
    play((mic, 0.0, 4.0), (camera, 1.0, 4.0))
    mic.report(3.0)
    camera.rtp += 90_000  # a report that is a second off
    camera.report(3.0)
    entry = entries(recording.recorder)
    assert entry["alice TR_V"]["start"] - entry["alice TR_A"]["start"] == pytest.approx(1.0, abs=0.1)
    await recording.recorder.finish(None)


async def test_participants_with_other_clocks_are_placed_by_arrival(tmp_path: Path) -> None:
    recording = Recording(tmp_path)
    alice, bob = recording.begin(ALICE, CAMERA), recording.begin(BOB, publication("TR_B", Codec.VP8))
    play((alice, 0.0, 2.0), (bob, 0.6, 2.0))
    alice.report(1.0)
    bob.rtp -= 3600 * 90_000  # bob's clock is an hour late
    bob.report(1.0)
    entry = entries(recording.recorder)
    assert entry["bob TR_B"]["start"] - entry["alice TR_V"]["start"] == pytest.approx(0.6, abs=0.002)
    await recording.recorder.finish(None)


async def test_mutes_are_in_the_index(tmp_path: Path) -> None:
    recording = Recording(tmp_path)
    mic = recording.begin(ALICE, MIC)
    mic.feed.mutes.clear()
    play((mic, 1.0, 2.0))
    mic.feed.set_muted(True, at(2.0))
    mic.feed.set_muted(False, at(3.5))
    play((mic, 3.5, 4.0))
    mic.feed.set_muted(True, at(4.0))
    assert entries(recording.recorder)["alice TR_A"]["muted"] == [[1.0, 2.5], [3.0, None]]
    await recording.recorder.finish(None)


async def test_a_track_that_brought_nothing_has_an_entry_and_no_file(tmp_path: Path) -> None:
    recording = Recording(tmp_path)
    mic, camera = recording.begin(ALICE, MIC), recording.begin(ALICE, CAMERA)
    play((mic, 0.0, 1.0))
    camera.feed.end()
    recording.recorder.track_over(camera.feed)
    await recording.recorder.finish(None)
    entry = entries(recording.recorder)["alice TR_V"]
    assert (entry["start"], entry["end"], entry["files"]) == (None, None, [])


async def test_a_codec_change_is_two_files_of_one_track(tmp_path: Path) -> None:
    recording = Recording(tmp_path)
    camera = recording.begin(ALICE, CAMERA)
    play((camera, 0.0, 1.0))
    camera.restart(Codec.H264, 9)
    play((Played(camera.feed, 9), 1.2, 2.0))
    camera.feed.end()
    await recording.recorder.finish(None)
    files = entries(recording.recorder)["alice TR_V"]["files"]
    assert [file["path"] for file in files] == ["alice-camera-TR_V.webm", "alice-camera-TR_V-2.mp4"]
    assert [file["start"] for file in files] == [0.0, pytest.approx(1.2, abs=0.005)]
    assert files[1]["end"] == pytest.approx(2.0, abs=0.05)


async def test_a_track_that_is_begun_again_does_not_overwrite_itself(tmp_path: Path) -> None:
    recording = Recording(tmp_path)
    for begin_at in (0.0, 2.0):
        camera = recording.begin(ALICE, CAMERA)
        play((camera, begin_at, begin_at + 1.0))
        camera.feed.end()
        recording.recorder.track_over(camera.feed)
    files = (await recording.recorder.finish(None)).files
    assert [file.path.name for file in files] == ["alice-camera-TR_V.webm", "alice-camera-TR_V-take2.webm"]


async def test_the_index_is_whole_at_any_moment(tmp_path: Path) -> None:
    recording = Recording(tmp_path)
    writer = IndexWriter(recording.recorder)
    mic = recording.begin(ALICE, MIC)
    play((mic, 0.0, 1.0))
    writer.tick(at(1.0), "standup")
    writer.tick(at(1.1), "standup")
    await recording.recorder.finish(None)
    await writer.finish("standup")
    index = json.loads((tmp_path / "index.json").read_text())
    assert (index["version"], index["room_name"], index["running"]) == (1, "standup", False)
    assert index["started_at"] == recording.recorder.started_at
    (track,) = index["tracks"]
    assert (track["identity"], track["name"], track["kind"]) == ("alice", "Alice", "audio")
    assert (track["source"], track["codec"], track["start"]) == ("microphone", "Opus", 0.0)
    assert track["end"] == pytest.approx(1.0, abs=0.03)
    assert sorted(os.listdir(tmp_path)) == ["alice-microphone-TR_A.ogg", "index.json"]


async def test_a_container_that_cannot_hold_the_codec_is_refused_before_any_media(tmp_path: Path) -> None:
    recording = Recording(tmp_path / "a.mp4", ParticipantTracks("alice"))
    with pytest.raises(InvalidRequest, match="incompatible"):
        recording.recorder.feed(ALICE, CAMERA)
    # Once the recording runs it goes on: what does not fit gets a file of its own.
    recording.begin(ALICE, MIC)
    mic = recording.begin(ALICE, MIC)
    play((mic, 0.0, 1.0))
    camera = recording.begin(ALICE, CAMERA)
    play((mic, 1.0, 2.0), (camera, 1.0, 2.0))
    files = (await recording.recorder.finish(None)).files
    assert [file.path.name for file in files] == ["a.mp4", "a-2.webm"]
    assert recording.recorder.warnings
    assert not recording.errors


async def test_what_cannot_be_recorded_says_why(tmp_path: Path) -> None:
    recorder = Recording(tmp_path).recorder
    with pytest.raises(InvalidRequest, match="video/flip, which cannot be recorded") as caught:
        recorder.feed(ALICE, publication("TR_X", None))
    assert caught.value.code is Code.UNIMPLEMENTED
    assert "VP8" in caught.value.remedy
    sealed = TrackPublication("TR_E", "", Codec.VP8.kind, Source.CAMERA, Codec.VP8, "video/VP8", False, encrypted=True)
    with pytest.raises(InvalidRequest, match=r"TR_E \(camera of 'alice'\) is end-to-end encrypted"):
        recorder.feed(ALICE, sealed)


async def test_elapsed_counts_from_the_first_media(tmp_path: Path) -> None:
    recording = Recording(tmp_path)
    assert not recording.recorder.started
    assert recording.recorder.elapsed(at(5.0)) == 0.0
    assert recording.recorder.started_at is None
    mic = recording.begin(ALICE, MIC)
    play((mic, 2.0, 3.0))
    assert recording.recorder.elapsed(at(5.0)) == pytest.approx(3.0)
    recording.recorder.warn("once")
    recording.recorder.warn("once")
    assert recording.recorder.warnings == ["once"]
    await recording.recorder.finish(None)
