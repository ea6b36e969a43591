"""A worker without a room, to be killed: `python -m tests.worker.growing_child LAUNCH BYTES`.

LAUNCH is a pickled `Launch` whose folder is in the spool. Records so many bytes of WebM for its only output, which is
uploaded meanwhile, says `recorded`, and waits.
"""

from __future__ import annotations

import asyncio
import pickle
import sys
from pathlib import Path

from pyegress.codecs import Codec
from pyegress.lifecycle.recording import RecordingState
from pyegress.lifecycle.worker_messages import Launch
from pyegress.outputs.writer_thread import WriterThread
from pyegress.plan.build import plan_recording
from pyegress.plan.containers import Container
from pyegress.plan.recording_plan import FileOutput
from pyegress.storage.journal_entries import SpoolState
from pyegress.storage.spool import MEDIA, SpoolFolder
from pyegress.worker.progress import Progress
from pyegress.worker.spooled import Spooled
from pyegress.worker.uploads import Uploads
from tests.outputs.media import STEP, spec_of, video
from tests.worker.test_growing_uploads import filled


async def record(launch: Launch, size: int) -> None:
    plan = plan_recording(launch.read_request(), launch.start, launch.service)
    (output,) = plan.outputs
    assert isinstance(output, FileOutput)
    async with Spooled(SpoolFolder(Path(launch.spool))) as spooled:
        delivery = spooled.journalled(Uploads(Path(launch.spool, MEDIA), keep=True), plan)
        spooled.move(SpoolState.RECORDING)
        path = delivery.place(output.path, output.storage)
        spooled.follow(Progress(RecordingState.ACTIVE, 2.0, 0))
        frames = video(Codec.VP8, 25)
        thread = WriterThread(
            path, Container.WEBM, [spec_of(frames)], on_written=lambda written: delivery.grown(path, written)
        )
        number = 0
        while thread.bytes_written < size:
            # No more than the writer takes: what it cannot take is dropped.
            if thread.queued < 8 << 20:
                thread.submit(0, filled(frames[number % 25]), number * STEP)
                number += 1
            else:
                await asyncio.sleep(0.01)
        sys.stdout.write("recorded\n")
        sys.stdout.flush()
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(record(pickle.loads(Path(sys.argv[1]).read_bytes()), int(sys.argv[2])))
