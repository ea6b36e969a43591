"""What publishers captured together lies together, whatever their clocks, their reports and the network do."""

from __future__ import annotations

import random

import pytest

from pyegress.clock import Monotonic, Wall
from pyegress.codecs import Codec
from pyegress.media.placed_line import AUDIO_SLEW, FAST_VIDEO_SLEW, VIDEO_SLEW
from pyegress.media.session_timeline import SessionTimeline
from tests.media.simulated_call import (
    LOCAL,
    Call,
    Publisher,
    Track,
    apart,
    camera,
    catching_up,
    jitter,
    mic,
    stall,
    steps,
)

pytestmark = pytest.mark.unit

#: Slew as it shows between two frames whose timestamps are rounded to ticks.
ROUNDING = 0.0007


def worst(errors: list[float]) -> float:
    return max(abs(error) for error in errors)


def span(errors: list[float]) -> float:
    return max(errors) - min(errors)


# -- one publisher ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("live", [False, True])
def test_the_first_frame_is_placed_where_it_arrived(live: bool) -> None:
    timeline = SessionTimeline(exact=not live)
    timeline.begin_stream("mic", "ann", Codec.OPUS)
    with pytest.raises(KeyError):
        timeline.place("mic", 960)
    timeline.arrived("mic", 960, Monotonic(LOCAL))
    assert timeline.place("mic", 960) == LOCAL
    assert timeline.place("mic", 1920) == pytest.approx(LOCAL + 0.02)
    assert timeline.place("mic", 0) == pytest.approx(LOCAL - 0.02)
    assert timeline.earliest() == LOCAL
    assert not timeline.aligned("mic")
    assert timeline.waiting(Monotonic(LOCAL + 1.0)) is not live


def test_a_track_that_never_began_is_an_error_of_the_caller_and_its_reports_are_nothing() -> None:
    timeline = SessionTimeline(exact=True)
    timeline.report("nobody", Wall(1.0), 0, Monotonic(LOCAL))
    timeline.end_stream("nobody")
    assert not timeline.aligned("nobody")
    with pytest.raises(KeyError):
        timeline.arrived("nobody", 0, Monotonic(LOCAL))


def test_a_file_has_sound_and_pictures_of_a_publisher_exactly_together_from_its_first_frame_on() -> None:
    ann = Publisher("ann")
    audio, video = mic(ann, transit=0.02), camera(ann, transit=0.14)
    call = Call(audio, video).run(20.0)
    assert len(audio.placed) > 900
    assert len(video.placed) > 550
    assert apart(audio, video) < 0.001
    assert worst(audio.errors()) < 0.001, "the fastest track says when things arrive"
    assert steps(audio) < ROUNDING
    assert steps(video) < ROUNDING
    assert call.missed == 0
    assert call.timeline.aligned(audio)
    assert call.timeline.aligned(video)


def test_wandering_reports_of_audio_are_smoothed() -> None:
    dice = random.Random(2)
    ann = Publisher("ann")
    audio = mic(ann, report_error=lambda number: dice.uniform(-0.004, 0.004))
    video = camera(ann, report_error=lambda number: dice.uniform(-0.0005, 0.0005))
    Call(audio, video).run(120.0)
    assert apart(audio, video) < 0.005
    assert steps(audio) <= AUDIO_SLEW + ROUNDING


def test_first_frames_that_come_late_do_not_anchor_a_file() -> None:
    ann = Publisher("ann")
    audio, video = (make(ann, delay=catching_up(0.28, 5.0)) for make in (mic, camera))
    call = Call(audio, video).run(60.0)
    assert call.missed == 0
    assert apart(audio, video) < 0.005
    assert worst(audio.errors(0.0, 1.0)) < 0.08, "what had come by the first reports tells most of it"
    assert worst(audio.errors(40.0)) < 0.001
    assert steps(audio) <= AUDIO_SLEW + ROUNDING
    assert steps(video) <= VIDEO_SLEW + ROUNDING


def test_a_camera_that_is_late_alone_is_exact_in_a_file() -> None:
    ann = Publisher("ann")
    audio, video = mic(ann), camera(ann, delay=catching_up(0.28, 5.0))
    Call(audio, video).run(30.0)
    assert apart(audio, video) < 0.005


def test_live_slews_what_was_late_with_sound_and_pictures_together() -> None:
    ann = Publisher("ann")
    audio, video = (make(ann, delay=catching_up(0.28, 5.0)) for make in (mic, camera))
    call = Call(audio, video, live=True).run(60.0)
    assert call.missed == 0
    assert apart(audio, video) < 0.005, "both are late by the same, so neither runs ahead of the other"
    assert worst(audio.errors(0.0, 1.0)) > 0.05
    assert worst(audio.errors(40.0)) < 0.001
    assert steps(audio) <= AUDIO_SLEW + ROUNDING
    assert steps(video) <= FAST_VIDEO_SLEW + ROUNDING


def test_live_brings_pictures_to_the_sound_within_seconds_once_reports_say_so() -> None:
    ann = Publisher("ann")
    audio, video = mic(ann, transit=0.02), camera(ann, transit=0.14)
    Call(audio, video, live=True).run(30.0)
    assert apart(audio, video, 0.0, 2.0) == pytest.approx(0.12, abs=0.001), "by arrival nothing better is known"
    assert apart(audio, video, 7.0) < 0.005
    assert steps(audio) < ROUNDING, "sound need not move"
    assert VIDEO_SLEW < steps(video) <= FAST_VIDEO_SLEW + ROUNDING


def test_live_may_place_anew_what_has_not_been_rendered() -> None:
    timeline = SessionTimeline(exact=False)
    timeline.begin_stream("mic", "ann", Codec.OPUS)
    timeline.arrived("mic", 0, Monotonic(LOCAL + 0.1))
    timeline.arrived("mic", 960, Monotonic(LOCAL + 0.1))
    assert timeline.place("mic", 0) == pytest.approx(LOCAL + 0.08)
    timeline.rendered(Monotonic(LOCAL + 0.09))
    timeline.arrived("mic", 1920, Monotonic(LOCAL + 0.04))
    assert timeline.place("mic", 0) == pytest.approx(LOCAL + 0.08)
    assert timeline.place("mic", 1920) == pytest.approx(LOCAL + 0.12)


def test_without_any_report_tracks_lie_by_their_least_delayed_frames() -> None:
    sip, bob = Publisher("sip"), Publisher("bob", wall=0.0)
    phone = mic(sip, codec=Codec.PCMU, transit=0.05, reports=False, delay=catching_up(0.1, 2.0))
    audio = mic(bob, transit=0.02)
    call = Call(phone, audio).run(20.0)
    assert not call.timeline.aligned(phone)
    assert worst(phone.errors()) < 0.001
    assert worst(audio.errors()) < 0.001


@pytest.mark.parametrize("error", [1.0, -1.0])
@pytest.mark.parametrize("live", [False, True])
def test_a_first_report_that_is_wrong_is_not_believed(error: float, live: bool) -> None:
    ann = Publisher("ann")
    audio, video = mic(ann), camera(ann, report_error=lambda number: error if number == 0 else 0.0)
    Call(audio, video, live=live).run(30.0)
    assert apart(audio, video) < 0.005
    assert worst(video.errors()) < 0.005


@pytest.mark.parametrize("error", [0.26, -0.26, 1.0])
@pytest.mark.parametrize("wrong_one", ["audio", "video"])
def test_three_wrong_reports_in_a_row_move_nothing(error: float, wrong_one: str) -> None:
    def wrong(number: int) -> float:
        return error if 4 <= number < 7 else 0.0

    ann = Publisher("ann")
    audio = mic(ann, report_error=wrong) if wrong_one == "audio" else mic(ann)
    video = camera(ann, report_error=wrong) if wrong_one == "video" else camera(ann)
    Call(audio, video).run(60.0)
    assert apart(audio, video) < 0.005
    assert worst(audio.errors()) < 0.005


def test_three_reports_that_are_wrong_from_the_start_are_outvoted() -> None:
    ann = Publisher("ann")
    audio, video = mic(ann), camera(ann, transit=0.06, report_error=lambda number: 1.0 if number < 3 else 0.0)
    Call(audio, video).run(60.0)
    assert apart(audio, video) < 0.035, "by arrival meanwhile"
    assert apart(audio, video, 35.0) < 0.005


def test_reports_that_come_before_the_first_frame_are_kept_for_it() -> None:
    timeline = SessionTimeline(exact=True)
    for track, codec, transit in (("mic", Codec.OPUS, 0.02), ("camera", Codec.VP8, 0.1)):
        timeline.begin_stream(track, "ann", codec)
        timeline.report(track, Wall(1e9), 10 * codec.clock_rate, Monotonic(LOCAL))
        assert not timeline.aligned(track)
        timeline.arrived(track, 11 * codec.clock_rate, Monotonic(LOCAL + 1 + transit))
    assert timeline.aligned("mic")
    assert timeline.aligned("camera")
    assert not timeline.waiting(Monotonic(LOCAL + 1.2))
    timeline.arrived("mic", 11 * 48_000 + 960, Monotonic(LOCAL + 1.04))
    assert timeline.place("camera", 11 * 90_000) == pytest.approx(timeline.place("mic", 11 * 48_000))


def test_tracks_that_have_different_clocks_are_placed_by_arrival() -> None:
    """Reports that disagree with arrivals: somebody forwards tracks of several devices as one publisher."""
    ann, other = Publisher("ann"), Publisher("ann", wall=1_700_000_777.0)
    audio, video = mic(ann, transit=0.03), camera(other, transit=0.05)
    call = Call(audio, video).run(30.0)
    assert not call.timeline.aligned(audio)
    assert not call.timeline.aligned(video)
    assert worst(audio.errors()) < 0.001
    assert worst(video.errors()) < 0.001


def test_of_three_tracks_the_two_that_agree_are_believed() -> None:
    ann, other = Publisher("ann"), Publisher("ann", wall=1_700_000_777.0)
    audio, video, screen = mic(ann, transit=0.03), camera(ann, transit=0.09), camera(other, transit=0.05)
    call = Call(audio, video, screen).run(30.0)
    assert call.timeline.aligned(audio)
    assert call.timeline.aligned(video)
    assert not call.timeline.aligned(screen)
    assert apart(audio, video) < 0.001


# -- the network --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("live", [False, True])
def test_jitter_and_loss_do_not_move_the_clock(live: bool) -> None:
    ann = Publisher("ann")
    audio = mic(ann, delay=jitter(0.06, 1), loss=0.05)
    video = camera(ann, delay=jitter(0.06, 2), loss=0.05)
    call = Call(audio, video, live=live).run(120.0)
    assert call.missed == 0
    assert apart(audio, video, 5.0) < 0.005
    assert worst(audio.errors(5.0)) < 0.008
    assert span(audio.errors(10.0)) < 0.006
    assert steps(audio, 5.0) < AUDIO_SLEW / 2


@pytest.mark.parametrize("live", [False, True])
def test_a_stall_and_its_burst_do_not_move_the_clock(live: bool) -> None:
    ann = Publisher("ann")
    audio, video = (make(ann, delay=stall(20.0, 2.0)) for make in (mic, camera))
    call = Call(audio, video, live=live).run(40.0)
    assert worst(audio.errors(5.0)) < 0.001
    assert worst(video.errors(5.0)) < 0.001
    assert (call.missed > 0) == live, "what comes after its time has to be dropped where nobody may wait"


def test_a_line_that_stays_late_is_placed_anew_and_returns_when_the_path_recovers() -> None:
    ann = Publisher("ann")
    audio = mic(ann, delay=lambda at: 1.5 if 20.0 <= at < 40.0 else 0.0)
    Call(audio).run(60.0)
    assert worst(audio.errors(0.0, 20.0)) < 0.001
    assert worst([error - 1.5 for error in audio.errors(22.0, 37.0)]) < 0.02, "or it would never be heard"
    assert worst(audio.errors(42.0)) < 0.01


# -- pauses and jumps ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("live", [False, True])
@pytest.mark.parametrize("muted", ["audio", "video", "both"])
def test_a_mute_of_20_seconds_changes_nothing(muted: str, live: bool) -> None:
    ann = Publisher("ann")
    pause = ((20.0, 40.0),)
    audio = mic(ann, mutes=() if muted == "video" else pause)
    video = camera(ann, mutes=() if muted == "audio" else pause)
    Call(audio, video, live=live).run(60.0)
    assert apart(audio, video) < 0.005
    assert worst(audio.errors()) < 0.006
    assert audio.placed[-1][0] > 58.0


def test_drift_during_a_long_mute_is_known_from_the_other_track() -> None:
    ann = Publisher("ann", ppm=-200.0)
    audio, video = mic(ann, interval=0.1), camera(ann, interval=0.1, mutes=((60.0, 660.0),))
    Call(audio, video, round_every=0.1).run(700.0)
    assert apart(audio, video, 30.0) < 0.005
    assert video.placed[-1][0] > 695.0


def test_the_fastest_track_does_not_hold_the_others_back_while_it_is_muted() -> None:
    ann = Publisher("ann", ppm=-200.0)
    audio, video = mic(ann, interval=0.1, transit=0.02, mutes=((60.0, 660.0),)), camera(ann, interval=0.1, transit=0.03)
    Call(audio, video, round_every=0.1).run(700.0)
    drift = 200e-6 * 650.0
    assert worst(video.errors(600.0, 660.0)) < 0.033 < drift
    assert apart(audio, video, 660.0) < 0.015
    assert apart(audio, video, 665.0) < 0.005


def test_an_error_of_sound_is_corrected_at_once_in_silence() -> None:
    """Live: the sound began 0.25 s late, which only a pause can hide."""
    ann = Publisher("ann")
    audio = mic(ann, delay=lambda at: 0.25 if at < 2.0 else 0.0, mutes=((10.0, 12.0),))
    Call(audio, live=True).run(20.0)
    assert steps(audio, 0.0, 10.0) <= AUDIO_SLEW + ROUNDING
    assert audio.errors(9.9, 10.0)[-1] > 0.2
    assert worst(audio.errors(12.1)) < 0.005


def test_sound_is_not_moved_at_once_across_the_loss_of_a_packet() -> None:
    ann = Publisher("ann")
    audio = mic(ann, delay=lambda at: 0.25 if at < 2.0 else 0.0, mutes=((10.0, 10.1),))
    Call(audio, live=True).run(20.0)
    assert steps(audio, 0.0, 19.0) <= AUDIO_SLEW + ROUNDING


@pytest.mark.parametrize("jump", [3600.0, -3600.0, 15.0, -15.0, 2.5])
@pytest.mark.parametrize("live", [False, True])
def test_a_jump_of_rtp_time_does_not_show(jump: float, live: bool) -> None:
    ann = Publisher("ann")
    audio = mic(ann, transit=0.02)
    video = camera(ann, transit=0.06, jump_at=20.0, jump=jump)
    call = Call(audio, video, live=live).run(60.0)
    assert apart(audio, video, 7.0) < 0.005, "the skew of the former timestamps holds for the new ones"
    assert call.missed == 0
    assert len(video.placed) > 58 * 30


def test_rtp_time_that_stands_still_in_a_mute_is_found_out() -> None:
    ann = Publisher("ann")
    audio = mic(ann, mutes=((10.0, 15.0),), jump_at=12.0, jump=-5.0)
    Call(audio).run(30.0)
    assert worst(audio.errors(0.0, 10.0)) < 0.001
    assert worst(audio.errors(16.1)) < 0.001
    assert audio.placed[-1][0] > 28.0


def test_places_of_queued_frames_hold_across_a_jump_and_a_new_stream() -> None:
    timeline = SessionTimeline(exact=True)
    timeline.begin_stream("mic", "ann", Codec.OPUS)
    for number in range(100):
        timeline.arrived("mic", 10_000 + number * 960, Monotonic(LOCAL + number * 0.02))
    before = timeline.place("mic", 10_000 + 50 * 960)
    timeline.arrived("mic", 900_000_000, Monotonic(LOCAL + 2.0))
    assert timeline.place("mic", 900_000_000) == pytest.approx(LOCAL + 2.0)
    assert timeline.place("mic", 10_000 + 50 * 960) == before
    timeline.begin_stream("mic", "ann", Codec.PCMU)
    timeline.arrived("mic", 5_000, Monotonic(LOCAL + 2.02))
    assert timeline.place("mic", 5_000) == pytest.approx(LOCAL + 2.02)
    assert timeline.place("mic", 900_000_000) == pytest.approx(LOCAL + 2.0)
    assert timeline.place("mic", 10_000 + 50 * 960) == before


def test_a_place_that_has_been_rendered_stays() -> None:
    ann = Publisher("ann")
    audio, video = mic(ann), camera(ann, delay=catching_up(0.28, 5.0))
    call = Call(audio, video, live=True).run(30.0)
    for track in (audio, video):
        for capture, place in track.placed[-200:]:
            assert call.timeline.place(track, track.rtp(capture)) == place


@pytest.mark.parametrize("step", [5.0, -5.0, 0.3, 0.03, 3600.0])
def test_a_publisher_whose_wall_clock_is_set_stays_where_it_is(step: float) -> None:
    ann = Publisher("ann", step_at=30.0, step=step)
    audio, video = mic(ann, transit=0.02), camera(ann, transit=0.06, first_report=2.51)
    Call(audio, video).run(90.0)
    assert apart(audio, video) < 0.005
    assert worst(audio.errors()) < 0.005


def test_reports_of_two_tracks_that_step_one_after_the_other_do_not_part_them() -> None:
    ann = Publisher("ann", step_at=30.0, step=0.3)
    audio, video = mic(ann), camera(ann, first_report=4.0)
    Call(audio, video).run(90.0)
    assert apart(audio, video) < 0.005


def test_a_publisher_who_leaves_and_comes_back_begins_anew() -> None:
    ann = Publisher("ann")
    audio, video = mic(ann), camera(ann, transit=0.07)
    again = Publisher("ann", wall=1_800_000_000.0)
    audio_2 = mic(again, begin=31.0, transit=0.05, first_rtp=5)
    video_2 = camera(again, begin=31.0, transit=0.05, first_rtp=5, delay=catching_up(0.2, 2.0))
    audio.mutes = video.mutes = ((30.0, 100.0),)
    audio.reports = video.reports = False
    call = Call(audio, video, audio_2, video_2)
    for track in (audio, video):
        call.ends[track] = 30.2
    call.run(60.0)
    assert worst(audio_2.errors()) < 0.001
    assert apart(audio_2, video_2) < 0.005
    assert call.missed == 0
    call.timeline.begin_stream("one more", "bob", Codec.OPUS)
    with pytest.raises(KeyError):
        call.timeline.arrived("never", 0, Monotonic(LOCAL))


def test_ended_tracks_are_forgotten_when_they_have_been_rendered_for_long() -> None:
    timeline = SessionTimeline(exact=False)
    for number in range(3):
        timeline.begin_stream(number, "ann", Codec.OPUS)
        timeline.arrived(number, 0, Monotonic(LOCAL))
    timeline.end_stream(0)
    timeline.rendered(Monotonic(LOCAL + 10.0))
    timeline.begin_stream("new", "bob", Codec.OPUS)
    assert timeline.place(0, 0) == LOCAL, "its frames may still be asked for"
    timeline.rendered(Monotonic(LOCAL + 31.0))
    timeline.begin_stream("newer", "bob", Codec.OPUS)
    with pytest.raises(KeyError):
        timeline.place(0, 0)
    assert timeline.place(1, 0) == LOCAL


# -- many publishers, and long ------------------------------------------------------------------------------------


def test_publishers_lie_to_each_other_as_their_fastest_packets_do() -> None:
    tracks: list[Track] = []
    for number in range(5):
        who = Publisher(f"p{number}", wall=1e9 * (number + 1), ppm=40.0 * number)
        begin = 3.0 * number
        tracks += [
            mic(who, begin=begin, transit=0.02),
            camera(who, begin=begin, transit=0.05, delay=jitter(0.03, number)),
        ]
    call = Call(*tracks).run(40.0)
    assert call.missed == 0
    for audio, video in zip(tracks[::2], tracks[1::2], strict=True):
        assert worst(audio.errors()) < 0.005
        assert apart(audio, video) < 0.005


@pytest.mark.parametrize(
    ("publisher_ppm", "audio_ppm", "video_ppm"),
    [(200, 0, 0), (-200, 0, 0), (0, 200, 0), (0, -200, 0), (0, 0, 200), (-100, -100, 0)],
)
def test_clocks_that_run_apart_are_followed_smoothly_for_an_hour(
    publisher_ppm: float, audio_ppm: float, video_ppm: float
) -> None:
    dice = random.Random(9)
    ann = Publisher("ann", ppm=publisher_ppm)
    audio = mic(ann, interval=0.1, ppm=audio_ppm, report_error=lambda number: dice.uniform(-0.002, 0.002))
    video = camera(ann, interval=0.1, ppm=video_ppm, report_error=lambda number: dice.uniform(-0.0005, 0.0005))
    call = Call(audio, video, round_every=0.2).run(3600.0)
    assert call.missed == 0
    assert worst(audio.errors()) < 0.033
    assert worst(video.errors()) < 0.033
    assert apart(audio, video) < 0.005
    assert steps(audio) <= AUDIO_SLEW + 0.001
    assert steps(video) <= VIDEO_SLEW + 0.001


@pytest.mark.parametrize("seed", range(12))
def test_random_calls_are_placed_without_a_step_and_in_sync(seed: int) -> None:
    """Whatever comes together: skew, jitter, loss, late starts, wrong reports, mutes."""
    dice, noise = random.Random(seed), random.Random(seed + 1000)
    tracks: list[Track] = []
    for number in range(3):
        who = Publisher(
            f"p{number}",
            ppm=dice.uniform(-200, 200),
            wall=dice.uniform(0, 2e9),
            step_at=dice.uniform(20, 60),
            step=dice.choice([0.0, 0.0, 3.0, -0.2]),
        )
        begin, first_report = dice.uniform(0, 15), dice.uniform(2.3, 3.0)
        mute = dice.uniform(20, 40)
        wrong = dice.randint(3, 12)
        for make, transit, wander in ((mic, 0.03, 0.002), (camera, 0.07, 0.0005)):
            start, wobble = dice.choice([0.0, 0.28]), jitter(dice.choice([0.0, 0.03, 0.06]), dice.randint(0, 99))
            track = make(
                who,
                begin=begin,
                transit=transit + dice.uniform(0, 0.05),
                loss=dice.choice([0.0, 0.05]),
                mutes=((mute, mute + dice.uniform(0.5, 20)),) if dice.random() < 0.5 else (),
                first_report=first_report,
                delay=lambda at, start=start, wobble=wobble: catching_up(start, 5.0)(at) + wobble(at),
                report_error=lambda n, wander=wander, wrong=wrong: (
                    noise.uniform(-wander, wander) + (0.9 if n == wrong else 0.0)
                ),
            )
            tracks.append(track)
    call = Call(*tracks).run(90.0)
    for audio, video in zip(tracks[::2], tracks[1::2], strict=True):
        fastest = min(audio.transit, video.transit)
        assert apart(audio, video) < 0.008
        assert worst(audio.errors(transit=fastest)) < 0.15
        for track, most in ((audio, AUDIO_SLEW), (video, VIDEO_SLEW)):
            if not track.mutes and track.loss == 0.0:
                assert steps(track, track.begin + 4.0) <= most + ROUNDING
    assert call.missed == 0
