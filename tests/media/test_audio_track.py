from __future__ import annotations

import numpy as np
import pytest

from pyegress.clock import Monotonic
from pyegress.codecs import Codec
from pyegress.media.audio_track import AudioTrack
from pyegress.media.concealment import extend
from pyegress.media.libopus import LibopusDecoder, library
from pyegress.rtp.frame import EncodedFrame
from tests.media.sound import OPUS_DELAY, RATE, Sound, beeps, onsets, opus_packets, read_all, steepest, tone, without

pytestmark = pytest.mark.media

#: What 440 Hz at level 0.25 moves from a sample to the next, with room for the codec.
SLOPE = 0.25 * 2 * np.pi * 440 / RATE * 1.3


class Raw:
    """A decoder of packets that are float32 samples: everything but the codec is measured exactly."""

    delay = 0
    damaged = 0

    def __init__(self) -> None:
        self._last = np.zeros((960, 2), np.float32)

    def decode(self, payload: bytes, duration: int) -> Sound:
        self._last = np.repeat(np.frombuffer(payload, np.float32).reshape(-1, 1), 2, axis=1)
        return self._last

    def conceal(self, count: int) -> Sound:
        return extend(self._last, count, RATE)

    def recover(self, payload: bytes, count: int) -> Sound | None:
        return None


def raw(sound: Sound) -> list[EncodedFrame]:
    return [
        EncodedFrame(Codec.OPUS, sound[at : at + 960].tobytes(), at, Monotonic(0.0), duration=960)
        for at in range(0, len(sound) - 959, 960)
    ]


def played(frames: list[EncodedFrame], seconds: float, at: list[float], ahead: float = 0.6) -> tuple[Sound, AudioTrack]:
    """Each frame is pushed `ahead` seconds before its time; all is read in windows of 20 ms."""
    track = AudioTrack(Codec.OPUS, Raw())
    out = []
    waiting = list(zip(frames, at, strict=True))[::-1]
    for start in range(0, round(seconds * RATE), 960):
        while waiting and waiting[-1][1] * RATE <= start + ahead * RATE:
            frame, when = waiting.pop()
            track.push(frame, when)
        block = track.read(start, 960)
        out.append(np.zeros(960, np.float32) if block is None else block[:, 0])
    return np.concatenate(out), track


def test_steady_sound_is_untouched_behind_its_fade() -> None:
    sound = tone(2)
    out, track = played(raw(sound), 2.5, [number * 0.02 + 0.1 for number in range(100)])
    assert np.array_equal(out[4800 + 240 : 4800 + len(sound)], sound[240:])
    assert not out[:4800].any()
    assert steepest(out) < SLOPE
    assert track.drained


def test_opus_tone_keeps_cadence_and_level() -> None:
    track = AudioTrack(Codec.OPUS)
    for frame in opus_packets(tone(2)):
        track.push(frame, frame.timestamp / RATE)
    out = read_all(track, 2)[4800:]
    expected = tone(2)[4800 - OPUS_DELAY :][: len(out)]
    assert np.sqrt(np.mean((out - expected) ** 2)) < 0.01
    assert steepest(out) < SLOPE
    assert (track.counters.decoded, track.counters.concealed) == (100, 0)


def test_opus_beeps_land_where_they_belong() -> None:
    track = AudioTrack(Codec.OPUS)
    for frame in opus_packets(beeps(4)):
        track.push(frame, frame.timestamp / RATE + 0.123)
    found = onsets(read_all(track, 4.5))
    assert found == pytest.approx([k + 0.123 + OPUS_DELAY / RATE for k in (1, 2, 3)], abs=0.001)


@pytest.mark.parametrize("skew", [200e-6, -200e-6])
def test_clocks_that_run_apart_are_followed_without_a_gap(skew: float) -> None:
    """Ten minutes of 440 Hz whose level marks each tenth second, from a clock that runs fast or slow."""
    seconds = 600
    sound = tone(seconds)
    for mark in range(10, seconds - 5, 10):
        sound[mark * RATE :][:2400] *= 2
    frames = raw(sound)
    out, track = played(frames, seconds + 0.5, [frame.timestamp / RATE * (1 + skew) for frame in frames])
    loud = np.flatnonzero(np.abs(out) > 0.3)
    starts = loud[np.concatenate(([True], np.diff(loud) > RATE))] / RATE
    assert len(starts) == 59
    assert starts == pytest.approx([(mark + 0.0003) * (1 + skew) for mark in range(10, seconds - 5, 10)], abs=0.002)
    assert (track.counters.replaced, track.counters.concealed) == (0, 0)
    # The marks themselves begin and end at zero crossings.
    assert steepest(out[:-RATE]) < 2 * SLOPE


def test_jitter_of_the_times_makes_no_gap() -> None:
    random = np.random.default_rng(1)
    frames = raw(tone(20))
    out, track = played(frames, 20, [0.1 + f.timestamp / RATE + random.uniform(-0.03, 0.03) for f in frames])
    assert track.counters.replaced == 0
    assert steepest(out) < SLOPE
    levels = np.sqrt(np.mean(out[9600:-9600].reshape(-1, 480) ** 2, axis=1))
    assert levels.min() > 0.15


def test_a_place_that_moves_far_is_taken_anew() -> None:
    frames = raw(tone(6))
    later = [0.1 + f.timestamp / RATE + (0.2 if f.timestamp >= 2 * RATE else 0.0) for f in frames]
    later = [at - (0.15 if f.timestamp >= 4 * RATE else 0.0) for at, f in zip(later, frames, strict=True)]
    out, track = played(frames, 6.5, later)
    assert track.counters.replaced >= 2
    assert steepest(out) < 2 * SLOPE
    hole = np.flatnonzero(np.abs(out[round(1.9 * RATE) : round(2.5 * RATE)]).reshape(-1, 480).max(axis=1) == 0)
    assert 15 <= len(hole) <= 20  # 200 ms without the 20 ms in which sound fades
    # Sound is again exactly where it belongs.
    at = round(4.0 * RATE) + round(0.15 * RATE)
    assert np.abs(out[at + 9600 : at + 14400] - tone(6)[4 * RATE + 9600 : 4 * RATE + 14400]).max() < 1e-3


def test_a_mute_fades_out_and_in() -> None:
    frames = raw(tone(8))
    heard = [f for f in frames if not 2 * RATE <= f.timestamp < 7 * RATE]
    out, track = played(heard, 8.2, [f.timestamp / RATE for f in heard])
    assert steepest(out) < SLOPE
    assert not out[round(2.02 * RATE) : 7 * RATE].any()
    assert np.array_equal(out[7 * RATE + 240 : 8 * RATE], tone(8)[7 * RATE + 240 :])
    assert track.counters.late == 0


@pytest.mark.parametrize("behind", [60, 303, 412, 506, 596, 660, 959])
def test_what_has_the_time_of_the_packet_before_it_is_passed_over(behind: int) -> None:
    """As the server mutes: silence at the last packet's own time, at once, and more of it somewhat behind its end."""
    frames = opus_packets(tone(2, 1100))[:50]
    last = frames[-1]
    silence = b"\xf8\xff\xfe"
    for ticks in (0, 960 + behind, 960 + behind + 978, 960 + behind + 978 + 961):
        frames.append(EncodedFrame(Codec.OPUS, silence, last.timestamp + ticks, Monotonic(0.0), duration=960))
    track = AudioTrack(Codec.OPUS)
    for frame in frames:
        track.push(frame, frame.timestamp / RATE)
    out = read_all(track, 1.5)
    assert steepest(out) < SLOPE * 1100 / 440
    assert np.abs(out[RATE - 4800 : RATE - 960]).max() > 0.2
    assert np.abs(out[RATE + 2880 :]).max() < 0.001
    assert track.counters.late == 1


def test_frames_that_come_too_late_are_dropped_and_sound_joins_again() -> None:
    track = AudioTrack(Codec.OPUS, Raw())
    frames = raw(tone(2))
    for frame in frames[:25]:
        track.push(frame, frame.timestamp / RATE)
    first = read_all(track, 1.0)
    for frame in frames[25:]:
        track.push(frame, frame.timestamp / RATE)
    second = read_all(track, 1.2, RATE)
    out = np.concatenate((first, second))
    assert track.counters.late == 25
    assert steepest(out) < SLOPE
    assert np.array_equal(out[RATE + 240 : 2 * RATE], tone(2)[RATE + 240 :])


def test_nobody_reads() -> None:
    track = AudioTrack(Codec.OPUS, Raw())
    for frame in raw(tone(15)):
        track.push(frame, frame.timestamp / RATE)
    assert track.counters.dropped == pytest.approx(250, abs=2)
    assert read_all(track, 15)[-RATE:].any()


@pytest.mark.parametrize("share", [0.05, 0.15])
def test_fec_is_nearer_to_the_original_than_concealment(share: float) -> None:
    """A voice-like sweep of harmonics: lost packets are told apart by what replaces them."""
    times = np.arange(10 * RATE) / RATE
    pitch = 2 * np.pi * np.cumsum(150 + 60 * np.sin(2 * np.pi * 1.7 * times)) / RATE
    voice = sum(np.sin(k * pitch) / k for k in range(1, 12)) * 0.12 * (0.6 + 0.4 * np.sin(2 * np.pi * 3 * times))
    frames = opus_packets(np.asarray(voice, np.float32), fec=True, bit_rate=32_000)
    random = np.random.default_rng(3)
    lost = {n for n in range(10, 490) if random.random() < share}

    def heard(decoder: LibopusDecoder, missing: set[int]) -> tuple[Sound, AudioTrack]:
        track = AudioTrack(Codec.OPUS, decoder)
        for number, frame in without(frames, missing):
            track.push(frame, number * 0.02)
        return read_all(track, 10), track

    class Deaf(LibopusDecoder):
        def recover(self, payload: bytes, count: int) -> Sound | None:
            return None

    lib = library()
    assert lib is not None
    whole, _ = heard(LibopusDecoder(lib), set())
    fec, track = heard(LibopusDecoder(lib), lost)
    plc, _ = heard(Deaf(lib), lost)
    assert track.counters.fec > len(lost) / 2
    assert np.mean((fec - whole) ** 2) < 0.5 * np.mean((plc - whole) ** 2)


def test_a_long_loss_fades_and_comes_back() -> None:
    frames = opus_packets(tone(3))
    track = AudioTrack(Codec.OPUS)
    for number, frame in without(frames, set(range(50, 75))):
        track.push(frame, number * 0.02)
    out = read_all(track, 3)
    assert steepest(out[4800:]) < 2 * SLOPE
    assert not out[round(1.07 * RATE) : round(1.47 * RATE)].any()
    assert np.abs(out[round(1.6 * RATE) : round(1.7 * RATE)]).max() == pytest.approx(0.25, rel=0.1)


def test_damaged_packets_never_raise() -> None:
    frames = opus_packets(tone(1))
    track = AudioTrack(Codec.OPUS)
    for number, frame in enumerate(frames[:50]):
        payload = (b"", b"\xff", b"\xfb\xff\x00")[number % 3] if number % 10 == 5 else frame.payload
        track.push(EncodedFrame(Codec.OPUS, payload, frame.timestamp, frame.arrival, duration=960), number * 0.02)
    out = read_all(track, 1.1)
    assert track.damaged == 5
    assert steepest(out[4800:40000]) < 3 * SLOPE


@pytest.mark.parametrize("codec", [Codec.PCMU, Codec.PCMA])
def test_g711(codec: Codec) -> None:
    import av

    narrow = tone(2, 440, 0.25, 8000)
    encoder = av.CodecContext.create("pcm_mulaw" if codec is Codec.PCMU else "pcm_alaw", "w")
    assert isinstance(encoder, av.AudioCodecContext)
    encoder.sample_rate, encoder.layout, encoder.format = 8000, "mono", "s16"
    frame = av.AudioFrame.from_ndarray((narrow * 32767).astype(np.int16).reshape(1, -1), "s16", "mono")
    frame.sample_rate = 8000
    coded = b"".join(bytes(packet) for packet in encoder.encode(frame))
    track = AudioTrack(codec)
    for at in range(0, 16000, 160):
        if at == 8000:
            continue
        payload = coded[at : at + 160]
        lost = at == 8160
        track.push(EncodedFrame(codec, payload, at, Monotonic(0.0), duration=160, discontinuity=lost), at / 8000)
    out = read_all(track, 2)
    assert np.abs(out[4800:90000] - tone(2)[4800:90000]).max() < 0.15
    exact = slice(4800, 47000)
    assert np.abs(out[exact] - tone(2)[exact]).max() < 0.01
    assert steepest(out[480:90000]) < 1.5 * SLOPE
    assert track.counters.concealed == 1


def test_a_stream_that_begins_anew_takes_nothing_from_the_old_one() -> None:
    """After a reconnect RTP time starts anywhere; what waits of the old stream is played all the same."""
    sound = tone(2)
    frames = raw(sound)
    again = [EncodedFrame(f.codec, f.payload, f.timestamp + 10**9, f.arrival, duration=960) for f in frames[50:]]
    out, track = played([*frames[:50], *again], 2.2, [number * 0.02 for number in range(100)])
    assert track.counters.dropped == track.counters.late == 0
    assert steepest(out) < 2 * SLOPE
    assert np.array_equal(out[240:RATE], sound[240:RATE])
    assert np.array_equal(out[RATE + 960 : 2 * RATE], sound[RATE + 960 :])


def test_one_time_that_is_far_off_is_not_believed() -> None:
    frames = raw(tone(2))
    out, track = played(frames, 2.2, [0.02 * n + (0.5 if n == 40 else 0.0) for n in range(100)])
    assert track.counters.replaced == track.counters.late == 0
    assert np.array_equal(out[240 : 2 * RATE], tone(2)[240:])
