"""Two hours of HLS segments of one second, handed to the delivery as fast as it takes them: memory, queue, identity.

    python -m bench.uploads [--segments 7200] [--kilobytes 50] [--ahead 50]

A real S3 (versitygw) takes them, and is away for some seconds in the middle. Segments are produced as long as no more
than AHEAD of them wait, and as if it were real time (all the same) while the storage is away.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import os
import tempfile
from pathlib import Path

import psutil
from tests.support.files import files_below
from tests.support.object_servers import S3Server

from pyegress.clock import monotonic
from pyegress.worker.delivery import Delivered, ObjectKind
from pyegress.worker.uploads import Uploads

#: Seconds without the storage, and the segments that come meanwhile.
AWAY, MEANWHILE = 5.0, 60
_MIB = 1024 * 1024


class Run:
    """What is measured."""

    def __init__(self, server: S3Server, folder: Path, size: int) -> None:
        self._server = server
        self._uploads = Uploads(folder)
        self._size = size
        self._names: list[str] = []
        self._pending: set[asyncio.Future[Delivered]] = set()
        self._process = psutil.Process()
        self.most_waiting = 0
        self.before = self._process.memory_info().rss
        self.peak = self.before
        self.digests: dict[str, str] = {}

    async def segment(self, number: int) -> None:
        """Write one, hand it over, and the playlist that names what is there."""
        uploads, storage = self._uploads, self._server.storage
        path = uploads.place(f"hls/s_{number:05}.ts", storage)
        content = os.urandom(self._size)
        path.write_bytes(content)
        self.digests[f"hls/{path.name}"] = hashlib.md5(content, usedforsecurity=False).hexdigest()
        future = uploads.deliver(path, ObjectKind.SEGMENT)
        self._pending.add(future)
        future.add_done_callback(self._pending.discard)
        future.add_done_callback(lambda _: self._names.append(path.name))
        playlist = uploads.place("hls/live.m3u8", storage)
        new = playlist.with_name(".live")
        new.write_text("\n".join(self._names[-5:]))
        new.replace(playlist)
        uploads.deliver(playlist, ObjectKind.PLAYLIST)
        self.most_waiting = max(self.most_waiting, uploads.progress.waiting)
        if number % 50 == 0:
            self.peak = max(self.peak, self._process.memory_info().rss)
        await asyncio.sleep(0)

    async def room(self, ahead: int) -> None:
        """Until no more than so many wait."""
        while len(self._pending) > ahead:
            await asyncio.wait(self._pending, return_when=asyncio.FIRST_COMPLETED)

    async def finish(self) -> None:
        await self._uploads.aclose()
        self.peak = max(self.peak, self._process.memory_info().rss)


def _files(folder: Path) -> list[Path]:
    return list(files_below(folder))


async def measure(segments: int, size: int, ahead: int) -> None:
    with tempfile.TemporaryDirectory(prefix="pyegress-bench-") as folder, S3Server(Path(folder, "s3")) as server:
        run = Run(server, Path(folder, "scratch"), size)
        began = monotonic()
        for number in range(segments):
            if number == segments // 2:
                server.kill()
                for late in range(MEANWHILE):
                    await run.segment(segments + late)
                await asyncio.sleep(AWAY)
                await asyncio.to_thread(server.start)
            await run.segment(number)
            await run.room(ahead)
        await run.finish()
        took = monotonic() - began
        wrong = [
            key
            for key, digest in run.digests.items()
            if hashlib.md5(server.stored(key), usedforsecurity=False).hexdigest() != digest
        ]
        left = _files(Path(folder, "scratch"))
    total = len(run.digests)
    print(f"{total} segments of {size / 1024:.0f} kB in {took:.0f} s, {AWAY:g} s of them without the storage")
    print(f"wrong or missing: {len(wrong)}; left on the disk: {len(left)}; most that waited: {run.most_waiting}")
    print(f"memory: {run.before / _MIB:.0f} MB before, {run.peak / _MIB:.0f} MB at most")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--segments", type=int, default=7200)
    parser.add_argument("--kilobytes", type=int, default=50)
    parser.add_argument("--ahead", type=int, default=50)
    arguments = parser.parse_args()
    asyncio.run(measure(arguments.segments, arguments.kilobytes * 1024, arguments.ahead))


if __name__ == "__main__":
    main()
