from __future__ import annotations

from typing import Any

import pytest

from pyegress.errors import InvalidRequest
from pyegress.plan.copy_plan import Connection, CopyPlan
from pyegress.plan.selection import EveryTrack, OneTrack, ParticipantTracks

pytestmark = pytest.mark.unit

GOOD = {"url": "ws://localhost:7880", "room": "standup", "api_key": "key", "api_secret": "hush"}


def plan(**changes: Any) -> CopyPlan:
    arguments: dict[str, Any] = {"connection": Connection(**GOOD), "selection": OneTrack("TR_1"), "output": "a"}
    return CopyPlan(**(arguments | changes))


@pytest.mark.parametrize("url", ["ws://h", "wss://h:1/x", "http://h", "https://[::1]:7880"])
def test_urls_of_servers(url: str) -> None:
    assert Connection(**GOOD | {"url": url}).url == url


@pytest.mark.parametrize(
    ("changes", "field", "message"),
    [
        ({"url": ""}, "url", "No LiveKit server was named"),
        ({"url": "localhost:7880"}, "url", "'localhost:7880' is not the URL"),
        ({"url": "ws://"}, "url", "is not the URL"),
        ({"url": "ftp://host"}, "url", "is not the URL"),
        ({"url": "ws://host:port"}, "url", "is not the URL"),
        ({"url": "ws://[::1"}, "url", "is not the URL"),
        ({"room": ""}, "room_name", "No room"),
        ({"api_key": ""}, "token or api key/secret", "The api key is missing"),
        ({"api_secret": ""}, "token or api key/secret", "The api secret is missing"),
        ({"api_key": "", "api_secret": ""}, "token or api key/secret", "The api key and api secret is missing"),
    ],
)
def test_a_connection_that_cannot_be_made(changes: dict[str, str], field: str, message: str) -> None:
    with pytest.raises(InvalidRequest, match=message.replace("[", r"\[")) as caught:
        Connection(**GOOD | changes)
    assert caught.value.field == field
    assert caught.value.remedy


def test_a_token_needs_neither_key_nor_room() -> None:
    assert Connection(url="ws://h", room="", token="a.b.c").token == "a.b.c"


def test_secrets_are_never_shown() -> None:
    connection = Connection(**GOOD, token="eyJx.y.z")
    assert "hush" not in repr(plan(connection=connection))
    assert "eyJx" not in repr(connection)
    with pytest.raises(InvalidRequest) as caught:
        Connection(**GOOD | {"url": "ftp://me:hush@host"})
    assert "hush" not in str(caught.value)
    assert "host" in str(caught.value)


@pytest.mark.parametrize("name", ["duration", "wait", "latency"])
@pytest.mark.parametrize("value", [0.0, -1.0, float("nan")])
def test_times_must_be_positive(name: str, value: float) -> None:
    with pytest.raises(InvalidRequest) as caught:
        plan(**{name: value})
    assert caught.value.field == name


@pytest.mark.parametrize("name", ["grace", "reconnect_window"])
def test_patience_may_be_none_but_not_negative(name: str) -> None:
    assert getattr(plan(**{name: 0.0}), name) == 0.0
    with pytest.raises(InvalidRequest) as caught:
        plan(**{name: -0.1})
    assert caught.value.field == name


def test_what_a_plan_says_of_itself() -> None:
    assert plan(selection=ParticipantTracks("a")).follows_participant
    assert not plan().follows_participant
    assert plan(selection=EveryTrack()).many_files
    assert not plan().many_files
