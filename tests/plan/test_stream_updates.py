from __future__ import annotations

from dataclasses import replace

import pytest
from livekit.protocol import egress as pb

from pyegress.errors import Code, EgressError, InvalidRequest
from pyegress.plan.recording_plan import SessionLimits
from pyegress.plan.stream_updates import (
    MOST_DESTINATIONS,
    already_streaming,
    joined_error,
    read_update,
    stream_not_found,
)
from pyegress.plan.stream_urls import StreamProtocol
from tests.plan.requests import RTMP, SERVICE, planned, room, track

pytestmark = pytest.mark.unit

KEY = "verysecretkey"


def test_what_is_right_is_done_whatever_the_rest_is() -> None:
    update = read_update(
        pb.UpdateStreamRequest(
            add_output_urls=[f"rtmp://h/a/{KEY}", f"srt://h:1?streamid={KEY}", f"rtmp://h/a/{KEY}", "rtmp://h"],
            add_destinations=[pb.StreamDestination(id="mine", url=f"youtube://{KEY}")],
            remove_output_urls=["rtmp://h/a/old", "rtmp://h/a/old"],
        ),
        StreamProtocol.RTMP,
    )
    assert [(target.id, target.url) for target in update.add] == [
        ("", f"rtmp://h/a/{KEY}"),
        ("mine", f"youtube://{KEY}"),
    ]
    assert update.remove == ("rtmp://h/a/old",)
    assert ["invalid url" in str(error) for error in update.errors] == [True, True]
    assert "is not RTMP but SRT" in str(update.errors[0])
    assert KEY not in repr(update)
    assert KEY not in str(joined_error(update.errors))


def test_an_update_of_nothing_is_told_so() -> None:
    update = read_update(pb.UpdateStreamRequest(), StreamProtocol.SRT)
    assert (update.add, update.remove) == ((), ())
    assert [error.code for error in update.errors] == [Code.INVALID_ARGUMENT]


def test_errors_are_joined_with_the_code_of_the_first() -> None:
    assert joined_error([]) is None
    first, second = stream_not_found("rtmp://h/a/{k}"), already_streaming("rtmp://h/b/{k}")
    assert joined_error([first]) is first
    joined = joined_error([first, second])
    assert isinstance(joined, EgressError)
    assert joined.code is Code.NOT_FOUND
    assert str(joined).splitlines() == [str(first), str(second)]
    assert isinstance(read_update(pb.UpdateStreamRequest(), StreamProtocol.RTMP).errors[0], InvalidRequest)


def test_streams_have_a_limit_of_their_own() -> None:
    service = replace(SERVICE, limits=SessionLimits(file=100, stream=30))
    for request in (room(stream_outputs=[pb.StreamOutput(urls=[RTMP])]), track(websocket_url="wss://h/")):
        assert planned(request, service=service).max_duration == 30


def test_no_more_destinations_than_one_egress_may_have() -> None:
    urls = [f"rtmp://h/a/key{number}" for number in range(MOST_DESTINATIONS + 1)]
    assert planned(room(stream_outputs=[pb.StreamOutput(urls=urls[1:])]))
    with pytest.raises(InvalidRequest, match="11 destinations"):
        planned(room(stream_outputs=[pb.StreamOutput(urls=urls)]))
