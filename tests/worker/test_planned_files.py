from __future__ import annotations

from pathlib import Path

import pytest

from pyegress.errors import Code, OutputFailed
from pyegress.plan.recording_plan import FileOutput
from pyegress.worker.delivery import InPlace
from pyegress.worker.planned_files import check_files, named_files
from tests.worker.encoding_plans import room_plan

pytestmark = pytest.mark.unit


def test_folders_are_made_before_joining(tmp_path: Path) -> None:
    check_files(room_plan(tmp_path / "a" / "b" / "x.mp4"), InPlace())
    assert (tmp_path / "a" / "b").is_dir()
    assert not any((tmp_path / "a" / "b").iterdir())


def test_what_only_the_room_tells_waits_for_it(tmp_path: Path) -> None:
    plan = room_plan(tmp_path / "{room_id}" / "x.mp4")
    check_files(plan, InPlace())
    assert not any(tmp_path.iterdir())
    named = named_files(plan, "standup", "RM_1", InPlace())
    (output,) = named.outputs
    assert isinstance(output, FileOutput)
    assert output.path == str(tmp_path / "RM_1" / "x.mp4")
    assert (tmp_path / "RM_1").is_dir()


@pytest.mark.parametrize("name", ["x.mp4", "x"])
def test_a_file_that_exists_is_kept(tmp_path: Path, name: str) -> None:
    (tmp_path / "x.mp4").write_text("precious")
    with pytest.raises(OutputFailed, match=r"x\.mp4 exists already") as raised:
        check_files(room_plan(tmp_path / name), InPlace())
    assert raised.value.code is Code.ALREADY_EXISTS
    assert "--overwrite" in raised.value.remedy
    check_files(room_plan(tmp_path / name, overwrite=True), InPlace())
    assert (tmp_path / "x.mp4").read_text() == "precious"


def test_a_file_that_turns_out_to_exist_is_kept(tmp_path: Path) -> None:
    (tmp_path / "RM_1.mp4").write_text("precious")
    plan = room_plan(tmp_path / "{room_id}.mp4")
    check_files(plan, InPlace())
    with pytest.raises(OutputFailed, match="exists already"):
        named_files(plan, "standup", "RM_1", InPlace())


def test_a_folder_of_that_name(tmp_path: Path) -> None:
    (tmp_path / "x.mp4").mkdir()
    for overwrite in (False, True):
        with pytest.raises(OutputFailed, match="it is a folder") as raised:
            check_files(room_plan(tmp_path / "x.mp4", overwrite=overwrite), InPlace())
    assert "a / at the end" in raised.value.remedy


def test_a_file_where_a_folder_should_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputFailed, match="no folder"):
        check_files(room_plan(tmp_path / "file" / "x.mp4"), InPlace())
