"""Egresses that livekit-server lists as active although no node has them: their node died. They are marked FAILED."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

from livekit.protocol import egress as pb

from pyegress.api.psrpc.bus import RedisBus
from pyegress.api.psrpc.io_info import IoInfo
from pyegress.clock import Monotonic, Wall, monotonic, wall
from pyegress.errors import Code, EgressError

log = logging.getLogger(__name__)
#: Of the keys that keep two nodes from marking the same egress.
_KEY = "pyegress:orphan:"
_KEY_SECONDS = 60


@dataclass(frozen=True, slots=True)
class OrphanPolicy:
    """When an egress counts as orphaned: unowned in `rounds` rounds in a row, unchanged for `age` seconds.

    Rounds are `interval` seconds apart. The age covers what is being started and nodes that are cut off for a moment.
    """

    interval: float = 20.0
    rounds: int = 4
    age: float = 60.0

    @classmethod
    def after(cls, timeout: float) -> OrphanPolicy:
        """Some `timeout` seconds after a node is gone: three intervals lie between four rounds."""
        return cls(interval=timeout / 3, rounds=4, age=timeout)


class OrphanWatch:
    """Counts the rounds. Pure."""

    def __init__(self, policy: OrphanPolicy) -> None:
        self._policy = policy
        self._missed: dict[str, int] = {}

    def round(self, active: Iterable[pb.EgressInfo], owned: set[str], now: Wall) -> list[pb.EgressInfo]:
        """The egresses to mark as failed, given what the server lists and what all nodes say they have."""
        missed: dict[str, int] = {}
        orphans = []
        for info in active:
            changed = max(info.started_at, info.updated_at) / 1e9
            if info.egress_id in owned or now - changed < self._policy.age:
                continue
            missed[info.egress_id] = self._missed.get(info.egress_id, 0) + 1
            if missed[info.egress_id] >= self._policy.rounds:
                orphans.append(info)
        self._missed = missed
        return orphans

    def start_over(self) -> None:
        """A round could not be made: nothing is known about who was there."""
        self._missed.clear()


def lost(info: pb.EgressInfo, now: Wall) -> pb.EgressInfo:
    """The final state of an egress whose node is gone."""
    at = round(now * 1e9)
    final = pb.EgressInfo()
    final.CopyFrom(info)
    final.status = pb.EgressStatus.EGRESS_FAILED
    final.updated_at = final.ended_at = at
    final.error = "The node that ran this egress is gone: no egress service has answered for it"
    final.error_code = Code.INTERNAL.http
    final.details = "End reason: Failure"
    for stream in (*final.stream_results, *(final.stream.info if final.HasField("stream") else ())):
        if stream.status == pb.StreamInfo.Status.ACTIVE:
            stream.status = pb.StreamInfo.Status.FAILED
            stream.ended_at = at
    return final


class OrphanSweeper:
    """Makes the rounds. `owners` gives the egress ids that all nodes have, this one's too, or raises EgressError."""

    def __init__(
        self, bus: RedisBus, io: IoInfo, owners: Callable[[], Awaitable[set[str]]], node_id: str, policy: OrphanPolicy
    ) -> None:
        self._bus = bus
        self._io = io
        self._owners = owners
        self._node_id = node_id
        self._policy = policy
        self._watch = OrphanWatch(policy)
        self._connections = bus.connections

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await asyncio.sleep(self._policy.interval)
            try:
                await self._round()
            except EgressError as error:
                self._watch.start_over()
                log.debug("orphaned egresses were not looked for: %s", error)

    async def _round(self) -> None:
        # After a disconnection other nodes may need some time to be heard again.
        if self._bus.connections != self._connections:
            self._connections = self._bus.connections
            self._watch.start_over()
        active = await self._io.active()
        owned = await self._owners() if active else set()
        for info in self._watch.round(active, owned, wall()):
            await self._mark(info)

    async def _mark(self, info: pb.EgressInfo) -> None:
        deadline = Monotonic(monotonic() + 5.0)
        key = _KEY + info.egress_id
        if not await self._bus.take(key, self._node_id, seconds=_KEY_SECONDS, deadline=deadline):
            return
        try:
            newest = await self._io.get(info.egress_id)
            if newest is None or newest.status not in _ACTIVE or newest.updated_at != info.updated_at:
                return
            await self._io.update(lost(newest, wall()))
        except EgressError:
            await self._bus.forget(key, deadline=Monotonic(monotonic() + 5.0))
            raise
        log.warning("%s: no node has it any more; marked as failed", info.egress_id)


_ACTIVE = {pb.EgressStatus.EGRESS_STARTING, pb.EgressStatus.EGRESS_ACTIVE, pb.EgressStatus.EGRESS_ENDING}
