"""What both front doors call: the egresses of this node."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from livekit.protocol import egress as pb

from pyegress.plan.form import EgressRequest


@dataclass(frozen=True, slots=True)
class EgressStart:
    """One egress that is asked for. `request` is a V1 or V2 request, `token` and `ws_url` replace the service's own."""

    egress_id: str
    request: EgressRequest
    room_id: str = ""
    token: str = field(default="", repr=False)
    ws_url: str = ""
    retry_count: int = 0


#: Seconds that the answer to a start has before the work on it begins: a fork, and telling others, would hold it up.
HEAD_START = 0.005
#: Gives what is done when the change would survive the end of this process; None for nothing to wait for.
Listener = Callable[[pb.EgressInfo], asyncio.Future[None] | None]


class EgressService(Protocol):
    """The egresses of this node. All methods are called on the event loop."""

    async def start(self, start: EgressStart) -> pb.EgressInfo:
        """The STARTING info, once stored and a worker is being launched.

        Idempotent per egress id; raises EgressError.
        """
        ...

    async def stop(self, egress_id: str) -> pb.EgressInfo:
        """End an egress. Raises NotFound, or FailedPrecondition when it has ended."""
        ...

    async def update_stream(self, request: pb.UpdateStreamRequest) -> pb.EgressInfo:
        """Add and remove stream destinations. Raises EgressError."""
        ...

    def info(self, egress_id: str) -> pb.EgressInfo | None:
        """An egress of this node that runs, or that ended some minutes ago."""
        ...

    def running(self) -> list[str]:
        """Egress ids of this node."""
        ...

    def bid(self, start: EgressStart) -> float | None:
        """The load, 0 to 1, after taking it. None: full, draining, or without what it needs."""
        ...

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Tell of every change of every egress, in order per egress, no status skipped. Returns what unsubscribes."""
        ...
