"""Streams with clocks of their own on one timeline: what the sender captured together must lie together."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from pyegress.clock import Monotonic, Wall
from pyegress.codecs import Codec
from pyegress.media.timeline import MAX_LATE, Timeline

pytestmark = pytest.mark.unit

NTP = 1_700_000_000.0
#: Our monotonic clock when the sender's shows NTP.
LOCAL = 5000.0


@dataclass(eq=False)
class Sender:
    """One stream of a publisher. `ppm`: how much faster its RTP clock runs than its NTP clock."""

    codec: Codec
    interval: float
    ppm: float = 0.0
    transit: float = 0.02
    first_rtp: int = 1_000_000

    def rtp(self, capture: float) -> int:
        return self.first_rtp + round(capture * self.codec.clock_rate * (1 + self.ppm * 1e-6))

    def frames(self, begin: float, end: float) -> Iterator[float]:
        """Capture times, seconds since NTP."""
        number = 0
        while (at := begin + number * self.interval) < end:
            yield at
            number += 1


def audio(**changes: float) -> Sender:
    return Sender(Codec.OPUS, 0.02, first_rtp=77_000, **changes)


def video(**changes: float) -> Sender:
    return Sender(Codec.VP8, 1 / 30, first_rtp=900_000, **changes)


class Recording:
    """Feeds a timeline as the network would; positions are seconds of the recording by capture time."""

    def __init__(self) -> None:
        self.timeline = Timeline()
        self.placed: dict[Sender, list[tuple[float, float]]] = {}

    def begin(self, sender: Sender) -> None:
        self.timeline.begin_stream(sender, sender.codec)
        self.placed.setdefault(sender, [])

    def frame(self, sender: Sender, capture: float, extra: float = 0.0) -> float:
        arrival = Monotonic(LOCAL + capture + sender.transit + extra)
        at = self.timeline.place(sender, sender.rtp(capture), arrival) / sender.codec.clock_rate
        self.placed[sender].append((capture, at))
        return at

    def report(self, sender: Sender, at: float, error: float = 0.0) -> None:
        self.timeline.report(sender, Wall(NTP + at + error), sender.rtp(at))

    def run(self, senders: list[Sender], begin: float, end: float, *, every: float = 3.0, noise: float = 0.0) -> None:
        """All frames and reports of some time, in order of arrival. Reports wander by `noise` seconds."""
        dice = random.Random(3)
        events: list[tuple[float, int, Sender, bool]] = []
        for number, sender in enumerate(senders):
            events += [(capture, number, sender, False) for capture in sender.frames(begin, end)]
            events += [(begin + every * (n + 0.5), number, sender, True) for n in range(int((end - begin) / every))]
        for capture, _, sender, is_report in sorted(events, key=lambda event: event[:2]):
            if is_report:
                self.report(sender, capture, dice.uniform(-noise, noise))
                self.timeline.corrections()
            else:
                self.frame(sender, capture)


def test_the_first_frame_is_tick_0() -> None:
    recording, mic = Recording(), audio()
    recording.begin(mic)
    assert not recording.timeline.started
    assert recording.timeline.elapsed(Monotonic(LOCAL)) == 0.0
    assert recording.frame(mic, 10.0) == 0.0
    assert recording.frame(mic, 10.02) == pytest.approx(0.02)
    assert recording.timeline.started
    assert recording.timeline.elapsed(Monotonic(LOCAL + 12.02)) == pytest.approx(2.0)


def test_rtp_time_is_kept_exactly_whatever_the_network_does() -> None:
    recording, mic = Recording(), audio()
    recording.begin(mic)
    dice = random.Random(1)
    places = [recording.frame(mic, n * 0.02, dice.uniform(0, 0.3)) for n in range(500)]
    assert places == [pytest.approx(n * 0.02) for n in range(500)]


def test_a_second_stream_is_placed_by_arrival_at_first() -> None:
    recording, mic, camera = Recording(), audio(), video()
    for sender in (mic, camera):
        recording.begin(sender)
    recording.frame(mic, 0.0)
    assert recording.frame(camera, 1.5, extra=0.25) == pytest.approx(1.75)


def test_the_usual_delay_of_the_first_stream_places_the_second() -> None:
    """The first packets of a publisher come late: what comes later is not to be placed by them."""
    recording, mic, camera = Recording(), audio(), video()
    for sender in (mic, camera):
        recording.begin(sender)
    recording.frame(mic, 0.0, extra=0.2)
    recording.frame(mic, 0.02, extra=0.0)
    assert recording.frame(camera, 1.0) == pytest.approx(1.0)


def test_sender_reports_say_exactly_where_the_streams_belong() -> None:
    recording, mic, camera = Recording(), audio(transit=0.02), video(transit=0.14)
    for sender in (mic, camera):
        recording.begin(sender)
        recording.frame(sender, 0.0)
    assert recording.timeline.corrections() is None
    recording.report(mic, 1.0)
    assert recording.timeline.corrections() is None, "one report tells nothing of the other stream"
    recording.report(camera, 1.0)
    shifts = recording.timeline.corrections()
    assert shifts is not None
    assert shifts[mic] == pytest.approx(0.12, abs=1e-3)
    assert shifts[camera] == 0.0
    assert recording.timeline.exact
    assert recording.timeline.corrections() is None, "told once"
    assert recording.frame(mic, 2.0) == pytest.approx(recording.frame(camera, 2.0), abs=1e-3)


def test_what_was_handed_out_moves_too() -> None:
    """Silence that fills a gap is counted from the last packet, so that has to move with its stream."""
    recording, mic, camera = Recording(), audio(transit=0.02), video(transit=0.14)
    for sender in (mic, camera):
        recording.begin(sender)
        recording.frame(sender, 0.0)
    before = recording.timeline.stream(mic).last
    recording.report(mic, 1.0)
    recording.report(camera, 1.0)
    recording.timeline.corrections()
    assert recording.timeline.stream(mic).last == before + round(0.12 * 48_000)


def test_streams_that_lie_right_are_not_moved() -> None:
    recording, mic, camera = Recording(), audio(), video()
    for sender in (mic, camera):
        recording.begin(sender)
        recording.frame(sender, 0.0)
        recording.report(sender, 1.0, error=0.001 if sender is mic else 0.0)
    assert recording.timeline.corrections() == {mic: 0.0, camera: 0.0}


def test_reports_that_arrival_contradicts_are_not_believed() -> None:
    recording, mic, camera = Recording(), audio(), video()
    for sender in (mic, camera):
        recording.begin(sender)
        recording.frame(sender, 0.0)
    recording.report(mic, 1.0)
    recording.report(camera, 1.0, error=1.2)
    assert recording.timeline.corrections() is None
    # The next two reports agree with each other: a step, and then they are right.
    recording.report(camera, 4.0)
    recording.report(camera, 7.0)
    shifts = recording.timeline.corrections()
    assert shifts is not None
    assert max(shifts.values()) < 0.003


def test_without_reports_the_fastest_frames_align_what_ends() -> None:
    recording, mic, camera = Recording(), audio(), video()
    for sender in (mic, camera):
        recording.begin(sender)
    recording.frame(mic, 0.0)
    recording.frame(camera, 0.5, extra=0.2)
    for capture in (0.6, 0.7):
        recording.frame(mic, capture)
        recording.frame(camera, capture)
    assert recording.timeline.corrections() is None
    shifts = recording.timeline.corrections(final=True)
    assert shifts is not None
    assert shifts[mic] == pytest.approx(0.2, abs=1e-3)
    assert shifts[camera] == 0.0


def test_a_long_recording_is_not_moved_for_a_stream_that_joins_late() -> None:
    recording, mic, camera = Recording(), audio(), video()
    recording.begin(mic)
    recording.run([mic], 0.0, 90.0)
    recording.begin(camera)
    recording.frame(camera, 90.0, extra=0.25)
    recording.report(camera, 91.0)
    assert recording.timeline.corrections() == {mic: 0.0, camera: 0.0}
    recording.run([mic, camera], 91.0, 100.0)
    assert recording.frame(camera, 100.0) == pytest.approx(recording.frame(mic, 100.0), abs=0.005)


@pytest.mark.parametrize(
    ("audio_ppm", "video_ppm", "limit"),
    [(200, 0, 0.010), (-200, 0, 0.010), (0, 200, 0.010), (-100, 100, 0.010), (200, -200, 0.015)],
)
def test_clocks_that_run_apart_stay_together_for_an_hour(audio_ppm: float, video_ppm: float, limit: float) -> None:
    recording = Recording()
    mic, camera = audio(ppm=audio_ppm), video(ppm=video_ppm)
    mic.interval, camera.interval = 0.5, 0.1  # fewer frames, the same clocks
    for sender in (mic, camera):
        recording.begin(sender)
    recording.run([mic, camera], 0.0, 3600.0, noise=0.004)
    sound = dict(recording.placed[mic])
    worst = 0.0
    for capture, at in recording.placed[camera]:
        if capture > 10 and (beside := sound.get(capture)) is not None:
            worst = max(worst, abs(at - beside))
    assert 0 < worst < limit
    pictures = [at for _, at in recording.placed[camera]]
    assert pictures == sorted(set(pictures)), "time never stands still or falls"


@pytest.mark.parametrize("ppm", [200, -200])
def test_no_clock_is_taken_for_a_jump_however_long_it_runs(ppm: float) -> None:
    recording, mic = Recording(), audio(ppm=ppm)
    mic.interval = 1.0
    recording.begin(mic)
    hours = 12 * 3600
    for capture in mic.frames(0.0, hours):
        last = recording.frame(mic, capture)
    assert last == pytest.approx((hours - 1) * (1 + ppm * 1e-6), abs=0.001)


def test_a_stream_that_begins_anew_goes_on_where_it_is_now() -> None:
    """Another RTP line after a full reconnect, in which an hour's drift of the clock is not to be seen."""
    recording, mic, camera = Recording(), audio(ppm=200), video()
    mic.interval = camera.interval = 0.5
    for sender in (mic, camera):
        recording.begin(sender)
    recording.run([mic, camera], 0.0, 3600.0)
    beside = recording.frame(mic, 3600.0)
    assert beside > 3600.7
    camera.first_rtp += 123_456_789
    recording.begin(camera)
    assert recording.frame(camera, 3600.0) == pytest.approx(beside, abs=0.02)


def test_a_new_stream_that_began_late_is_pulled_into_line_within_seconds() -> None:
    recording, mic, camera = Recording(), audio(), video()
    for sender in (mic, camera):
        recording.begin(sender)
    recording.run([mic, camera], 0.0, 10.0)
    camera.first_rtp += 5_000_000
    recording.begin(camera)
    recording.frame(mic, 10.0)
    assert recording.frame(camera, 10.0, extra=0.28) == pytest.approx(10.28, abs=0.01)
    recording.run([mic, camera], 10.1, 20.0)
    assert recording.frame(camera, 20.0) == pytest.approx(recording.frame(mic, 20.0), abs=0.005)


@pytest.mark.parametrize("jump", [3600.0, -3600.0, 15.0, -15.0, 2.5])
def test_a_jump_of_rtp_time_does_not_move_the_recording(jump: float) -> None:
    recording, mic = Recording(), audio()
    recording.begin(mic)
    for capture in mic.frames(0.0, 5.0):
        recording.frame(mic, capture)
    mic.first_rtp += round(jump * 48_000)
    assert recording.frame(mic, 5.0) == pytest.approx(5.0, abs=0.03)
    assert recording.frame(mic, 5.02) == pytest.approx(5.02, abs=0.03)


def test_a_path_that_stalls_and_delivers_all_at_once_is_no_jump() -> None:
    recording, mic = Recording(), audio()
    recording.begin(mic)
    recording.frame(mic, 0.0)
    places = [recording.frame(mic, capture, extra=MAX_LATE - 1 - capture) for capture in mic.frames(0.02, 5.0)]
    assert places == [pytest.approx(capture) for capture in mic.frames(0.02, 5.0)]


def test_time_never_falls_within_a_stream() -> None:
    recording, camera = Recording(), video()
    recording.begin(camera)
    recording.frame(camera, 0.0)
    first = recording.frame(camera, 1.0)
    again = recording.frame(camera, 1.0)
    assert again * 90_000 == pytest.approx(first * 90_000 + 1)


def test_a_single_stream_knows_when_its_beginning_was_captured() -> None:
    recording, mic = Recording(), audio(transit=0.03)
    recording.begin(mic)
    recording.frame(mic, 2.0, extra=0.15)
    recording.frame(mic, 2.02)
    assert recording.timeline.origin is None
    recording.report(mic, 3.0)
    origin = recording.timeline.origin
    assert origin is not None
    assert origin.capture == pytest.approx(NTP + 2.0, abs=1e-3)
    assert origin.offset == pytest.approx(LOCAL - NTP + 0.03, abs=1e-3), "the least delay, not that of the first packet"


def test_the_beginning_does_not_drift_with_later_reports() -> None:
    recording, mic = Recording(), audio(ppm=200)
    mic.interval = 0.5
    recording.begin(mic)
    recording.run([mic], 0.0, 3600.0)
    assert recording.timeline.origin is not None
    assert recording.timeline.origin.capture == pytest.approx(NTP, abs=0.005)


def test_reports_of_a_stream_that_has_not_begun_are_nothing() -> None:
    Timeline().report("nobody", Wall(NTP), 0)
