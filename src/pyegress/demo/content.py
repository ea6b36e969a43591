"""What the demo participants show and say: pictures that carry their frame number, and beeps at the full second.

Time runs from 0: frame `n` belongs to `n / fps` seconds, audio sample `s` to `s / SAMPLE_RATE`. At every full second
a white patch flashes for 100 ms and a beep of 100 ms begins, so recordings can be measured.
"""

from __future__ import annotations

import colorsys
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from pyegress.demo.stamp import BRIGHT, DARK, Luma, Region, Stamp, draw_stamp

SAMPLE_RATE = 48_000
#: Seconds that flash and beep last.
EVENT = 0.1
#: Where the patch flashes: x, y, width, height as fractions of the picture, in its upper left corner.
FLASH = (0.0, 0.0, 0.1875, 0.25)
#: Rise and fall of a beep, seconds: no click, and still a sharp onset.
_RAMP = 0.001


def tone_of(participant: int) -> float:
    """The tone (Hz) of a participant: multiples of 100 Hz, told apart in windows of 10 ms."""
    return 500.0 + 200.0 * (participant % 16)


def flash_region(region: Region) -> Region:
    """The pixels of the flash patch of a picture that lies in `region`."""
    x, y, width, height = region
    return (x + FLASH[0] * width, y + FLASH[1] * height, FLASH[2] * width, FLASH[3] * height)


class DemoPicture:
    """Draws the pictures of one participant.

    `size` is (width, height) in even pixels, at least 64x48. `participant` (0..255) goes into the stamp and picks the
    colour, `name` is written into the picture.
    """

    def __init__(self, name: str, participant: int = 0, *, size: tuple[int, int] = (640, 360), fps: int = 30) -> None:
        width, height = size
        if width < 64 or height < 48 or width % 2 or height % 2:
            raise ValueError(f"size must be even and at least 64x48, not {width}x{height}")
        self.name = name
        self.participant = participant
        self.size = size
        self.fps = fps
        self._background = _background(name, participant, size)
        self._digits = _digits(max(min(height // 5, width // 8), 8))

    def draw(self, number: int) -> NDArray[np.uint8]:
        """Frame `number` as I420 of shape (height * 3 / 2, width): luma, then U and V of half the size."""
        width, height = self.size
        picture = self._background.copy()
        luma = picture[:height]
        self._draw_motion(luma, number)
        self._draw_number(luma, number)
        if number % self.fps < EVENT * self.fps:
            luma[: round(FLASH[3] * height), : round(FLASH[2] * width)] = 235
        draw_stamp(luma, Stamp(number, self.participant))
        return picture

    def _draw_motion(self, luma: Luma, number: int) -> None:
        """A bar that sweeps through the middle once in two seconds, there and back."""
        height, width = luma.shape
        bar, phase = width // 16, number % (2 * self.fps) / self.fps
        left = round((width - bar) * (phase if phase < 1 else 2 - phase))
        luma[round(height * 0.62) : round(height * 0.68), left : left + bar] = BRIGHT

    def _draw_number(self, luma: Luma, number: int) -> None:
        x, y = round(luma.shape[1] * 0.3), round(luma.shape[0] * 0.36)
        for digit in f"{number:06d}":
            glyph = self._digits[int(digit)]
            area = luma[y : y + glyph.shape[0], x : x + glyph.shape[1]]
            np.maximum(area, glyph[:, : area.shape[1]], out=area)
            x += glyph.shape[1]


class DemoSound:
    """The beeps of one participant at `tone` Hz, or with `continuous` a tone that never pauses."""

    def __init__(self, tone: float, *, channels: int = 1, level: float = 0.4, continuous: bool = False) -> None:
        self.tone = tone
        self.channels = channels
        self._level = level
        self._continuous = continuous

    def samples(self, start: int, count: int) -> NDArray[np.int16]:
        """`count` samples from sample `start` on, shape (count, channels)."""
        index = np.arange(start, start + count, dtype=np.int64)
        # The tone starts anew at each second: integer arithmetic, no drift of phase after hours.
        second = index % SAMPLE_RATE
        wave = np.sin(2 * np.pi * self.tone / SAMPLE_RATE * (index if self._continuous else second))
        if not self._continuous:
            at = second / SAMPLE_RATE
            wave *= np.clip(np.minimum(at, EVENT - at) / _RAMP, 0.0, 1.0)
        mono = np.round(wave * (self._level * 32767)).astype(np.int16)
        return np.repeat(mono[:, None], self.channels, axis=1)


@lru_cache(maxsize=32)
def _background(name: str, participant: int, size: tuple[int, int]) -> NDArray[np.uint8]:
    width, height = size
    picture = np.empty((height * 3 // 2, width), np.uint8)
    slope = np.linspace(50, 95, width)[None, :] + np.linspace(0, 20, height)[:, None]
    picture[:height] = slope.astype(np.uint8)
    red, green, blue = colorsys.hls_to_rgb(participant * 0.381966 % 1.0, 0.5, 0.7)
    # BT.601 chroma of the participant's colour; luma is the slope above.
    u = 128 + 224 * (-0.169 * red - 0.331 * green + 0.5 * blue)
    v = 128 + 224 * (0.5 * red - 0.419 * green - 0.081 * blue)
    chroma = picture[height:].reshape(2, -1)
    chroma[0], chroma[1] = round(u), round(v)
    text = Image.new("L", size, 0)
    font = ImageFont.load_default(size=max(min(height // 8, width // 12), 8))
    ImageDraw.Draw(text).text((width * 0.3, height * 0.08), name, fill=BRIGHT, font=font)
    np.maximum(picture[:height], np.asarray(text), out=picture[:height])
    return picture


@lru_cache(maxsize=8)
def _digits(size: int) -> tuple[Luma, ...]:
    font = ImageFont.load_default(size=size)
    width = max(int(font.getlength(str(digit))) for digit in range(10)) + 1
    glyphs = []
    for digit in range(10):
        image = Image.new("L", (width, round(size * 1.2)), DARK)
        ImageDraw.Draw(image).text((0, 0), str(digit), fill=BRIGHT, font=font)
        glyphs.append(np.asarray(image).copy())
    return tuple(glyphs)
