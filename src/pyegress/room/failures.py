"""Why a room cannot be joined or is over: the server's words translated into errors that name cause and remedy."""

from __future__ import annotations

import re

from livekit.protocol.models import DisconnectReason, SubscriptionError
from livekit.protocol.rtc import SubscriptionResponse

from pyegress.errors import Code, EgressError, Fault, InvalidRequest, NotFound, RoomConnectionFailed, Unauthenticated

#: Server texts repeat the token that they refuse.
_JWT = re.compile(r"eyJ[\w-]*\.[\w-]*\.?[\w-]*")

#: After these the room or our place in it is gone: joining again would undo what somebody did on purpose.
_FINAL = frozenset(
    {
        DisconnectReason.CLIENT_INITIATED,
        DisconnectReason.DUPLICATE_IDENTITY,
        DisconnectReason.PARTICIPANT_REMOVED,
        DisconnectReason.ROOM_DELETED,
        DisconnectReason.ROOM_CLOSED,
        DisconnectReason.USER_UNAVAILABLE,
        DisconnectReason.USER_REJECTED,
    }
)
#: The room was closed in order: nothing went wrong.
_ORDERLY = frozenset({DisconnectReason.CLIENT_INITIATED, DisconnectReason.ROOM_DELETED, DisconnectReason.ROOM_CLOSED})


def redacted(text: str) -> str:
    """A text of the server as one short line without tokens."""
    return " ".join(_JWT.sub("(token)", text).split())[:300]


def reason_name(reason: DisconnectReason) -> str:
    """`DisconnectReason` in lower case; a value newer than our protocol library becomes `reason_<number>`."""
    try:
        return DisconnectReason.Name(reason).lower()
    except ValueError:
        return f"reason_{reason}"


def is_final(reason: DisconnectReason) -> bool:
    """Whether a leave request with this reason ends the recording, whatever its action.

    A server that shuts down says `action = DISCONNECT` too, and yet the room may go on at its successor.
    """
    return reason in _FINAL


def departure_error(reason: DisconnectReason, room: str) -> EgressError | None:
    """The error of a final leave reason; None if the room was closed in order."""
    if reason in _ORDERLY:
        return None
    match reason:
        case DisconnectReason.DUPLICATE_IDENTITY:
            return RoomConnectionFailed(
                f"Another participant joined room {room!r} under the recorder's identity",
                remedy="Give every recorder an identity of its own",
                code=Code.ALREADY_EXISTS,
                fault=Fault.CALLER,
                retryable=False,
            )
        case DisconnectReason.PARTICIPANT_REMOVED:
            return RoomConnectionFailed(
                f"The recorder was removed from room {room!r} by a server API call (RemoveParticipant)",
                remedy="Stop the recording itself instead, or start it again",
                code=Code.PERMISSION_DENIED,
                fault=Fault.CALLER,
                retryable=False,
            )
    return RoomConnectionFailed(
        f"The server ended our session in room {room!r}: {reason_name(reason)}", retryable=False
    )


def refused(status: int, text: str, server: str, room: str) -> EgressError:
    """The error of an HTTP answer other than 101 to our WebSocket request; `text` is what the server said of it."""
    said = redacted(text)
    detail = f" ({said})" if said else ""
    if status in (401, 403):
        return Unauthenticated(
            f"livekit-server at {server} refused our access token{detail}",
            field="api_key",
            remedy="Check the API key and secret (or the token and its grants), and that this machine's clock is right",
            code=Code.UNAUTHENTICATED if status == 401 else Code.PERMISSION_DENIED,
        )
    if status == 404 and "room" in said:
        return NotFound(
            f"Room {room!r} does not exist at {server}{detail}",
            field="room",
            remedy="Check the room's name, or create the room first: this server does not create rooms on join",
        )
    if status == 503:
        return RoomConnectionFailed(
            f"livekit-server at {server} takes no more participants now (HTTP 503){detail}",
            field="url",
            remedy="Try again later, or raise the server's limits",
        )
    if status == 400:
        return InvalidRequest(f"livekit-server at {server} refused the request{detail}", field="room")
    if status >= 500:
        return RoomConnectionFailed(
            f"livekit-server at {server} failed to join us to room {room!r} (HTTP {status}){detail}",
            field="url",
            remedy="See the server's log",
        )
    return RoomConnectionFailed(
        f"{server} does not answer as livekit-server does (HTTP {status}){detail}",
        field="url",
        remedy="Check the URL: it is the address of livekit-server, for instance ws://localhost:7880",
        fault=Fault.CALLER,
        retryable=False,
    )


def unreachable(server: str, cause: str) -> EgressError:
    """The error of a connection that could not be made."""
    return RoomConnectionFailed(
        f"livekit-server at {server} cannot be reached: {cause}",
        field="url",
        remedy="Check the URL, that the server runs, and that no firewall is between",
    )


def subscription_error(response: SubscriptionResponse, mime: str, room: str) -> EgressError:
    """Why the server does not send a track; `retryable` is False if it never will."""
    sid = response.track_sid
    match response.err:
        case SubscriptionError.SE_CODEC_UNSUPPORTED:
            return RoomConnectionFailed(
                f"The server cannot send us track {sid}: its codec ({mime or 'unknown'}) is none that both sides know",
                field="track_id",
                remedy="Publish the track with VP8, VP9, H.264, H.265, AV1, Opus or G.711",
                code=Code.INVALID_ARGUMENT,
                fault=Fault.CALLER,
                retryable=False,
            )
        case SubscriptionError.SE_TRACK_NOTFOUND:
            return NotFound(f"Track {sid} is not published in room {room!r}", field="track_id")
    return RoomConnectionFailed(f"The server failed to send us track {sid}", field="track_id")


def not_permitted(track_sid: str) -> EgressError:
    """The publisher allows its track to certain participants only, and not to us; that may change."""
    return RoomConnectionFailed(
        f"The publisher of track {track_sid} does not allow us to subscribe to it",
        field="track_id",
        remedy="Let the publisher allow the recorder's identity (setTrackSubscriptionPermissions)",
        code=Code.PERMISSION_DENIED,
        fault=Fault.CALLER,
    )
