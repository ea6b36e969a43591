"""The sort order, and orders that stay put."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyegress.clock import Monotonic, Wall
from pyegress.layouts.order import StableOrder, entries_of, sort_order, stable_order
from pyegress.layouts.scene import Participant, Scene, VideoSource, VideoTrack
from pyegress.layouts.speaker import SILENT, Voice
from tests.layouts.scenes import at, camera, person, scene, screen

pytestmark = pytest.mark.unit


def order_of(room: Scene, voices: dict[str, Voice] | None = None, *, placeholders: bool = False) -> list[str]:
    known = voices or {}
    entries = entries_of(room, placeholders=placeholders)
    return [entry.key for entry in sort_order(entries, lambda identity: known.get(identity, SILENT))]


def test_one_entry_for_each_publication_and_none_for_people_without() -> None:
    room = scene(person(0, camera("C0"), screen("S0")), person(1), person(2, camera("C2")))
    assert [entry.key for entry in entries_of(room, placeholders=False)] == ["C0", "S0", "C2"]


def test_hidden_participants_never_and_agents_only_with_a_picture() -> None:
    room = scene(
        person(0, camera("C0"), hidden=True),
        person(1, camera("C1"), kind="agent"),
        person(2, kind="agent"),
        person(3, kind="egress"),
        person(4),
    )
    assert [entry.key for entry in entries_of(room, placeholders=True)] == ["C1", "participant/P4"]
    assert [entry.key for entry in entries_of(room, placeholders=False)] == ["C1"]


def test_who_shares_a_screen_without_camera_needs_no_placeholder() -> None:
    assert [entry.key for entry in entries_of(scene(person(0, screen("S0"))), placeholders=True)] == ["S0"]


def test_screen_shares_then_cameras_then_the_rest() -> None:
    unknown = [VideoTrack(sid, VideoSource.UNKNOWN) for sid in ("U3", "U0")]
    room = scene(
        person(3, unknown[0], camera("C3"), screen("S3")),
        person(0, unknown[1], camera("C0")),
        person(1, screen("S1")),
    )
    assert order_of(room) == ["S1", "S3", "C0", "C3", "U3", "U0"]
    # Speech moves cameras only.
    assert order_of(room, {"P3": Voice(True, 1.0, at(0))}) == ["S1", "S3", "C3", "C0", "U3", "U0"]


def test_cameras_by_speech_then_mute_then_joining() -> None:
    room = scene(
        person(0, camera("silent, joined first")),
        person(1, camera("quiet speaker")),
        person(2, camera("loud speaker")),
        person(3, camera("spoke long ago")),
        person(4, camera("spoke just now", muted=True)),
        person(5, camera("muted", muted=True)),
        person(6, camera("silent, joined last")),
    )
    voices = {
        "P1": Voice(True, 0.1, at(9)),
        "P2": Voice(True, 0.7, at(1)),
        "P3": Voice(False, 0.0, at(2)),
        "P4": Voice(False, 0.0, at(8)),
    }
    assert order_of(room, voices) == [
        "loud speaker",
        "quiet speaker",
        "spoke just now",
        "spoke long ago",
        "silent, joined first",
        "silent, joined last",
        "muted",
    ]


def test_placeholders_come_after_muted_cameras_but_may_speak() -> None:
    room = scene(person(0), person(1, camera("C1", muted=True)), person(2, camera("C2")))
    assert order_of(room, placeholders=True) == ["C2", "C1", "participant/P0"]
    assert order_of(room, {"P0": Voice(True, 0.5, at(0))}, placeholders=True) == ["participant/P0", "C2", "C1"]


def test_who_joined_at_the_same_time_is_told_apart_by_what_was_seen_first() -> None:
    tracks = [VideoTrack(f"C{n}", VideoSource.CAMERA, first_seen=Monotonic(9.0 - n)) for n in range(3)]
    room = scene(*(Participant(f"P{n}", "", Wall(5), tracks=(track,)) for n, track in enumerate(tracks)))
    assert order_of(room) == ["C2", "C1", "C0"]


@pytest.mark.parametrize(
    ("shown", "wanted", "page", "order"),
    [
        # One page: nothing moves, new ones come last, holes close.
        ("abcd", "dcba", 4, "abcd"),
        ("abc", "xabc", 4, "abcx"),
        ("abcd", "dca", 4, "acd"),
        ("", "cab", 4, "cab"),
        ("abc", "", 4, ""),
        # More than one: who belongs on page 1 changes places with who does not any more.
        ("abcdef", "fabcde", 4, "abcfed"),
        ("abcdef", "efabcd", 4, "abefcd"),
        ("abcdef", "abcdfe", 4, "abcdef"),
        ("abcde", "acde", 3, "adce"),
        ("abcd", "xabcd", 3, "abxdc"),
        ("abcde", "abcdef", 3, "abcdef"),
        # Somebody comes as somebody goes: afresh.
        ("bcd", "abd", 3, "abd"),
        ("abcd", "dcx", 4, "dcx"),
    ],
)
def test_stable_order(shown: str, wanted: str, page: int, order: str) -> None:
    assert "".join(stable_order(shown, wanted, page)) == order


KEYS = st.permutations("abcdefghij").flatmap(lambda keys: st.integers(0, 10).map(lambda n: keys[:n]))


@settings(max_examples=300, derandomize=True, deadline=None)
@given(shown=KEYS, wanted=KEYS, page=st.integers(1, 6))
def test_every_wanted_key_is_there_once_and_on_the_first_page_when_it_belongs_there(
    shown: list[str], wanted: list[str], page: int
) -> None:
    order = stable_order(shown, wanted, page)
    assert sorted(order) == sorted(wanted)
    assert set(order[:page]) == set(wanted[:page])


@settings(max_examples=200, derandomize=True, deadline=None)
@given(shown=KEYS, seed=st.randoms(use_true_random=False), page=st.integers(1, 6))
def test_who_stays_on_the_first_page_keeps_the_place(shown: list[str], seed: object, page: int) -> None:
    wanted = list(shown)
    seed.shuffle(wanted)  # type: ignore[attr-defined]
    order = stable_order(shown, wanted, page)
    for place, key in enumerate(shown[:page]):
        if key in wanted[:page]:
            assert order[place] == key


def test_another_page_size_starts_afresh() -> None:
    order = StableOrder()
    assert order.update("abc", 4) == ["a", "b", "c"]
    assert order.update("cba", 4) == ["a", "b", "c"]
    assert order.update("cbad", 9) == ["c", "b", "a", "d"]
    assert order.update("abcd", 9) == ["c", "b", "a", "d"]
