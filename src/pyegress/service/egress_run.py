"""One egress from its acceptance to its last info: takes a worker, follows what it says, moves the status."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import count
from typing import Any

from livekit.protocol import egress as pb

from pyegress.clock import Monotonic, Wall, monotonic, wall
from pyegress.errors import Code, EgressError
from pyegress.lifecycle.egress import EgressStatus, conclude, explain, move, report_streams, status_of
from pyegress.lifecycle.outcome import Failure, FileOutcome, Outcome
from pyegress.lifecycle.recording import EndReason, RecordingState
from pyegress.lifecycle.stream_reports import StreamReports
from pyegress.lifecycle.uploading import UploadProgress, UploadTried
from pyegress.lifecycle.worker_messages import (
    Describe,
    Described,
    Description,
    Ended,
    Hurry,
    Launch,
    Received,
    Standing,
    StopRecording,
    StreamsUpdated,
    ToWorker,
    UpdateStreams,
)
from pyegress.plan.recording_plan import RecordingPlan
from pyegress.service.finishing import files_on_disk, finish_left
from pyegress.service.kept_egress import Note, arrived, undelivered
from pyegress.service.worker import Worker
from pyegress.service.worker_pool import WorkerPool

logger = logging.getLogger(__name__)

#: Seconds between words about how far uploads are.
UPLOADS_INTERVAL = 2.0
#: For a worker to answer.
ANSWER_TIMEOUT = 10.0
#: For an end to be stored.
KEEP_TIMEOUT = 5.0
#: Of the time until a worker is killed: for delivering. The rest is for saying what was not delivered.
DELIVERING = 0.75


class EgressRun:
    """`run` once, as a task; everything else at any time on the same event loop."""

    def __init__(
        self,
        plan: RecordingPlan,
        launch: Launch,
        info: pb.EgressInfo,
        *,
        publish: Callable[[pb.EgressInfo], Sequence[asyncio.Future[None]]],
        on_upload: Callable[[UploadTried], None] = lambda tried: None,
    ) -> None:
        """`publish` is told of every change of the info, `on_upload` of every attempt to upload something."""
        self.plan = plan
        self.info = info
        self.killed: Failure | None = None
        self.stop_reason: EndReason | None = None
        self._launch = launch
        self._publish = publish
        self._on_upload = on_upload
        #: How far uploads were when it was told last, and when that was.
        self._uploads_told = ""
        self._uploads_told_at = Monotonic(float("-inf"))
        self._worker: Worker | None = None
        #: It was killed because it took too long to end; and what finishes what a dead worker left.
        self._forced = False
        self._finishing: asyncio.Task[Outcome] | None = None
        self._stopping = asyncio.Event()
        #: The status is neither STARTING nor ACTIVE any more.
        self._ending = asyncio.Event()
        self._answers: dict[int, asyncio.Future[Any]] = {}
        self._numbers = count()
        self._standing: Standing | None = None
        self._media_began: Wall | None = None
        self._streams = StreamReports()
        self._about: dict[str, object] = {"egress_id": launch.egress_id, "room": plan.room_name}
        self._timers: list[asyncio.TimerHandle] = []
        #: Done when what was told last would not be forgotten.
        self.told: Sequence[asyncio.Future[None]] = ()
        #: Its end is in its folder.
        self.noted = False

    @property
    def status(self) -> EgressStatus:
        return status_of(self.info)

    @property
    def result(self) -> str:
        """The label of `livekit_egress_handler_results_total`."""
        if self.killed is not None:
            return "killed_cpu" if self.stop_reason is EndReason.CPU_EXHAUSTED else "killed_oom"
        if self.status is EgressStatus.FAILED:
            return "process_error"
        if self.status is EgressStatus.ABORTED:
            return "aborted"
        match self.stop_reason:
            case EndReason.CPU_EXHAUSTED:
                return "stopped_cpu"
            case EndReason.PROCESS_KILLED:
                return "killed_shutdown"
            case _:
                return "completed"

    @property
    def uploads(self) -> UploadProgress:
        """How far they are."""
        return (self._standing.uploads if self._standing is not None else None) or UploadProgress()

    @property
    def pid(self) -> int | None:
        """The process of its worker, once it has one."""
        return self._worker.pid if self._worker is not None else None

    def snapshot(self) -> pb.EgressInfo:
        """The info with what is known at this moment: the size and length of a file that is being written."""
        shown = pb.EgressInfo()
        shown.CopyFrom(self.info)
        standing = self._standing
        if standing is not None and len(shown.file_results) == 1 and not self.status.final:
            (file,) = shown.file_results
            if not (shown.stream_results or shown.segment_results or shown.image_results):
                file.size = max(file.size, standing.bytes_written)
            file.duration = max(file.duration, round(standing.elapsed * 1e9))
        return shown

    async def run(
        self,
        pool: WorkerPool,
        prepare: Callable[[Launch], Awaitable[None]],
        note: Note,
    ) -> None:
        """Record to the end. `prepare` makes the egress's folder, `note` notes there how it ended, before the worker is
        let go: a supervisor that comes after us tells it as we did. Errors do not raise: they are in the info.

        An egress whose storage fails for a while is not over then: its info waits for what becomes of its folder.
        """
        try:
            await prepare(self._launch)
            outcome = await self._record(pool, note)
        except EgressError as error:
            outcome = Outcome(EndReason.FAILURE, error=Failure.of(error))
        except Exception as error:
            logger.exception("the supervisor failed", extra=self._about)
            failure = Failure(Code.INTERNAL, f"The supervisor failed ({type(error).__name__})", "Please report it")
            outcome = Outcome(EndReason.FAILURE, self._on_disk(), failure)
        finally:
            for timer in self._timers:
                timer.cancel()
        self._conclude(outcome)

    def stop(self, reason: EndReason) -> None:
        """End it in order. Idempotent: the first reason counts."""
        if self.stop_reason is not None:
            return
        self.stop_reason = reason
        self._stopping.set()
        if self._worker is not None:
            self._worker.send(StopRecording(reason))

    def kill(self, failure: Failure, reason: EndReason, grace: float) -> None:
        """End it as failed: in order within `grace` seconds, by force after that. Idempotent."""
        if self.killed is None:
            self.killed = failure
            self.stop(reason)
            self.force_after(grace)

    def force_after(self, grace: float, failure: Failure | None = None) -> None:
        """Kill its worker after `grace` seconds if it still runs, for this failure.

        Without one it has not failed: what it left in the spool is brought to its end by the next service.
        """
        if self._worker is not None:
            self._worker.send(Hurry(DELIVERING * grace))
        self._timers.append(asyncio.get_running_loop().call_later(grace, self._force, grace, failure))

    async def ending(self, within: float) -> None:
        """Wait until it is known how it ends, or for `within` seconds."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within):
                await self._ending.wait()

    async def update_streams(self, request: pb.UpdateStreamRequest) -> None:
        """Add and remove destinations. Raises EgressError."""
        failure: Failure | None = await self._ask(lambda number: UpdateStreams(number, request.SerializeToString()))
        if failure is not None:
            raise failure.as_error()

    async def describe(self, what: Description) -> str:
        """What the worker says of itself. Raises EgressError."""
        text: str = await self._ask(lambda number: Describe(number, what))
        return text

    # -- inside -----------------------------------------------------------------------------------------------------

    async def _ask(self, message: Callable[[int], ToWorker]) -> Any:
        """The answer of the worker to a message with a number. Raises EgressError."""
        if self._worker is None:
            raise EgressError(
                "The egress is not recording yet", code=Code.UNAVAILABLE, retryable=True, remedy="Try again in a second"
            )
        number = next(self._numbers)
        answer = self._answers[number] = asyncio.get_running_loop().create_future()
        self._worker.send(message(number))
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT):
                return await answer
        except TimeoutError:
            raise EgressError("The worker did not answer", code=Code.DEADLINE_EXCEEDED, retryable=True) from None
        finally:
            del self._answers[number]

    def _answered(self, number: int, value: object) -> None:
        answer = self._answers.get(number)
        if answer is not None and not answer.done():
            answer.set_result(value)

    async def _record(self, pool: WorkerPool, note: Note) -> Outcome:
        worker = await pool.take_unless(self._stopping)
        if worker is None:
            return self._final(Outcome(self.stop_reason or EndReason.STOPPED))
        self._worker = worker
        try:
            worker.launch(self._launch, self._about)
            self._about["worker"] = worker.pid
            if self.stop_reason is not None:
                worker.send(StopRecording(self.stop_reason))
            if (limit := self.plan.max_duration) is not None:
                self._timers.append(asyncio.get_running_loop().call_later(limit, self._limit_before_start))
            async for message in worker.messages():
                match message:
                    case Standing():
                        if message.state is not RecordingState.STARTING:
                            pool.joined(worker)
                        self._on_standing(message)
                    case UploadTried():
                        self._on_upload(message)
                    case StreamsUpdated(number=number, error=error):
                        self._answered(number, error)
                    case Described(number=number, text=text):
                        self._answered(number, text)
                    case Ended(outcome=outcome):
                        for warning in outcome.warnings:
                            logger.warning("%s", warning, extra=self._about)
                        outcome = self._final(outcome)
                        # Told, and kept, before the worker may forget it.
                        everybody = await self._keep(self._conclude(outcome))
                        with suppress(OSError):  # who adopts it will say so
                            if self.status.final:
                                await note(self._launch.egress_id, self.info, everybody=everybody)
                                self.noted = True
                        worker.send(Received())
                        return outcome
            crash = await worker.crash()
        finally:
            self._worker = None
            pool.joined(worker)
            await worker.aclose()
        if self._forced and self.killed is None:
            return Outcome(self.stop_reason or EndReason.PROCESS_KILLED, pending="it took too long to end")
        return self._final(await self._left(pool, crash))

    async def _left(self, pool: WorkerPool, crash: Failure) -> Outcome:
        """What another worker makes of what one that died has left."""
        self._finishing = asyncio.create_task(
            finish_left(pool, self._launch, self._on_upload), name="finish what is left"
        )
        try:
            await asyncio.wait({self._finishing})
        finally:
            self._finishing.cancel()
            await asyncio.wait({self._finishing})
        try:
            left = self._finishing.result()
        except (EgressError, asyncio.CancelledError) as error:
            why = str(error) or "there was no time"
            logger.error("what is left of the recording is not finished: %s", why, extra=self._about)
            return Outcome(EndReason.FAILURE, self._on_disk(), crash)
        for warning in left.warnings:
            logger.warning("%s", warning, extra=self._about)
        if not left.made:
            left = replace(left, files=self._on_disk())
        return replace(left, reason=EndReason.FAILURE, error=crash, pending="")

    def _on_standing(self, standing: Standing) -> None:
        self._standing = standing
        at = wall()
        match standing.state:
            case RecordingState.STARTING | RecordingState.WAITING if standing.waiting_for:
                seen = f"; in the room: {'; '.join(standing.seen)}" if standing.seen else ""
                details = f"Waiting for {standing.waiting_for}{seen}"
                if self.status is EgressStatus.STARTING and self.info.details != details:
                    self._tell(explain(self.info, details, at))
            case RecordingState.ACTIVE if self.status is EgressStatus.STARTING:
                self._tell(move(self.info, EgressStatus.ACTIVE, at))
            case RecordingState.ENDING if self.status is EgressStatus.ACTIVE:
                self._begin_to_end(standing.reason, at)
        if standing.streams and not self.status.final and self._streams.due(standing.streams, monotonic()):
            self._tell(report_streams(self.info, standing.streams, at))
        if standing.uploads is not None:
            self._tell_uploads(standing.uploads, at)
        if self._media_began is None and standing.elapsed > 0:
            self._media_began = Wall(at - standing.elapsed)

    def _tell_uploads(self, uploads: UploadProgress, at: Wall) -> None:
        """While it ends, how far they are; before, only when they fail. Not more often than anybody looks."""
        ending = self.status not in (EgressStatus.STARTING, EgressStatus.ACTIVE)
        text = uploads.text if ending or uploads.failing else ""
        now = monotonic()
        if self.status.final or text == self._uploads_told or (text and now - self._uploads_told_at < UPLOADS_INTERVAL):
            return
        plain = self._plain_details
        self._uploads_told, self._uploads_told_at = text, now
        self._tell(explain(self.info, "; ".join(filter(None, (plain, text))), at))

    @property
    def _plain_details(self) -> str:
        """The details without what they say of uploads."""
        details, told = self.info.details, self._uploads_told
        return details.removesuffix(told).removesuffix("; ") if told else details

    def _begin_to_end(self, reason: EndReason | None, at: Wall) -> None:
        match reason:
            case None | EndReason.FAILURE:
                pass
            case EndReason.LIMIT_REACHED:
                self._tell(explain(self.info, f"End reason: {reason.value}", at))
            case _:
                self._tell(move(self.info, EgressStatus.ENDING, at, reason=reason))

    def _limit_before_start(self) -> None:
        if self.status is EgressStatus.STARTING:
            self.stop(EndReason.LIMIT_REACHED)

    def _force(self, grace: float, failure: Failure | None) -> None:
        if self._worker is None:
            if self._finishing is not None:
                self._finishing.cancel()
            return
        logger.error("the worker did not end within %g s and is killed", grace, extra=self._about)
        if failure is None and self.status is EgressStatus.STARTING:
            failure = Failure(Code.PERMISSION_DENIED, f"It did not begin, nor end within {grace:g} s, and was killed")
        self.killed = self.killed or failure
        self._forced = True
        self._worker.kill()

    def _final(self, outcome: Outcome) -> Outcome:
        """A kill is a failure whatever was still finished."""
        return outcome if self.killed is None else replace(outcome, error=self.killed)

    def _on_disk(self) -> tuple[FileOutcome, ...]:
        """The files of a worker that can no longer describe them."""
        if self._standing is None:
            return ()
        return files_on_disk(self._standing, self.info, self._launch.directory, self._media_began or wall())

    def _conclude(self, outcome: Outcome) -> list[asyncio.Future[None]]:
        if not self.status.final and self._uploads_told:
            self.info, self._uploads_told = explain(self.info, self._plain_details, wall()), ""
        if outcome.pending and outcome.error is None:
            if not self.status.final and outcome.pending not in self.info.details:
                self._tell(undelivered(self.info, outcome, self._launch.spool, wall()))
            return []
        return [kept for info in conclude(self.info, outcome, wall()) for kept in self._tell(info)]

    async def _keep(self, told: Sequence[asyncio.Future[None]]) -> bool:
        """Wait until what was told would survive our end: until then the worker is asked for it once more."""
        if told:
            _, late = await asyncio.wait(told, timeout=KEEP_TIMEOUT)
            if late:
                logger.error("the end is not stored in %g s", KEEP_TIMEOUT, extra=self._about)
        return all(map(arrived, told))

    def _tell(self, info: pb.EgressInfo) -> Sequence[asyncio.Future[None]]:
        old, self.info = self.status, info
        new = self.status
        if new is not old:
            reason = info.error or info.details
            logger.info("%s -> %s%s", old.name, new.name, f": {reason}" if reason else "", extra=self._about)
        if new not in (EgressStatus.STARTING, EgressStatus.ACTIVE):
            self._ending.set()
        self.told = self._publish(info)
        return self.told
