"""Draws a picture at its place on the canvas: scaled, in the canvas's colours, cropped by copying."""

from __future__ import annotations

import av
import numpy as np

from pyegress.layouts.geometry import Rect, Size
from pyegress.layouts.placement import Placement
from pyegress.media.picture_format import PictureFormat
from pyegress.media.planes import Planes, planes_of, tag

#: A scaled picture of more than this many times the pixels that are seen of it is cut before it is scaled.
_WASTE = 4


class Scaler:
    """Draws the pictures of one tile."""

    def __init__(self) -> None:
        self._format = PictureFormat()

    def draw(self, picture: av.VideoFrame, placement: Placement, canvas: Planes) -> None:
        """Copy what is seen of a picture to `placement.target`."""
        target, scaled = placement.target, placement.scaled
        x, y = placement.offset
        if scaled.width * scaled.height > _WASTE * target.width * target.height and _is_plain(picture):
            picture, scaled = _cut(picture, placement.source), Size(target.width, target.height)
            x = y = 0
        drawn = self._format.draw(picture, scaled.width, scaled.height)
        canvas.part(target).copy_from(planes_of(drawn).part(Rect(x, y, target.width, target.height)))

    def whole(self, picture: av.VideoFrame, placement: Placement, size: Size) -> av.VideoFrame | None:
        """The picture as a canvas of its own, where all of it fills one of this size; else None."""
        target = placement.target
        if placement.scaled != size or (target.width, target.height) != (size.width, size.height):
            return None
        drawn = self._format.draw(picture, size.width, size.height)
        if drawn is picture:
            return None  # the decoder's own, which others may hold
        tag(drawn)
        return drawn


def _is_plain(picture: av.VideoFrame) -> bool:
    return picture.format.name in ("yuv420p", "yuvj420p")


def _cut(picture: av.VideoFrame, source: Rect) -> av.VideoFrame:
    """A part of a picture as a picture. Its sides may be odd at an odd edge of the picture."""
    part = av.VideoFrame(source.width, source.height, picture.format.name)
    part.colorspace, part.color_range = picture.colorspace, picture.color_range
    x, y = source.x // 2, source.y // 2
    whole, copied = planes_of(picture), planes_of(part)
    np.copyto(copied.luma, whole.luma[source.y : source.bottom, source.x : source.right])
    for plane, kept in zip((whole.blue, whole.red), (copied.blue, copied.red), strict=True):
        np.copyto(kept, plane[y : y + kept.shape[0], x : x + kept.shape[1]])
    return part
