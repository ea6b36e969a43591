"""One egress in a process of its own, forked by a zygote and told what to do over a socket.

Says that it is ready, waits for a launch (or for something that another worker left), records, says how it stands and
how it ended. SIGTERM is an ordinary end. When its supervisor vanishes it records on, and leaves its last `EgressInfo`
in the spool.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from livekit.protocol import egress as pb

from pyegress.clock import Monotonic, monotonic, wall
from pyegress.errors import Code, EgressError
from pyegress.lifecycle.egress import EgressStatus, conclude, move
from pyegress.lifecycle.json_lines import BadLine, encode
from pyegress.lifecycle.outcome import Failure, Outcome
from pyegress.lifecycle.recording import EndReason, RecordingState
from pyegress.lifecycle.worker_messages import (
    LINE_LIMIT,
    Describe,
    Described,
    Description,
    Ended,
    Finish,
    FromWorker,
    Hurry,
    Launch,
    LogLine,
    Ready,
    Received,
    Standing,
    StopRecording,
    StreamsUpdated,
    ToWorker,
    UpdateStreams,
    to_worker,
)
from pyegress.stacks import tasks_text
from pyegress.storage.journal_entries import SpoolState
from pyegress.storage.spool import SpoolFolder
from pyegress.worker.assignment import Assignment, assign, finish_launch
from pyegress.worker.pipeline import pipeline_text
from pyegress.worker.progress import Progress
from pyegress.worker.spooled import Spooled

#: Seconds between signs of life while nothing changes.
INTERVAL = 1.0
#: How long the supervisor may take to say that it has heard of the end.
RECEIPT_TIMEOUT = 30.0
#: Bytes that a supervisor which does not read may leave unread before standings are left out.
_BACKLOG = 1024 * 1024


class WorkerProcess:
    """The worker's side of the socket. `run` once."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        #: Set when the supervisor is gone.
        self._alone = asyncio.Event()
        self._received = asyncio.Event()
        self._assignment: Assignment | None = None
        self._spooled: Spooled | None = None
        self._stop: EndReason | None = None
        self._told: tuple[object, ...] = ()
        self._told_at = Monotonic(float("-inf"))

    async def run(self) -> None:
        """Wait for a launch, record, tell the outcome. Returns without one when the supervisor goes away before."""
        self.say(Ready(os.getpid()))
        order = await self._next()
        if not isinstance(order, Launch | Finish):
            return
        launch = order.launch if isinstance(order, Finish) else order
        os.makedirs(launch.directory, exist_ok=True)
        os.chdir(launch.directory)
        self._log_to_supervisor(launch.log_level)
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self.stop, EndReason.PROCESS_KILLED)
        listening = asyncio.create_task(self._listen(launch), name="listen to the supervisor")
        beating = asyncio.create_task(self._beat(), name="signs of life")
        try:
            await self._work(order, launch)
        finally:
            for task in (listening, beating):
                task.cancel()
            await asyncio.wait({listening, beating})

    def say(self, message: FromWorker) -> None:
        """Tell the supervisor, if there is one that listens."""
        if self._alone.is_set() or self._writer.is_closing():
            return
        unheard = self._writer.transport.get_write_buffer_size() > _BACKLOG
        if not (unheard and isinstance(message, Standing | LogLine)):
            self._writer.write(encode(message))

    def stop(self, reason: EndReason) -> None:
        """End in order."""
        self._stop = self._stop or reason
        if self._assignment is not None:
            self._assignment.session.stop(reason)

    async def _work(self, order: Launch | Finish, launch: Launch) -> None:
        """Do what is ordered, and tell the outcome to whoever hears it."""
        if not launch.spool:
            self.say(Ended(await self._outcome(order, launch)))
            await self._was_received()
            return
        try:
            async with Spooled(SpoolFolder(Path(launch.spool))) as self._spooled:
                outcome = await self._spooled.settle(await self._outcome(order, launch))
                self.say(Ended(outcome))
                if not await self._was_received() and not outcome.pending:
                    self._spooled.leave(conclude(launch.read_info(), outcome, wall())[-1])
        except EgressError as error:
            # Somebody else finishes it.
            if isinstance(order, Finish) and error.retryable:
                self.say(Ended(Outcome(EndReason.FAILURE, pending=error.message)))
            else:
                self.say(Ended(Outcome(EndReason.FAILURE, error=Failure.of(error))))
            await self._was_received()

    async def _outcome(self, order: Launch | Finish, launch: Launch) -> Outcome:
        try:
            if isinstance(order, Finish) and self._spooled is not None:
                return await finish_launch(launch, self._spooled, on_tried=self.say)
            self._assignment = assign(launch, on_progress=self._on_progress, on_tried=self.say, spooled=self._spooled)
            if self._spooled is not None:
                self._spooled.move(SpoolState.RECORDING)
            if self._stop is not None:
                self._assignment.session.stop(self._stop)
            return self._assignment.outcome(await self._assignment.session.run())
        except EgressError as error:
            return Outcome(EndReason.FAILURE, error=Failure.of(error))
        except Exception as error:
            logging.getLogger(__name__).exception("the recording failed")
            message = f"Recording failed ({type(error).__name__}); what was recorded is on the disk"
            return Outcome(EndReason.FAILURE, error=Failure(Code.INTERNAL, message, "Please report it, with the log"))

    async def _beat(self) -> None:
        """Joining and finishing take their time, and report nothing meanwhile."""
        while True:
            await asyncio.sleep(INTERVAL)
            if self._assignment is not None:
                self._on_progress(self._assignment.session.progress())
            else:
                self.say(Standing(RecordingState.ENDING, 0.0, 0))

    def _on_progress(self, progress: Progress) -> None:
        if self._spooled is not None:
            self._spooled.follow(progress)
        news = (
            progress.state,
            progress.waiting_for,
            progress.seen,
            progress.end_reason,
            progress.paths,
            progress.streams,
            progress.uploads.failing if progress.uploads is not None else "",
        )
        now = monotonic()
        if news == self._told and now - self._told_at < INTERVAL:
            return
        self._told, self._told_at = news, now
        self.say(
            Standing(
                state=progress.state,
                elapsed=progress.elapsed,
                bytes_written=progress.bytes_written,
                waiting_for=progress.waiting_for,
                seen=progress.seen,
                reason=progress.end_reason,
                paths=tuple(os.path.abspath(path) for path in progress.paths),
                streams=progress.streams,
                uploads=progress.uploads,
            )
        )

    async def _next(self) -> ToWorker | None:
        """The next message; None when the supervisor is gone."""
        with suppress(ConnectionError):
            if line := await self._reader.readline():
                return to_worker(line)
        return None

    def _left_alone(self, launch: Launch) -> None:
        """The supervisor is gone while we record: the next one finds us by a file."""
        session = self._assignment.session if self._assignment is not None else None
        state = session.lifecycle.state if session is not None else RecordingState.STARTING
        if state.final:
            return
        info = launch.read_info()
        if state is RecordingState.ACTIVE:
            info = move(info, EgressStatus.ACTIVE, wall())
        if launch.spool:
            with suppress(OSError):
                SpoolFolder(Path(launch.spool)).note_alone(info)
        logging.getLogger().handlers = [logging.NullHandler()]

    async def _listen(self, launch: Launch) -> None:
        while True:
            try:
                message = await self._next()
            except BadLine:
                logging.getLogger(__name__).warning("the supervisor said something unknown")
                continue
            match message:
                case None:
                    self._alone.set()
                    self._left_alone(launch)
                    return
                case StopRecording(reason=reason):
                    self.stop(reason)
                case Hurry(seconds=seconds):
                    if self._assignment is not None:
                        self._assignment.session.hurry(seconds)
                case UpdateStreams():
                    self._update_streams(message)
                case Describe(number=number, what=what):
                    self.say(Described(number, self._describe(what)))
                case Received():
                    self._received.set()
                case _:
                    pass

    def _update_streams(self, message: UpdateStreams) -> None:
        if self._assignment is None:
            return
        session, failure = self._assignment.session, None
        request = pb.UpdateStreamRequest()
        request.ParseFromString(message.request)
        try:
            session.update_streams(request)
        except EgressError as error:
            failure = Failure.of(error)
        # First how it stands: whoever asked gets it with the answer.
        self._on_progress(session.progress())
        self.say(StreamsUpdated(message.number, failure))

    def _describe(self, what: Description) -> str:
        if what is Description.TASKS:
            return tasks_text()
        if self._assignment is None:
            return "nothing is recorded\n"
        return pipeline_text(self._assignment.session)

    async def _was_received(self) -> bool:
        waiting = [asyncio.create_task(event.wait()) for event in (self._received, self._alone)]
        await asyncio.wait(waiting, timeout=RECEIPT_TIMEOUT, return_when=asyncio.FIRST_COMPLETED)
        for task in waiting:
            task.cancel()
        return self._received.is_set()

    def _log_to_supervisor(self, level: str) -> None:
        root = logging.getLogger()
        root.setLevel(level)
        root.handlers = [_ToSupervisor(self.say, asyncio.get_running_loop())]
        logging.getLogger("aioice").setLevel(logging.WARNING)


class _ToSupervisor(logging.Handler):
    """Log records become messages, from whatever thread."""

    def __init__(self, say: Callable[[FromWorker], None], loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self._say = say
        self._loop = loop

    def emit(self, record: logging.LogRecord) -> None:
        line = LogLine(record.levelno, record.name, self.format(record))
        with suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(self._say, line)


async def _main(descriptor: int) -> None:
    end = socket.socket(fileno=descriptor)
    reader, writer = await asyncio.open_connection(sock=end, limit=LINE_LIMIT)
    try:
        await WorkerProcess(reader, writer).run()
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


def run_worker(descriptor: int, *, loaded: bool) -> None:
    """All that a worker does, with its end of the socket pair. `loaded`: everything is loaded before it is ready."""
    if loaded:
        import pyegress.worker.encoding_session  # noqa: F401
    try:
        from uvloop import run
    except ImportError:
        asyncio.run(_main(descriptor))
    else:
        run(_main(descriptor))
