"""Pictures as cameras make them, drawn: textured people who move before textured walls, sensor noise, slight shake."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import av
import numpy as np
from numpy.typing import NDArray

Plane = NDArray[np.uint8]
Field = NDArray[np.float32]

FPS = 30
#: How far the camera shakes, pixels.
_SHAKE = 3
#: Standard deviation of the sensor's noise in luma, after what cameras do against it.
_NOISE = 1.5
_NOISE_FIELDS = 8


class Camera:
    """One camera before one person; `seed` makes room and person. Frames are I420 of shape (height * 3 / 2, width)."""

    def __init__(self, size: tuple[int, int], seed: int) -> None:
        self._width, self._height = size
        random = np.random.default_rng(seed)
        height, width = self._height, self._width
        self._wall = 110 + _texture(random, height + 2 * _SHAKE + 2, width + 2 * _SHAKE + 2, (128, 32, 8, 3), 26)
        self._cloth = 80 + _texture(random, height, width, (48, 12, 4), 24)
        self._skin = 165 + _texture(random, height, width, (40, 10, 3), 14)
        self._noise = [random.normal(0, _NOISE, (height, width)).astype(np.float32) for _ in range(_NOISE_FIELDS)]
        self._random = random
        self._phase = random.uniform(0, 6, 4)
        self._y, self._x = np.mgrid[0:height, 0:width].astype(np.float32)

    def draw(self, number: int) -> Plane:
        """Frame `number`."""
        t = number / FPS
        height, width = self._height, self._width
        p = self._phase
        # A hand-held or bumped camera: fractions of pixels, so that nothing matches exactly.
        dx = _SHAKE * (1 + 0.3 * np.sin(2.1 * t + p[0]) + 0.1 * np.sin(11 * t))
        dy = _SHAKE * (1 + 0.3 * np.sin(1.7 * t + p[1]) + 0.1 * np.sin(13 * t))
        luma = _shifted(self._wall, dy, dx, height, width)
        head_x = width * (0.5 + 0.06 * np.sin(0.9 * t + p[2]) + 0.012 * np.sin(5 * t))
        head_y = height * (0.36 + 0.03 * np.sin(1.3 * t + p[3]))
        radius = height * 0.19
        u = np.zeros((height // 2, width // 2), np.float32)
        v = np.zeros_like(u)
        body_x = width * 0.5 + 0.6 * (head_x - width * 0.5)
        body = _ellipse(self._x, self._y, body_x, height * 1.02, width * 0.24, height * 0.48)
        head = _ellipse(self._x, self._y, head_x, head_y, radius * 0.78, radius)
        hand_x = width * (0.70 + 0.08 * np.sin(4.2 * t + p[0]))
        hand_y = height * (0.66 + 0.12 * np.sin(3.1 * t + p[1]))
        hand = _ellipse(self._x, self._y, hand_x, hand_y, radius * 0.33, radius * 0.36)
        for mask, texture, move, colour in (
            (body, self._cloth, (body_x - width * 0.5, 1.5 * np.sin(2 * t)), (14, -10)),
            (head, self._skin, (head_x - width * 0.5, head_y - height * 0.36), (-12, 18)),
            (hand, self._skin, (hand_x - width * 0.7, hand_y - height * 0.66), (-12, 18)),
        ):
            moved = _rolled(texture, move[1], move[0])
            luma += mask * (moved - luma)
            small = mask[::2, ::2]
            u += small * (colour[0] - u)
            v += small * (colour[1] - v)
        # Eyes and a mouth that talks: small things that change all the time.
        for side in (-0.33, 0.33):
            eye_x, eye_y = head_x + side * radius, head_y - radius * 0.1
            luma -= 90 * _ellipse(self._x, self._y, eye_x, eye_y, radius * 0.1, radius * 0.07)
        opening = 0.05 + 0.09 * abs(np.sin(9 * t) * np.sin(2.3 * t))
        luma -= 80 * _ellipse(self._x, self._y, head_x, head_y + radius * 0.5, radius * 0.26, radius * opening)
        noise = self._noise[int(self._random.integers(_NOISE_FIELDS))]
        luma += np.roll(noise, tuple(self._random.integers(0, 64, 2)), (0, 1))
        picture = np.empty((height * 3 // 2, width), np.uint8)
        picture[:height] = np.clip(luma, 16, 235)
        chroma = picture[height:].reshape(2, height // 2, width // 2)
        chroma[0] = np.clip(126 + u, 16, 240)
        chroma[1] = np.clip(131 + v, 16, 240)
        return picture


def person(size: tuple[int, int], seconds: float, seed: int = 1) -> list[Plane]:
    """A camera's raw pictures."""
    camera = Camera(size, seed)
    return [camera.draw(number) for number in range(round(seconds * FPS))]


def grid(seconds: float) -> list[Plane]:
    """Three people of 640x360 in a 1280x720 grid as a recorder sees them: each came through VP8 at 500 kbit/s."""
    tiles = [_through_vp8(person((640, 360), seconds, seed), 500_000) for seed in (1, 2, 3)]
    pictures = []
    for number in range(len(tiles[0])):
        picture = np.empty((1080, 1280), np.uint8)
        picture[:720] = 16
        picture[720:] = 128
        chroma = picture[720:].reshape(2, 360, 640)
        for tile, (y, x) in zip(tiles, ((0, 0), (0, 640), (360, 320)), strict=True):
            source = tile[number]
            picture[y : y + 360, x : x + 640] = source[:360]
            small = source[360:].reshape(2, 180, 320)
            chroma[:, y // 2 : y // 2 + 180, x // 2 : x // 2 + 320] = small
        pictures.append(picture)
    return pictures


def _through_vp8(pictures: Sequence[Plane], bitrate: int) -> list[Plane]:
    encoder = av.CodecContext.create("libvpx", "w")
    decoder = av.CodecContext.create("vp8", "r")
    assert isinstance(encoder, av.VideoCodecContext)
    assert isinstance(decoder, av.VideoCodecContext)
    encoder.width, encoder.height = pictures[0].shape[1], pictures[0].shape[0] * 2 // 3
    encoder.pix_fmt, encoder.time_base, encoder.bit_rate = "yuv420p", Fraction(1, FPS), bitrate
    encoder.options = {"deadline": "realtime", "cpu-used": "6", "lag-in-frames": "0", "g": "3000"}
    decoded: list[Plane] = []
    for number, picture in enumerate(pictures):
        frame = av.VideoFrame.from_ndarray(picture, "yuv420p")
        frame.pts, frame.time_base = number, Fraction(1, FPS)
        for packet in encoder.encode(frame):
            decoded += [np.asarray(back.to_ndarray(), np.uint8) for back in decoder.decode(packet)]
    return decoded


def _texture(random: np.random.Generator, height: int, width: int, cells: Sequence[int], depth: float) -> Field:
    """Noise of several grain sizes, the finer the weaker, as surfaces have."""
    total = np.zeros((height, width), np.float32)
    for octave, cell in enumerate(cells):
        coarse = random.normal(0, 1, (height // cell + 3, width // cell + 3)).astype(np.float32)
        y, x = np.arange(height, dtype=np.float32) / cell, np.arange(width, dtype=np.float32) / cell
        yi, xi = y.astype(int), x.astype(int)
        fy, fx = (y - yi)[:, None], (x - xi)[None, :]
        top = coarse[yi][:, xi] * (1 - fx) + coarse[yi][:, xi + 1] * fx
        bottom = coarse[yi + 1][:, xi] * (1 - fx) + coarse[yi + 1][:, xi + 1] * fx
        total += (top * (1 - fy) + bottom * fy) * (depth / 1.8**octave)
    return total.astype(np.float32)


def _shifted(source: Field, dy: float, dx: float, height: int, width: int) -> Field:
    """A window of `source` at a fractional offset."""
    y, x = int(dy), int(dx)
    fy, fx = np.float32(dy - y), np.float32(dx - x)
    rows = source[y : y + height + 1, x : x + width + 1]
    across = rows[:, :-1] * (1 - fx) + rows[:, 1:] * fx
    window: Field = (across[:-1] * (1 - fy) + across[1:] * fy).astype(np.float32)
    return window


def _rolled(source: Field, dy: float, dx: float) -> Field:
    y, x = int(np.floor(dy)), int(np.floor(dx))
    fx = np.float32(dx - x)
    base = np.roll(source, (y, x), (0, 1))
    moved: Field = (base * (1 - fx) + np.roll(base, 1, 1) * fx).astype(np.float32)
    return moved


def _ellipse(x: Field, y: Field, cx: float, cy: float, rx: float, ry: float) -> Field:
    """1 inside, 0 outside, an edge about two pixels wide."""
    away = np.sqrt(((x - np.float32(cx)) / np.float32(rx)) ** 2 + ((y - np.float32(cy)) / np.float32(ry)) ** 2)
    mask: Field = np.clip((1 - away) * np.float32(min(rx, ry) / 2) + 0.5, 0, 1).astype(np.float32)
    return mask
