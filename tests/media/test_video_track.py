"""One track on the output's clock: what is seen at which tick."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pyegress.codecs import Codec
from pyegress.media.video_track import MAX_WAITING_FRAMES, VideoTrack
from pyegress.rtp.frame import EncodedFrame
from tests.media.pictures import still
from tests.media.streams import FPS, VIDEO, encode_as, number_of, stamp_of, stream

pytestmark = pytest.mark.media

PERIOD = 1 / FPS


def push(track: VideoTrack, frames: tuple[EncodedFrame, ...] | list[EncodedFrame], start: float = 0.0) -> None:
    for number, frame in enumerate(frames):
        track.push(frame, start + number * PERIOD)


def advance(track: VideoTrack, ticks: range) -> list[int | None]:
    """The number seen at each tick; each reported change has to be one."""
    seen: list[int | None] = []
    for tick in ticks:
        before = track.picture
        changed = track.advance(tick * PERIOD)
        assert changed == (track.picture is not before)
        seen.append(number_of(track.picture))
    return seen


@pytest.mark.parametrize("codec", VIDEO, ids=lambda codec: codec.name)
def test_every_frame_is_seen_for_one_tick(codec: Codec) -> None:
    track = VideoTrack(PERIOD)
    push(track, stream(codec), 0.004)
    assert advance(track, range(30)) == list(range(30))
    assert advance(track, range(30, 33)) == [29, 29, 29]
    assert (track.counters.shown, track.counters.decoded, track.counters.held) == (30, 30, 3)
    assert track.waiting == 0


def test_nothing_is_decoded_before_it_is_due() -> None:
    track = VideoTrack(PERIOD)
    push(track, stream(Codec.VP8), 1.0)
    assert advance(track, range(29)) == [None] * 29
    assert (track.counters.decoded, track.waiting) == (0, 30)


def test_frames_between_two_ticks_are_decoded_but_not_seen() -> None:
    track = VideoTrack(PERIOD)
    for number, frame in enumerate(stream(Codec.VP8)[:14]):
        track.push(frame, number * PERIOD / 3)
    seen = [number_of(track.picture) for tick in range(5) if track.advance(tick * PERIOD)]
    assert seen[-1] in (11, 12, 13), "within half a tick of 12"
    assert track.counters.shown < 10
    assert track.counters.decoded == 14 - track.waiting


def test_who_is_far_behind_goes_on_at_the_newest_key_frame() -> None:
    track = VideoTrack(PERIOD)
    push(track, stream(Codec.H264))
    assert track.advance(0.0)
    assert track.advance(20 * PERIOD)
    assert number_of(track.picture) == 20
    assert track.counters.skipped == 14
    assert track.counters.decoded == 7


def test_another_codec_keeps_the_last_picture_until_it_has_its_own() -> None:
    track = VideoTrack(PERIOD)
    push(track, stream(Codec.VP8)[:5])
    push(track, stream(Codec.H264, participant=9)[13:], 5 * PERIOD)
    assert advance(track, range(7)) == [0, 1, 2, 3, 4, 4, 4]
    assert track.advance(7 * PERIOD)
    stamp = stamp_of(track.picture)
    assert stamp is not None
    assert (stamp.participant, stamp.number) == (9, 15)
    assert track.counters.skipped == 2


def test_a_new_stream_of_the_same_codec_begins_with_a_key_frame() -> None:
    track = VideoTrack(PERIOD)
    push(track, stream(Codec.VP8)[:5])
    track.begin_stream()
    push(track, stream(Codec.VP8, participant=9)[12:18], 5 * PERIOD)
    assert advance(track, range(11)) == [0, 1, 2, 3, 4, 4, 4, 4, 15, 16, 17]


def test_a_muted_track_has_no_picture_until_its_next_key_frame() -> None:
    track = VideoTrack(PERIOD)
    push(track, stream(Codec.VP8))
    assert advance(track, range(5)) == [0, 1, 2, 3, 4]
    track.blank()
    assert track.picture is None
    assert track.advance(5 * PERIOD), "the picture went"
    assert [number_of(track.picture) for tick in range(6, 15) if track.advance(tick * PERIOD)] == []
    assert advance(track, range(15, 18)) == [15, 16, 17]
    assert track.counters.damaged == 0


def test_an_unmuted_track_that_goes_on_without_a_key_frame_is_seen_again() -> None:
    track = VideoTrack(PERIOD)
    frames = stream(Codec.VP8)
    push(track, frames[:5])
    advance(track, range(3))
    track.blank()
    assert track.advance(3 * PERIOD)
    assert advance(track, range(4, 60)) == [None] * 56, "sent before the mute"
    push(track, frames[5:10], 2.0)
    assert advance(track, range(60, 65)) == [5, 6, 7, 8, 9]


def test_the_servers_placeholder_is_not_shown() -> None:
    track = VideoTrack(PERIOD)
    placeholder = encode_as("libvpx", Codec.VP8, "yuv420p", [still(8, 8, (16, 128, 128))])[0]
    push(track, [*stream(Codec.VP8)[:3], placeholder, *stream(Codec.VP8)[15:18]])
    assert advance(track, range(7)) == [0, 1, 2, 2, 15, 16, 17]
    assert track.counters.placeholders == 1


def test_a_placeholder_does_not_end_a_mute() -> None:
    track = VideoTrack(PERIOD)
    placeholder = encode_as("libvpx", Codec.VP8, "yuv420p", [still(8, 8, (16, 128, 128))])[0]
    push(track, [*stream(Codec.VP8)[:3], placeholder])
    advance(track, range(3))
    track.blank()
    assert track.advance(3 * PERIOD)
    assert advance(track, range(4, 6)) == [None] * 2


def test_damaged_frames_hold_the_last_picture() -> None:
    track = VideoTrack(PERIOD)
    frames = list(stream(Codec.H264))
    frames[4] = replace(frames[4], payload=b"\x00\x00\x00\x01\x41" + b"\xff" * 60)
    push(track, frames)
    assert advance(track, range(18)) == [0, 1, 2, 3, *[3] * 11, 15, 16, 17]
    assert track.counters.damaged == 1
    assert track.counters.skipped == 10


def test_what_waits_is_bounded() -> None:
    track = VideoTrack(PERIOD)
    frames = stream(Codec.VP8)
    for number in range(MAX_WAITING_FRAMES * 3):
        track.push(replace(frames[number % 30]), 1000 + number * PERIOD)
        assert track.waiting <= MAX_WAITING_FRAMES
    assert track.counters.dropped == MAX_WAITING_FRAMES * 3 - track.waiting
    first = 1000 + track.counters.dropped * PERIOD
    assert track.advance(first)
    assert number_of(track.picture) in (0, 15), "it goes on at a key frame"


def test_what_waits_is_bounded_without_key_frames_too() -> None:
    track = VideoTrack(PERIOD)
    frames = stream(Codec.VP8)
    track.push(frames[0], 1000)
    big = replace(frames[1], payload=bytes(1 << 20))
    for number in range(1, 60):
        track.push(big, 1000 + number * PERIOD)
        assert track.waiting <= 17
    assert not track.advance(2000), "nothing that is left can be decoded"
    assert track.picture is None
