from __future__ import annotations

import jwt
import pytest
from livekit import api

from pyegress.clock import Wall, wall
from pyegress.server.tokens import LIFETIME, signed_token

pytestmark = pytest.mark.unit

KEY, SECRET = "key", "a secret that is long enough for HS256"


def test_livekit_takes_them_and_they_carry_the_grants_only() -> None:
    token = signed_token(KEY, SECRET, {"video": {"roomList": True}}, now=wall())
    claims = api.TokenVerifier(KEY, SECRET).verify(token)
    assert claims.video is not None
    assert claims.video.room_list
    assert not claims.video.room_join
    with pytest.raises(jwt.InvalidSignatureError):
        api.TokenVerifier(KEY, SECRET[::-1]).verify(token)


@pytest.mark.parametrize(("at", "lifetime"), [(0.0, LIFETIME), (1000.5, 60)])
def test_how_long_they_are_good(at: float, lifetime: float) -> None:
    token = signed_token(KEY, SECRET, {}, now=Wall(at), lifetime=lifetime)
    assert jwt.decode(token, options={"verify_signature": False}) == {"iss": KEY, "exp": int(at + lifetime)}
