"""The client of livekit-server's IOInfo service: where egresses are stored and webhooks begin."""

from __future__ import annotations

from dataclasses import dataclass

from livekit.protocol import egress as pb

from pyegress.api.psrpc import definitions
from pyegress.api.psrpc.bus import RedisBus
from pyegress.api.psrpc.channels import Method
from pyegress.api.psrpc.claims import SelectionTerms
from pyegress.api.psrpc.failures import CallFailed
from pyegress.api.psrpc.rpc_client import RpcClient
from pyegress.errors import Code

SERVICE = "IOInfo"
CREATE_EGRESS = Method(SERVICE, "CreateEgress", queue=True)
UPDATE_EGRESS = Method(SERVICE, "UpdateEgress", queue=True)
GET_EGRESS = Method(SERVICE, "GetEgress", queue=True)
LIST_EGRESS = Method(SERVICE, "ListEgress", queue=True)


@dataclass(frozen=True, slots=True)
class IoTimeouts:
    """Seconds that livekit-server has; `selection`: seconds until one of them must have taken the call."""

    create: float = 15.0
    update: float = 30.0
    read: float = 5.0
    selection: float = 1.0


class IoInfo:
    """Typed calls, each tried once. They raise CallFailed or RedisUnreachable."""

    def __init__(self, bus: RedisBus, timeouts: IoTimeouts) -> None:
        self._client = RpcClient(bus, SERVICE)
        self._timeouts = timeouts
        self._terms = SelectionTerms(window=timeouts.selection, any_bid=True)

    async def open(self) -> None:
        await self._client.open()

    async def aclose(self) -> None:
        await self._client.aclose()

    async def create(self, info: pb.EgressInfo) -> None:
        """Store an egress and send `egress_started`. Nothing happens when the server has it already."""
        await self._call(CREATE_EGRESS, info.SerializeToString(), self._timeouts.create)

    async def update(self, info: pb.EgressInfo) -> None:
        """Replace an egress and send `egress_updated` or `egress_ended`."""
        await self._call(UPDATE_EGRESS, info.SerializeToString(), self._timeouts.update)

    async def get(self, egress_id: str) -> pb.EgressInfo | None:
        """The egress as the server has it, None when it has none."""
        body = definitions.GetEgressRequest(egress_id=egress_id).SerializeToString()
        try:
            return pb.EgressInfo.FromString(await self._call(GET_EGRESS, body, self._timeouts.read))
        except CallFailed as error:
            if error.code is Code.NOT_FOUND:
                return None
            raise

    async def active(self) -> list[pb.EgressInfo]:
        """All egresses that the server lists as not ended."""
        body = pb.ListEgressRequest(active=True).SerializeToString()
        return list(pb.ListEgressResponse.FromString(await self._call(LIST_EGRESS, body, self._timeouts.read)).items)

    async def _call(self, method: Method, body: bytes, timeout: float) -> bytes:
        return await self._client.call(method, body, timeout=timeout, terms=self._terms)
