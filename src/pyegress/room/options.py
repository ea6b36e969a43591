"""What it takes to join a room."""

from __future__ import annotations

import secrets
import string
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from pyegress.room.token import RecorderIdentity, TokenSource, token_claims
from pyegress.room.transport import DatagramSeam

_ALPHABET = string.ascii_letters + string.digits


def new_egress_id() -> str:
    """`EG_` and 12 random characters, as livekit-server makes them."""
    return "EG_" + "".join(secrets.choice(_ALPHABET) for _ in range(12))


@dataclass(frozen=True, slots=True)
class RoomOptions:
    """Server, credentials, and how patient to be. Times in seconds.

    Give `api_key` and `api_secret`, or a ready `token`; with a token, `room` and `identity` are those in it.
    """

    url: str
    room: str = ""
    api_key: str = ""
    api_secret: str = field(default="", repr=False)
    token: str = field(default="", repr=False)
    identity: str = field(default_factory=new_egress_id)
    name: str = ""
    metadata: str = ""
    #: How long a lost packet is waited for (jitter buffer).
    latency: float = 0.5
    #: For signalling to answer, at each attempt.
    connect_timeout: float = 10.0
    #: For a media path to be found, at each attempt.
    media_timeout: float = 10.0
    #: How long to try to come back before the room counts as lost.
    reconnect_window: float = 60.0
    #: Asked before a new session is made after a loss: whether the room is there, or is again within so many seconds.
    #: Joining a room that is gone would bring it back. May raise EgressError.
    room_is_there: Callable[[float], Awaitable[bool]] | None = field(default=None, repr=False)
    #: Media only over TURN relays.
    relay_only: bool = False
    #: Impairs datagrams, for tests.
    seam: DatagramSeam | None = field(default=None, repr=False)

    def token_source(self) -> TokenSource:
        """Raises InvalidRequest when credentials are missing or the token is none."""
        recorder = RecorderIdentity(self.room, self.identity, self.name, self.metadata)
        return TokenSource(recorder, api_key=self.api_key, api_secret=self.api_secret, token=self.token)

    @property
    def room_name(self) -> str:
        """The room that will be joined."""
        if self.token and not self.api_secret:
            return str(token_claims(self.token).get("video", {}).get("room") or self.room)
        return self.room
