"""How long the end of a long recording takes, with its upload while it is recorded and without.

    python -m bench.recording_end [--megabytes 500] [--line 12.5] [--pace 10]

An MP4 of large pictures is written at PACE MB/s and goes to a real S3 (versitygw) over a line of LINE MB/s (12.5: 100
Mbit/s). What is measured begins when the last picture is written: finishing the file, and its delivery, read back.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

from tests.outputs.media import STEP, spec_of, video
from tests.support.object_servers import S3Server
from tests.support.tcp_proxy import TcpProxy

from pyegress.clock import monotonic
from pyegress.codecs import Codec
from pyegress.outputs.file_writer import FileWriter
from pyegress.outputs.written import Written
from pyegress.plan.containers import Container
from pyegress.rtp.codec_config import START_CODE
from pyegress.worker.delivery import ObjectKind
from pyegress.worker.uploads import Uploads

_MB = 1_000_000
#: Bytes of a picture, and pictures between two looks at the clock.
_PICTURE, _BATCH = 100_000, 10


@dataclass(frozen=True, slots=True)
class End:
    """Seconds, bytes of the file and of what was sent after its last picture."""

    finished: float
    delivered: float
    size: int
    sent: int
    same: bool


async def measure(folder: Path, server: S3Server, options: argparse.Namespace, *, ahead: bool) -> End:
    async with TcpProxy("127.0.0.1", server.port) as proxy:
        proxy.rate = round(options.line * _MB)
        uploads = Uploads(folder, keep=True)
        path = uploads.place(f"long-{ahead}.mp4", server.storage_at(f"http://127.0.0.1:{proxy.port}"))
        frames = video(Codec.H264, 25)
        writer = FileWriter(path, Container.MP4, [spec_of(frames)])
        noise = START_CODE + b"\x0c" + os.urandom(_PICTURE).replace(b"\x00", b"\x01")
        began, number = monotonic(), 0
        while writer.bytes_written < options.megabytes * _MB:
            for _ in range(_BATCH):
                frame = frames[number % 25]
                writer.write(0, replace(frame, payload=frame.payload + noise), number * STEP)
                number += 1
            writer.flush()
            if ahead:
                uploads.grown(path, Written(writer.bytes_written))
                due = began + writer.bytes_written / (options.pace * _MB)
                await asyncio.sleep(max(0.0, due - monotonic()))
        ended, sent = monotonic(), proxy.received
        await asyncio.to_thread(writer.close)
        finished = monotonic()
        await uploads.deliver(path, ObjectKind.FILE)
        delivered = monotonic()
        await uploads.aclose()
    same = await asyncio.to_thread(lambda: server.stored(path.name) == path.read_bytes())
    return End(finished - ended, delivered - finished, path.stat().st_size, proxy.received - sent, same)


async def run(options: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory(prefix="pyegress-bench-") as folder, S3Server(Path(folder, "s3")) as server:
        for ahead in (False, True):
            end = await measure(Path(folder, str(ahead)), server, options, ahead=ahead)
            how = "uploaded while it is recorded" if ahead else "uploaded at its end"
            print(
                f"{end.size / _MB:.0f} MB {how}: finished in {end.finished:.1f} s, delivered in {end.delivered:.1f} s "
                f"more, {end.sent / _MB:.1f} MB sent after the last picture; identical: {end.same}"
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=int, default=500)
    parser.add_argument("--line", type=float, default=12.5)
    parser.add_argument("--pace", type=float, default=10.0)
    asyncio.run(run(parser.parse_args()))


if __name__ == "__main__":
    main()
