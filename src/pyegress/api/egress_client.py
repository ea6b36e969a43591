"""The Egress API from outside: livekit-server's or pyegress's own, which answer alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

from google.protobuf.message import Message
from livekit.protocol import egress as pb
from livekit.protocol.models import TokenPagination

from pyegress.api.twirp_wire import METHODS
from pyegress.errors import Code, EgressError
from pyegress.plan.form import EgressRequest
from pyegress.server.twirp import ServerAccess, TwirpClient

#: Seconds for one answer: livekit-server asks its egress services several times before it gives up.
TIMEOUT = 30.0
_GRANTS: Mapping[str, bool | str] = {"roomRecord": True}
_Answer = TypeVar("_Answer", bound=Message)
_METHOD_OF = {request: method for method, request in METHODS.items()}


class EgressClient:
    """Every method raises EgressError with the server's code, field and words. `aclose` when done."""

    def __init__(self, access: ServerAccess, *, timeout: float = TIMEOUT) -> None:
        self._client = TwirpClient(access, timeout=timeout)

    async def start(self, request: EgressRequest) -> pb.EgressInfo:
        """Start an egress by any of the requests."""
        return await self._info(request)

    async def stop(self, egress_id: str) -> pb.EgressInfo:
        """End an egress; what it has recorded is finished."""
        return await self._info(pb.StopEgressRequest(egress_id=egress_id))

    async def update_layout(self, egress_id: str, layout: str) -> pb.EgressInfo:
        """Give a room composite another layout."""
        return await self._info(pb.UpdateLayoutRequest(egress_id=egress_id, layout=layout))

    async def update_stream(self, egress_id: str, *, add: Sequence[str], remove: Sequence[str]) -> pb.EgressInfo:
        """Add and remove destinations of a stream."""
        return await self._info(
            pb.UpdateStreamRequest(egress_id=egress_id, add_output_urls=add, remove_output_urls=remove)
        )

    async def list_all(
        self, *, room_name: str = "", egress_id: str = "", active: bool = False, limit: int = 0
    ) -> list[pb.EgressInfo]:
        """Egresses, the newest first, at most `limit` unless that is 0; an unknown `egress_id` gives none."""
        found: list[pb.EgressInfo] = []
        token = ""
        while True:
            request = pb.ListEgressRequest(room_name=room_name, egress_id=egress_id, active=active)
            if token:
                request.page_token.CopyFrom(TokenPagination(token=token))
            try:
                page = await self._call(request, pb.ListEgressResponse)
            except EgressError as error:
                if egress_id and error.code is Code.NOT_FOUND:
                    return []
                raise
            found += page.items
            token = page.next_page_token.token
            if not token or (limit and len(found) >= limit):
                # livekit-server lists them as they lie in its hash.
                found.sort(key=lambda info: info.started_at or info.updated_at, reverse=True)
                return found[:limit] if limit else found

    async def aclose(self) -> None:
        """Close the connection. May be called twice."""
        await self._client.aclose()

    async def _info(self, request: Message) -> pb.EgressInfo:
        return await self._call(request, pb.EgressInfo)

    async def _call(self, request: Message, answer: type[_Answer]) -> _Answer:
        method = _METHOD_OF[type(request)]
        try:
            return await self._client.call(f"livekit.Egress/{method}", _GRANTS, request, answer)
        except EgressError as error:
            if "no response from servers" in error.message or "no servers available" in error.message:
                error.remedy = (
                    "No egress service took it: check that one runs with the Redis of livekit-server; "
                    "its log says why it takes nothing"
                )
            raise
