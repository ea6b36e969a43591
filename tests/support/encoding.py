"""Files of known content, encoded on the spot: what the analysis is tested with."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from pyegress.demo.content import SAMPLE_RATE, DemoPicture, DemoSound


def write_file(
    path: Path,
    *,
    picture: DemoPicture | None = None,
    numbers: Iterable[int] = (),
    sound: DemoSound | None = None,
    sound_seconds: float = 0.0,
    sound_delay: float = 0.0,
    video_codec: str = "libx264",
    audio_codec: str = "libopus",
    bit_rate: int = 300_000,
    size: tuple[int, int] | None = None,
    options: dict[str, str] | None = None,
) -> None:
    """Encode frames `numbers` of `picture` (each shown at its own time) and `sound`, moved by `sound_delay` seconds.

    `size` scales the pictures before they are encoded.
    """
    with av.open(str(path), "w") as container:
        # All streams first: muxers write their header with the first packet.
        audio: Any = container.add_stream(audio_codec, rate=SAMPLE_RATE, layout="mono") if sound else None
        if picture is not None:
            stream: Any = container.add_stream(video_codec, rate=picture.fps, options=options or {})
            stream.width, stream.height = size or picture.size
            stream.pix_fmt, stream.bit_rate = "yuv420p", bit_rate
            for number in numbers:
                frame = av.VideoFrame.from_ndarray(picture.draw(number), format="yuv420p")
                if size:
                    frame = frame.reformat(*size)
                frame.pts, frame.time_base = number, Fraction(1, picture.fps)
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        if sound is not None:
            audio.bit_rate = 32_000
            resampler = av.AudioResampler(format=audio.format, layout="mono", rate=SAMPLE_RATE)
            for start in range(0, round(sound_seconds * SAMPLE_RATE), 960):
                container.mux(_encode(audio, resampler, sound.samples(start, 960), start, sound_delay))
            container.mux(audio.encode(None))


def _encode(audio: Any, resampler: Any, samples: NDArray[np.int16], start: int, delay: float) -> list[Any]:
    frame = av.AudioFrame.from_ndarray(samples.reshape(1, -1), format="s16", layout="mono")
    frame.sample_rate, frame.time_base = SAMPLE_RATE, Fraction(1, SAMPLE_RATE)
    frame.pts = start + round(delay * SAMPLE_RATE)
    return [packet for converted in resampler.resample(frame) for packet in audio.encode(converted)]
