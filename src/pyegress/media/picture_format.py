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

_BT709 = 1
#: AVColorSpace values as the colorspace filter names them; what is not here is BT.601.
_FILTER_MATRIX = {_BT709: "bt709", 4: "fcc", 7: "smpte240m", 8: "ycgco", 9: "bt2020nc", 10: "bt2020nc"}
_BT601 = "smpte170m"
_FULL_RANGE = 2
#: 8 bit 4:2:0, limited and (deprecated, but FFmpeg's H.264 decoder gives it) full range.
_PLAIN = frozenset({"yuv420p", "yuvj420p"})
#: AVCOL_SPC_UNSPECIFIED and AVCOL_RANGE_UNSPECIFIED.
_UNSPECIFIED = (2, 0)
_TIME_BASE = Fraction(1, 90_000)


class Colours(NamedTuple):
    """What the numbers in a picture mean: an AVColorSpace, and whether they use the full range of 8 bits."""

    matrix: int
    full: bool

    @property
    def drawn(self) -> bool:
        """They are what is drawn already."""
        return self.matrix == _BT709 and not self.full


_DRAWN = Colours(_BT709, full=False)


def colours_of(frame: av.VideoFrame) -> Colours:
    """As the stream or the decoder tagged them."""
    name = frame.format.name
    full = name.startswith("yuvj") or (name.startswith("yuv") and int(frame.color_range) == _FULL_RANGE)
    return Colours(int(frame.colorspace), full)


class PictureFormat:
    """Scales and converts the pictures of one track; what it is set up for is kept until they change."""

    def __init__(self) -> None:
        self._shape: tuple[int, int, str, Colours, int, int] | None = None
        self._graph = Graph()
        self._reformatter = VideoReformatter()

    def draw(self, frame: av.VideoFrame, width: int, height: int) -> av.VideoFrame:
        """The picture in this size (even), in the format that is drawn; `frame` itself where nothing has to be done."""
        colours = colours_of(frame)
        if frame.format.name not in _PLAIN:
            frame, colours = self._plain(frame, width, height, colours)
        shape = (frame.width, frame.height, frame.format.name, colours, width, height)
        if colours.drawn and (frame.width, frame.height) == (width, height):
            return frame
        if shape != self._shape:
            self._graph, self._shape = _graph(frame, colours, width, height), shape
        tags = frame.colorspace, frame.color_range
        # The scale filter would convert what it sees tagged, and the colorspace filter is told.
        frame.colorspace, frame.color_range = _UNSPECIFIED
        frame.pts, frame.time_base = 0, _TIME_BASE
        try:
            self._graph.push(frame)
            drawn = self._graph.pull()
        finally:
            frame.colorspace, frame.color_range = tags
        assert isinstance(drawn, av.VideoFrame)
        return drawn

    def _plain(self, frame: av.VideoFrame, width: int, height: int, colours: Colours) -> tuple[av.VideoFrame, Colours]:
        """4:2:2, 4:4:4, 10 bit, RGB: scaled and reduced to 8 bit 4:2:0. Seldom enough to be dear."""
        # The scaler ignores another matrix in many of its paths from Y'CbCr to Y'CbCr, so that is left to the filter.
        rgb = not frame.format.name.startswith(("yuv", "nv", "p0"))
        extent = ColorRange.JPEG if colours.full or rgb else ColorRange.MPEG
        plain = self._reformatter.reformat(
            frame,
            width,
            height,
            format="yuv420p",
            src_colorspace=Colorspace.ITU709,
            dst_colorspace=Colorspace.ITU709,
            src_color_range=extent,
            dst_color_range=ColorRange.MPEG if rgb else extent,
            interpolation=Interpolation.BICUBIC,
            threads=1,
        )
        return plain, _DRAWN if rgb else colours


def _graph(frame: av.VideoFrame, colours: Colours, width: int, height: int) -> Graph:
    """FFmpeg's filters, whose pictures come from a pool: a frame allocated for each costs as much as half the scaling.

    The colorspace filter multiplies by a matrix at a tenth of what the scaler's detour by RGB costs.
    """
    graph = Graph()
    graph.threads = 1  # more cost twice the time of one
    source = graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=_TIME_BASE)
    grows = width * height > frame.width * frame.height
    steps = []
    if (frame.width, frame.height) != (width, height):
        # Bicubic where pictures grow: nearer to Chrome's (SSIM .981 against .979) for a tenth more time. Bilinear where
        # they shrink: FFmpeg widens it to a mean of what falls together, and bicubic would cost twice as much.
        steps.append(("scale", f"{width}:{height}:flags={'bicubic' if grows else 'bilinear'}"))
    if not colours.drawn:
        matrix, extent = _FILTER_MATRIX.get(colours.matrix, _BT601), "pc" if colours.full else "tv"
        # The same primaries and transfer on both sides: only matrix and range change, as browsers do it.
        same = "iprimaries=bt709:primaries=bt709:itrc=bt709:trc=bt709:fast=1"
        convert = ("colorspace", f"ispace={matrix}:irange={extent}:space=bt709:range=tv:format=yuv420p:{same}")
        # Where there are fewer pixels; but it takes even sizes only.
        steps.insert(0 if grows and not (frame.width | frame.height) & 1 else len(steps), convert)
    filters = [source, *(graph.add(name, arguments) for name, arguments in steps), graph.add("buffersink")]
    graph.link_nodes(*filters)
    graph.configure()
    return graph
