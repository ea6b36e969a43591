"""Renders again what a composition had received and not rendered when its process was killed: see `received`.

The outputs are made in a folder of their own and then put where the killed process had begun them, so that what it left
is not lost when this fails. Whoever is killed meanwhile leaves everything to the next.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from pyegress.clock import Monotonic, Wall, wall
from pyegress.errors import EgressError
from pyegress.media.director import CandidateChanged, RoomDirector, SingleDirector
from pyegress.media.engine import FILE_ROUND, MediaEngine
from pyegress.media.engine_messages import Frame, Message, Passed
from pyegress.media.taps import PictureTap
from pyegress.outputs.images import Shown
from pyegress.plan.recording_plan import FileOutput, ImageOutput, NameSuffix, Output, RecordingPlan, SegmentOutput
from pyegress.plan.storage import Storage
from pyegress.storage.journal_entries import Begun, ObjectKey, Record, SpoolState
from pyegress.storage.objects import ObjectKind
from pyegress.storage.spool import SpoolFolder
from pyegress.worker.composed_file import composed_file
from pyegress.worker.delivery import Delivery, InPlace
from pyegress.worker.encoded_outputs import EncodedOutputs
from pyegress.worker.live_copies import LiveCopies
from pyegress.worker.output_sink import Source
from pyegress.worker.planned_files import named_files
from pyegress.worker.received import Entry, Opened, Staged, read_received
from pyegress.worker.spooled import Spooled, named_kind, storages_of
from pyegress.worker.stage import stage_of
from pyegress.worker.stop import Stop
from pyegress.worker.stream_specs import spec_of

logger = logging.getLogger(__name__)


async def render_again(spooled: Spooled, plan: RecordingPlan, delivery: Delivery) -> None:
    """Make the outputs from what was received. What goes wrong is logged, and they stay as they are."""
    folder = spooled.folder
    record = await spooled.record()
    try:
        entries = await asyncio.to_thread(lambda: list(read_received(folder.received)))
        wanted = _wanted(plan, record)
        if wanted and any(isinstance(entry, Frame) for entry in entries):
            await asyncio.to_thread(folder.again.remove)
            beside = _Beside(delivery, folder.again, storages_of(plan))
            rendering = _Rendering(replace(plan, outputs=wanted, overwrite=True), beside, entries)
            if (zero := await rendering.run()) is not None:
                await asyncio.to_thread(beside.put)
                spooled.append(Begun(wall(), zero))
                logger.info("what was received before the kill is rendered")
        await asyncio.to_thread(folder.received.unlink)
    except Exception as error:
        logger.error("what was received before the kill is not rendered: %s", error, exc_info=not _expected(error))
    finally:
        await asyncio.to_thread(folder.again.remove)


def _expected(error: Exception) -> bool:
    return isinstance(error, EgressError | OSError)


def _wanted(plan: RecordingPlan, record: Record) -> tuple[Output, ...]:
    """What can be written to the disk, unless it is whole or its objects would get other names."""
    objects = record.objects.values()
    whole = any(item.finished and named_kind(item, plan) is ObjectKind.FILE for item in objects)
    if whole or record.state in (SpoolState.UPLOADING, SpoolState.DONE):
        return ()
    begun = {named_kind(item, plan) for item in objects}

    def wanted(output: Output) -> bool:
        match output:
            case FileOutput():
                # Copies wait for nothing there.
                return not plan.passthrough
            case SegmentOutput(suffix=suffix):
                return suffix is not NameSuffix.TIMESTAMP or ObjectKind.SEGMENT not in begun
            case ImageOutput(suffix=suffix):
                return suffix is not NameSuffix.TIMESTAMP or ObjectKind.IMAGE not in begun
            case _:
                return False

    return tuple(filter(wanted, plan.outputs))


class _Beside(InPlace):
    """A `Delivery` that delivers nothing: outputs are made in a folder, `put` moves them to where they belong."""

    def __init__(self, inner: Delivery, folder: SpoolFolder, storages: Sequence[Storage]) -> None:
        super().__init__()
        self._inner = inner
        self._folder = folder
        self._storages = storages
        self._places: dict[Path, Path] = {}

    def place(self, name: str, storage: Storage) -> Path:
        path = self._folder.place(ObjectKey(self._storages.index(storage), name))
        path.parent.mkdir(parents=True, exist_ok=True)
        self._places[path] = self._inner.place(name, storage)
        return path

    def put(self) -> None:
        """Blocks. Raises OSError."""
        for path, target in self._places.items():
            if path.exists():
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.move(path, target)


class _Rendering:
    """One composition, `run` once."""

    def __init__(self, plan: RecordingPlan, delivery: Delivery, entries: Iterable[Entry]) -> None:
        self._plan = plan
        self._delivery = delivery
        self._opened = Opened("", "", "", 0.0)
        self._messages: list[Message] = []
        self._errors: list[BaseException] = []
        stage = stage_of(plan, on_warning=logger.warning)
        self._director = stage.director if stage is not None else None
        self._engine: MediaEngine | None = None
        #: Of the newest key frame, pixels.
        self._size: tuple[int, int] | None = None
        for entry in entries:
            match entry:
                case Opened():
                    self._opened = entry
                case Staged():
                    self._change(entry)
                case _:
                    self._messages.append(entry)
                    if isinstance(entry, Frame) and entry.frame.size is not None:
                        self._size = entry.frame.size

    async def run(self) -> Wall | None:
        """Second 0 of the outputs; None when nothing came of it. Raises what was raised by the engine or an output."""
        opened = self._opened
        plan = named_files(self._plan, opened.room_name, opened.room_sid, self._delivery, publisher=opened.publisher)
        copies = LiveCopies(plan, self._delivery, on_warning=logger.warning) if plan.passthrough else None
        source = Source(
            kinds=plan.encoded | plan.copied,
            spec_for=lambda first: spec_of(first, plan, self._engine),
            started_at=self._zero,
            describe=lambda result, dropped: composed_file(result, dropped, self._zero() or wall()),
            request_keyframe=lambda: None,
            copied=plan.copied,
            shown=self._shown,
        )
        outputs = EncodedOutputs(
            plan,
            source,
            self._delivery,
            metadata={"title": opened.room_name, "encoder": "pyegress"},
            on_over=self._over,
            on_warning=logger.warning,
        )
        self._engine = MediaEngine(
            video=plan.video,
            audio=plan.audio,
            director=self._director,
            live=False,
            on_packet=outputs.packet,
            on_failed=self._errors.append,
            encoded=plan.encoded,
            copies=copies.sides(outputs.packet, want_keyframe=lambda: None) if copies is not None else None,
            pictures=[PictureTap(every, outputs.picture)] if (every := plan.image_interval) else [],
            clock=lambda: Monotonic(0.0),
        )
        for message in in_time(self._messages):
            self._engine.post(message)
        await asyncio.wrap_future(self._engine.finish(None))
        recorded = await outputs.finish()
        for error in (*self._errors, *recorded.errors):
            raise error
        return self._zero()

    def _change(self, staged: Staged) -> None:
        match self._director, staged.change:
            case SingleDirector() as single, CandidateChanged() as change:
                single.change(staged.at, change)
            case RoomDirector() as room, change if not isinstance(change, CandidateChanged):
                room.change(staged.at, change)

    def _shown(self) -> Shown | None:
        alone = isinstance(self._director, SingleDirector)
        return Shown(self._size, self._size) if alone and self._size is not None else None

    def _zero(self) -> Wall | None:
        zero = self._engine.zero if self._engine is not None else None
        return None if zero is None else Wall(round(zero + self._opened.utc_offset, 6))

    def _over(self, over: Stop | EgressError) -> None:
        if isinstance(over, EgressError):
            self._errors.append(over)


def in_time(messages: Iterable[Message]) -> Iterator[Message | Passed]:
    """Messages, and between them the moments at which the engine looked at what was due."""
    due: float | None = None
    for message in messages:
        if isinstance(message, Frame):
            now = message.frame.arrival
            due = now + FILE_ROUND if due is None else due
            while now >= due:
                yield Passed(Monotonic(due))
                due += FILE_ROUND
        yield message
