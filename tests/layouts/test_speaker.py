"""Who becomes the main speaker, and when, in simulated time."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyegress.layouts.speaker import HOLD, SILENT, Seniority, SpeakerPicker, Voice
from tests.layouts.scenes import at

pytestmark = pytest.mark.unit


@dataclass(frozen=True)
class Camera:
    identity: str
    seniority: Seniority

    @property
    def key(self) -> str:
        return f"camera of {self.identity}"


def camera(identity: str, joined: float, *, muted: bool = False) -> Camera:
    return Camera(identity, Seniority((int(muted), joined, 0.0)))


ANA, BEN, CEM = camera("ana", 1), camera("ben", 2), camera("cem", 3)
ALL = (ANA, BEN, CEM)


def test_the_first_to_join_is_main_while_nobody_has_spoken() -> None:
    assert SpeakerPicker().pick((CEM, BEN, ANA), at(0)) == ANA.key
    assert SpeakerPicker().pick((), at(0)) is None


def test_a_speaker_has_to_hold_before_becoming_main() -> None:
    picker = SpeakerPicker()
    picker.pick(ALL, at(0))
    picker.hear({"ben": 0.5}, at(10))
    assert picker.pick(ALL, at(10)) == ANA.key
    assert picker.next_change(at(10)) == at(10 + HOLD)
    assert picker.pick(ALL, at(10.59)) == ANA.key
    assert picker.pick(ALL, at(10 + HOLD)) == BEN.key
    assert picker.next_change(at(10 + HOLD)) is None


def test_who_spoke_last_stays_main_in_the_silence() -> None:
    picker = SpeakerPicker()
    picker.pick(ALL, at(0))
    picker.hear({"ben": 0.5}, at(1))
    for moment in (1.0, 2.0):
        picker.pick(ALL, at(moment))
    picker.hear({}, at(3))
    assert [picker.pick(ALL, at(moment)) for moment in (3, 5, 500)] == [BEN.key] * 3


def test_a_cough_changes_nothing_not_even_what_is_remembered() -> None:
    picker = SpeakerPicker()
    picker.pick(ALL, at(0))
    picker.hear({"ben": 0.9}, at(1))
    assert picker.pick(ALL, at(1)) == ANA.key
    picker.hear({}, at(1.4))
    assert picker.pick(ALL, at(1.4)) == ANA.key
    assert picker.pick(ALL, at(60)) == ANA.key
    assert picker.heard("ben") == SILENT
    assert picker.next_change(at(1.4)) is None


def test_two_who_overtake_each_other_at_every_report_do_not_make_the_main_picture_flip() -> None:
    picker = SpeakerPicker()
    picker.hear({"ana": 0.5}, at(0))
    picker.pick(ALL, at(0))
    seen = set()
    for report in range(1, 50):
        louder, other = ("ana", "ben") if report % 2 else ("ben", "ana")
        picker.hear({louder: 0.6, other: 0.4}, at(report * 0.4))
        seen.add(picker.pick(ALL, at(report * 0.4)))
        seen.add(picker.pick(ALL, at(report * 0.4 + 0.39)))
    assert seen == {ANA.key}


def test_who_stays_louder_takes_over() -> None:
    picker = SpeakerPicker()
    picker.hear({"ana": 0.5}, at(0))
    picker.pick(ALL, at(0))
    picker.hear({"ana": 0.5, "ben": 0.8}, at(5))
    assert picker.pick(ALL, at(5)) == ANA.key
    picker.hear({"ana": 0.6, "ben": 0.7}, at(5.4))
    assert picker.pick(ALL, at(5.4)) == ANA.key
    assert picker.pick(ALL, at(5.6)) == BEN.key


def test_equally_loud_is_no_reason_to_move() -> None:
    picker = SpeakerPicker()
    picker.hear({"ben": 0.5}, at(0))
    picker.pick((BEN,), at(0))
    picker.hear({"ana": 0.5, "ben": 0.5}, at(1))
    assert [picker.pick(ALL, at(moment)) for moment in (1, 2, 30)] == [BEN.key] * 3


def test_who_started_and_stopped_together_with_the_main_speaker_does_not_replace_them() -> None:
    picker = SpeakerPicker()
    picker.pick(ALL, at(0))
    for moment in (1, 2):
        picker.hear({"ana": 0.1, "ben": 0.5}, at(moment))
        picker.pick(ALL, at(moment))
    picker.hear({}, at(3))
    assert [picker.pick(ALL, at(moment)) for moment in (3, 30)] == [BEN.key] * 2


def test_a_challenger_who_is_overtaken_starts_anew() -> None:
    picker = SpeakerPicker()
    picker.pick(ALL, at(0))
    picker.hear({"ben": 0.5}, at(1))
    picker.pick(ALL, at(1))
    picker.hear({"ben": 0.5, "cem": 0.9}, at(1.4))
    assert picker.pick(ALL, at(1.4)) == ANA.key
    assert picker.pick(ALL, at(1.9)) == ANA.key
    assert picker.pick(ALL, at(2.0)) == CEM.key


def test_when_the_main_picture_goes_the_next_one_comes_at_once() -> None:
    picker = SpeakerPicker()
    picker.hear({"ben": 0.5}, at(0))
    assert picker.pick(ALL, at(0)) == BEN.key
    assert picker.pick((ANA, CEM), at(3)) == ANA.key
    assert picker.pick(ALL, at(3.1)) == ANA.key, "the return of a speaker is held, as any speaker is"
    assert picker.pick(ALL, at(3.7)) == BEN.key


def test_a_mute_of_who_never_spoke_counts_at_once() -> None:
    picker = SpeakerPicker()
    assert picker.pick(ALL, at(0)) == ANA.key
    assert picker.pick((camera("ana", 1, muted=True), BEN, CEM), at(1)) == BEN.key
    assert picker.pick(ALL, at(2)) == ANA.key


def test_a_speaker_who_mutes_the_camera_stays_main() -> None:
    picker = SpeakerPicker()
    picker.hear({"ben": 0.5}, at(0))
    picker.pick(ALL, at(0))
    picker.hear({}, at(1))
    assert picker.pick((ANA, camera("ben", 2, muted=True), CEM), at(2)) == BEN.key


def test_the_last_to_start_is_first_after_both_stopped() -> None:
    picker = SpeakerPicker()
    picker.hear({"ana": 0.8}, at(0))
    picker.pick(ALL, at(0))
    picker.hear({"ana": 0.8, "ben": 0.3}, at(1))
    assert picker.pick(ALL, at(4)) == ANA.key
    picker.hear({}, at(5))
    assert picker.pick(ALL, at(5)) == ANA.key
    assert picker.pick(ALL, at(5.6)) == BEN.key


def test_who_leaves_and_comes_back_has_not_spoken() -> None:
    picker = SpeakerPicker()
    picker.hear({"ben": 0.5}, at(0))
    picker.hear({}, at(2))
    picker.keep({"ana", "cem"})
    assert picker.heard("ben") == SILENT
    assert picker.pick(ALL, at(3)) == ANA.key
    picker.hear({"cem": 0.1}, at(4))
    picker.keep({"ana"})
    assert not picker.is_speaking("cem")


def test_voices_with_and_without_the_hold() -> None:
    picker = SpeakerPicker()
    picker.hear({"ana": 0.25}, at(0))
    assert picker.heard("ana") == Voice(True, 0.25, at(0))
    assert picker.settled("ana", at(0.5)) == SILENT
    assert picker.settled("ana", at(HOLD)) == Voice(True, 0.25, at(0))
    picker.hear({"ana": 0.5}, at(1))
    assert picker.settled("ana", at(1)) == Voice(True, 0.5, at(0))
    picker.hear({}, at(2))
    assert picker.settled("ana", at(2)) == Voice(False, 0.0, at(0))
    picker.hear({"ana": 0.5}, at(3))
    assert picker.settled("ana", at(3.1)) == Voice(False, 0.0, at(0)), "the earlier speech still counts"


def test_voices_sort_by_level_then_by_the_last_start() -> None:
    order = [Voice(True, 0.9, at(1)), Voice(True, 0.2, at(0)), Voice(False, 0, at(3)), Voice(False, 0, at(2)), SILENT]
    backwards = list(reversed(order))
    backwards.sort(key=lambda voice: voice.rank)
    assert backwards == order


REPORTS = st.lists(
    st.tuples(
        st.floats(0.01, 1.0), st.dictionaries(st.sampled_from(["ana", "ben", "cem"]), st.sampled_from([0.1, 0.5, 1.0]))
    ),
    max_size=30,
)


@settings(max_examples=150, derandomize=True, deadline=None)
@given(REPORTS)
def test_the_main_picture_never_moves_twice_within_the_hold_by_speech(
    reports: list[tuple[float, dict[str, float]]],
) -> None:
    picker = SpeakerPicker()
    now, main, moved = 0.0, picker.pick(ALL, at(0)), -1.0
    for pause, levels in reports:
        end = now + pause
        while (due := picker.next_change(at(now))) is not None and due < at(end):
            now = due - at(0)
            picked = picker.pick(ALL, at(now))
            if picked != main:
                assert now - moved >= HOLD - 1e-6
                main, moved = picked, now
        now = end
        picker.hear(levels, at(now))
        picked = picker.pick(ALL, at(now))
        if picked != main:
            assert now - moved >= HOLD - 1e-6
            main, moved = picked, now


@settings(max_examples=150, derandomize=True, deadline=None)
@given(REPORTS)
def test_between_the_announced_changes_nothing_changes(reports: list[tuple[float, dict[str, float]]]) -> None:
    picker, now = SpeakerPicker(), 0.0
    picker.pick(ALL, at(0))
    for pause, levels in reports:
        picker.hear(levels, at(now))
        picked = picker.pick(ALL, at(now))
        voices = [picker.settled(one.identity, at(now)) for one in ALL]
        due = picker.next_change(at(now))
        if due is None or due > at(now + pause):
            assert picker.pick(ALL, at(now + pause)) == picked
            assert [picker.settled(one.identity, at(now + pause)) for one in ALL] == voices
        now += pause
