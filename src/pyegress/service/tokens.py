"""Tokens of webhooks, and those that others send us (JWT, RFC 7519, HMAC SHA-256)."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping
from typing import Any

import jwt
from jwt.types import Options

from pyegress.clock import Wall
from pyegress.errors import Unauthenticated
from pyegress.server.tokens import signed_token

#: Seconds by which clocks may differ, as livekit-server allows.
LEEWAY = 60
_SIGNATURE_ONLY: Options = {
    "verify_exp": False,
    "verify_nbf": False,
    "verify_iat": False,
    "verify_aud": False,
    "verify_sub": False,
    "verify_jti": False,
}
_REMEDY = "Sign a new token with an API key and secret of this service"


def body_token(api_key: str, api_secret: str, body: bytes, *, now: Wall) -> str:
    """The token of a webhook: vouches for its body by the claim `sha256`."""
    return signed_token(api_key, api_secret, {"sha256": _sha256(body)}, now=now)


def verified_claims(token: str, keys: Mapping[str, str], *, now: Wall) -> dict[str, Any]:
    """The claims of a token that one of `keys` (secrets by API key) signed and that has not expired.

    Raises Unauthenticated with the reason, which never shows any of the token.
    """
    try:
        issuer = jwt.decode(token, options={"verify_signature": False}).get("iss")
    except (jwt.PyJWTError, ValueError, RecursionError):
        raise Unauthenticated("The access token is not a JWT", field="Authorization", remedy=_REMEDY) from None
    secret = keys.get(issuer) if isinstance(issuer, str) else None
    if not secret:
        raise Unauthenticated(
            "The access token is of an API key that this service does not know", field="Authorization", remedy=_REMEDY
        )
    try:
        # PyJWT would read the clock: times are checked below.
        claims = jwt.decode(token, secret, algorithms=["HS256"], options=_SIGNATURE_ONLY)
    except (jwt.PyJWTError, ValueError, RecursionError):
        raise Unauthenticated(
            "The access token is not signed with the secret of its API key", field="Authorization", remedy=_REMEDY
        ) from None
    _check_times(claims, now)
    return claims


def vouches_for(claims: Mapping[str, Any], body: bytes) -> bool:
    """Whether the token with these claims was made for `body`: the claim `sha256` is its hash in base64."""
    claimed = claims.get("sha256")
    if not isinstance(claimed, str):
        return False
    try:
        digest = base64.b64decode(claimed, validate=True)
    except (binascii.Error, ValueError):
        return False
    return hmac.compare_digest(digest, hashlib.sha256(body).digest())


def _sha256(body: bytes) -> str:
    return base64.b64encode(hashlib.sha256(body).digest()).decode()


def _check_times(claims: Mapping[str, Any], now: Wall) -> None:
    expires, begins = claims.get("exp"), claims.get("nbf", 0)
    if isinstance(expires, bool) or not isinstance(expires, int | float):
        raise Unauthenticated("The access token never expires (it has no exp)", field="Authorization", remedy=_REMEDY)
    if expires + LEEWAY <= now:
        raise Unauthenticated("The access token has expired", field="Authorization", remedy=_REMEDY)
    if not isinstance(begins, int | float) or begins - LEEWAY > now:
        raise Unauthenticated(
            "The access token is not valid yet",
            field="Authorization",
            remedy="Compare the clock of this machine with that of the one which made the token",
        )
