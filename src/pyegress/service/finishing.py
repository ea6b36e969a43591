"""A worker that brings to its end what another one left: the supervisor itself touches no media."""

from __future__ import annotations

from collections.abc import Callable

from pyegress.lifecycle.outcome import Outcome
from pyegress.lifecycle.uploading import UploadTried
from pyegress.lifecycle.worker_messages import Ended, Finish, Launch, Received
from pyegress.service.worker_pool import WorkerPool


async def finish_left(pool: WorkerPool, launch: Launch, on_upload: Callable[[UploadTried], None]) -> Outcome:
    """What became of the egress of a launch. Raises EgressError when there is no worker, or when it dies, too."""
    worker = await pool.take()
    try:
        worker.finish(Finish(launch))
        async for message in worker.messages():
            match message:
                case UploadTried():
                    on_upload(message)
                case Ended(outcome=outcome):
                    worker.send(Received())
                    return outcome
        raise (await worker.crash()).as_error()
    except BaseException:
        worker.kill()
        raise
    finally:
        await worker.aclose()
