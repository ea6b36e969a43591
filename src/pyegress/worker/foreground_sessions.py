"""The session of a recording in the foreground: what goes to a bucket is uploaded from a folder of the user."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from pyegress.errors import EgressError
from pyegress.outputs.written import Written
from pyegress.plan.copy_plan import CopyPlan
from pyegress.plan.recording_plan import RecordingPlan
from pyegress.plan.storage import LocalStorage, Storage
from pyegress.room.options import new_egress_id
from pyegress.worker.delivered_session import DeliveredSession
from pyegress.worker.delivery import Delivered, Delivery, ObjectKind, OnBegun
from pyegress.worker.egress_session import EgressSession
from pyegress.worker.media_recorder import MediaRecorder
from pyegress.worker.progress import Progress
from pyegress.worker.recorder import Recorder
from pyegress.worker.session import RecordingSession
from pyegress.worker.uploads import Uploads

if TYPE_CHECKING:
    from pyegress.storage.parted import LeftUpload

Listener = Callable[[Progress], None]


def session_of(plan: CopyPlan | RecordingPlan, on_progress: Listener) -> EgressSession:
    """What runs a plan."""
    if isinstance(plan, CopyPlan):
        return _copies(plan, plan.storage, on_progress) if plan.storage else _local_copies(plan, on_progress)
    # Copies do without the encoders, which are much to load.
    from pyegress.worker.encoding_session import encoding_session

    storages = [getattr(output, "storage", None) for output in plan.outputs]
    if all(storage is None or isinstance(storage, LocalStorage) for storage in storages):
        return encoding_session(plan, on_progress=on_progress)
    uploads = Uploads(_scratch(plan.egress_id))

    def make(delivery: Delivery, listener: Listener) -> EgressSession:
        return encoding_session(plan, on_progress=listener, delivery=delivery)

    return DeliveredSession(plan, uploads, make, on_progress=on_progress)


def _local_copies(plan: CopyPlan, on_progress: Listener) -> EgressSession:
    return RecordingSession(plan, on_progress=on_progress)


def _copies(plan: CopyPlan, storage: Storage, on_progress: Listener) -> EgressSession:
    """Named by the template below a folder, and uploaded under what is then their name in it."""
    uploads = Uploads(_scratch(plan.egress_id or new_egress_id()))
    root = uploads.place(_MARK, storage).parent
    placed = replace(plan, output=f"{root}/{plan.output.lstrip('/')}")

    def make(delivery: Delivery, listener: Listener) -> EgressSession:
        named = _BelowRoot(delivery, root, storage)

        def recorder(on_error: Callable[[EgressError], None]) -> MediaRecorder:
            return Recorder(placed, on_error=on_error, delivery=named)

        return RecordingSession(placed, make_recorder=recorder, on_progress=listener)

    return DeliveredSession(None, uploads, make, on_progress=on_progress)


#: A name that nobody writes: where it would lie is where the others do.
_MARK = ".root"


class _BelowRoot:
    """A `Delivery` of files that were named without it."""

    def __init__(self, inner: Delivery, root: Path, storage: Storage) -> None:
        self._inner = inner
        self._root = root
        self._storage = storage
        self._growing: dict[Path, Path] = {}

    def place(self, name: str, storage: Storage) -> Path:
        return self._inner.place(name, storage)

    def grown(self, path: Path, written: Written, on_begun: OnBegun | None = None) -> None:
        if path not in self._growing:
            self._growing[path] = self._placed(path)
        self._inner.grown(self._growing[path], written, on_begun)

    def left(self, path: Path, left: LeftUpload) -> None:
        self._inner.left(self._placed(path), left)

    def deliver(self, path: Path, kind: ObjectKind) -> asyncio.Future[Delivered]:
        return self._inner.deliver(self._placed(path), kind)

    def release(self, path: Path) -> None:
        self._inner.release(path)

    async def aclose(self) -> None:
        await self._inner.aclose()

    def _placed(self, path: Path) -> Path:
        name = os.path.relpath(os.path.realpath(path), os.path.realpath(self._root))
        return self._inner.place(name, self._storage)


def _scratch(egress_id: str) -> Path:
    """Where recordings wait for their upload, and stay when that fails."""
    state = os.environ.get("XDG_STATE_HOME") or os.path.join(os.path.expanduser("~"), ".local", "state")
    return Path(state, "pyegress", "uploads", egress_id)
