"""Published frames on the clock of an output: which track, what in a pause, and how sound keeps its own time."""

from __future__ import annotations

from itertools import pairwise

import pytest

from pyegress.clock import Monotonic
from pyegress.codecs import Codec, Kind
from pyegress.outputs.copied_streams import SoundCopies, VideoCopies
from pyegress.outputs.opus import opus_silence
from pyegress.rtp.frame import EncodedFrame

pytestmark = pytest.mark.unit

_, SPEECH = opus_silence(960, stereo=False)
FPS = 30


class Copies:
    def __init__(self) -> None:
        self.given: list[EncodedFrame] = []
        self.wanted = 0
        self.video = VideoCopies(self._take, want_keyframe=self._want)
        self.sound = SoundCopies(self._take)

    def _take(self, kind: Kind, frame: EncodedFrame) -> None:
        assert frame.codec.kind is kind
        self.given.append(frame)

    def _want(self) -> None:
        self.wanted += 1

    def pictures(self, track: str, start: float, count: int, *, key: bool = True) -> None:
        """Pictures of a track from a second of the output on, the first a key frame."""
        for number in range(count):
            at = start + number / FPS
            payload = f"{track}{number}".encode()
            keyframe = key and not number
            frame = EncodedFrame(Codec.H264, payload, 7_000_000 + number * 3000, Monotonic(0.0), keyframe)
            self.video.push(track, frame, at)

    def packets(self, track: str, start: float, count: int, *, rtp: int = 0, drift: float = 0.0) -> None:
        """Packets whose place moves by `drift` seconds over all of them."""
        for number in range(count):
            frame = EncodedFrame(Codec.OPUS, SPEECH, rtp + number * 960, Monotonic(0.0), duration=960)
            self.sound.push(track, frame, start + number * 0.02 + drift * number / count)

    @property
    def shown(self) -> list[bytes]:
        return [frame.payload for frame in self.given]

    @property
    def times(self) -> list[float]:
        return [frame.timestamp / frame.codec.clock_rate for frame in self.given]


def test_pictures_lie_where_they_were_captured() -> None:
    copies = Copies()
    copies.video.begin("a")
    copies.pictures("a", 0.5, 3)
    assert copies.times == pytest.approx([0.5, 0.5 + 1 / FPS, 0.5 + 2 / FPS])
    # Places may be slewed, times never fall.
    copies.pictures("a", 0.5, 2, key=False)
    assert all(later > earlier for earlier, later in pairwise(copies.times))


def test_nothing_is_given_before_a_key_frame() -> None:
    copies = Copies()
    copies.video.begin("a")
    copies.pictures("a", 0.0, 5, key=False)
    assert copies.given == []
    copies.video.render(10.0)
    assert copies.given == []


def test_a_newer_track_takes_over_with_its_key_frame_and_an_older_one_when_it_has_ended() -> None:
    copies = Copies()
    copies.video.begin("a")
    copies.pictures("a", 0.0, 2)
    copies.video.begin("b")
    copies.pictures("b", 0.1, 1, key=False)
    copies.pictures("a", 0.2, 1, key=False)
    copies.pictures("b", 0.3, 2)
    copies.pictures("a", 0.4, 2)
    assert copies.shown == [b"a0", b"a1", b"a0", b"b0", b"b1"]
    copies.video.end("b")
    copies.pictures("a", 0.5, 1)
    assert copies.shown[5:] == [b"a0"]


def test_a_pause_repeats_the_last_key_frame_and_ends_with_a_new_one() -> None:
    copies = Copies()
    copies.video.begin("a")
    copies.video.mute("a", 1.0)
    # What was on its way when it was muted is from before.
    copies.pictures("a", 0.0, 30)
    for step in range(50):
        copies.video.render(1.0 + step / 10)
    repeated = [frame for frame in copies.given[30:] if frame.keyframe]
    assert len(repeated) == 5 - 1
    assert {frame.payload for frame in repeated} == {b"a0"}
    assert [later - earlier for earlier, later in pairwise(copies.times[29:])] == pytest.approx([1.0] * 4, abs=1e-4)
    assert copies.wanted == 0
    # What refers to pictures before the repeated one cannot be decoded any more.
    copies.pictures("a", 6.0, 3, key=False)
    assert len(copies.given) == 34
    assert copies.wanted == 3
    copies.pictures("a", 6.2, 3)
    assert copies.shown[34:] == [b"a0", b"a1", b"a2"]
    copies.video.render(10.0)
    assert len(copies.given) == 37, "it is not muted any more, and may stall"
    assert all(later > earlier for earlier, later in pairwise(copies.times))


def test_a_stall_is_given_more_time_than_a_mute() -> None:
    copies = Copies()
    copies.video.begin("a")
    copies.pictures("a", 0.0, 1)
    copies.video.render(4.5)
    assert len(copies.given) == 1
    copies.video.render(5.5)
    assert copies.times == pytest.approx([0.0, 4.5])
    copies.video.render(9.6)
    assert copies.times == pytest.approx([0.0, 4.5, 5.5, 6.5, 7.5, 8.5, 9.5]), "no hole, however far it goes at once"


def test_sound_begins_with_silence_at_second_0_and_has_no_holes() -> None:
    copies = Copies()
    copies.sound.render(0.5)
    copies.sound.begin("a")
    copies.packets("a", 1.0, 50)
    copies.sound.render(3.0)
    ends = [frame.timestamp + frame.duration for frame in copies.given]
    assert copies.given[0].timestamp == 0
    assert ends[:-1] == [frame.timestamp for frame in copies.given[1:]]
    assert ends[-1] == 3 * 48_000
    spoken = [frame for frame in copies.given if frame.duration == 960 and 48_000 <= frame.timestamp < 96_000]
    assert len(spoken) == 50


def test_sound_goes_by_its_own_clock_until_it_is_far_off() -> None:
    copies = Copies()
    copies.sound.begin("a")
    copies.packets("a", 0.0, 1000, drift=0.015)
    assert [frame.timestamp for frame in copies.given] == [number * 960 for number in range(1000)]
    copies = Copies()
    copies.sound.begin("a")
    copies.packets("a", 0.0, 1000, drift=0.03)
    # Moved once, by what it had drifted.
    pieces = [frame for frame in copies.given if frame.duration != 960]
    assert 1000 < len(copies.given) <= 1004
    assert copies.given[-1].timestamp == pytest.approx(999 * 960 + 0.03 * 48_000, abs=0.021 * 48_000)
    assert sum(frame.duration for frame in pieces) <= 960


def test_another_track_begins_another_line_of_sound() -> None:
    copies = Copies()
    copies.sound.begin("a")
    copies.packets("a", 0.0, 10, rtp=5_000_000)
    copies.sound.end("a")
    copies.sound.begin("b")
    copies.packets("b", 0.4, 10, rtp=90)
    assert copies.times[-1] == pytest.approx(0.4 + 9 * 0.02, abs=0.0026)
    starts = [frame.timestamp for frame in copies.given]
    assert starts == sorted(starts)
