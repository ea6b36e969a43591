"""The egresses of this node: admits, starts, watches, reports and ends them. Touches no media."""

from __future__ import annotations

import asyncio
import logging
import secrets
import string
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self

from livekit.protocol import egress as pb

from pyegress.clock import Monotonic, Wall, monotonic, wall
from pyegress.errors import Code, EgressError, Fault, InvalidRequest, NotFound
from pyegress.lifecycle.egress import EgressStatus, status_of
from pyegress.lifecycle.outcome import Failure
from pyegress.lifecycle.recording import EndReason
from pyegress.lifecycle.worker_messages import Launch
from pyegress.plan.build import plan_recording
from pyegress.plan.egress_info import starting_info
from pyegress.plan.recording_plan import RecordingPlan, Service, Start, StreamOutput
from pyegress.plan.stream_updates import no_streams
from pyegress.plan.written_names import written_names
from pyegress.service.admission import Load
from pyegress.service.config import ServiceConfig
from pyegress.service.costs import cost_of, memory_of
from pyegress.service.disk_guard import DiskGuard
from pyegress.service.egress_run import EgressRun
from pyegress.service.egress_service import HEAD_START, EgressStart, Listener
from pyegress.service.own_ports import listening_ports
from pyegress.service.rpc_figures import RpcFigures
from pyegress.service.spool_keeper import SpoolKeeper
from pyegress.service.upload_figures import UploadFigures
from pyegress.service.watch import Watch
from pyegress.service.worker_pool import WorkerPool
from pyegress.service.zygote import Zygote
from pyegress.storage.spool import Spool

logger = logging.getLogger(__name__)

#: Seconds for which an egress that has ended is remembered.
REMEMBERED = 600.0
#: How long `stop` waits for the worker to say how it ends: livekit-server waits for 3 s, and a busy node is late.
STOP_ANSWER = 1.5
#: Seconds between looks at the machine.
TICK = 1.0
#: A worker that takes too much memory cannot wait long.
OOM_GRACE = 5.0
#: Ticks between looks into the spool.
_SPOOL_EVERY = 2


def new_node_id() -> str:
    """`NE_` and 12 random characters, as nodes of LiveKit Egress are called."""
    return "NE_" + "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(12))


class Supervisor:
    """An `EgressService`. Used as `async with`: leaving it ends what runs, in order."""

    def __init__(
        self,
        config: ServiceConfig,
        *,
        node_id: str = "",
        browser_missing: Callable[[], EgressError | None] = lambda: None,
        zygote: Zygote | None = None,
    ) -> None:
        """`browser_missing` says why pages cannot be recorded here. `zygote` makes the workers."""
        self.config = config
        self._browser_missing = browser_missing
        self.node_id = node_id or new_node_id()
        self.draining = False
        #: How egresses ended: (type, result) -> count, for metrics.
        self.results: Counter[tuple[str, str]] = Counter()
        self.uploads = UploadFigures()
        self.calls = RpcFigures()
        self._service = config.service
        self._runs: dict[str, EgressRun] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._ended: dict[str, tuple[Monotonic, pb.EgressInfo]] = {}
        self._listeners: list[Listener] = []
        self._zygote = zygote or Zygote()
        self._pool = WorkerPool(config.spare_workers, self._zygote)
        self.spool = SpoolKeeper(
            Spool(config.spool_directory),
            config.spool,
            self._service,
            self._pool,
            publish=self._publish,
            on_upload=self.uploads.add,
            runs=self._runs.__contains__,
        )
        self.disk = DiskGuard(config.disk, [Path(config.spool_directory), Path(config.local_directory)])
        self._reports_left = False
        self.watch = Watch(config.cpu_cost)
        self._ticking: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._pool.start()
        await asyncio.to_thread(self.disk.sample)
        self.spool.update(await asyncio.to_thread(self.spool.look))
        self._ticking = asyncio.create_task(self._tick(), name="watch the egresses")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.draining = True
        self.end_now()
        await self._over()
        if self._ticking is not None:
            self._ticking.cancel()
            await asyncio.wait({self._ticking})
        await self.spool.aclose()
        await self._pool.aclose()
        await self._zygote.aclose()

    # -- EgressService ----------------------------------------------------------------------------------------------

    async def start(self, start: EgressStart) -> pb.EgressInfo:
        """Accept an egress: its STARTING info. A second start of an id gives the info as it is. Raises EgressError."""
        if (known := self.info(start.egress_id)) is not None:
            return known
        if self.draining:
            raise EgressError(
                "This node is shutting down",
                code=Code.UNAVAILABLE,
                fault=Fault.SERVER,
                retryable=True,
                remedy="Ask another node",
            )
        at = wall()
        plan = self._plan(start, at)
        cost = self._cost(plan)
        if (refusal := self._refusal(plan, cost)) is not None:
            logger.warning("egress %s is refused: %s", start.egress_id, refusal.message)
            raise refusal
        self._check_free(plan)
        info = starting_info(plan, start.request)
        launch = Launch(
            egress_id=start.egress_id,
            kind=start.request.DESCRIPTOR.full_name,
            request=start.request.SerializeToString(),
            info=info.SerializeToString(),
            at=at,
            service=self._protected(plan),
            directory=self.config.local_directory,
            spool=self.spool.path_of(start.egress_id),
            keep_copies=bool(self.config.spool.keep),
            room_id=start.room_id,
            token=start.token,
            ws_url=start.ws_url,
            retry_count=start.retry_count,
            log_level=self.config.log_level,
        )
        run = EgressRun(plan, launch, info, publish=self._publish, on_upload=self.uploads.add)
        self._runs[start.egress_id] = run
        self.watch.loads[start.egress_id] = Load(cost, monotonic())
        about = {"egress_id": start.egress_id, "room": plan.room_name}
        logger.info("accepted: %s", start.request.DESCRIPTOR.name, extra=about)
        self._publish(info)
        task = asyncio.create_task(self._run(start.egress_id, run), name=f"egress {start.egress_id}")
        self._tasks[start.egress_id] = task
        return _copy(info)

    async def stop(self, egress_id: str) -> pb.EgressInfo:
        """End an egress in order; how it stands as soon as it is ending. Raises EgressError."""
        run = self._runs.get(egress_id)
        if run is None and (alone := self.spool.stop(egress_id)) is not None:
            return _copy(alone)
        if run is None or run.status.final:
            raise self._cannot(egress_id, "stopped")
        run.stop(EndReason.STOPPED)
        await run.ending(STOP_ANSWER)
        return _copy(run.info)

    async def update_stream(self, request: pb.UpdateStreamRequest) -> pb.EgressInfo:
        """Add and remove destinations of streams. Raises EgressError."""
        run = self._runs.get(request.egress_id)
        if run is None or run.status not in (EgressStatus.STARTING, EgressStatus.ACTIVE):
            raise self._cannot(request.egress_id, "updated")
        if not any(isinstance(output, StreamOutput) for output in run.plan.outputs):
            raise no_streams()
        await run.update_streams(request)
        return _copy(run.info)

    def info(self, egress_id: str) -> pb.EgressInfo | None:
        """An egress that runs here, or that ended within the last minutes."""
        if (run := self._runs.get(egress_id)) is not None:
            return run.snapshot()
        if (left := self.spool.info(egress_id)) is not None:
            return _copy(left)
        ended = self._ended.get(egress_id)
        return _copy(ended[1]) if ended else None

    def running(self) -> list[str]:
        """Egress ids of this node; also those that an earlier supervisor left, until they have ended."""
        return [*self._runs, *self.spool.working]

    def bid(self, start: EgressStart) -> float | None:
        """The load, 0 to 1, after taking it; None when it cannot be taken.

        A request that nobody can fulfil is bid for at full load: whoever takes it answers what is wrong with it.
        """
        if start.egress_id in self._runs:
            return 0.0
        try:
            plan = self._plan(start, wall())
        except EgressError:
            return None if self.draining else 1.0
        cost = self._cost(plan)
        refusal = self._refusal(plan, cost)
        if self.draining or refusal is not None:
            why = refusal.message if refusal is not None else "this node is shutting down"
            about = {"egress_id": start.egress_id, "room": plan.room_name}
            logger.warning("egress %s is not taken here: %s", start.egress_id, why, extra=about)
            return None
        return self.watch.after(cost)

    def report_left(self) -> None:
        """From now on finish, and tell the listeners of, what earlier supervisors left; call when all listen."""
        self._reports_left = True

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Tell of every change of every egress, in order; returns what unsubscribes."""
        self._listeners.append(listener)

        def unsubscribe() -> None:
            if listener in self._listeners:
                self._listeners.remove(listener)

        return unsubscribe

    # -- the end ----------------------------------------------------------------------------------------------------

    async def drain(self) -> None:
        """Take nothing more and wait until everything that runs has ended by itself (or `drain_timeout` is over)."""
        self.draining = True
        await self._pool.aclose()
        limit = self.config.drain_timeout
        timer = asyncio.get_running_loop().call_later(limit, self.end_now) if limit else None
        try:
            await self._over()
        finally:
            if timer is not None:
                timer.cancel()

    def end_now(self) -> None:
        """End everything that runs, in order within `kill_grace`, by force after that."""
        self.draining = True
        for run in self._runs.values():
            run.stop(EndReason.PROCESS_KILLED)
            run.force_after(self.config.kill_grace)

    # -- for health and metrics -------------------------------------------------------------------------------------

    @property
    def runs(self) -> dict[str, EgressRun]:
        """What runs, by egress id."""
        return dict(self._runs)

    # -- inside -----------------------------------------------------------------------------------------------------

    def _plan(self, start: EgressStart, at: Wall) -> RecordingPlan:
        beside = Start(
            egress_id=start.egress_id,
            at=at,
            room_id=start.room_id,
            token=start.token,
            ws_url=start.ws_url,
            retry_count=start.retry_count,
        )
        return plan_recording(start.request, beside, self._service)

    def _protected(self, plan: RecordingPlan) -> Service:
        """What the worker is told; a page must not reach what belongs to us."""
        if not plan.needs_browser:
            return self._service
        browser = self._service.browser
        # The page of the default layouts is served by this process too.
        kept = {int(place.rpartition(":")[2]) for place in browser.trusted}
        ours = tuple(f":{port}" for port in sorted(listening_ports() - kept))
        return replace(self._service, browser=replace(browser, own=(*browser.own, *ours)))

    def _check_free(self, plan: RecordingPlan) -> None:
        """Two recordings into one file would leave none."""
        running = [run for run in self._runs.values() if not run.status.final]
        taken = {name: run.info.egress_id for run in running for name in written_names(run.plan.outputs)}
        for name in written_names(plan.outputs):
            if name in taken:
                raise InvalidRequest(
                    f"Egress {taken[name]} is writing {name.partition(':')[2]!r}",
                    field="filepath",
                    code=Code.ALREADY_EXISTS,
                    remedy="Choose another name, for instance with {time} in it, or stop that egress before",
                )

    def _cost(self, plan: RecordingPlan) -> float:
        return cost_of(plan, self.config.cpu_cost, self.watch.machine.cores)

    def _refusal(self, plan: RecordingPlan, cost: float) -> EgressError | None:
        if plan.needs_browser and (missing := self._browser_missing()) is not None:
            return missing
        return self.disk.refusal or self.watch.refusal(cost, memory_of(plan, self.config.cpu_cost))

    def _cannot(self, egress_id: str, what: str) -> EgressError:
        info = self.info(egress_id)
        if info is None:
            return NotFound(
                f"Egress {egress_id} does not exist on this node", field="egress_id", remedy="Check the egress id"
            )
        return EgressError(
            f"egress with status EGRESS_{status_of(info).name} cannot be {what}",
            field="egress_id",
            code=Code.FAILED_PRECONDITION,
            fault=Fault.CALLER,
        )

    async def _run(self, egress_id: str, run: EgressRun) -> None:
        try:
            await asyncio.sleep(HEAD_START)
            await run.run(self._pool, self.spool.create, self.spool.told)
            await self.spool.adopt(egress_id, run.info, run.told, noted=run.noted)
        except OSError as error:
            logger.error("egress %s: how it ended is not noted in the spool: %s", egress_id, error.strerror)
        finally:
            self.results[run.plan.type.value, run.result] += 1
            self._ended[egress_id] = monotonic(), run.info
            del self._runs[egress_id], self._tasks[egress_id]
            self.watch.loads.pop(egress_id, None)

    async def _over(self) -> None:
        while self._tasks:
            await asyncio.wait(set(self._tasks.values()))

    def _publish(self, info: pb.EgressInfo) -> list[asyncio.Future[None]]:
        """Tell everybody; what is done when they would not forget it."""
        kept = []
        for listener in list(self._listeners):
            try:
                kept.append(listener(_copy(info)))
            except Exception:
                logger.exception("a listener failed on egress %s", info.egress_id)
        return [future for future in kept if future is not None]

    async def _tick(self) -> None:
        count = 0
        while True:
            try:
                self._look()
                await asyncio.to_thread(self.disk.sample)
                if count % _SPOOL_EVERY == 0:
                    self.spool.update(await asyncio.to_thread(self.spool.look))
                if self._reports_left:
                    self.spool.act()
                    await self.spool.sweep()
            except Exception:
                logger.exception("watching the egresses failed")
            count += 1
            await asyncio.sleep(TICK)

    def _look(self) -> None:
        now = monotonic()
        for egress_id in [each for each, (at, _) in self._ended.items() if now - at > REMEMBERED]:
            del self._ended[egress_id]
        pids = {egress_id: run.pid for egress_id, run in self._runs.items()}
        self.watch.sample({egress_id: pid for egress_id, pid in pids.items() if pid is not None})
        if (hungry := self.watch.starving()) is not None and hungry in self._runs:
            cores = self.watch.loads[hungry].cores
            logger.error("egress %s is stopped: the machine is overloaded, it takes %.2f cores", hungry, cores)
            exhausted = Failure(
                Code.PERMISSION_DENIED, f"CPU exhausted: {cores:.2f} cores used", "Lower cpu_cost.max_cpu_utilization"
            )
            self._runs[hungry].stop(EndReason.CPU_EXHAUSTED)
            self._runs[hungry].force_after(self.config.cpu_cost.cpu_kill_grace_sec, exhausted)
        if (greedy := self.watch.out_of_memory()) is not None and greedy in self._runs:
            used = self.watch.loads[greedy].memory
            failure = Failure(Code.PERMISSION_DENIED, f"OOM: {used:.2f} GB used", "Raise cpu_cost.max_memory")
            self._runs[greedy].kill(failure, EndReason.PROCESS_KILLED, OOM_GRACE)


def _copy(info: pb.EgressInfo) -> pb.EgressInfo:
    copied = pb.EgressInfo()
    copied.CopyFrom(info)
    return copied
