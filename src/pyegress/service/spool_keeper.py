"""What is in the spool and does not run here: finished, delivered, told and removed, or kept with its reason."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import signal
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace

from livekit.protocol import egress as pb

from pyegress.clock import Wall, wall
from pyegress.errors import Code, EgressError
from pyegress.lifecycle.egress import EgressStatus, amend, conclude, status_of
from pyegress.lifecycle.outcome import Failure, Outcome
from pyegress.lifecycle.recording import EndReason
from pyegress.lifecycle.uploading import UploadTried
from pyegress.lifecycle.worker_messages import Launch
from pyegress.plan.recording_plan import Service
from pyegress.plan.redact import redacted
from pyegress.service.config_sections import SpoolSection
from pyegress.service.finishing import finish_left
from pyegress.service.kept_egress import (
    Kept,
    arrived,
    end_reason,
    ending,
    noted,
    obstacle,
    opened,
    steps_to,
    undelivered,
)
from pyegress.service.worker_pool import WorkerPool
from pyegress.storage.journal_entries import Acknowledged, Attempted, Entry, Moved, SpoolState, Told
from pyegress.storage.spool import Spool, SpoolFolder
from pyegress.storage.spool_steps import Held, Step, expired, next_step
from pyegress.storage.spooled_plan import SpooledPlan

logger = logging.getLogger(__name__)

#: Egresses that are finished at the same time: what runs needs the machine more.
AT_ONCE = 2
#: Seconds between looks at how much the spool holds.
SWEEP_INTERVAL = 30.0
_CLOSING = 5.0

#: Gives what is done when those who listen would not forget it.
Publish = Callable[[pb.EgressInfo], Sequence[asyncio.Future[None]]]


class SpoolKeeper:
    """`look`, `update` and `act` take turns, by whoever watches the node; `look` blocks and belongs into a thread."""

    def __init__(
        self,
        spool: Spool,
        section: SpoolSection,
        service: Service,
        pool: WorkerPool,
        *,
        publish: Publish,
        on_upload: Callable[[UploadTried], None],
        runs: Callable[[str], bool],
    ) -> None:
        """`runs` says of an egress whether it runs here: then it is not the keeper's."""
        self.spool = spool
        self._section = section
        self._service = service
        self._pool = pool
        self._publish = publish
        self._on_upload = on_upload
        self._runs = runs
        self._kept: dict[str, Kept] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._resuming: set[str] = set()
        #: Descriptors that hold the folders which this service looks after.
        self._owned: dict[str, int] = {}
        self._swept = Wall(0.0)
        self.paused = False

    @property
    def kept(self) -> dict[str, Kept]:
        """What is in the spool and does not run here, by egress id."""
        return {egress_id: kept for egress_id, kept in self._kept.items() if not self._runs(egress_id)}

    @property
    def working(self) -> list[str]:
        """Egresses that have not ended for those who listen."""
        return [egress_id for egress_id, kept in self.kept.items() if not status_of(kept.info).final]

    async def create(self, launch: Launch) -> None:
        """Make the folder of an egress that is about to run. Raises EgressError."""
        try:
            await asyncio.to_thread(self._create, launch)
        except OSError as error:
            raise EgressError(
                f"The spool {self.spool.directory} cannot be written: {error.strerror}",
                field="spool.directory",
                code=Code.RESOURCE_EXHAUSTED if error.errno in (errno.ENOSPC, errno.EDQUOT) else Code.INTERNAL,
                remedy="Check the disk that it is on",
            ) from error

    def path_of(self, egress_id: str) -> str:
        """The folder of an egress."""
        return str(self.spool.folder(egress_id).path)

    def stop(self, egress_id: str) -> pb.EgressInfo | None:
        """End an egress that records on without a supervisor, in order; None when this is none."""
        kept = self._kept.get(egress_id)
        if kept is None or kept.alone is None:
            return None
        with suppress(ProcessLookupError):
            os.kill(kept.alone, signal.SIGTERM)
        return kept.info

    def info(self, egress_id: str) -> pb.EgressInfo | None:
        """How an egress of the spool stands."""
        kept = self._kept.get(egress_id)
        return kept.info if kept is not None else None

    async def adopt(
        self, egress_id: str, info: pb.EgressInfo, telling: Sequence[asyncio.Future[None]], *, noted: bool
    ) -> None:
        """An egress that ran here has ended, if only but for its delivery; `info` was published, and perhaps `told`."""
        if status_of(info).final and not noted:
            await self.told(egress_id, info)
        if (kept := await asyncio.to_thread(self._read, self.spool.folder(egress_id), None)) is not None:
            self._kept[egress_id] = replace(kept, info=info, published=True, telling=tuple(telling))

    async def told(self, egress_id: str, info: pb.EgressInfo, *, everybody: bool = False) -> None:
        """Note how an egress ends before its folder can be removed; `everybody` who listens has it, and keeps it."""
        folder = self.spool.folder(egress_id)
        entries: list[Entry] = [Told(wall(), redacted(info).SerializeToString())]
        if status_of(info) is EgressStatus.ABORTED:
            entries.insert(0, Moved(wall(), SpoolState.DONE))
        if everybody:
            entries.append(Acknowledged(wall()))
        await asyncio.to_thread(_append, folder, *entries)

    # -- looking ----------------------------------------------------------------------------------------------------

    def look(self) -> dict[str, Kept]:
        """Read what has changed in the spool."""
        found: dict[str, Kept] = {}
        for folder in self.spool.folders():
            egress_id = folder.path.name
            if self._runs(egress_id) or not self._own(folder):
                continue
            if (kept := self._read(folder, self._kept.get(egress_id))) is not None:
                found[egress_id] = kept
        return found

    def _own(self, folder: SpoolFolder) -> bool:
        """Whether the folder is ours: another service may use the same spool."""
        egress_id = folder.path.name
        if egress_id not in self._owned and (owned := folder.own()) is not None:
            self._owned[egress_id] = owned
        return egress_id in self._owned

    def _disown(self, egress_id: str) -> None:
        if (owned := self._owned.pop(egress_id, None)) is not None:
            os.close(owned)

    def update(self, found: dict[str, Kept]) -> None:
        """Take what `look` has found; what is known here and was not found may have come since."""
        for egress_id, kept in found.items():
            known = self._kept.setdefault(egress_id, kept)
            known.record, known.stamp, known.busy, known.alone = kept.record, kept.stamp, kept.busy, kept.alone
            if kept.alone is not None and not status_of(known.info).final:
                known.info = kept.info
        gone = [egress_id for egress_id in self._kept if egress_id not in found]
        for egress_id in gone:
            kept = self._kept[egress_id]
            if kept.folder.path.exists() or egress_id in self._tasks:
                continue
            del self._kept[egress_id]
            self._disown(egress_id)
            if not status_of(kept.info).final:
                dropped = Failure(Code.FAILED_PRECONDITION, "What was recorded was dropped from the spool")
                for info in conclude(kept.info, Outcome(EndReason.FAILURE, error=dropped), wall()):
                    self._tell(kept, info)

    def _read(self, folder: SpoolFolder, known: Kept | None) -> Kept | None:
        try:
            stamp = folder.stamp()
            busy = folder.busy
            if known is not None and known.stamp == stamp:
                record, plan, info = known.record, known.plan, known.info
            else:
                record = folder.record()
                plan, info = (known.plan, known.info) if known is not None else opened(folder, record)
            alone = folder.alone() if busy else None
        except OSError as error:
            logger.error("the folder %s of the spool cannot be read: %s", folder.path, error.strerror)
            return known
        pid, info = alone if alone is not None else (None, info)
        return Kept(folder, plan, record, info, busy, pid, stamp)

    def _create(self, launch: Launch) -> None:
        folder, owned = self.spool.create_owned(SpooledPlan.of(launch, self._section.encryption_key))
        if owned is not None:
            self._owned[folder.path.name] = owned

    # -- acting -----------------------------------------------------------------------------------------------------

    def act(self) -> None:
        """Take the next step with each egress."""
        now = wall()
        for egress_id, kept in self.kept.items():
            if egress_id in self._tasks:
                continue
            kept.decision = next_step(
                kept.record, busy=kept.busy, now=now, obstacle=obstacle(kept), keep=self._section.keep
            )
            self._step(egress_id, kept)

    def _step(self, egress_id: str, kept: Kept) -> None:
        told = bool(kept.record.told) and not kept.record.acknowledged and not kept.busy
        if told and not kept.published:
            for info in steps_to(kept.info, pb.EgressInfo.FromString(kept.record.told), end_reason(kept)):
                self._tell(kept, info)
        elif told and all(map(arrived, kept.telling)):
            self._begin(egress_id, asyncio.to_thread(_append, kept.folder, Acknowledged(wall())))
        elif kept.decision.step is Step.RESUME and not self.paused and len(self._resuming) < AT_ONCE:
            self._resuming.add(egress_id)
            self._begin(egress_id, self._resume(egress_id, kept))
        elif kept.decision.step is Step.REMOVE:
            self._begin(egress_id, self._remove(egress_id, kept.folder))
        elif kept.decision.step is Step.HOLD and not status_of(kept.info).final:
            outcome = Outcome(end_reason(kept), error=Failure(Code.FAILED_PRECONDITION, kept.decision.reason))
            self._begin(egress_id, self._conclude(egress_id, kept, outcome))

    def _begin(self, egress_id: str, work: object) -> None:
        async def run() -> None:
            try:
                await work  # type: ignore[misc]
            except (OSError, EgressError) as error:
                logger.error("egress %s stays in the spool: %s", egress_id, error)
            except Exception:
                logger.exception("the spool failed on egress %s", egress_id)
            finally:
                del self._tasks[egress_id]
                self._resuming.discard(egress_id)

        self._tasks[egress_id] = asyncio.create_task(run(), name=f"spool {egress_id}")

    async def _resume(self, egress_id: str, kept: Kept) -> None:
        assert kept.plan is not None
        logger.info("egress %s: %s", egress_id, kept.decision.reason)
        # Nobody had ended it, or nobody finished it: now, since the record goes on meanwhile.
        unfinished = kept.record.state in (SpoolState.RECORDING, SpoolState.FINISHING)
        interrupted = unfinished or not kept.record.end_reason
        if not status_of(kept.info).final and kept.record.objects and not kept.published:
            self._tell(kept, ending(kept.info, end_reason(kept)))
        try:
            launch = await asyncio.to_thread(
                kept.plan.launch,
                self._service,
                spool=str(kept.folder.path),
                key=self._section.encryption_key,
                keep_copies=bool(self._section.keep),
            )
            outcome = await finish_left(self._pool, launch, self._on_upload)
        except EgressError as error:
            await asyncio.to_thread(_append, kept.folder, Attempted(wall(), error.message, error.retryable))
            outcome = Outcome(end_reason(kept), pending=error.message)
        await self._conclude(egress_id, kept, noted(outcome) if interrupted else outcome)

    async def _conclude(self, egress_id: str, kept: Kept, outcome: Outcome) -> None:
        """Tell what has become of it, or what it waits for."""
        now = wall()
        if status_of(kept.info).final:
            if outcome.pending or outcome.error is not None or not outcome.made:
                return
            late = replace(outcome, note="delivered later, from the spool")
            await self.told(egress_id, info := amend(kept.info, late, now))
            self._tell(kept, info)
            return
        if outcome.pending and outcome.error is None:
            kept.failing_since = kept.failing_since or now
            if now - kept.failing_since < self._section.patience:
                waiting = undelivered(kept.info, outcome, str(kept.folder.path), now)
                if waiting.details != kept.info.details:
                    self._tell(kept, waiting)
                return
            outcome = replace(outcome, error=Failure(Code.INVALID_ARGUMENT, outcome.pending, _KEPT), pending="")
        infos = conclude(kept.info, outcome, now)
        if infos:
            await self.told(egress_id, infos[-1])
        for info in infos:
            self._tell(kept, info)

    def _tell(self, kept: Kept, info: pb.EgressInfo) -> None:
        old, new = status_of(kept.info), status_of(info)
        kept.info, kept.published = info, True
        if old is not new:
            logger.info("%s: %s -> %s: %s", info.egress_id, old.name, new.name, info.error or info.details)
        kept.telling = tuple(self._publish(info))

    async def _remove(self, egress_id: str, folder: SpoolFolder) -> None:
        await asyncio.to_thread(folder.remove)
        self._kept.pop(egress_id, None)
        self._disown(egress_id)

    # -- retention --------------------------------------------------------------------------------------------------

    async def sweep(self) -> None:
        """Drop what is too old or too much, when it is time to look."""
        now = wall()
        if 0 <= now - self._swept < SWEEP_INTERVAL:
            return
        self._swept = now
        await asyncio.to_thread(self.spool.sweep)
        retention = self._section.retention
        if not (retention.max_age or retention.max_bytes):
            return
        sizes = await asyncio.to_thread(lambda: {folder.path.name: folder.size() for folder in self.spool.folders()})
        held = [
            Held(
                egress_id,
                size,
                (kept.record.at if kept is not None else None) or now,
                delivered=kept is not None and kept.record.state is SpoolState.DONE,
                busy=kept is None or kept.busy or egress_id in self._tasks,
            )
            for egress_id, size in sizes.items()
            for kept in [self.kept.get(egress_id)]
        ]
        for egress_id in expired(held, retention, now):
            undelivered = self._kept[egress_id].record.state is not SpoolState.DONE
            logger.log(
                logging.WARNING if undelivered else logging.INFO,
                "egress %s is dropped from the spool: too old, or the spool is too large",
                egress_id,
            )
            await self._remove(egress_id, self._kept[egress_id].folder)

    async def aclose(self) -> None:
        """End what is under way: the next supervisor takes it up. What everybody knows is removed. Idempotent."""
        self.paused = True
        for _ in (Acknowledged, "removed"):
            self.update(await asyncio.to_thread(self.look))
            self.act()
            await asyncio.sleep(0)
            known = self._kept
            if quick := [task for name, task in self._tasks.items() if name in known and known[name].record.told]:
                await asyncio.wait(quick, timeout=_CLOSING)
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        for egress_id in list(self._owned):
            self._disown(egress_id)


#: What an egress whose storage did not answer is told.
_KEPT = "It is in the spool, and tried again; see `pyegress spool list`"


def _append(folder: SpoolFolder, *entries: Entry) -> None:
    with suppress(FileNotFoundError):
        journal = folder.journal()
        try:
            journal.append(*entries)
        finally:
            journal.close()
