"""How long StartEgress takes through livekit-server and Redis: `python -m bench.start_answer [--starts N]`.

An egress node without workers behind it, so that the answer is all that is measured: HTTP, the server's look at the
room, bid and award, CreateEgress, response.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
from pathlib import Path

from tests.api.psrpc.cluster import Cluster, composite, running_cluster
from tests.support.stack import running_stack

from pyegress.clock import monotonic


async def measured(cluster: Cluster, starts: int) -> list[float]:
    """Milliseconds of each start, one after the other."""
    times = []
    for _ in range(starts):
        began = monotonic()
        await cluster.client.egress.start_room_composite_egress(composite(layout="grid"))
        times.append((monotonic() - began) * 1000)
    return times


async def together(cluster: Cluster, starts: int) -> float:
    """Seconds until `starts` starts at the same time are all answered."""
    began = monotonic()
    async with asyncio.TaskGroup() as group:
        for _ in range(starts):
            group.create_task(cluster.client.egress.start_room_composite_egress(composite(layout="grid")))
    return monotonic() - began


async def run(starts: int, directory: Path) -> None:
    with running_stack(directory) as stack:
        for load in (0.0, 0.25, 0.5, 1.0):
            async with running_cluster(stack) as cluster:
                await cluster.node(load)
                times = sorted(await measured(cluster, starts))
                median, late = statistics.median(times), times[int(0.95 * len(times))]
                print(f"load {load:4.2f}: median {median:6.1f} ms, p95 {late:6.1f} ms, max {times[-1]:6.1f} ms")
        async with running_cluster(stack) as cluster:
            nodes = [await cluster.node(), await cluster.node()]
            took = await together(cluster, 200)
            shares = [len(node.service.starts) for node in nodes]
            print(f"200 at once on two nodes: {took:.2f} s, shared {shares}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--starts", type=int, default=50)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        asyncio.run(run(arguments.starts, Path(directory)))


if __name__ == "__main__":
    main()
