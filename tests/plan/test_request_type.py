from __future__ import annotations

from typing import Any

import pytest

from pyegress.errors import InvalidRequest
from pyegress.plan.request_type import guess_type

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("data", "type_"),
    [
        ({"room_name": "r", "layout": "grid", "file_outputs": []}, "room-composite"),
        ({"roomName": "r"}, "room-composite"),
        ({"room_name": "r", "layuot": "grid"}, "room-composite"),
        ({"url": "https://a", "file_outputs": []}, "web"),
        ({"room_name": "r", "identity": "alice", "screen_share": True}, "participant"),
        ({"room_name": "r", "audioTrackId": "TR_1"}, "track-composite"),
        ({"room_name": "r", "video_track_id": "TR_1", "audio_track_id": "TR_2"}, "track-composite"),
        ({"room_name": "r", "trackId": "TR_1", "websocket_url": "ws://a"}, "track"),
        ({"room_name": "r", "media": {}, "outputs": []}, "egress"),
        ({"room_name": "r", "outputs": [], "storage": {}}, "egress"),
        ({"web": {"url": "https://a"}, "outputs": []}, "egress"),
    ],
)
def test_what_its_fields_say(data: dict[str, Any], type_: str) -> None:
    assert guess_type(data) == type_


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({"room_name": "r", "identity": "alice", "track_id": "TR_1"}, "participant or track"),
        ({"file_outputs": []}, "neither a room nor a page"),
        ([], "no object"),
    ],
)
def test_what_is_not_clear_is_asked_for(data: object, said: str) -> None:
    with pytest.raises(InvalidRequest, match=said) as raised:
        guess_type(data)
    assert (raised.value.field, "--type" in raised.value.remedy) == ("type", True)
