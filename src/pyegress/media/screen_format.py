"""From the pixels of a screen to the one format that is encoded: yuv420p, BT.709, limited range."""

from __future__ import annotations

import ctypes
from fractions import Fraction

import av
import numpy as np
from av.filter import Graph
from numpy.typing import NDArray

from pyegress.media.libyuv import library
from pyegress.media.planes import planes_of, tag

_TIME_BASE = Fraction(1, 90_000)


class ScreenFormat:
    """Converts pictures of one size, 4 bytes a pixel: blue, green, red, nothing. The size is even.

    libyuv converts by BT.601 alone; from there to BT.709 FFmpeg multiplies by a matrix. Both together take a quarter of
    the time of FFmpeg's scaler, which does it where there is no libyuv.
    """

    def __init__(self, width: int, height: int) -> None:
        self._width, self._height = width, height
        self._library = library()
        self._between = av.VideoFrame(width, height, "yuv420p")
        self._graph = _matrix(width, height) if self._library is not None else _scaler(width, height)

    def convert(self, pixels: NDArray[np.uint8]) -> av.VideoFrame:
        """A picture of its own. `pixels` are (height, width, 4), without gaps between those of a row."""
        width, height = self._width, self._height
        if self._library is None:
            frame = av.VideoFrame.from_numpy_buffer(np.ascontiguousarray(pixels), format="bgra")
        else:
            frame = self._between
            frame.make_writable()
            targets: list[ctypes.c_void_p | int] = []
            for plane in planes_of(frame):
                targets += [ctypes.c_void_p(plane.ctypes.data), plane.strides[0]]
            self._library.ARGBToI420(ctypes.c_void_p(pixels.ctypes.data), pixels.strides[0], *targets, width, height)
        frame.pts, frame.time_base = 0, _TIME_BASE
        self._graph.push(frame)
        drawn = self._graph.pull()
        assert isinstance(drawn, av.VideoFrame)
        tag(drawn)
        return drawn


def _matrix(width: int, height: int) -> Graph:
    same = "iprimaries=bt709:primaries=bt709:itrc=bt709:trc=bt709:fast=1"
    arguments = f"ispace=smpte170m:irange=tv:space=bt709:range=tv:format=yuv420p:{same}"
    return _graph(width, height, "yuv420p", ("colorspace", arguments))


def _scaler(width: int, height: int) -> Graph:
    arguments = f"{width}:{height}:flags=bilinear:out_color_matrix=bt709:out_range=tv"
    return _graph(width, height, "bgra", ("scale", arguments), ("format", "yuv420p"))


def _graph(width: int, height: int, given: str, *steps: tuple[str, str]) -> Graph:
    """FFmpeg's filters, whose pictures come from a pool."""
    graph = Graph()
    graph.threads = 1
    source = graph.add_buffer(width=width, height=height, format=av.VideoFormat(given), time_base=_TIME_BASE)
    graph.link_nodes(source, *(graph.add(name, arguments) for name, arguments in steps), graph.add("buffersink"))
    graph.configure()
    return graph
