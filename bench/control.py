"""The control plane: `python -m bench.control [--starts 20] [--nodes 2] [--at-once 200] [--only answer,active,...]`.

`pyegress serve` as people run it, with a real livekit-server and Redis, and LiveKit's own client:

* answer: StartEgress until it is answered, through Redis and directly, and through Redis by load of the node;
* active: from the request until a webhook tells that a track egress, and a grid of one, is active;
* at-once: starts at the same time, each stopped when it is answered, on some nodes;
* idle: memory (proportional) and processor of a service that does nothing, with the process that its workers are
  forked from.

Goals: 20 ms and 5 ms; 0.6 s and 1.2 s; every start answered and started once; 80 MB and 0.005 core. Exit code 1 when
one is missed on a quiet machine, 75 when the machine was too busy to judge.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

from bench.machine import Quiet, conclude, tree_cpu, usage
from livekit.protocol import egress as pb
from tests.api.psrpc.cluster import composite as any_composite
from tests.api.psrpc.cluster import running_cluster
from tests.support.sdks import Sdk, SdkError, python_sdk
from tests.support.serving import ServiceProcess, serving, until_nothing_runs
from tests.support.stack import Stack, running_stack
from tests.support.waiting import eventually
from tests.support.webhook_inbox import WebhookInbox
from tests.system.scenes import clip, prepare, publishing

from pyegress.clock import monotonic
from pyegress.room.events import Source

ROOM = "bench"
PARTS = ("answer", "active", "at-once", "idle")
#: Goals: milliseconds, seconds, MB, cores.
REDIS, DIRECT, TRACK, ROOM_COMPOSITE, MEMORY, IDLE = 20.0, 5.0, 0.6, 1.2, 80.0, 0.005
#: Seconds between starts that are measured, for a service to settle, and for measuring what is idle.
_PAUSE, _SETTLE, _IDLE = 1.0, 4.0, 15.0


class Bench:
    """Everything that runs, and the goals that were missed."""

    def __init__(self, stack: Stack, folder: Path, inbox: WebhookInbox, track: str) -> None:
        self.stack = stack
        self.folder = folder
        self.missed: list[str] = []
        self._inbox = inbox
        self._track = track
        self._count = 0

    def track(self) -> pb.TrackEgressRequest:
        self._count += 1
        file = pb.DirectFileOutput(filepath=f"track-{self._count}")
        return pb.TrackEgressRequest(room_name=ROOM, track_id=self._track, file=file)

    def room(self) -> pb.RoomCompositeEgressRequest:
        self._count += 1
        file = pb.EncodedFileOutput(filepath=f"room-{self._count}.mp4")
        return pb.RoomCompositeEgressRequest(room_name=ROOM, layout="grid", file_outputs=[file])

    def judge(self, what: str, figures: Sequence[float], goal: float, unit: str) -> None:
        """Print the figures of one thing; its median must not be above the goal."""
        ordered = sorted(figures)
        median, late = statistics.median(ordered), ordered[int(0.95 * (len(ordered) - 1))]
        print(
            f"{what}: median {median:.3g} {unit}, p95 {late:.3g}, {ordered[0]:.3g} to {ordered[-1]:.3g} (goal {goal:g})"
        )
        if median > goal:
            self.missed.append(f"{what}: {median:.3g} {unit} instead of {goal:g}")

    async def answers(self, sdk: Sdk, starts: int) -> list[float]:
        """Milliseconds until each of some starts is answered by a service that does nothing else."""
        times = []
        for _ in range(starts):
            await asyncio.sleep(_PAUSE)
            began = monotonic()
            info = await sdk.start(self.track())
            times.append((monotonic() - began) * 1000)
            await sdk.stop(info.egress_id)
        return times

    async def until_active(self, sdk: Sdk, request: Callable[[], object], starts: int) -> list[float]:
        """Seconds from each request until its webhook says ACTIVE."""
        times = []
        for _ in range(starts):
            await asyncio.sleep(_PAUSE)
            began = monotonic()
            info = await sdk.start(request())  # type: ignore[arg-type]
            await eventually(lambda e=info.egress_id: "ACTIVE" in self._inbox.story(e), "it is active", 30.0)  # type: ignore[misc]
            times.append(monotonic() - began)
            await sdk.stop(info.egress_id)
        return times


async def answer(bench: Bench, node: ServiceProcess, sdk: Sdk, direct: Sdk, starts: int) -> None:
    bench.judge("StartEgress through Redis", await bench.answers(sdk, starts), REDIS, "ms")
    bench.judge("StartEgress directly", await bench.answers(direct, starts), DIRECT, "ms")
    await until_nothing_runs(node, within=60.0)


async def by_load(stack: Stack, starts: int) -> None:
    """What the delay of bids adds: nodes without workers behind them that say how loaded they are."""
    for load in (0.0, 0.25, 0.5, 1.0):
        async with running_cluster(stack) as cluster:
            await cluster.node(load)
            times = []
            for _ in range(starts):
                began = monotonic()
                await cluster.client.egress.start_room_composite_egress(any_composite(layout="grid"))
                times.append((monotonic() - began) * 1000)
            print(
                f"the same of a node at load {load:4.2f}, nothing behind it: median {statistics.median(times):.1f} ms"
            )


async def active(bench: Bench, sdk: Sdk, starts: int) -> None:
    bench.judge("request to ACTIVE, track", await bench.until_active(sdk, bench.track, starts), TRACK, "s")
    bench.judge(
        "request to ACTIVE, grid of one", await bench.until_active(sdk, bench.room, starts), ROOM_COMPOSITE, "s"
    )


async def at_once(bench: Bench, nodes: Sequence[ServiceProcess], sdk: Sdk, starts: int) -> None:
    answered: list[float] = []

    async def one() -> str:
        began = monotonic()
        info = await sdk.start(bench.track())
        answered.append(monotonic() - began)
        try:
            await sdk.stop(info.egress_id)
        except SdkError as error:
            (known,) = await sdk.infos(egress_id=info.egress_id)
            raise RuntimeError(f"{error.message}; {known.error or pb.EgressStatus.Name(known.status)}") from None
        return info.egress_id

    began = monotonic()
    ids = await asyncio.gather(*(one() for _ in range(starts)), return_exceptions=True)
    took = monotonic() - began
    errors = [f"{type(error).__name__}: {error}" for error in ids if isinstance(error, BaseException)]
    for error in sorted(set(errors)):
        print(f"  {errors.count(error)} x {error[:200]}")
    taken = [[egress_id for egress_id in node.accepted() if egress_id in ids] for node in nodes]
    doubled = sum(map(len, taken)) - len({egress_id for each in taken for egress_id in each})
    print(
        f"{starts} at once on {len(nodes)} nodes: answered and stopped in {took:.2f} s, answers median"
        f" {statistics.median(answered):.2f} s, latest {max(answered):.2f} s, shares {[len(each) for each in taken]},"
        f" {len(errors)} errors, {doubled} started twice"
    )
    if errors or doubled or sum(map(len, taken)) != starts:
        bench.missed.append(f"at once: {errors[:3]}, {doubled} started twice")
    for node in () if errors else nodes:  # whose answer was lost records on
        await until_nothing_runs(node, within=60.0)


async def idle(bench: Bench, node: ServiceProcess) -> None:
    await asyncio.sleep(_SETTLE)
    began, before = monotonic(), tree_cpu(node.pid)
    await asyncio.sleep(_IDLE)
    core = (tree_cpu(node.pid) - before) / (monotonic() - began)
    service, others = usage(node.pid).pss, [usage(process.pid).pss for process in node.processes()]
    total = service + sum(others)
    print(f"idle: {total:.0f} MB ({service:.0f} and {[round(other) for other in others]}), {core:.4f} core")
    if total > MEMORY:
        bench.missed.append(f"idle memory: {total:.0f} MB instead of {MEMORY:g}")
    if core > IDLE:
        bench.missed.append(f"idle: {core:.4f} core instead of {IDLE:g}")


async def run(folder: Path, arguments: argparse.Namespace, parts: Sequence[str]) -> list[str]:
    prepare("ada", clip())
    with running_stack(folder / "stack") as stack:
        server = stack.server
        async with AsyncExitStack() as exits:
            inbox = await exits.enter_async_context(WebhookInbox(server.api_key, server.api_secret, stack.inbox_port))
            ada = await exits.enter_async_context(publishing(server, ROOM))
            sdk = await exits.enter_async_context(python_sdk(server.http_url, server.api_key, server.api_secret))
            bench = Bench(stack, folder, inbox, ada.sids[Source.MICROPHONE])
            async with serving(folder / "node", server, stack.redis, http=True) as node:
                direct = await exits.enter_async_context(python_sdk(node.http_url, server.api_key, server.api_secret))
                if "idle" in parts:
                    await idle(bench, node)
                if "answer" in parts:
                    await answer(bench, node, sdk, direct, arguments.starts)
                if "active" in parts:
                    await active(bench, sdk, max(3, arguments.starts // 3))
            if "at-once" in parts:
                async with AsyncExitStack() as several:
                    nodes = [
                        await several.enter_async_context(serving(folder / f"node-{number}", server, stack.redis))
                        for number in range(arguments.nodes)
                    ]
                    await at_once(bench, nodes, sdk, arguments.at_once)
        if "answer" in parts:
            await by_load(stack, arguments.starts)
    return bench.missed


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--starts", type=int, default=20)
    parser.add_argument("--nodes", type=int, default=2)
    parser.add_argument("--at-once", type=int, default=200)
    parser.add_argument("--only", default=",".join(PARTS))
    arguments = parser.parse_args()
    quiet = Quiet()
    with tempfile.TemporaryDirectory() as folder:
        missed = asyncio.run(run(Path(folder), arguments, arguments.only.split(",")))
    return conclude(missed, quiet.foreign(), lenient=True)


if __name__ == "__main__":
    raise SystemExit(main())
