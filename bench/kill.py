"""Recordings whose worker, or whole service, is killed (kill -9) while they are recorded, finished or uploaded.

Run: python -m bench.kill [--kills 50] [--seed 1] [--local]

Files, HLS and images. Everything that was recorded must be at its destination in the end, whole and once, playable to
at most some seconds before the kill, and the status must say what happened. Prints what each kind of recording lost
before its kill. Without --local recordings go to an S3 of its own, in every third round as the backup of a storage that
does not answer. Exit code 1 when anything is not as it must be.
"""

from __future__ import annotations

import argparse
import asyncio
import socket
import statistics
import sys
import tempfile
from collections import defaultdict
from contextlib import ExitStack
from pathlib import Path

from tests.support.object_servers import S3Server
from tests.system.killing import Case, KilledService, check, leftovers, random_fates, s3_section, survive
from tests.system.scenes import clip, prepare, publishing

from pyegress.demo.publishers import release_sdk
from pyegress.demo.server import LiveKitServer, free_port
from pyegress.lifecycle.egress import status_of
from pyegress.room.events import Source

ROOM = "kill"
#: Recordings that are killed in one life of the service.
ROUND = 5
#: In one round of so many the storage does not answer, and all goes to its backup.
BACKUP_ROUND = 3


def kind_of(case: Case) -> str:
    """What was killed, in words."""
    request = "HLS and images" if case.fate.outputs else type(case.fate.request).__name__.removesuffix("EgressRequest")
    what = f"{request} {'finishing' if case.fate.ending else 'recording'}"
    return f"{what}, {case.fate.victim.value} killed"


async def kill(server: LiveKitServer, bucket: S3Server | None, folder: Path, options: argparse.Namespace) -> int:
    """All rounds; how many things were wrong."""
    prepare("ada", clip())
    losses: dict[str, list[float]] = defaultdict(list)
    wrong = 0
    async with publishing(server, ROOM) as ada:
        for number in range(-(-options.kills // ROUND)):
            count = min(ROUND, options.kills - number * ROUND)
            seed = options.seed * 1000 + number
            fates = random_fates(ROOM, ada.sids[Source.CAMERA], seed, count)
            backup = _away(bucket) if bucket is not None and number % BACKUP_ROUND == BACKUP_ROUND - 1 else {}
            async with KilledService(server, folder / str(number), bucket, **backup) as service:
                cases = await survive(service, fates)
                for case in cases:
                    problems = check(service, case)
                    wrong += len(problems)
                    if not case.missed and not case.fate.ending:
                        losses[kind_of(case)].append(case.loss)
                    status = status_of(case.info).name
                    what = kind_of(case) + (" (backup)" if backup else "")
                    print(f"{number}: {what}: {status}, {case.loss:.2f} s lost {problems or ''}", flush=True)
                # The bucket has those of former rounds too.
                left = [name for name in leftovers(service, cases) if name.startswith(("/", f"{seed}-"))]
                wrong += len(left)
                if left:
                    print(f"{number}: left behind: {left}")
    for what, lost in sorted(losses.items()):
        print(f"{what}: {len(lost)} times, {statistics.median(lost):.2f} s lost, {max(lost):.2f} s at most")
    return wrong


def _away(bucket: S3Server) -> dict[str, object]:
    """A configuration whose storage does not answer, with the bucket as its backup."""
    nowhere = s3_section(bucket) | {"endpoint": f"http://127.0.0.1:{free_port(socket.SOCK_STREAM)}"}
    return {"storage": {"s3": nowhere}, "backup": {"s3": s3_section(bucket)}}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--local", action="store_true")
    options = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        server = stack.enter_context(LiveKitServer(folder))
        bucket = None
        if not options.local:
            (folder / "s3").mkdir()
            bucket = stack.enter_context(S3Server(folder / "s3"))
        wrong = asyncio.run(kill(server, bucket, folder / "services", options))
        release_sdk()
    print(f"{wrong} problems after {options.kills} kills")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
