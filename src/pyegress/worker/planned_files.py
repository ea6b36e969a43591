"""The local files of a plan of outputs: refused before joining where they can be, named in full after it."""

from __future__ import annotations

from pathlib import Path

from pyegress.errors import OutputFailed
from pyegress.plan.file_names import resolve_names
from pyegress.plan.recording_plan import (
    FileOutput,
    ImageOutput,
    NameSuffix,
    RecordingPlan,
    SegmentOutput,
    StreamOutput,
    WebsocketOutput,
)
from pyegress.plan.segment_names import image_name, segment_name
from pyegress.plan.storage import LocalStorage
from pyegress.worker.delivery import Delivery
from pyegress.worker.output_paths import check_folder, taken


def check_files(plan: RecordingPlan, delivery: Delivery) -> None:
    """Raise OutputFailed for what would fail later: no folder, no permission, a name that is taken or is a folder.

    A name with tokens that only the room tells is left to `named_files`.
    """
    for path in _local(plan, delivery):
        if "{" in str(path.parent):
            continue
        check_folder(path.parent)
        if "{" not in path.name:
            _check_free(plan, path)


def named_files(
    plan: RecordingPlan, room_name: str, room_sid: str, delivery: Delivery, *, publisher: str = ""
) -> RecordingPlan:
    """The plan with the names that its outputs get in this room. Raises OutputFailed as `check_files` does.

    `publisher` is the identity of who publishes, where that is one.
    """
    tokens = {"room_name": room_name, "room_id": room_sid}
    named = resolve_names(plan, tokens | ({"publisher_identity": publisher} if publisher else {}))
    for path in _local(named, delivery):
        check_folder(path.parent)
        _check_free(plan, path)
    return named


def _local(plan: RecordingPlan, delivery: Delivery) -> list[Path]:
    """What is begun on this machine's disk: files, playlists, the first segment and image.

    The file of copies is named when its codecs are known.
    """
    return [
        delivery.place(name, output.storage)
        for output in plan.outputs
        if not isinstance(output, StreamOutput | WebsocketOutput) and isinstance(output.storage, LocalStorage)
        if not (plan.passthrough and isinstance(output, FileOutput))
        for name in _names(plan, output)
    ]


def _names(plan: RecordingPlan, output: FileOutput | SegmentOutput | ImageOutput) -> tuple[str, ...]:
    match output:
        case FileOutput(path=path):
            return (path,)
        case SegmentOutput(names=names, format=format_, suffix=suffix):
            first = segment_name(names.prefix, format_, suffix, 0, plan.started_at)
            return (names.playlist, *([names.live_playlist] if names.live_playlist else []), first)
        case ImageOutput(prefix=prefix, format=image, suffix=suffix):
            # One that is always replaced may be there already.
            return () if suffix is NameSuffix.NONE else (image_name(prefix, image, suffix, 0, plan.started_at),)


def _check_free(plan: RecordingPlan, path: Path) -> None:
    if path.is_dir():
        raise OutputFailed(
            f"Cannot write {path}: it is a folder",
            field="output",
            remedy="Add a file name, or a / at the end for an automatic one",
        )
    if path.exists() and not plan.overwrite:
        raise taken(path)
