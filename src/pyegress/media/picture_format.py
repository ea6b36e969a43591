"""Brings decoded pictures into the one format that is drawn: yuv420p, BT.709, limited range.

Publishers send what their capture gave: libwebrtc converts to I420 with the BT.601 matrix (libyuv) and leaves most
streams untagged, so untagged pictures of every codec and size are taken as BT.601, limited range, as Chrome takes them.
"""

from __future__ import annotations

from fractions import Fraction
from typing import NamedTuple

import av
from av.filter import Graph
from av.video.reformatter import ColorRange, Colorspace, Interpolation, VideoReformatter

from pyegress.media.planes import tag

_BT709 = 1
#: AVColorSpace values as the colorspace filter names them; what is not here is BT.601.
_FILTER_MATRIX = {_BT709: "bt709", 4: "fcc", 7: "smpte240m", 8: "ycgco", 9: "bt2020nc", 10: "bt2020nc"}
_SCALER_MATRIX = {_BT709: Colorspace.ITU709, 4: Colorspace.FCC, 7: Colorspace.SMPTE240M, 9: Colorspace.BT2020}
_BT601 = "smpte170m"
_FULL_RANGE = 2
#: 8 bit 4:2:0, limited and (deprecated, but FFmpeg's H.264 decoder gives it) full range.
_PLAIN = frozenset({"yuv420p", "yuvj420p"})


class _Shape(NamedTuple):
    """What a conversion is set up for."""

    width: int
    height: int
    format: str
    matrix: int
    full: bool


class PictureFormat:
    """Converts the pictures of one track; what it is set up for is kept until they change."""

    def __init__(self) -> None:
        self._shape: _Shape | None = None
        self._graph: Graph | None = None
        self._reformatter = VideoReformatter()

    def convert(self, frame: av.VideoFrame) -> av.VideoFrame:
        """The same picture in yuv420p, BT.709, limited range, tagged so; `frame` itself where it is that already."""
        name = frame.format.name
        full = name.startswith("yuvj") or (name.startswith("yuv") and int(frame.color_range) == _FULL_RANGE)
        shape = _Shape(frame.width, frame.height, name, int(frame.colorspace), full)
        if name == "yuv420p" and shape.matrix == _BT709 and not full:
            converted = frame
        elif name in _PLAIN:
            converted = self._filter(frame, shape)
        else:
            converted = self._reformat(frame, shape)
        tag(converted)
        return converted

    def _filter(self, frame: av.VideoFrame, shape: _Shape) -> av.VideoFrame:
        """FFmpeg's colorspace filter: a matrix multiplication at a tenth of what the scaler's detour by RGB costs."""
        if self._graph is None or shape != self._shape:
            self._graph, self._shape = _graph(shape), shape
        frame.pts, frame.time_base = 0, Fraction(1, 90_000)
        self._graph.push(frame)
        converted = self._graph.pull()
        assert isinstance(converted, av.VideoFrame)
        return converted

    def _reformat(self, frame: av.VideoFrame, shape: _Shape) -> av.VideoFrame:
        """4:2:2, 4:4:4, 10 bit, RGB: seldom enough to be dear."""
        return self._reformatter.reformat(
            frame,
            format="yuv420p",
            src_colorspace=_SCALER_MATRIX.get(shape.matrix, Colorspace.ITU601),
            dst_colorspace=Colorspace.ITU709,
            src_color_range=ColorRange.JPEG if shape.full else ColorRange.MPEG,
            dst_color_range=ColorRange.MPEG,
            interpolation=Interpolation.BILINEAR,
            threads=1,
        )


def _graph(shape: _Shape) -> Graph:
    graph = Graph()
    graph.threads = 1
    source = graph.add_buffer(
        width=shape.width, height=shape.height, format=shape.format, time_base=Fraction(1, 90_000)
    )
    matrix, extent = _FILTER_MATRIX.get(shape.matrix, _BT601), "pc" if shape.full else "tv"
    # The same primaries and transfer on both sides: only matrix and range change, as browsers do it.
    same = "iprimaries=bt709:primaries=bt709:itrc=bt709:trc=bt709:fast=1"
    convert = graph.add("colorspace", f"ispace={matrix}:irange={extent}:space=bt709:range=tv:format=yuv420p:{same}")
    sink = graph.add("buffersink")
    source.link_to(convert)
    convert.link_to(sink)
    graph.configure()
    return graph
