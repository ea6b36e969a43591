"""Errors of requests. Each text keeps the words that clients of LiveKit Egress look for, and adds cause and remedy."""

from __future__ import annotations

from pyegress.errors import Code, EgressError, Fault, InvalidRequest


def invalid_field(field: str, cause: str, remedy: str) -> InvalidRequest:
    """A field that is missing or bad. `field` is the token that clients look for, e.g. `stream url`."""
    return InvalidRequest(f"{cause}: request has missing or invalid field: {field}", field=field, remedy=remedy)


def invalid_url(shown: str, reason: str, remedy: str, *, field: str = "stream url") -> InvalidRequest:
    """A URL that is no destination. `shown` must be redacted already."""
    return InvalidRequest(f"Nothing can be sent there, invalid url {shown}: {reason}", field=field, remedy=remedy)


def incompatible(output: str, codec: str, *, field: str, remedy: str) -> InvalidRequest:
    """A codec that was asked for, or that another output needs, and that this output cannot take."""
    return InvalidRequest(
        f"The outputs cannot be encoded as asked, format {output} incompatible with codec {codec}",
        field=field,
        remedy=remedy,
    )


_NO_CODEC = "no supported codec is compatible with all outputs"


def no_compatible_codec(what: str, outputs: str) -> InvalidRequest:
    """No codec that all outputs take. `what` is audio, video or image."""
    return InvalidRequest(
        f"{_NO_CODEC}: {outputs} take no {what} codec in common",
        field="output",
        remedy="Start an egress of its own for the output that differs, or change its type",
    )


def holds_none(what: str, output: str) -> InvalidRequest:
    """An output that cannot hold a kind of media which is recorded. `what` is audio or video."""
    other = "audio" if what == "video" else "video"
    return InvalidRequest(
        f"{_NO_CODEC}: {output} holds no {what}",
        field="output",
        remedy=f"Record {other} only ({other}_only), or choose another type of output",
    )


def no_compatible_file_type(codecs: str) -> InvalidRequest:
    """The default file type cannot be found."""
    return InvalidRequest(
        f"no supported file output type is compatible with the selected codecs: {codecs}",
        field="output type",
        remedy="Name the file type, or leave the codecs to the file type",
    )


def not_supported(what: str, remedy: str, *, field: str = "") -> InvalidRequest:
    """Something that exists and that we do not do."""
    return InvalidRequest(f"{what} is not yet supported", field=field, remedy=remedy)


def feature_disabled(what: str, remedy: str, *, field: str) -> EgressError:
    """Something that this service is not configured to allow."""
    return EgressError(
        f"feature disabled for this account: {what}",
        field=field,
        code=Code.PERMISSION_DENIED,
        fault=Fault.CALLER,
        remedy=remedy,
    )


def not_retryable(field: str, name: str) -> EgressError:
    """A retry that would overwrite what the first attempt left."""
    return EgressError(
        f"output configuration does not support retry: {field} {name!r} would name the same file again",
        field=field,
        code=Code.FAILED_PRECONDITION,
        fault=Fault.CALLER,
        remedy="Put {retry} into the name, or let it end in / for an automatic one",
    )


def websocket_takes_no_video(codec: str) -> InvalidRequest:
    """A video track whose packets were to go to a WebSocket; known only once the track is."""
    return incompatible(
        "websocket", codec, field="websocket_url", remedy="Name an audio track; WebSocket outputs carry sound only"
    )
