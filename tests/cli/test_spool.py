"""`pyegress spool` on folders that a crash left."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pyegress.cli.main import app
from pyegress.clock import wall
from pyegress.storage.journal_entries import Attempted, SpoolState
from pyegress.storage.spool import SpoolFolder
from tests.cli.command import environment
from tests.outputs.media import read_back
from tests.worker.test_left_egress import created, launched, recorded

pytestmark = pytest.mark.media


@pytest.fixture
def left(tmp_path: Path) -> SpoolFolder:
    """An egress whose worker was killed."""
    launch = launched(tmp_path, "talk.webm")
    folder = created(tmp_path, launch)
    asyncio.run(recorded(launch, folder))
    return folder


def run(*arguments: str, code: int = 0, folder: SpoolFolder | None = None) -> str:
    options = ["--spool", str(folder.path.parent)] if folder is not None else []
    result = CliRunner().invoke(app, ["spool", *arguments, *options], env=environment() | {"COLUMNS": "200"})
    assert result.exit_code == code, result.output
    return result.output


def append(folder: SpoolFolder, *entries: Attempted) -> None:
    journal = folder.journal()
    journal.append(*entries)
    journal.close()


def test_list(left: SpoolFolder) -> None:
    (row,) = json.loads(run("list", "--json", folder=left))
    assert (row["egress_id"], row["room_name"], row["state"]) == ("EG_1", "standup", "recording")
    assert (row["objects"], row["delivered"], row["busy"]) == (1, 0, False)
    append(left, Attempted(wall(), "S3 upload failed: no answer", True))
    text = run("list", folder=left)
    assert "S3 upload failed: no answer" in text
    assert "in 0:00:1" in text, "when it is tried again"
    with left.claim():
        assert "recording, running" in run("list", folder=left)


def test_an_empty_spool(tmp_path: Path) -> None:
    assert "everything is delivered" in run("list", folder=SpoolFolder(tmp_path / "none" / "EG_1"))
    assert json.loads(run("list", "--json", folder=SpoolFolder(tmp_path / "none" / "EG_1"))) == []


def test_retry_finishes_and_delivers(left: SpoolFolder, tmp_path: Path) -> None:
    document = json.loads(run("retry", "EG_1", "--json", folder=left))
    path = tmp_path / "files" / "talk.webm"
    assert document == {
        "egress_id": "EG_1",
        "done": True,
        "reason": "",
        "locations": [str(path), str(path.with_name("EG_1.json"))],
    }
    assert left.record().state is SpoolState.DONE
    assert read_back(path).duration is not None
    assert "everything is delivered" in run("retry", "EG_1", folder=left)


def test_retry_with_the_request(left: SpoolFolder, tmp_path: Path) -> None:
    wrong = tmp_path / "request.json"
    wrong.write_text('{"room_name": "standup", "nothing_such": 1}')
    assert "nothing_such" in run("retry", "EG_1", "--request", str(wrong), code=2, folder=left)
    wrong.write_text('{"room_name": "standup", "file_outputs": [{"filepath": "talk.webm"}]}')
    assert "everything is delivered" in run("retry", "EG_1", "--request", str(wrong), folder=left)


def test_export_leaves_the_spool_as_it_is(left: SpoolFolder, tmp_path: Path) -> None:
    target = tmp_path / "rescued"
    before = (tmp_path / "files" / "talk.webm").read_bytes()
    assert json.loads(run("export", "EG_1", str(target), "--json", folder=left)) == [str(target / "talk.webm")]
    assert (tmp_path / "files" / "talk.webm").read_bytes() == before
    assert read_back(target / "talk.webm").duration == pytest.approx(3.0, abs=0.1)
    info = json.loads((target / "egress.json").read_text())
    assert info["egress_id"] == "EG_1"
    assert left.record().state is SpoolState.RECORDING
    assert "exists already" in run("export", "EG_1", str(target), code=7, folder=left)


def test_drop_takes_no_undelivered_recording_unasked(left: SpoolFolder) -> None:
    refused = run("drop", "EG_1", code=2, folder=left)
    assert "not delivered" in refused
    assert "--undelivered" in refused
    assert left.path.exists()
    run("drop", "EG_1", "--undelivered", folder=left)
    assert not left.path.exists()


def test_what_is_not_rendered_yet_counts(left: SpoolFolder, tmp_path: Path) -> None:
    (tmp_path / "files" / "talk.webm").unlink()
    left.received.touch()
    assert "the first is what is not rendered yet" in run("drop", "EG_1", code=2, folder=left)
    assert "not rendered yet: `pyegress spool retry`" in run("export", "EG_1", str(tmp_path / "x"), folder=left)
    assert left.received.exists()


def test_an_egress_that_is_not_there(left: SpoolFolder, tmp_path: Path) -> None:
    for command in (("retry", "EG_2"), ("drop", "EG_2"), ("export", "EG_2", str(tmp_path / "x"))):
        assert "no egress EG_2" in run(*command, code=4, folder=left)


def test_what_runs_is_not_touched(left: SpoolFolder) -> None:
    with left.claim():
        assert "Another process" in run("retry", "EG_1", code=2, folder=left)
        assert "Another process" in run("drop", "EG_1", "--undelivered", code=2, folder=left)
    assert left.path.exists()


def test_the_spool_of_a_configuration(left: SpoolFolder, tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(f"state_directory: {tmp_path}\n")
    assert "EG_1" in run("list", "--config", str(config))
