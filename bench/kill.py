"""Recordings whose worker, or whole service, is killed (kill -9) while they are recorded, finished or uploaded.

Run: python -m bench.kill [--kills 50] [--seed 1] [--local]

Everything that was recorded must be at its destination in the end, whole and once, playable to at most some seconds
before the kill, and the status must say what happened. Prints what each kind of recording lost before its kill. Without
--local recordings go to an S3 of its own. Exit code 1 when anything is not as it must be.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import tempfile
from collections import defaultdict
from contextlib import ExitStack
from pathlib import Path

from tests.support.object_servers import S3Server
from tests.system.killing import Case, KilledService, check, leftovers, random_fates, survive
from tests.system.scenes import clip, prepare, publishing

from pyegress.demo.publishers import release_sdk
from pyegress.demo.server import LiveKitServer
from pyegress.lifecycle.egress import status_of
from pyegress.room.events import Source

ROOM = "kill"
#: Recordings that are killed in one life of the service.
ROUND = 5


def kind_of(case: Case) -> str:
    """What was killed, in words."""
    request = type(case.fate.request).__name__.removesuffix("EgressRequest")
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
            async with KilledService(server, folder / str(number), bucket) as service:
                cases = await survive(service, fates)
                for case in cases:
                    problems = check(service, case)
                    wrong += len(problems)
                    if not case.missed and not case.fate.ending:
                        losses[kind_of(case)].append(case.loss)
                    status = status_of(case.info).name
                    print(f"{number}: {kind_of(case)}: {status}, {case.loss:.2f} s lost {problems or ''}", flush=True)
                # The bucket has those of former rounds too.
                left = [name for name in leftovers(service, cases) if name.startswith(("/", f"{seed}-"))]
                wrong += len(left)
                if left:
                    print(f"{number}: left behind: {left}")
    for what, lost in sorted(losses.items()):
        print(f"{what}: {len(lost)} times, {statistics.median(lost):.2f} s lost, {max(lost):.2f} s at most")
    return wrong


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
