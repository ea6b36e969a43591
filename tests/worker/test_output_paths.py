from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from pyegress.clock import Wall
from pyegress.codecs import Codec
from pyegress.errors import Code, EgressError, Fault, InvalidRequest
from pyegress.plan.copy_plan import Connection, CopyPlan
from pyegress.plan.selection import EveryTrack, OneTrack, ParticipantTracks, Selection
from pyegress.room.events import Source
from pyegress.worker.output_paths import OutputPaths
from tests.worker.playing import participant, publication

pytestmark = pytest.mark.unit

VP8, H264 = frozenset({Codec.VP8, Codec.OPUS}), frozenset({Codec.H264, Codec.OPUS})
CAMERA = publication("TR_V", Codec.VP8)
ALICE = participant("alice", CAMERA)


def paths(
    output: object, selection: Selection | None = None, *, ours: tuple[Path, ...] = (), **changes: Any
) -> OutputPaths:
    connection = Connection(url="ws://h", room="standup", token="a.b.c")
    plan = CopyPlan(connection, selection or ParticipantTracks("alice"), str(output), **changes)
    made = OutputPaths(plan, Wall(1_700_000_000.0), is_ours=lambda path: path in ours)
    return made


def joined(*arguments: Any, **changes: Any) -> OutputPaths:
    made = paths(*arguments, **changes)
    made.joined("standup", "RM_1")
    return made


def test_folders_are_made(tmp_path: Path) -> None:
    paths(tmp_path / "a" / "b" / "talk").check()
    assert (tmp_path / "a" / "b").is_dir()


def test_folders_whose_names_are_not_known_yet_wait(tmp_path: Path) -> None:
    paths(f"{tmp_path}/{{room_name}}/talk").check()
    assert not list(tmp_path.iterdir())


def test_the_time_is_known_at_once(tmp_path: Path) -> None:
    paths(f"{tmp_path}/{{utc}}/talk").check()
    assert [folder.name for folder in tmp_path.iterdir()] == ["20231114221320000"]


@pytest.mark.parametrize(
    ("made", "output", "message"),
    [
        ("talk.webm", "talk.webm", "exists already"),
        ("talk/", "talk", "it is a folder"),
        ("talk", "talk/x.webm", "no folder"),
    ],
)
def test_what_is_in_the_way_is_found_before_joining(tmp_path: Path, made: str, output: str, message: str) -> None:
    if made.endswith("/"):
        (tmp_path / made).mkdir()
    else:
        (tmp_path / made).write_text("")
    with pytest.raises(EgressError, match=message) as caught:
        paths(tmp_path / output).check()
    assert caught.value.fault is Fault.DESTINATION
    assert caught.value.remedy


def test_a_file_that_exists_may_be_replaced_if_told(tmp_path: Path) -> None:
    (tmp_path / "talk.webm").write_text("")
    made = paths(tmp_path / "talk.webm", overwrite=True)
    made.check()
    assert made.of_participant(ALICE, CAMERA)(VP8, 1) == tmp_path / "talk.webm"


def test_an_automatic_extension_is_checked_when_it_is_known(tmp_path: Path) -> None:
    (tmp_path / "talk.webm").write_text("")
    made = paths(tmp_path / "talk")
    made.check()
    with pytest.raises(EgressError, match="exists already") as caught:
        made.of_participant(ALICE, CAMERA)(VP8, 1)
    assert caught.value.code is Code.ALREADY_EXISTS
    assert "--overwrite" in caught.value.remedy


def test_our_own_file_is_not_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "talk.webm").write_text("")
    made = paths(tmp_path / "talk", ours=(tmp_path / "talk.webm",))
    assert made.of_participant(ALICE, CAMERA)(VP8, 1) == tmp_path / "talk.webm"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_permission(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(EgressError, match="Permission denied"):
        paths(tmp_path / "talk").check()


def test_two_recordings_of_a_room_do_not_share_a_folder(tmp_path: Path) -> None:
    (tmp_path / "index.json").write_text("{}")
    with pytest.raises(EgressError, match="holds a recording already") as caught:
        paths(tmp_path, EveryTrack()).check()
    assert "{time}" in caught.value.remedy
    paths(tmp_path, EveryTrack(), overwrite=True).check()


@pytest.mark.parametrize(
    ("output", "selection", "expected"),
    [
        (
            "{room_name}-{publisher_identity}-{track_source}-{track_type}-{track_id}",
            ParticipantTracks("alice"),
            "standup-alice-camera-video-TR_V.webm",
        ),
        ("{room_id}/x.mkv", ParticipantTracks("alice"), "RM_1/x.mkv"),
        ("", ParticipantTracks("alice"), "standup-"),
        ("rec/", OneTrack(track_id="TR_V"), "rec/TR_V-"),
    ],
)
def test_names(output: str, selection: Selection, expected: str) -> None:
    assert str(joined(output, selection).of_participant(ALICE, CAMERA)(VP8, 1)).startswith(expected)


def test_a_part_whose_name_is_taken_gets_the_next_number(tmp_path: Path) -> None:
    for name in ("talk-2.mp4", "talk-3.mp4"):
        (tmp_path / name).write_text("somebody else's")
    path_for = paths(tmp_path / "talk").of_participant(ALICE, CAMERA)
    assert path_for(H264, 2).name == "talk-4.mp4"
    assert path_for(H264, 2).name == "talk-4.mp4", "the same part keeps its number"
    assert path_for(VP8, 3).name == "talk-5.webm"


def test_parts_of_ours_never_share_a_name(tmp_path: Path) -> None:
    second = tmp_path / "talk-2.mp4"
    second.write_text("")
    path_for = paths(tmp_path / "talk", ours=(second,)).of_participant(ALICE, CAMERA)
    assert path_for(H264, 2) == second
    assert path_for(H264, 3).name == "talk-3.mp4"


def test_a_container_that_cannot_hold_the_codec(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="incompatible"):
        paths(tmp_path / "talk.mp4").of_participant(ALICE, CAMERA)(VP8, 1)


def test_names_of_many_tracks(tmp_path: Path) -> None:
    made = paths(tmp_path, EveryTrack())
    eve = participant("../../e/" + "v" * 300)
    mic = publication("TR_A", Codec.OPUS, Source.MICROPHONE)
    assert made.of_track(ALICE, CAMERA, 1)(frozenset({Codec.VP8}), 1) == tmp_path / "alice-camera-TR_V.webm"
    assert made.of_track(ALICE, CAMERA, 1)(frozenset({Codec.H264}), 2) == tmp_path / "alice-camera-TR_V-2.mp4"
    assert made.of_track(ALICE, CAMERA, 2)(frozenset({Codec.VP8}), 1) == tmp_path / "alice-camera-TR_V-take2.webm"
    long = made.of_track(eve, mic, 1)(frozenset({Codec.OPUS}), 1)
    assert long.parent == tmp_path
    assert long.name.startswith(".._.._e_vvv")
    assert long.name.endswith("-microphone-TR_A.ogg")
    assert len(long.name) < 150
