from __future__ import annotations

import av
import numpy as np
import pytest

from pyegress.outputs.opus import OPUS_HEAD_CHANNELS, opus_channels, opus_head, opus_silence, opus_specific, opus_ticks
from tests.outputs.media import opus

pytestmark = pytest.mark.media


def decode(packets: list[bytes], channels: int) -> np.ndarray:
    decoder = av.CodecContext.create("libopus", "r")
    assert isinstance(decoder, av.AudioCodecContext)
    decoder.sample_rate = 48_000
    decoder.layout = "mono" if channels == 1 else "stereo"
    frames = [frame for packet in packets for frame in decoder.decode(av.Packet(packet))]
    return np.concatenate([frame.to_ndarray() for frame in frames], axis=1).reshape(-1)


@pytest.mark.parametrize(
    ("packet", "ticks"),
    [
        ("", 0),
        ("00", 480),  # SILK 10 ms
        ("18", 2880),  # SILK 60 ms
        ("58", 2880),
        ("60", 480),  # hybrid 10 ms
        ("78", 960),  # hybrid 20 ms
        ("80", 120),  # CELT 2.5 ms
        ("f8", 960),
        ("f9", 1920),  # two frames of equal size
        ("fa", 1920),  # two frames of different size
        ("fb03", 2880),  # three frames
        ("fb86", 5760),  # six frames with the VBR bit
        ("fb", 0),  # count byte missing
    ],
)
def test_duration_is_read_from_the_table_of_contents(packet: str, ticks: int) -> None:
    assert opus_ticks(bytes.fromhex(packet)) == ticks


@pytest.mark.parametrize("milliseconds", ["2.5", "5", "10", "20", "40", "60"])
def test_durations_agree_with_libopus(milliseconds: str) -> None:
    for frame in opus(5, milliseconds=milliseconds):
        assert opus_ticks(frame.payload) == float(milliseconds) * 48
        assert len(decode([frame.payload], 1)) == float(milliseconds) * 48


@pytest.mark.parametrize("channels", [1, 2])
def test_channels_come_from_the_stereo_flag(channels: int) -> None:
    assert {opus_channels(frame.payload) for frame in opus(10, channels=channels)} == {channels}
    head = opus_head(channels)
    assert head[OPUS_HEAD_CHANNELS] == channels
    assert head == b"OpusHead\x01" + bytes([channels, 0, 0]) + (48_000).to_bytes(4, "little") + bytes(3)
    assert opus_specific(channels) == bytes([0, channels, 0, 0]) + (48_000).to_bytes(4, "big") + bytes(3)


@pytest.mark.parametrize("stereo", [False, True])
@pytest.mark.parametrize("ticks", [120, 240, 480, 960])
def test_silence_decodes_to_zeros_of_its_length(ticks: int, stereo: bool) -> None:
    duration, packet = opus_silence(ticks, stereo=stereo)
    assert duration == ticks == opus_ticks(packet)
    assert opus_channels(packet) == 1 + stereo
    sound = decode([packet] * 3, 1 + stereo)
    assert len(sound) == 3 * ticks * (1 + stereo)
    assert not sound.any()


def test_silence_is_as_long_as_fits_and_ends_a_tone() -> None:
    assert opus_silence(10_000, stereo=False)[0] == 960
    assert opus_silence(959, stereo=False)[0] == 480
    with pytest.raises(ValueError, match="119"):
        opus_silence(119, stereo=False)
    tone = [frame.payload for frame in opus(25)]
    sound = decode([*tone, *[opus_silence(960, stereo=False)[1]] * 10], 1)
    assert np.abs(sound[: 20 * 960]).max() > 0.1
    assert np.abs(sound[-8 * 960 :]).max() < 0.001
