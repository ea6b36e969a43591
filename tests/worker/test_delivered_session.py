"""What a session that is delivered leaves beside its results: manifests, also of failures, and word of uploads."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from livekit.protocol import egress as pb

from pyegress.clock import Wall
from pyegress.errors import OutputFailed
from pyegress.lifecycle.recording import EndReason, Lifecycle, RecordingState
from pyegress.lifecycle.timeline import Span, TrackSpan
from pyegress.media.steps import Step
from pyegress.plan.form import EgressRequest
from pyegress.plan.storage import LocalStorage, StorageDefaults
from pyegress.worker.delivered_session import DeliveredSession
from pyegress.worker.delivery import Delivery, ObjectKind
from pyegress.worker.progress import Progress, RecordedFile, RecordedStream, RecordingResult
from pyegress.worker.uploads import Uploads
from tests.plan.requests import NOW, SERVICE, participant, planned, room

pytestmark = pytest.mark.unit

ZERO = Wall(NOW + 1.5)
TRACK = TrackSpan("TR_1", "alice", "Alice", "video", "camera", "VP8", Span(ZERO, Wall(ZERO + 9)))
STREAM = RecordedStream("video", "H.264", 300, (320, 180), ("TR_1",), "camera")


class ScriptedSession:
    """Writes the files that it is told, and ends as it is told."""

    def __init__(self, delivery: Delivery, names: list[str], result: RecordingResult) -> None:
        self.lifecycle = Lifecycle()
        self._delivery = delivery
        self._names = names
        self._result = result

    def steps(self) -> list[Step]:
        return []

    def stop(self, reason: EndReason = EndReason.STOPPED, details: str = "") -> None: ...

    def progress(self) -> Progress:
        return Progress(RecordingState.ENDING, 1.0, 1)

    def update_streams(self, request: pb.UpdateStreamRequest) -> None: ...

    async def run(self) -> RecordingResult:
        files = []
        for name in self._names:
            path = self._delivery.place(name, LocalStorage())
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"media")
            made = await self._delivery.deliver(path, ObjectKind.FILE)
            files.append(
                RecordedFile(
                    path, 5, 9.0, (STREAM,), "alice", "Alice", ZERO, 0.0, 9.0, filename=name, location=made.location
                )
            )
        await self._delivery.aclose()
        return replace(self._result, files=tuple(files))


def ended(state: RecordingState = RecordingState.COMPLETE, **changes: Any) -> RecordingResult:
    result = RecordingResult(state, EndReason.STOPPED, (), ZERO, 9.0, "standup", "RM_1", tracks=(TRACK,))
    return replace(result, **changes)


async def delivered(
    folder: Path, request: EgressRequest, names: list[str], result: RecordingResult, *, backup: bool = False
) -> RecordingResult:
    defaults = StorageDefaults(backup=LocalStorage(prefix="/backup") if backup else None)
    plan = planned(request, service=replace(SERVICE, storage=defaults))
    uploads = Uploads(folder / "scratch", directory=str(folder), backup=plan.backup)
    session = DeliveredSession(plan, uploads, lambda delivery, listener: ScriptedSession(delivery, names, result))
    return await session.run()


def manifest(folder: Path, name: str = "EG_1.json") -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / name).read_bytes())
    return content


async def test_a_manifest_lies_beside_the_file(tmp_path: Path) -> None:
    request = participant(pb.EncodedFileOutput(filepath="{room_name}/talk.mp4"))
    result = await delivered(tmp_path, request, ["standup/talk.mp4"], ended())
    assert result.manifest_location == str(tmp_path / "standup" / "EG_1.json")
    assert not result.backup_used
    content = manifest(tmp_path / "standup")
    assert (content["room_id"], content["room_name"], content["status"]) == ("RM_1", "standup", "EGRESS_COMPLETE")
    assert content["publisher_identity"] == request.identity
    assert content["files"] == [
        {
            "filename": "standup/talk.mp4",
            "location": str(tmp_path / "standup" / "talk.mp4"),
            "start": 0.0,
            "duration": 9.0,
            "identity": "alice",
            "track_ids": ["TR_1"],
            "sources": ["camera"],
        }
    ]
    assert content["timeline"]["tracks"][0]["ended"]["time"] == 9.0
    assert not (tmp_path / "scratch").exists()


async def test_a_failed_egress_has_one_too(tmp_path: Path) -> None:
    failed = ended(RecordingState.FAILED, reason=EndReason.FAILURE, error=OutputFailed("the disk is full"))
    await delivered(tmp_path, room(pb.EncodedFileOutput(filepath="talk.mp4")), ["talk.mp4"], failed)
    content = manifest(tmp_path)
    assert (content["status"], content["error"]) == ("EGRESS_FAILED", "the disk is full")
    assert content["timeline"]["tracks"][0]["identity"] == "alice"


async def test_a_limit_is_told(tmp_path: Path) -> None:
    limited = ended(reason=EndReason.LIMIT_REACHED)
    await delivered(tmp_path, room(pb.EncodedFileOutput(filepath="talk.mp4")), ["talk.mp4"], limited)
    assert manifest(tmp_path)["status"] == "EGRESS_LIMIT_REACHED"


@pytest.mark.parametrize("backup", [False, True])
async def test_who_wants_none_gets_none(tmp_path: Path, backup: bool) -> None:
    """Unless a backup was used: nobody would find what lies there."""
    request = room(pb.EncodedFileOutput(filepath="talk.mp4", disable_manifest=True))
    result = await delivered(tmp_path, request, ["talk.mp4"], ended(), backup=backup)
    assert result.manifest_location == ""
    assert not (tmp_path / "EG_1.json").exists()


async def test_nothing_recorded_nothing_told(tmp_path: Path) -> None:
    request = room(pb.EncodedFileOutput(filepath="talk.mp4"))
    result = await delivered(tmp_path, request, [], ended(RecordingState.ABORTED, started_at=None, tracks=()))
    assert result.manifest_location == ""
    assert not (tmp_path / "EG_1.json").exists()
