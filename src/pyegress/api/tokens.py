"""Who may use the Egress API: a token of LiveKit with the video grant `roomRecord`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pyegress.clock import Wall
from pyegress.errors import Unauthenticated
from pyegress.service.tokens import verified_claims

_BEARER = "bearer "


def presented_token(authorization: str, query_token: str) -> str:
    """The token of a request: its Authorization header, or its query parameter `access_token`; "" without one."""
    if authorization[: len(_BEARER)].lower() == _BEARER:
        return authorization[len(_BEARER) :].strip()
    return "" if authorization else query_token


def authorize(token: str, keys: Mapping[str, str], *, now: Wall) -> str:
    """The API key of a token that may record. `keys` are secrets by API key. Raises Unauthenticated.

    A missing grant is `unauthenticated` too, as livekit-server answers it.
    """
    if not token:
        raise Unauthenticated(
            "There is no access token",
            field="Authorization",
            remedy="Send Authorization: Bearer TOKEN, a token with the video grant roomRecord",
        )
    claims = verified_claims(token, keys, now=now)
    video: Any = claims.get("video")
    if not isinstance(video, dict) or video.get("roomRecord") is not True:
        raise Unauthenticated(
            "permissions denied: the access token may not record",
            field="Authorization",
            remedy="Sign a token with the video grant roomRecord",
        )
    return str(claims["iss"])
