"""What it takes to join."""

from __future__ import annotations

import re

import pytest

from pyegress.clock import wall
from pyegress.errors import InvalidRequest
from pyegress.room.options import RoomOptions, new_egress_id
from pyegress.room.token import RecorderIdentity, recorder_token

pytestmark = pytest.mark.unit


def test_egress_ids_look_like_livekit_s() -> None:
    ids = {new_egress_id() for _ in range(100)}
    assert len(ids) == 100
    assert all(re.fullmatch(r"EG_[A-Za-z0-9]{12}", egress_id) for egress_id in ids)


def test_secrets_are_not_shown() -> None:
    shown = repr(RoomOptions("ws://host", "stage", api_key="APIkey", api_secret="very secret", token="eyJ.x.y"))
    assert "very secret" not in shown
    assert "eyJ" not in shown


def test_the_room_of_a_token_counts() -> None:
    token = recorder_token("k", "s", RecorderIdentity("hall", "EG_1"), now=wall())
    assert RoomOptions("ws://host", "stage", token=token).room_name == "hall"
    assert RoomOptions("ws://host", "stage", api_key="k", api_secret="s", token=token).room_name == "stage"


def test_credentials_are_needed() -> None:
    with pytest.raises(InvalidRequest, match="API key"):
        RoomOptions("ws://host", "stage", api_key="k").token_source()
