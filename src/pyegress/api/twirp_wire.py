"""Twirp's wire (https://twitchtv.github.io/twirp/docs/spec_v7.html): methods of `livekit.Egress`, bodies, errors."""

from __future__ import annotations

import json
from collections.abc import Mapping
from enum import Enum
from typing import Any, cast

from google.protobuf.descriptor import Descriptor
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import DecodeError, Message
from livekit.protocol import egress as pb

from pyegress.errors import EgressError, InvalidRequest
from pyegress.plan.request_json import merge_json

PREFIX = "/twirp/livekit.Egress/"

#: The request of each method.
METHODS: Mapping[str, type[Message]] = {
    "StartEgress": pb.StartEgressRequest,
    "StartRoomCompositeEgress": pb.RoomCompositeEgressRequest,
    "StartWebEgress": pb.WebEgressRequest,
    "StartParticipantEgress": pb.ParticipantEgressRequest,
    "StartTrackCompositeEgress": pb.TrackCompositeEgressRequest,
    "StartTrackEgress": pb.TrackEgressRequest,
    "UpdateLayout": pb.UpdateLayoutRequest,
    "UpdateStream": pb.UpdateStreamRequest,
    "ListEgress": pb.ListEgressRequest,
    "StopEgress": pb.StopEgressRequest,
}

#: The HTTP status of each error code of Twirp.
STATUS: Mapping[str, int] = {
    "canceled": 408,
    "unknown": 500,
    "invalid_argument": 400,
    "malformed": 400,
    "deadline_exceeded": 408,
    "not_found": 404,
    "bad_route": 404,
    "already_exists": 409,
    "permission_denied": 403,
    "unauthenticated": 401,
    "resource_exhausted": 429,
    "failed_precondition": 412,
    "aborted": 409,
    "out_of_range": 400,
    "unimplemented": 501,
    "internal": 500,
    "unavailable": 503,
    "dataloss": 500,
}


class Encoding(Enum):
    """How request and answer are written, by content type."""

    PROTOBUF = "application/protobuf"
    JSON = "application/json"

    @classmethod
    def of(cls, content_type: str) -> Encoding | None:
        """The encoding of a Content-Type header, whose parameters do not matter."""
        name = content_type.partition(";")[0].strip().lower()
        return next((encoding for encoding in cls if encoding.value == name), None)


class TwirpError(Exception):
    """An error as it is answered: a code of `STATUS`, a text, and `meta` with whatever else helps."""

    def __init__(self, code: str, message: str, meta: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.meta = dict(meta or {})

    @property
    def status(self) -> int:
        """The HTTP status."""
        return STATUS[self.code]

    def body(self) -> bytes:
        """JSON, whatever the request was."""
        told: dict[str, Any] = {"code": self.code, "msg": self.message}
        if self.meta:
            told["meta"] = self.meta
        return json.dumps(told).encode()


def bad_route(message: str, method: str, path: str) -> TwirpError:
    """A request that no method is for."""
    return TwirpError("bad_route", message, {"twirp_invalid_route": f"{method} {path}"})


def twirp_error(error: EgressError) -> TwirpError:
    """An error of ours as it is answered; the field that it names is in `meta`."""
    code = error.code.wire
    return TwirpError(code if code in STATUS else "unknown", str(error), {"field": error.field} if error.field else {})


def decode(request_type: type[Message], encoding: Encoding, body: bytes) -> Message:
    """The request in `body`; fields that it does not know are kept (protobuf) or skipped (JSON). Raises TwirpError."""
    request = request_type()
    try:
        if encoding is Encoding.PROTOBUF:
            request.ParseFromString(body)
        else:
            merge_json(request, json.loads(body), ignore_unknown=True)
    except InvalidRequest as error:
        raise TwirpError("malformed", str(error), {"field": error.field}) from None
    except (DecodeError, ValueError, RecursionError):
        # Their texts may show values, which may be secrets.
        name = request_type.DESCRIPTOR.full_name
        raise TwirpError("malformed", f"the body is no {name} in {encoding.value}") from None
    return request


def encode(message: Message, encoding: Encoding) -> bytes:
    """An answer. In JSON all fields are there, named as in the protocol, 64-bit integers as text."""
    if encoding is Encoding.PROTOBUF:
        return message.SerializeToString()
    data = MessageToDict(message, always_print_fields_with_no_presence=True, preserving_proto_field_name=True)
    _add_nulls(data, cast(Descriptor, message.DESCRIPTOR))
    return json.dumps(data, separators=(",", ":")).encode()


def _add_nulls(data: dict[str, Any], descriptor: Descriptor) -> None:
    """Messages that are not set are null, as Go writes them; those of a oneof are left out."""
    for field in descriptor.fields:
        inner = field.message_type
        if inner is None or inner.GetOptions().map_entry:
            continue
        value = data.get(field.name)
        if value is None:
            if not field.is_repeated and field.containing_oneof is None:
                data[field.name] = None
            continue
        for part in value if field.is_repeated else (value,):
            _add_nulls(part, inner)
