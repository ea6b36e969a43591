"""Errors in the words of the command line."""

from __future__ import annotations

import pytest

from pyegress.cli.wording import Wording
from pyegress.errors import EgressError, InvalidRequest, NotFound, OutputFailed

pytestmark = pytest.mark.unit

OPTIONS = {"room": "--room", "width": "--width", "video_bitrate": "--video-bitrate", "output": "--output"}


def sentences(error: EgressError, *given: str) -> list[str]:
    return Wording(OPTIONS, given).sentences(error)


def test_the_option_that_was_given_comes_first() -> None:
    error = InvalidRequest("Pictures cannot be so wide", field="width", remedy="Give an even number")
    assert sentences(error, "width") == ["--width: Pictures cannot be so wide.", "Give an even number."]
    assert sentences(error) == ["Pictures cannot be so wide.", "Give an even number."]


def test_an_option_in_the_text_is_not_said_twice() -> None:
    error = InvalidRequest("The option width makes no sense: no width is needed", field="width")
    assert sentences(error, "width") == ["The option --width makes no sense: no width is needed."]


def test_names_that_are_no_words_are_options() -> None:
    error = InvalidRequest("Give video_bitrate or the filepath or a_b", remedy="video_bitrate!")
    assert sentences(error) == ["Give --video-bitrate or the filepath or a_b.", "--video-bitrate!"]


def test_fields_of_requests_by_their_option() -> None:
    assert sentences(InvalidRequest("Bad", field="room_name"), "room") == ["--room: Bad."]


@pytest.mark.parametrize("error", [NotFound, OutputFailed])
def test_only_what_was_typed_wrongly_begins_with_it(error: type[EgressError]) -> None:
    assert sentences(error("/x/y_z exists already?", field="output"), "output") == ["/x/y_z exists already?"]


def test_without_a_command() -> None:
    assert Wording().sentences(InvalidRequest("Bad width", field="width")) == ["Bad width."]
