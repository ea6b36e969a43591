"""What a worker left that died: another one brings it to its end; the supervisor itself touches no media."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress

from livekit.protocol import egress as pb

from pyegress.clock import Wall
from pyegress.lifecycle.outcome import FileOutcome, Outcome
from pyegress.lifecycle.uploading import UploadTried
from pyegress.lifecycle.worker_messages import Ended, Finish, Launch, Received, Standing
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


def files_on_disk(standing: Standing, info: pb.EgressInfo, directory: str, began: Wall) -> tuple[FileOutcome, ...]:
    """The files that a worker wrote when it said last how it stands; relative names are below `directory`."""
    planned = [result.filename for result in info.file_results]
    absolute = bool(planned) and planned[0].startswith("/")
    files = []
    for path in standing.paths:
        with suppress(OSError):
            files.append(
                FileOutcome(
                    filename=path if absolute else os.path.relpath(path, directory),
                    location=path,
                    size=os.path.getsize(path),
                    started_at=began,
                    duration=standing.elapsed,
                )
            )
    return tuple(files)
