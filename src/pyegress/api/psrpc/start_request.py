"""StartEgress as it arrives over psrpc."""

from __future__ import annotations

from typing import Any

from livekit.protocol import egress as pb

from pyegress.api.psrpc import definitions
from pyegress.errors import InvalidRequest
from pyegress.service.egress_service import EgressStart

_KINDS: dict[str, Any] = {
    "room_composite": pb.RoomCompositeEgressRequest,
    "track_composite": pb.TrackCompositeEgressRequest,
    "track": pb.TrackEgressRequest,
    "web": pb.WebEgressRequest,
    "participant": pb.ParticipantEgressRequest,
    "egress": pb.StartEgressRequest,
    "replay": pb.ExportReplayRequest,
}


def decode_start(body: bytes) -> EgressStart:
    """The request of `rpc.StartEgressRequest`. Raises DecodeError, or InvalidRequest when it holds none."""
    message = definitions.StartEgressRequest.FromString(body)
    if not message.egress_id:
        raise InvalidRequest("request has missing or invalid field: egressID", field="egressID")
    kind = message.WhichOneof("request")
    if kind is None:
        raise InvalidRequest(
            "request has missing or invalid field: request",
            field="request",
            remedy="The server may be newer than this egress service and ask for something that it does not know",
        )
    return EgressStart(
        egress_id=message.egress_id,
        request=_KINDS[kind].FromString(getattr(message, kind)),
        room_id=message.room_id,
        token=message.token,
        ws_url=message.ws_url,
        retry_count=message.retry_count,
    )
