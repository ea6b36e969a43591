"""Colours."""

from __future__ import annotations

import pytest

from pyegress.layouts.colour import BLACK, personal_colour

pytestmark = pytest.mark.unit


def test_a_personal_colour_is_the_same_in_every_recording() -> None:
    assert personal_colour("ana") == personal_colour("ana")
    colours = {personal_colour(f"person-{number}") for number in range(100)}
    assert len(colours) == 8
    assert BLACK not in colours
    assert all(max(one.red, one.green, one.blue) < 0xA0 for one in colours), "white initials would not be read"


def test_an_identity_that_is_no_text_has_a_colour_too() -> None:
    personal_colour("\ud800")
