"""The scene: what counts as portrait, a person, a name."""

from __future__ import annotations

import pytest

from pyegress.clock import Wall
from pyegress.layouts.geometry import Size
from pyegress.layouts.scene import Participant, Scene
from tests.layouts.scenes import camera, person, scene, screen

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("width", "height", "portrait"), [(640, 360, False), (360, 640, True), (480, 480, True), (0, 0, False)]
)
def test_square_is_portrait_and_unknown_is_landscape(width: int, height: int, portrait: bool) -> None:
    assert camera("C", size=Size(width, height)).portrait is portrait


def test_people_are_not_agents_nor_hidden() -> None:
    assert [kind for kind in ("standard", "ingress", "egress", "sip", "agent", "connector") if is_person(kind)] == [
        "standard",
        "sip",
        "connector",
    ]
    assert not person(0, hidden=True).is_person


def is_person(kind: str) -> bool:
    return person(0, kind=kind).is_person


def test_the_shown_name_is_one_line_and_never_nothing_while_there_is_an_identity() -> None:
    assert Participant("id", "Ana\n  de\u202eSouza\t", Wall(0)).shown_name == "Ana de Souza"
    assert Participant("id-7", "", Wall(0)).shown_name == "id-7"


def test_screen_shares_of_hidden_participants_do_not_count() -> None:
    assert scene(person(0, camera("C0"), screen("S0"))).has_screen_share
    assert not scene(person(0, screen("S0"), hidden=True), person(1, camera("C1"))).has_screen_share
    assert not Scene().has_screen_share
