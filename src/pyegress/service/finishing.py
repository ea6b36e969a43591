"""A worker that brings to its end what another one left: the supervisor itself touches no media."""

from __future__ import annotations

import logging

from pyegress.lifecycle.outcome import Outcome
from pyegress.lifecycle.worker_messages import Ended, Finish, Launch, Received
from pyegress.service.worker_pool import WorkerPool

logger = logging.getLogger(__name__)


async def finish_left(pool: WorkerPool, launch: Launch) -> Outcome:
    """What became of the egress of a launch. Raises EgressError when there is no worker, or when it dies, too."""
    worker = await pool.take()
    try:
        worker.finish(Finish(launch))
        async for message in worker.messages():
            if isinstance(message, Ended):
                worker.send(Received())
                return message.outcome
        raise (await worker.crash()).as_error()
    except BaseException:
        worker.kill()
        raise
    finally:
        await worker.aclose()
