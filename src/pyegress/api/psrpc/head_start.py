"""Whoever started an egress another way is answered before livekit-server is told of it."""

from __future__ import annotations

import asyncio

from livekit.protocol import egress as pb

from pyegress.service.egress_service import HEAD_START, Listener


class HeadStart:
    """Hands on the changes of an egress `seconds` after the first of them, in order."""

    def __init__(self, tell: Listener, seconds: float = HEAD_START) -> None:
        self._tell = tell
        self._seconds = seconds
        self._held: dict[str, list[tuple[pb.EgressInfo, asyncio.Future[None]]]] = {}

    def __contains__(self, egress_id: str) -> bool:
        """Whether changes of it are held: then all that come must wait behind them."""
        return egress_id in self._held

    def add(self, info: pb.EgressInfo) -> asyncio.Future[None]:
        """Hold a change. Done when the listener's own would be."""
        loop = asyncio.get_running_loop()
        told: asyncio.Future[None] = loop.create_future()
        if info.egress_id not in self._held:
            self._held[info.egress_id] = []
            loop.call_later(self._seconds, self.hand_on, info.egress_id)
        self._held[info.egress_id].append((info, told))
        return told

    def hand_on(self, egress_id: str) -> None:
        """What is held of it is told now."""
        for info, told in self._held.pop(egress_id, []):
            kept = self._tell(info)
            if kept is None:
                told.set_result(None)
            else:
                kept.add_done_callback(lambda _, told=told: told.done() or told.set_result(None))  # type: ignore[misc]

    def close(self) -> None:
        """Everything is told now."""
        for egress_id in list(self._held):
            self.hand_on(egress_id)
