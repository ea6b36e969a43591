"""Access tokens: what livekit-server's own verification makes of them."""

from __future__ import annotations

import pytest
from livekit import api

from pyegress.clock import Wall, wall
from pyegress.errors import InvalidRequest, Unauthenticated
from pyegress.room.token import (
    LIFETIME,
    RecorderIdentity,
    TokenSource,
    recorder_token,
    token_claims,
)

pytestmark = pytest.mark.unit

KEY, SECRET = "APIkey", "a secret of thirty-two characters"
RECORDER = RecorderIdentity("stage", "EG_1", metadata='{"layout": "grid"}')


def test_the_recorder_joins_hidden_and_may_only_subscribe() -> None:
    token = recorder_token(KEY, SECRET, RECORDER, now=wall())
    claims = api.TokenVerifier(KEY, SECRET).verify(token)
    assert claims.identity == "EG_1"
    assert claims.kind == "egress"
    assert claims.metadata == '{"layout": "grid"}'
    assert claims.video is not None
    assert (claims.video.room_join, claims.video.room) == (True, "stage")
    assert (claims.video.hidden, claims.video.recorder, claims.video.can_subscribe) == (True, True, True)
    assert (claims.video.can_publish, claims.video.can_publish_data) == (False, False)


def test_times_of_a_token() -> None:
    claims = token_claims(recorder_token(KEY, SECRET, RECORDER, now=Wall(1000.5)))
    assert claims["exp"] == 1000 + LIFETIME
    assert "nbf" not in claims, "a clock ahead of the server's would be refused"


def test_a_wrong_secret_does_not_verify() -> None:
    token = recorder_token(KEY, "another secret of the same length", RECORDER, now=wall())
    with pytest.raises(Exception, match="ignature"):
        api.TokenVerifier(KEY, SECRET).verify(token)


def test_with_the_secret_every_connection_gets_a_fresh_token() -> None:
    source = TokenSource(RECORDER, api_key=KEY, api_secret=SECRET)
    first, later = source.current(Wall(0)), source.current(Wall(10 * LIFETIME))
    assert token_claims(later)["exp"] - token_claims(first)["exp"] == 10 * LIFETIME
    source.refreshed("not taken")
    assert token_claims(source.current(Wall(0))) == token_claims(first)


def test_a_given_token_is_replaced_by_the_server_s_refreshed_one() -> None:
    given = recorder_token(KEY, SECRET, RECORDER, now=Wall(0), lifetime=60)
    refreshed = recorder_token(KEY, SECRET, RECORDER, now=Wall(0), lifetime=600)
    source = TokenSource(RECORDER, token=given)
    assert source.current(Wall(59)) == given
    source.refreshed(refreshed)
    assert source.current(Wall(61)) == refreshed
    with pytest.raises(Unauthenticated, match="expired"):
        source.current(Wall(601))


def test_after_a_move_tokens_are_for_the_other_room() -> None:
    source = TokenSource(RECORDER, api_key=KEY, api_secret=SECRET)
    source.moved("hall", "")
    assert token_claims(source.current(Wall(0)))["video"]["room"] == "hall"


@pytest.mark.parametrize("token", ["", "abc", "a.b", "a.b.c", "a.W10.c", "ä.ö.ü"])
def test_what_is_no_token_is_refused_without_repeating_it(token: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        TokenSource(RECORDER, token=token).current(Wall(0))
    assert caught.value.field
    assert not token or token not in caught.value.message


def test_secrets_are_not_shown() -> None:
    source = TokenSource(RECORDER, api_key=KEY, api_secret=SECRET, token="eyJ.secret.token")
    assert SECRET not in repr(source)
    assert "eyJ" not in repr(source)
