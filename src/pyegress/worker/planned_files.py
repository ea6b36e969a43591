"""The local files of a plan that encodes: refused before joining where they can be, named in full after it."""

from __future__ import annotations

from pathlib import Path

from pyegress.errors import OutputFailed
from pyegress.plan.file_names import resolve_names
from pyegress.plan.recording_plan import FileOutput, RecordingPlan
from pyegress.plan.storage import LocalStorage
from pyegress.worker.delivery import Delivery
from pyegress.worker.output_paths import check_folder, taken


def check_files(plan: RecordingPlan, delivery: Delivery) -> None:
    """Raise OutputFailed for what would fail later: no folder, no permission, a name that is taken or is a folder.

    A name with tokens that only the room tells is left to `named_files`.
    """
    for output in _local(plan):
        path = delivery.place(output.path, output.storage)
        if "{" in str(path.parent):
            continue
        check_folder(path.parent)
        if "{" not in path.name:
            _check_free(plan, path)


def named_files(plan: RecordingPlan, room_name: str, room_sid: str, delivery: Delivery) -> RecordingPlan:
    """The plan with the names that its outputs get in this room. Raises OutputFailed as `check_files` does."""
    named = resolve_names(plan, {"room_name": room_name, "room_id": room_sid})
    for output in _local(named):
        path = delivery.place(output.path, output.storage)
        check_folder(path.parent)
        _check_free(plan, path)
    return named


def _local(plan: RecordingPlan) -> list[FileOutput]:
    return [
        output for output in plan.outputs if isinstance(output, FileOutput) and isinstance(output.storage, LocalStorage)
    ]


def _check_free(plan: RecordingPlan, path: Path) -> None:
    if path.is_dir():
        raise OutputFailed(
            f"Cannot write {path}: it is a folder",
            field="output",
            remedy="Add a file name, or a / at the end for an automatic one",
        )
    if path.exists() and not plan.overwrite:
        raise taken(path)
