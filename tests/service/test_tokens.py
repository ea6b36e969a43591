"""Tokens against LiveKit's own library, and what is wrong with others."""

from __future__ import annotations

import base64
import json

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from livekit.api import AccessToken, TokenVerifier, VideoGrants, WebhookReceiver

from pyegress.clock import Wall, wall
from pyegress.errors import Unauthenticated
from pyegress.server.tokens import signed_token
from pyegress.service.tokens import body_token, verified_claims, vouches_for

pytestmark = pytest.mark.unit

#: As long as RFC 7518 asks for: PyJWT warns of shorter ones.
SECRET = "s" * 32
KEYS = {"key": SECRET, "other": "o" * 32}
NOW = Wall(1_700_000_000.0)


def token(secret: str = SECRET, algorithm: str = "HS256", **claims: object) -> str:
    return jwt.encode({"iss": "key", "exp": int(NOW) + 60, **claims}, secret, algorithm=algorithm)


def test_the_official_token_is_taken() -> None:
    official = AccessToken("other", KEYS["other"]).with_grants(VideoGrants(room_record=True)).to_jwt()
    assert verified_claims(official, KEYS, now=wall())["video"]["roomRecord"] is True


def test_the_official_library_takes_ours() -> None:
    ours = signed_token("key", SECRET, {"video": {"roomList": True}}, now=wall())
    video = TokenVerifier("key", SECRET).verify(ours).video
    assert video is not None
    assert video.room_list


def test_the_official_receiver_takes_a_signed_body() -> None:
    body = b'{"event":"egress_started"}'
    signed = body_token("key", SECRET, body, now=wall())
    receiver = WebhookReceiver(TokenVerifier("key", SECRET))
    assert receiver.receive(body.decode(), signed).event == "egress_started"
    with pytest.raises(Exception, match="hash mismatch"):
        receiver.receive('{"event":"egress_ended"}', signed)


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (token(secret="x" * 32), "not signed with the secret"),
        (token(iss="nobody"), "does not know"),
        (jwt.encode({"exp": int(NOW) + 60}, SECRET), "does not know"),
        (token(exp=int(NOW) - 61), "expired"),
        (token(nbf=int(NOW) + 61), "not valid yet"),
        (jwt.encode({"iss": "key"}, SECRET), "never expires"),
        (token(algorithm="HS512", secret="s" * 64), "not signed with the secret"),
        (jwt.encode({"iss": "key", "exp": int(NOW) + 60}, "", algorithm="none"), "not signed with the secret"),
        ("", "not a JWT"),
        ("a.b.c", "not a JWT"),
        ("ä" * 9, "not a JWT"),
    ],
)
def test_refused(bad: str, reason: str) -> None:
    with pytest.raises(Unauthenticated, match=reason) as refused:
        verified_claims(bad, KEYS, now=NOW)
    assert not bad or bad not in str(refused.value)


def test_clocks_may_differ_by_a_minute() -> None:
    verified_claims(token(exp=int(NOW) - 30), KEYS, now=NOW)
    verified_claims(token(nbf=int(NOW) + 30), KEYS, now=NOW)


@given(st.text(max_size=80) | st.binary(max_size=80).map(lambda data: base64.urlsafe_b64encode(data).decode()))
def test_nothing_but_a_refusal_comes_of_any_text(text: str) -> None:
    header = base64.urlsafe_b64encode(json.dumps({"alg": "HS256"}).encode()).decode().rstrip("=")
    for bad in (text, f"{header}.{text}.{text}"):
        with pytest.raises(Unauthenticated):
            verified_claims(bad, KEYS, now=NOW)


@pytest.mark.parametrize("claims", [{}, {"sha256": 5}, {"sha256": "?"}, {"sha256": "AAAA"}])
def test_a_token_without_the_hash_vouches_for_nothing(claims: dict[str, object]) -> None:
    assert not vouches_for(claims, b"")
