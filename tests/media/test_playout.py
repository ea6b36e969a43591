"""How far may be rendered: behind real time, held for what is not known yet, caught up, never back."""

from __future__ import annotations

from itertools import pairwise

import pytest

from pyegress.clock import Monotonic, Wall
from pyegress.codecs import Codec
from pyegress.media.playout import CATCH_UP, FILE_DELAY, LIVE_DELAY, MAX_BEHIND, Playout
from pyegress.media.publisher_clock import GIVEN_UP, STALLED
from pyegress.media.session_timeline import PATIENCE, SessionTimeline
from tests.media.simulated_call import LOCAL, Call, Publisher, camera, catching_up, mic, stall

pytestmark = pytest.mark.unit


def rendered(call: Call) -> list[tuple[float, float]]:
    """When, and how far behind, for each round since rendering began; checks that it never went back."""
    rounds = [(at, until) for at, until in call.rounds if until is not None]
    places = [until for _, until in rounds]
    assert places == sorted(places)
    return [(at, LOCAL + at - until) for at, until in rounds]


def behind(call: Call, at: float) -> float:
    """How far behind real time rendering was in the last round before `at`."""
    return next(far for when, far in reversed(rendered(call)) if when <= at)


def speed(call: Call) -> float:
    """The fastest that rendering went, seconds per second."""
    rounds = [(at, at - far) for at, far in rendered(call)]
    return max((b - a) / (d - c) for (c, a), (d, b) in pairwise(rounds))


def test_a_file_waits_for_the_reports_of_all_tracks_and_catches_up() -> None:
    ann = Publisher("ann")
    audio, video = mic(ann, first_report=2.4), camera(ann, begin=0.1, transit=0.15, first_report=2.9)
    call = Call(audio, video).run(12.0)
    begun, far = rendered(call)[0]
    assert 3.0 <= begun <= 3.1
    assert call.playout.zero == pytest.approx(LOCAL + 0.03), "the earliest frame, exactly placed"
    assert LOCAL + begun - far == call.playout.zero
    assert speed(call) == pytest.approx(CATCH_UP, abs=0.01)
    assert behind(call, 5.9) == pytest.approx(FILE_DELAY, abs=0.01)
    assert behind(call, 12.0) == pytest.approx(FILE_DELAY, abs=0.01)
    assert audio.placed[0][0] == 0.0
    assert video.placed[0][0] == pytest.approx(0.1)


def test_a_track_that_never_reports_is_waited_for_no_longer_than_it_takes() -> None:
    phone = mic(Publisher("sip"), codec=Codec.PCMA, reports=False)
    call = Call(phone).run(12.0)
    begun, _ = rendered(call)[0]
    assert 0.03 + PATIENCE <= begun <= 0.03 + PATIENCE + 0.05
    assert behind(call, 12.0) == pytest.approx(FILE_DELAY, abs=0.01)
    assert phone.placed[0][0] == 0.0


def test_a_file_holds_for_one_who_joins_late() -> None:
    ann, bob = Publisher("ann"), Publisher("bob")
    audio = mic(ann)
    late = [mic(bob, begin=20.0), camera(bob, begin=20.0, transit=0.09, delay=catching_up(0.28, 2.0))]
    call = Call(audio, *late).run(40.0)
    assert behind(call, 19.9) == pytest.approx(FILE_DELAY, abs=0.01)
    assert behind(call, 22.5) == pytest.approx(FILE_DELAY + 2.5, abs=0.05), "its first report comes after 2.5 s"
    assert behind(call, 30.0) == pytest.approx(FILE_DELAY, abs=0.01)
    assert call.missed == 0
    assert max(abs(error) for error in late[0].errors()) < 0.001
    assert speed(call) <= CATCH_UP + 0.01


def test_a_file_is_held_while_the_network_stands_still() -> None:
    """Of one publisher, while another one sends."""
    ann, bob = Publisher("ann"), Publisher("bob")
    held = [make(ann, delay=stall(20.0, 3.0)) for make in (mic, camera)]
    call = Call(*held, mic(bob)).run(40.0)
    assert behind(call, 20.5) == pytest.approx(FILE_DELAY, abs=0.01)
    assert behind(call, 23.0) == pytest.approx(FILE_DELAY + 3.0 - STALLED, abs=0.1)
    assert behind(call, 30.0) == pytest.approx(FILE_DELAY, abs=0.01)
    assert call.missed == 0
    assert speed(call) <= CATCH_UP + 0.01


def test_a_publisher_who_vanishes_is_not_waited_for_long() -> None:
    ann, bob = Publisher("ann"), Publisher("bob")
    call = Call(mic(ann, mutes=((20.0, 60.0),)), mic(bob)).run(60.0)
    farthest = max(far for at, far in rendered(call) if at > 15.0)
    assert farthest == pytest.approx(FILE_DELAY + GIVEN_UP - STALLED, abs=0.1)
    assert behind(call, 40.0) == pytest.approx(FILE_DELAY, abs=0.01)


def test_a_mute_is_no_stall() -> None:
    """Also when the server's stand-in for the picture comes after it; what comes after that counts again."""
    timeline, playout = SessionTimeline(exact=True), Playout(live=False)
    timeline.begin_stream("camera", "ann", Codec.VP8)
    timeline.report("camera", Wall(1000.0), 0, Monotonic(LOCAL))

    def sent(begin: float, end: float) -> None:
        for number in range(round(begin * 30), round(end * 30)):
            timeline.arrived("camera", number * 3000, Monotonic(LOCAL + number / 30))
            playout.until(Monotonic(LOCAL + number / 30), timeline)

    sent(0.0, 10.0)
    assert not timeline.waiting(Monotonic(LOCAL + 10.0 + STALLED / 2))
    assert timeline.waiting(Monotonic(LOCAL + 11.0))
    timeline.muted("camera", Monotonic(LOCAL + 9.9))
    timeline.arrived("camera", 301 * 3000, Monotonic(LOCAL + 10.1))
    assert not timeline.waiting(Monotonic(LOCAL + 11.0))
    sent(15.0, 20.0)
    assert timeline.waiting(Monotonic(LOCAL + 21.0))
    assert not timeline.waiting(Monotonic(LOCAL + 20.0 + GIVEN_UP))
    timeline.end_stream("camera")
    assert not timeline.waiting(Monotonic(LOCAL + 21.0))


def test_a_file_is_not_held_beyond_measure_when_one_joins_after_another() -> None:
    tracks = [mic(Publisher(f"p{number}"), begin=3.0 * number, reports=False) for number in range(20)]
    call = Call(*tracks).run(75.0)
    farthest = max(far for _, far in rendered(call))
    assert FILE_DELAY + PATIENCE < farthest < MAX_BEHIND + 0.1
    assert behind(call, 75.0) == pytest.approx(FILE_DELAY, abs=0.01)


def test_an_ended_track_is_not_waited_for() -> None:
    timeline, playout = SessionTimeline(exact=True), Playout(live=False)
    timeline.begin_stream("mic", "ann", Codec.OPUS)
    timeline.arrived("mic", 0, Monotonic(LOCAL))
    assert playout.until(Monotonic(LOCAL + 1.2), timeline) is None
    timeline.end_stream("mic")
    assert playout.until(Monotonic(LOCAL + 1.3), timeline) == LOCAL


def test_live_is_half_a_second_behind_and_never_held() -> None:
    ann, bob = Publisher("ann"), Publisher("bob")
    call = Call(mic(ann), camera(ann), mic(bob, begin=5.0, reports=False), live=True).run(10.0)
    rounds = rendered(call)
    assert rounds[0][0] == pytest.approx(0.03 + LIVE_DELAY, abs=0.04)
    assert all(far == pytest.approx(LIVE_DELAY, abs=0.04) for _, far in rounds)
    assert call.playout.zero == pytest.approx(LOCAL + 0.03)


def test_nothing_is_rendered_before_the_first_media() -> None:
    timeline, playout = SessionTimeline(exact=False), Playout(live=True)
    assert playout.until(Monotonic(LOCAL), timeline) is None
    assert playout.flush(Monotonic(LOCAL + 9.0), timeline) is None
    assert playout.zero is None


def test_a_stop_renders_at_once_what_was_held() -> None:
    ann = Publisher("ann")
    audio, video = mic(ann), camera(ann)
    call = Call(audio, video).run(2.0)
    assert not audio.placed
    assert call.flush(2.0) == LOCAL + 2.0
    assert call.playout.zero == pytest.approx(LOCAL + 0.03)
    assert audio.placed[0][0] == 0.0
    assert audio.placed[-1][0] > 1.9
    assert video.placed[-1][0] > 1.9


def test_a_flush_never_goes_back() -> None:
    timeline, playout = SessionTimeline(exact=False), Playout(live=True)
    timeline.begin_stream("mic", "ann", Codec.OPUS)
    timeline.arrived("mic", 0, Monotonic(LOCAL))
    assert playout.until(Monotonic(LOCAL + 5.0), timeline) == LOCAL + 5.0 - LIVE_DELAY
    assert playout.flush(Monotonic(LOCAL + 2.0), timeline) == LOCAL + 5.0 - LIVE_DELAY
    assert playout.flush(Monotonic(LOCAL + 7.0), timeline) == LOCAL + 7.0
    assert playout.until(Monotonic(LOCAL + 6.0), timeline) == LOCAL + 7.0


def test_rounds_that_come_seldom_catch_up_all_the_same() -> None:
    """A machine that is busy: what is caught up counts by the time that went by, not by rounds."""
    timeline, playout = SessionTimeline(exact=True), Playout(live=False)
    timeline.begin_stream("mic", "ann", Codec.OPUS)
    timeline.arrived("mic", 0, Monotonic(LOCAL))
    assert playout.until(Monotonic(LOCAL + 2.9), timeline) is None
    timeline.report("mic", Wall(1e9), 0, Monotonic(LOCAL + 3.0))
    for at in (3.0, 3.5, 9.5):
        timeline.arrived("mic", round(at * 48_000), Monotonic(LOCAL + at))
    assert playout.until(Monotonic(LOCAL + 3.0), timeline) == LOCAL
    assert playout.until(Monotonic(LOCAL + 3.5), timeline) == pytest.approx(LOCAL + 1.0)
    assert playout.until(Monotonic(LOCAL + 9.5), timeline) == pytest.approx(LOCAL + 8.5)
