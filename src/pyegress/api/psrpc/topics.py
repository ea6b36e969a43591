"""EgressHandler.StopEgress and UpdateStream: a topic per egress, which outlives the egress by some minutes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from livekit.protocol import egress as pb

from pyegress.api.psrpc.channels import Method
from pyegress.api.psrpc.rpc_server import Call, RpcServer
from pyegress.errors import Code, EgressError, Fault
from pyegress.service.egress_service import EgressService

log = logging.getLogger(__name__)
SERVICE = "EgressHandler"
STOP_EGRESS = Method(SERVICE, "StopEgress", queue=True)
UPDATE_STREAM = Method(SERVICE, "UpdateStream", queue=True)

_STATUS: dict[int, str] = {number: name for name, number in pb.EgressStatus.items()}


class EgressTopics:
    """The topics of this node's egresses. `closed` is told when one is gone, `linger` seconds after the end."""

    def __init__(self, server: RpcServer, service: EgressService, linger: float, closed: Callable[[str], None]) -> None:
        self._server = server
        self._service = service
        self._linger = linger
        self._closed = closed
        self._opening: dict[str, asyncio.Task[None]] = {}
        self._ended: dict[str, tuple[int, asyncio.TimerHandle]] = {}
        self._closing: set[asyncio.Task[None]] = set()

    async def open(self, egress_id: str) -> None:
        """Serve an egress; returns when callers are heard."""
        await asyncio.shield(self.begin(egress_id))

    def begin(self, egress_id: str) -> asyncio.Task[None]:
        """`open`, without waiting."""
        task = self._opening.get(egress_id)
        if task is None:
            task = self._opening[egress_id] = asyncio.create_task(self._open(egress_id), name=f"topics-{egress_id}")
        return task

    def ended(self, egress_id: str, status: int) -> None:
        """From now on callers are told that it has ended."""
        if egress_id in self._opening and egress_id not in self._ended:
            timer = asyncio.get_running_loop().call_later(self._linger, self._expire, egress_id)
            self._ended[egress_id] = (status, timer)

    async def close(self, egress_id: str) -> None:
        """Serve it no longer."""
        task = self._opening.pop(egress_id, None)
        if (ended := self._ended.pop(egress_id, None)) is not None:
            ended[1].cancel()
        if task is not None:
            task.cancel()
            await self._server.deregister((STOP_EGRESS, egress_id), (UPDATE_STREAM, egress_id))
            self._closed(egress_id)

    async def aclose(self) -> None:
        for egress_id in list(self._opening):
            await self.close(egress_id)
        if self._closing:
            await asyncio.wait(set(self._closing))

    async def _open(self, egress_id: str) -> None:
        async def stop(call: Call) -> bytes:
            pb.StopEgressRequest.FromString(call.body)  # raises DecodeError
            self._refuse_ended(egress_id, "stopped")
            info = await self._service.stop(egress_id)
            return info.SerializeToString()

        async def update_stream(call: Call) -> bytes:
            request = pb.UpdateStreamRequest.FromString(call.body)
            request.egress_id = egress_id
            self._refuse_ended(egress_id, "updated")
            info = await self._service.update_stream(request)
            return info.SerializeToString()

        await asyncio.gather(
            self._server.register(STOP_EGRESS, egress_id, stop),
            self._server.register(UPDATE_STREAM, egress_id, update_stream),
        )

    def _refuse_ended(self, egress_id: str, what: str) -> None:
        if (ended := self._ended.get(egress_id)) is not None:
            raise EgressError(
                f"egress with status {_STATUS[ended[0]]} cannot be {what}",
                code=Code.FAILED_PRECONDITION,
                fault=Fault.CALLER,
            )

    def _expire(self, egress_id: str) -> None:
        task = asyncio.create_task(self.close(egress_id))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)
