"""Workers by demand, forked in milliseconds; and spares that have loaded what encodes, too."""

from __future__ import annotations

import asyncio
import logging
import os
from collections import deque

from pyegress.clock import monotonic
from pyegress.errors import EgressError
from pyegress.service.worker import Worker
from pyegress.service.zygote import Zygote

logger = logging.getLogger(__name__)

#: Loading costs a tenth of a second of a core; an egress that has just been started needs it more.
REFILL_DELAY = 2.0
_RETRY_DELAY = 30.0
#: Egresses for each core that join their rooms at the same time: more of them only make all of them late, and the
#: supervisor with them.
_JOINING = 1
#: Seconds after which the next one goes, however far this one is.
_TURN = 2.0
#: While the event loop wakes up later than this (seconds, of a wait of so many), callers are waiting for their answers,
#: and a worker would take the processor from whoever gives them.
_LAG, _WAIT = 0.03, 0.005
#: Seconds that a worker gives way at most.
_WAY = 0.5


class WorkerPool:
    """Keeps `spares` workers ready, and makes others when they are asked for. `take` gives one away."""

    def __init__(self, spares: int, zygote: Zygote) -> None:
        self._wanted = spares
        self._zygote = zygote
        self._idle: deque[Worker] = deque()
        self._loading = asyncio.Semaphore(os.cpu_count() or 1)
        self._joining = asyncio.Semaphore(_JOINING * (os.cpu_count() or 1))
        #: Whose turn it is, and when that is over.
        self._turns: dict[Worker, asyncio.TimerHandle] = {}
        self._filling: asyncio.Task[None] | None = None
        self._closed = False

    @property
    def pids(self) -> list[int]:
        """The processes of those that wait."""
        return [worker.pid for worker in self._idle]

    def start(self) -> None:
        """Begin to load."""
        self._filling = asyncio.create_task(self._fill(0.0), name="load workers")

    async def take(self) -> Worker:
        """A worker that is ready, when it is its turn: `joined` ends that. Raises EgressError."""
        await self._joining.acquire()
        try:
            await self._calm()
            worker = await self._ready()
        except BaseException:
            self._joining.release()
            raise
        self._turns[worker] = asyncio.get_running_loop().call_later(_TURN, self.joined, worker)
        return worker

    async def take_unless(self, stopped: asyncio.Event) -> Worker | None:
        """`take`; None when `stopped` is set before there is one."""
        taking = asyncio.create_task(self.take(), name="take a worker")
        stopping = asyncio.create_task(stopped.wait(), name="stop before launch")
        try:
            await asyncio.wait({taking, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if not stopping.done():
                return taking.result()
        finally:
            stopping.cancel()
            taking.cancel()
            await asyncio.wait({stopping, taking})
        if not taking.cancelled() and taking.exception() is None:
            self.joined(taking.result())
            await taking.result().aclose()
        return None

    def joined(self, worker: Worker) -> None:
        """It has joined its room, or never will: the next one may. Idempotent."""
        if (timer := self._turns.pop(worker, None)) is not None:
            timer.cancel()
            self._joining.release()

    async def _calm(self) -> None:
        """Wait until the event loop is on time, or for `_WAY`."""
        began = now = monotonic()
        while now < began + _WAY:
            await asyncio.sleep(_WAIT)
            late, now = monotonic() - now - _WAIT, monotonic()
            if late < _LAG:
                return

    async def _ready(self) -> Worker:
        while self._idle:
            worker = self._idle.popleft()
            self._refill(REFILL_DELAY)
            if worker.running:
                return worker
            await worker.aclose()
        return await self._load(loaded=False)

    async def aclose(self) -> None:
        """End those that wait. Idempotent."""
        self._closed = True
        if self._filling is not None:
            self._filling.cancel()
            await asyncio.wait({self._filling})
        while self._idle:
            await self._idle.popleft().aclose()
        for worker in list(self._turns):
            self.joined(worker)

    async def _load(self, *, loaded: bool) -> Worker:
        async with self._loading:
            worker = await Worker.spawn(self._zygote, loaded=loaded)
            try:
                await worker.ready()
            except BaseException:
                worker.kill()
                await worker.aclose()
                raise
            return worker

    def _refill(self, delay: float) -> None:
        if not self._closed and (self._filling is None or self._filling.done()) and len(self._idle) < self._wanted:
            self._filling = asyncio.create_task(self._fill(delay), name="load spare workers")

    async def _fill(self, delay: float) -> None:
        await self._zygote.start()
        while len(self._idle) < self._wanted:
            await asyncio.sleep(delay)
            try:
                self._idle.append(await self._load(loaded=True))
                delay = 0.0
            except EgressError as error:
                logger.error("no spare worker: %s", error)
                delay = _RETRY_DELAY
