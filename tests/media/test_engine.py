"""The media thread as a whole: published packets in, what the encoders' packets show and say out."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from pyegress.clock import Monotonic, monotonic
from pyegress.codecs import Codec, Kind
from pyegress.demo.content import SAMPLE_RATE, tone_of
from pyegress.demo.stamp import Stamp, read_stamp
from pyegress.layouts.geometry import Size
from pyegress.layouts.layout import Layout
from pyegress.media.audio_decoder import audio_decoder
from pyegress.media.director import CandidateChanged, RoomDirector, SingleDirector
from pyegress.media.engine import MediaEngine
from pyegress.media.engine_messages import Begin, Blank, End, Frame, Message, Pause, Report, Resume
from pyegress.media.taps import PictureTap
from pyegress.media.video_decoder import VideoDecoder
from pyegress.plan.encodings import AudioCodec, AudioEncoding, H264Profile, VideoCodec, VideoEncoding
from pyegress.plan.sources import Channel
from pyegress.rtp.frame import EncodedFrame
from tests.layouts.scenes import camera, person, scene
from tests.media.published import DELAY, beeps, pictures, sent
from tests.support.analysis import Sound, beep_onsets, luma_of

pytestmark = pytest.mark.media

VIDEO = VideoEncoding(VideoCodec.H264, 320, 180, 30, 800, H264Profile.MAIN)
AUDIO = AudioEncoding(AudioCodec.OPUS, 64, SAMPLE_RATE)


@dataclass
class Output:
    """What an engine gave, decoded."""

    packets: dict[Kind, list[EncodedFrame]] = field(default_factory=lambda: {Kind.VIDEO: [], Kind.AUDIO: []})
    errors: list[BaseException] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)
    #: What each picture tap got, and the tap of the sound.
    drawn: list[list[tuple[float, av.VideoFrame]]] = field(default_factory=list)
    blocks: list[tuple[int, NDArray[np.float32]]] = field(default_factory=list)

    def take(self, kind: Kind, packet: EncodedFrame) -> None:
        with self.lock:
            self.packets[kind].append(packet)

    def pictures(self) -> list[tuple[float, av.VideoFrame]]:
        decoder = VideoDecoder(Codec.H264)
        shown = []
        for packet in self.packets[Kind.VIDEO]:
            shown += [(packet.timestamp / 90_000, picture) for picture in decoder.decode(packet)]
        return shown

    def sound(self, side: int = 0) -> Sound:
        decoder = audio_decoder(Codec.OPUS)
        first = self.packets[Kind.AUDIO][0].timestamp
        samples = np.concatenate([decoder.decode(packet.payload, 960)[:, side] for packet in self.packets[Kind.AUDIO]])
        return Sound(samples, first / SAMPLE_RATE, ())


def composed(
    director: RoomDirector | SingleDirector | None,
    messages: Sequence[tuple[float, Message]],
    begun: Monotonic,
    end: float | None,
    *,
    video: VideoEncoding | None = VIDEO,
    audio: AudioEncoding | None = AUDIO,
    encoded: frozenset[Kind] = frozenset(Kind),
    intervals: Sequence[float] = (),
) -> Output:
    """Everything that happened until now, at once; the output ends at second `end`. Pictures and sound are tapped."""
    output = Output(drawn=[[] for _ in intervals])
    engine = MediaEngine(
        video=video,
        audio=audio,
        director=director,
        live=False,
        on_packet=output.take,
        on_failed=output.errors.append,
        encoded=encoded,
        pictures=[
            PictureTap(interval, lambda picture, at, drawn=drawn: drawn.append((at, picture)))  # type: ignore[misc]
            for interval, drawn in zip(intervals, output.drawn, strict=True)
        ],
        on_sound=lambda block, first: output.blocks.append((first, block)),
    )
    for _, message in sorted(messages, key=lambda entry: entry[0]):
        engine.post(message)
    engine.finish(None if end is None else Monotonic(begun + end)).result(60)
    assert output.errors == []
    return output


def stamps(output: Output, region: tuple[float, float, float, float] | None = None) -> list[tuple[float, Stamp | None]]:
    return [(at, read_stamp(luma_of(picture), region)) for at, picture in output.pictures()]


def one(*sids: str) -> SingleDirector:
    director = SingleDirector(Size(VIDEO.width, VIDEO.height))
    for sid in sids:
        director.change(Monotonic(0.0), CandidateChanged(sid, "ada", 0))
    return director


def test_every_frame_once_and_every_beep_in_its_place() -> None:
    begun = Monotonic(monotonic() - 30.0)
    messages = [*sent("ada-v", pictures(), begun), *sent("ada-a", beeps(), begun)]
    output = composed(one("ada-v"), messages, begun, None)
    seen = stamps(output)
    assert [stamp.number for _, stamp in seen if stamp] == list(range(120))
    assert [at for at, _ in seen] == pytest.approx([n / 30 for n in range(120)], abs=1e-4)
    sound = output.sound()
    assert beep_onsets(sound, tone_of(3)) == pytest.approx([0.0, 1.0, 2.0, 3.0], abs=0.008)
    assert sound.start + sound.duration == pytest.approx(4.0, abs=0.05)


def test_late_sound_is_placed_by_its_reports() -> None:
    """Sound that takes 150 ms longer on its way is heard with its pictures."""
    begun = Monotonic(monotonic() - 30.0)
    late: list[tuple[float, Message]] = []
    for at, message in sent("ada-a", beeps(), begun):
        if isinstance(message, Frame):
            frame = message.frame
            arrival = Monotonic(frame.arrival + 0.15)
            moved = EncodedFrame(frame.codec, frame.payload, frame.timestamp, arrival, True, None, frame.duration)
            late.append((at + 0.15, Frame("ada-a", moved)))
        else:
            late.append((at, message))
    output = composed(one("ada-v"), [*sent("ada-v", pictures(), begun), *late], begun, None)
    assert [stamp.number for _, stamp in stamps(output) if stamp][:120] == list(range(120))
    assert beep_onsets(output.sound(), tone_of(3)) == pytest.approx([0.0, 1.0, 2.0, 3.0], abs=0.008)


def test_mute_is_black_and_another_codec_goes_on() -> None:
    begun = Monotonic(monotonic() - 30.0)
    first = [entry for entry in sent("ada-v", pictures(), begun) if entry[0] < 2.0]
    second = sent("ada-w", pictures(Codec.H264, 4), begun, at=5.0)
    director = SingleDirector(Size(VIDEO.width, VIDEO.height))
    for at, change in (
        (0.0, CandidateChanged("ada-v", "ada", 0)),
        (2.0, CandidateChanged("ada-v", "ada", 0, muted=True)),
        (4.5, CandidateChanged("ada-w", "ada", 0)),
    ):
        director.change(Monotonic(begun + at), change)
    messages = [
        *first,
        (2.0, Blank("ada-v", Monotonic(begun + 2.0))),
        (4.5, End("ada-v", Monotonic(begun + 4.5))),
        *second,
    ]
    output = composed(director, messages, begun, 9.0)
    seen = stamps(output)
    early = [stamp for at, stamp in seen if at < 1.9]
    assert {stamp.participant for stamp in early if stamp} == {3}
    assert None not in early
    assert {stamp for at, stamp in seen if 2.1 < at < 4.9} == {None}
    late = [stamp for at, stamp in seen if 5.1 < at < 8.9]
    assert {stamp.participant for stamp in late if stamp} == {4}
    assert [stamp.number for stamp in late if stamp] == list(range(late[0].number, late[0].number + len(late)))  # type: ignore[union-attr]
    assert seen[-1][0] == pytest.approx(9.0 - DELAY, abs=0.05)


def test_a_room_where_one_comes_late_and_nobody_is_there_for_a_while() -> None:
    """Time stays true while nobody is there; the output ends where the last one left."""
    begun = Monotonic(monotonic() - 60.0)
    director = RoomDirector(Layout.parse("grid"), Size(VIDEO.width, VIDEO.height))
    ada, bob, back = person(0, camera("ada-v")), person(1, camera("bob-v")), person(0, camera("ada-w"))
    for at, people in ((0.0, [ada]), (2.0, [ada, bob]), (4.0, []), (10.0, [back]), (14.0, [])):
        director.change(Monotonic(begun + at), scene(*people))
    messages = [
        *sent("ada-v", pictures(), begun),
        *sent("ada-a", beeps(), begun),
        *(entry for entry in sent("bob-v", pictures(Codec.H264, 4), begun, at=2.0) if entry[0] < 4.0),
        *((4.0, End(track, Monotonic(begun + 4.0))) for track in ("ada-v", "ada-a", "bob-v")),
        (4.01, Pause(Monotonic(begun + 4.0))),
        (10.0, Resume(Monotonic(begun + 10.0))),
        *sent("ada-w", pictures(participant=5), begun, at=10.0),
        (14.01, Pause(Monotonic(begun + 14.0))),
    ]
    output = composed(director, messages, begun, 50.0)
    whole = stamps(output)
    assert {stamp.participant for at, stamp in whole if 0.1 < at < 1.9 and stamp} == {3}
    assert {stamp for at, stamp in whole if 4.2 < at < 9.9} == {None}
    assert {stamp.participant for at, stamp in whole if 10.2 < at < 13.7 and stamp} == {5}
    assert whole[-1][0] == pytest.approx(14.0, abs=0.1)
    sound = output.sound()
    assert sound.duration == pytest.approx(14.0, abs=0.1)
    assert beep_onsets(sound, tone_of(3)) == pytest.approx([0.0, 1.0, 2.0, 3.0], abs=0.008)


def test_sound_alone_on_two_sides() -> None:
    begun = Monotonic(monotonic() - 30.0)

    def to(channel: Channel, messages: Iterator[tuple[float, Message]]) -> list[tuple[float, Message]]:
        return [
            (at, Begin(one.track, one.publisher, one.codec, channel) if isinstance(one, Begin) else one)
            for at, one in messages
        ]

    messages = [
        *to(Channel.LEFT, sent("ada-a", beeps(3), begun)),
        *to(Channel.RIGHT, sent("bob-a", beeps(4), begun, at=0.5)),
    ]
    output = composed(None, messages, begun, None, video=None)
    left, right = output.sound(0), output.sound(1)
    assert beep_onsets(left, tone_of(3)) == pytest.approx([0.0, 1.0, 2.0, 3.0], abs=0.008)
    assert beep_onsets(right, tone_of(4)) == pytest.approx([0.5, 1.5, 2.5, 3.5], abs=0.008)
    assert beep_onsets(left, tone_of(4), least=0.02) == []
    assert beep_onsets(right, tone_of(3), least=0.02) == []


def test_it_rests_while_nobody_is_there() -> None:
    """Wherever between two pictures the output stands still: nothing is due, so it looks ten times a second."""
    begun = Monotonic(monotonic() - 30.0)
    output, looks, enough, posted = Output(), list[float](), threading.Event(), threading.Event()

    def clock() -> Monotonic:
        posted.wait(30)
        now = monotonic()
        if engine.stats.pictures >= 30:
            looks.append(now)
            if len(looks) > 5:
                enough.set()
        return now

    engine = MediaEngine(
        video=VIDEO,
        audio=None,
        director=one("ada-v"),
        live=True,
        on_packet=output.take,
        on_failed=output.errors.append,
        clock=clock,
    )
    # One millisecond before a picture would be due.
    for message in (
        *(message for _, message in sent("ada-v", pictures(), begun)),
        Pause(Monotonic(begun + DELAY + 0.999)),
    ):
        engine.post(message)
    posted.set()
    assert enough.wait(30), "it never came to the pause"
    engine.finish(None).result(60)
    assert output.errors == []
    assert engine.stats.pictures == 30
    assert looks[5] - looks[0] > 0.3


def test_a_stop_before_any_media() -> None:
    output = composed(one(), [], monotonic(), 1.0)
    assert output.packets == {Kind.VIDEO: [], Kind.AUDIO: []}


def test_a_stop_before_any_report() -> None:
    """What was held for sender reports is in the output."""
    begun = Monotonic(monotonic() - 1.0)
    messages = [
        entry
        for entry in (*sent("ada-v", pictures(), begun), *sent("ada-a", beeps(), begun))
        if entry[0] < 1.0 and not isinstance(entry[1], Report)
    ]
    output = composed(one("ada-v"), messages, begun, 1.0)
    numbers = [stamp.number for _, stamp in stamps(output) if stamp]
    assert numbers[0] == 0
    assert len(set(numbers)) >= 29


def test_key_frames_lie_at_the_interval_also_where_nobody_is() -> None:
    """Ticks of key frames are never left out, neither in time that is only filled."""
    begun = Monotonic(monotonic() - 60.0)
    messages = [
        *sent("ada-v", pictures(), begun),
        (4.0, End("ada-v", Monotonic(begun + 4.0))),
        (4.01, Pause(Monotonic(begun + 4.0))),
        (10.0, Resume(Monotonic(begun + 10.0))),
        *sent("ada-w", pictures(participant=5), begun, at=10.0),
    ]
    video = replace(VIDEO, key_frame_interval=0.75, scene_cuts=False)
    output = composed(one("ada-v", "ada-w"), messages, begun, 14.0, video=video, audio=None)
    keys = [packet.timestamp for packet in output.packets[Kind.VIDEO] if packet.keyframe]
    assert keys == [int(n * 22.5 + 0.5) * 3000 for n in range(19)]


def test_pictures_and_sound_are_given_as_they_are_rendered() -> None:
    begun = Monotonic(monotonic() - 30.0)
    messages = [*sent("ada-v", pictures(), begun), *sent("ada-a", beeps(), begun)]
    output = composed(one("ada-v"), messages, begun, None, intervals=(1.0, 0.0))
    seconds, every = output.drawn
    assert [(at, read_stamp(luma_of(picture)).number) for at, picture in seconds] == [  # type: ignore[union-attr]
        (0.0, 0),
        (1.0, 30),
        (2.0, 60),
        (3.0, 90),
    ]
    assert len(every) == 120
    assert [stamp.number for _, stamp in stamps(output) if stamp] == list(range(120))
    assert_continuous(output)
    assert len(output.packets[Kind.AUDIO]) > 190


def test_without_encoders_taps_get_everything_and_packets_nothing() -> None:
    begun = Monotonic(monotonic() - 30.0)
    messages = [*sent("ada-v", pictures(), begun), *sent("ada-a", beeps(), begun)]
    output = composed(one("ada-v"), messages, begun, None, encoded=frozenset(), intervals=(0.5,))
    assert output.packets == {Kind.VIDEO: [], Kind.AUDIO: []}
    (drawn,) = output.drawn
    assert [(at, read_stamp(luma_of(picture)).number) for at, picture in drawn] == [  # type: ignore[union-attr]
        (n / 2, 15 * n) for n in range(8)
    ]
    assert_continuous(output)


def test_the_first_image_waits_for_the_first_picture() -> None:
    """Sound comes first: what is drawn meanwhile is only a background."""
    begun = Monotonic(monotonic() - 30.0)
    messages = [*sent("ada-a", beeps(), begun), *sent("ada-v", pictures(), begun, at=0.6)]
    output = composed(one("ada-v"), messages, begun, 4.0, encoded=frozenset(), intervals=(2.0,))
    (drawn,) = output.drawn
    assert [at for at, _ in drawn] == [0.6, 2.0]
    assert read_stamp(luma_of(drawn[0][1])) is not None


def test_a_live_output_begins_half_a_second_after_the_first_media_and_key_frames_can_be_asked_for() -> None:
    """As somebody sees it who watches: in real time, and from a key frame on when he asks."""
    clock = SteppedClock()
    output = Output()
    engine = MediaEngine(
        video=VIDEO,
        audio=AUDIO,
        director=one("ada-v"),
        live=True,
        on_packet=output.take,
        on_failed=output.errors.append,
        clock=clock,
    )
    begun = clock.now
    messages = sorted([*sent("ada-v", pictures(), begun), *sent("ada-a", beeps(), begun)], key=lambda entry: entry[0])

    def play(until: float) -> None:
        while messages and messages[0][0] <= until:
            engine.post(messages.pop(0)[1])
        clock.go_to(Monotonic(begun + until))

    play(DELAY + 0.49)
    assert output.packets == {Kind.VIDEO: [], Kind.AUDIO: []}
    play(DELAY + 0.52)
    play(DELAY + 1.52)
    seen = [packet.timestamp / 90_000 for packet in output.packets[Kind.VIDEO]]
    assert seen[0] == 0.0
    assert seen[-1] == pytest.approx(1.0, abs=0.07)
    assert output.packets[Kind.AUDIO][-1].timestamp / SAMPLE_RATE == pytest.approx(1.0, abs=0.07)
    engine.request_keyframe()
    play(DELAY + 2.0)
    engine.finish(Monotonic(begun + 2.0)).result(60)
    keys = [packet.timestamp / 90_000 for packet in output.packets[Kind.VIDEO] if packet.keyframe]
    assert len(keys) == 2
    assert 1.0 < keys[1] < 1.1


class SteppedClock:
    """Stands still until it is moved, and then waits until whoever reads it has seen the new time twice."""

    def __init__(self) -> None:
        self.now = monotonic()
        self._reads = 0
        self._changed = threading.Condition()

    def __call__(self) -> Monotonic:
        with self._changed:
            self._reads += 1
            self._changed.notify_all()
            return self.now

    def go_to(self, now: Monotonic) -> None:
        with self._changed:
            self.now, self._reads = now, 0
            assert self._changed.wait_for(lambda: self._reads > 8, 30), "nobody looks at the clock"


def assert_continuous(output: Output) -> None:
    """The tapped sound has no gap, and its beeps."""
    ends = [first + len(block) for first, block in output.blocks]
    assert [first for first, _ in output.blocks] == [0, *ends[:-1]]
    whole = np.concatenate([block for _, block in output.blocks])
    assert whole.shape == (ends[-1], 2)
    assert beep_onsets(Sound(whole[:, 0], 0.0, ()), tone_of(3)) == pytest.approx([0.0, 1.0, 2.0, 3.0], abs=0.008)
