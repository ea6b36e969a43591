"""Access tokens of the hidden recorder."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field, replace
from typing import Any

from pyegress.clock import Wall
from pyegress.errors import InvalidRequest, Unauthenticated
from pyegress.server.tokens import signed_token

#: Seconds for which a token of ours may be used. livekit-server looks at it only when we connect.
LIFETIME = 24 * 3600


@dataclass(frozen=True, slots=True)
class RecorderIdentity:
    """Who the recorder is in the room. `identity` is the egress id."""

    room: str
    identity: str
    name: str = ""
    metadata: str = ""
    attributes: dict[str, str] = field(default_factory=dict)


def recorder_token(
    api_key: str, api_secret: str, recorder: RecorderIdentity, *, now: Wall, lifetime: float = LIFETIME
) -> str:
    """A token that joins one room, subscribes, publishes nothing, and that other participants do not see."""
    claims: dict[str, Any] = {
        "sub": recorder.identity,
        "kind": "egress",
        "video": {
            "roomJoin": True,
            "room": recorder.room,
            "canSubscribe": True,
            "canPublish": False,
            "canPublishData": False,
            "hidden": True,
            "recorder": True,
        },
    }
    for claim in ("name", "metadata", "attributes"):
        if value := getattr(recorder, claim):
            claims[claim] = value
    return signed_token(api_key, api_secret, claims, now=now, lifetime=lifetime)


def token_claims(token: str) -> dict[str, Any]:
    """The claims of a token, not verified: only the server has to trust them. Raises InvalidRequest."""
    try:
        _, body, _ = token.split(".")
        claims = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    except ValueError:
        claims = None
    if not isinstance(claims, dict):
        raise InvalidRequest(
            "The access token is not a JWT",
            field="token",
            remedy="Give the whole token (three parts joined by dots), or an API key and secret",
        )
    return claims


class TokenSource:
    """Gives the token of every connection attempt: a fresh one where we hold the secret, else the newest we have."""

    def __init__(
        self,
        recorder: RecorderIdentity,
        *,
        api_key: str = "",
        api_secret: str = "",
        token: str = "",
    ) -> None:
        self._recorder = recorder
        self._api_key = api_key
        self._api_secret = api_secret
        self._token = token
        if not token and not (api_key and api_secret):
            raise InvalidRequest(
                "Neither an access token nor an API key with its secret was given",
                field="token or api key/secret",
                remedy="Set LIVEKIT_API_KEY and LIVEKIT_API_SECRET",
            )

    def __repr__(self) -> str:
        return f"TokenSource({'api key' if self._api_secret else 'token'})"

    def current(self, now: Wall) -> str:
        """The token to connect with. Raises Unauthenticated when the only one we have has expired."""
        if self._api_secret:
            return recorder_token(self._api_key, self._api_secret, self._recorder, now=now)
        expires = token_claims(self._token).get("exp")
        if isinstance(expires, int | float) and expires <= now:
            raise Unauthenticated(
                "The access token has expired",
                field="token",
                remedy="Give a new token, or an API key and secret, from which tokens are made as needed",
            )
        return self._token

    def refreshed(self, token: str) -> None:
        """The server's `refresh_token`: replaces the token we were given; ours are made afresh anyway."""
        if not self._api_secret:
            self._token = token

    def moved(self, room: str, token: str) -> None:
        """The server moved us to another room (`RoomMovedResponse`): later connections go there."""
        self._recorder = replace(self._recorder, room=room)
        if token:
            self.refreshed(token)
