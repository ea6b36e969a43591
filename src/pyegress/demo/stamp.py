"""A machine-readable stamp in a picture: who it is and which frame, in blocks of luma.

36 cells (12 x 3) in the lower part of the picture, most significant bit first: 20 bits frame number, 8 bits
participant, 8 bits CRC. A cell is 1/16 of the picture's width and 1/12 of its height, so the stamp survives encoding
at low bit rates and scaling to a quarter; whatever does not survive fails the CRC.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Luma = NDArray[np.uint8]
#: x, y, width, height in pixels of the picture inside a larger frame (a tile, or what letterboxing left).
Region = tuple[float, float, float, float]

COLUMNS, ROWS = 12, 3
#: The grid that cells lie on, as fractions of the picture.
_GRID_WIDTH, _GRID_HEIGHT = 16, 12
_LEFT, _TOP = 2, 8.5
_NUMBER_BITS, _PARTICIPANT_BITS, _CRC_BITS = 20, 8, 8
#: Frame numbers count from 0 to one less than this.
NUMBERS = 1 << _NUMBER_BITS
#: Limited range with a margin, so that a change of range or gamma leaves the threshold between them.
DARK, BRIGHT, _THRESHOLD = 24, 226, 125


@dataclass(frozen=True, slots=True)
class Stamp:
    """What a picture says of itself: frame number (modulo `NUMBERS`) and participant (0..255)."""

    number: int
    participant: int


def draw_stamp(luma: Luma, stamp: Stamp) -> None:
    """Draw into a luma plane of shape (height, width)."""
    height, width = luma.shape
    cells = np.where(_bits(stamp), BRIGHT, DARK).astype(np.uint8)
    xs = [round((_LEFT + i) * width / _GRID_WIDTH) for i in range(COLUMNS + 1)]
    ys = [round((_TOP + i) * height / _GRID_HEIGHT) for i in range(ROWS + 1)]
    row = np.empty(xs[-1] - xs[0], np.uint8)
    for index in range(ROWS):
        for column in range(COLUMNS):
            row[xs[column] - xs[0] : xs[column + 1] - xs[0]] = cells[index * COLUMNS + column]
        luma[ys[index] : ys[index + 1], xs[0] : xs[-1]] = row


def read_stamp(luma: Luma, region: Region | None = None) -> Stamp | None:
    """Read from a luma plane of shape (height, width), or from a region of it; None without a valid stamp."""
    x, y, width, height = region or (0.0, 0.0, float(luma.shape[1]), float(luma.shape[0]))
    word = 0
    for index in range(ROWS):
        top, bottom = _middle(y, height / _GRID_HEIGHT, _TOP + index)
        for column in range(COLUMNS):
            left, right = _middle(x, width / _GRID_WIDTH, _LEFT + column)
            cell = luma[top:bottom, left:right]
            word = word << 1 | int(cell.size > 0 and float(cell.mean()) > _THRESHOLD)
    payload, crc = word >> _CRC_BITS, word & ((1 << _CRC_BITS) - 1)
    if _crc8(payload) != crc:
        return None
    return Stamp(payload >> _PARTICIPANT_BITS, payload & ((1 << _PARTICIPANT_BITS) - 1))


def _middle(origin: float, cell: float, index: float) -> tuple[int, int]:
    """The pixels of the middle half of a cell: its borders are what scaling and block filters blur."""
    start = round(origin + (index + 0.25) * cell)
    return start, max(round(origin + (index + 0.75) * cell), start + 1)


def _bits(stamp: Stamp) -> NDArray[np.bool_]:
    payload = (stamp.number % NUMBERS) << _PARTICIPANT_BITS | (stamp.participant % (1 << _PARTICIPANT_BITS))
    word = payload << _CRC_BITS | _crc8(payload)
    size = COLUMNS * ROWS
    return np.array([word >> (size - 1 - i) & 1 for i in range(size)], dtype=np.bool_)


def _crc8(payload: int) -> int:
    """CRC-8 (polynomial 0x2F) of 28 bits; the start value makes an all-black or all-white picture invalid."""
    crc = 0xA5
    for byte in payload.to_bytes(4, "big"):
        crc ^= byte
        for _ in range(8):
            crc = (crc << 1) ^ 0x2F if crc & 0x80 else crc << 1
            crc &= 0xFF
    return crc
