"""psrpc messages as bytes: the envelopes of a call and what wraps them on Redis. Pure."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Any

from google.protobuf.message import DecodeError

from pyegress.api.psrpc import definitions as pb

#: Newer senders may gzip an envelope (RFC 1952). No envelope begins so: wire type 7 does not exist.
_GZIP = b"\x1f\x8b"
#: Bytes; a decompressed envelope may not be larger.
MAX_ENVELOPE = 16 << 20
_TYPE = "type.googleapis.com/internal."


class Malformed(ValueError):
    """Bytes that are no psrpc message."""


@dataclass(frozen=True, slots=True)
class Request:
    """A call. `sent_at` and `expiry` are Unix nanoseconds of the client's clock; `body` is the request message."""

    request_id: str
    client_id: str
    sent_at: int
    expiry: int
    body: bytes = b""
    multi: bool = False
    skip_claim: bool = False

    @property
    def lifetime(self) -> float:
        """Seconds from sending to expiry, which unlike `expiry` do not depend on equal clocks."""
        return (self.expiry - self.sent_at) / 1e9


@dataclass(frozen=True, slots=True)
class Response:
    """The answer to a call. It failed when `error` is not empty; `code` is psrpc's."""

    request_id: str
    server_id: str
    sent_at: int = 0
    body: bytes = b""
    error: str = ""
    code: str = ""


@dataclass(frozen=True, slots=True)
class ClaimRequest:
    """A server's bid for a request."""

    request_id: str
    server_id: str
    affinity: float = 0.0


@dataclass(frozen=True, slots=True)
class ClaimResponse:
    """The client's award: `server_id` handles the request."""

    request_id: str
    server_id: str


Envelope = Request | Response | ClaimRequest | ClaimResponse


def pack(envelope: Envelope) -> bytes:
    """The payload of a PUBLISH."""
    return bytes(pb.Msg(type_url=_TYPE + type(envelope).__name__, value=_encoded(envelope)).SerializeToString())


def unpack(payload: bytes) -> Envelope | None:
    """The envelope of a payload; None for one of another kind (streams). Raises `Malformed`."""
    try:
        message = pb.Msg.FromString(payload)
        value = _inflated(message.value) if message.value.startswith(_GZIP) else message.value
        return _decoded(message.type_url.rpartition(".")[2], value)
    except (DecodeError, zlib.error) as error:
        raise Malformed(f"not a psrpc message ({len(payload)} bytes): {error}") from error


def _encoded(envelope: Envelope) -> bytes:
    message: Any
    match envelope:
        case Request():
            message = pb.Request(
                request_id=envelope.request_id,
                client_id=envelope.client_id,
                sent_at=envelope.sent_at,
                expiry=envelope.expiry,
                multi=envelope.multi,
                raw_request=envelope.body,
                skip_claim=envelope.skip_claim,
            )
        case Response():
            message = pb.Response(
                request_id=envelope.request_id,
                server_id=envelope.server_id,
                sent_at=envelope.sent_at,
                error=envelope.error,
                code=envelope.code,
                raw_response=envelope.body,
            )
        case ClaimRequest():
            message = pb.ClaimRequest(
                request_id=envelope.request_id, server_id=envelope.server_id, affinity=envelope.affinity
            )
        case ClaimResponse():
            message = pb.ClaimResponse(request_id=envelope.request_id, server_id=envelope.server_id)
    return bytes(message.SerializeToString())


def _decoded(kind: str, value: bytes) -> Envelope | None:
    m: Any
    match kind:
        case "Request":
            m = pb.Request.FromString(value)
            # Old clients put the body into an Any.
            body = m.raw_request or m.request.value
            return Request(m.request_id, m.client_id, m.sent_at, m.expiry, body, m.multi, m.skip_claim)
        case "Response":
            m = pb.Response.FromString(value)
            return Response(m.request_id, m.server_id, m.sent_at, m.raw_response or m.response.value, m.error, m.code)
        case "ClaimRequest":
            m = pb.ClaimRequest.FromString(value)
            return ClaimRequest(m.request_id, m.server_id, m.affinity)
        case "ClaimResponse":
            m = pb.ClaimResponse.FromString(value)
            return ClaimResponse(m.request_id, m.server_id)
        case _:
            return None


def _inflated(value: bytes) -> bytes:
    inflater = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    plain = inflater.decompress(value, MAX_ENVELOPE)
    if not inflater.eof:
        raise Malformed(f"a compressed message is cut or has more than {MAX_ENVELOPE} bytes")
    return plain
