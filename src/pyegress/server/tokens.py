"""Access tokens of LiveKit (JWT, RFC 7519, signed with HMAC SHA-256) for what we ask and send."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from typing import Any

from pyegress.clock import Wall

#: Seconds for which a token is good that is used at once.
LIFETIME = 300


def signed_token(
    api_key: str, api_secret: str, claims: Mapping[str, Any], *, now: Wall, lifetime: float = LIFETIME
) -> str:
    """A token of `api_key` with these claims. Without `nbf`, so that a clock of ours that is ahead does not matter."""
    whole = {"iss": api_key, "exp": int(now + lifetime), **claims}
    # RFC 7515, compact serialization.
    signed = ".".join(_encode(json.dumps(part).encode()) for part in ({"alg": "HS256", "typ": "JWT"}, whole))
    digest = hmac.new(api_secret.encode(), signed.encode(), hashlib.sha256).digest()
    return f"{signed}.{_encode(digest)}"


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
