"""Pictures of a video as image files: JPEG, PNG, WebP."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import av
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter
from PIL import Image

from pyegress.errors import EgressError, Fault, OutputFailed
from pyegress.outputs.disk import disk_failure, replacing
from pyegress.plan.recording_plan import ImageFormat

#: Of JPEG, as the reference has it, and of WebP.
QUALITY = 85
#: Pillow's name of each format, and what it is told.
_FORMATS: dict[ImageFormat, tuple[str, dict[str, int]]] = {
    ImageFormat.JPEG: ("JPEG", {"quality": QUALITY}),
    ImageFormat.PNG: ("PNG", {"compress_level": 6}),
    ImageFormat.WEBP: ("WEBP", {"quality": QUALITY, "method": 4}),
}
#: Sizes that a picture may have on a side.
_MOST = 16_383


def fitted(size: tuple[int, int], width: int, height: int) -> tuple[int, int]:
    """What `size` becomes inside of `width` x `height` pixels, its aspect kept; 0 follows from the other side."""
    if not width and not height:
        return size
    scales = [side / own for side, own in ((width, size[0]), (height, size[1])) if side]
    scale = min(scales)
    return (max(1, round(size[0] * scale)), max(1, round(size[1] * scale)))


@dataclass(frozen=True, slots=True)
class Shown:
    """The one track that fills the pictures of an output, as far as its proportions allow. Pixels.

    `picture` is what comes of it, (0, 0) before anything has.
    """

    published: tuple[int, int]
    picture: tuple[int, int] = (0, 0)


class ImageWriter:
    """Writes pictures (I420, BT.709, limited range) of one output. One thread."""

    def __init__(self, format_: ImageFormat, width: int, height: int) -> None:
        """`width` and `height` in pixels, 0 as what is shown is; where both are given they are filled up in black."""
        self._format = format_
        self._width, self._height = min(width, _MOST), min(height, _MOST)
        self._reformatter = VideoReformatter()

    def write(self, picture: av.VideoFrame, path: Path, shown: Shown | None = None) -> int:
        """Write or replace `path` as a whole; its size in bytes. Raises EgressError.

        With `shown` the image is that track without the bars of the output, by itself in the size that is published.
        """
        try:
            name, options = _FORMATS[self._format]
            with replacing(path) as file:
                self._image(picture, shown).save(file, name, **options)
            return path.stat().st_size
        except OSError as error:
            raise disk_failure(error, path, "write") from error
        except Exception as error:
            failure: EgressError = OutputFailed(f"Writing {path} failed: {error!r}", field=str(path), fault=Fault.OURS)
            raise failure from error

    def _image(self, picture: av.VideoFrame, shown: Shown | None) -> Image.Image:
        width, height = self._width, self._height
        canvas = whole = picture.width, picture.height
        if shown is None:
            size = whole = fitted(canvas, width, height)
        else:
            if not width and not height:
                width, height = shown.published
            of = shown.picture if all(shown.picture) else shown.published
            size = fitted(of, width, height)
            # The track is in the middle of the output, as large as it can be.
            inside = fitted(of, *canvas)
            whole = (
                max(size[0], round(canvas[0] * size[0] / inside[0])),
                max(size[1], round(canvas[1] * size[1] / inside[1])),
            )
        image = self._scaled(picture, whole)
        if whole != size:
            left, top = (whole[0] - size[0]) // 2, (whole[1] - size[1]) // 2
            image = image.crop((left, top, left + size[0], top + size[1]))
        if not (width and height) or size == (width, height):
            return image
        padded = Image.new("RGB", (width, height))
        padded.paste(image, ((width - size[0]) // 2, (height - size[1]) // 2))
        return padded

    def _scaled(self, picture: av.VideoFrame, size: tuple[int, int]) -> Image.Image:
        scaled = self._reformatter.reformat(
            picture,
            *size,
            "rgb24",
            src_colorspace=Colorspace.ITU709,
            dst_colorspace=Colorspace.ITU709,
            src_color_range=ColorRange.MPEG,
            dst_color_range=ColorRange.JPEG,
            threads=1,
        )
        return Image.frombytes("RGB", size, _rows(scaled))


def _rows(picture: av.VideoFrame) -> bytes:
    """The pixels without the padding of their rows."""
    plane = picture.planes[0]
    length = picture.width * 3
    data = memoryview(plane)
    if plane.line_size == length:
        return bytes(data[: length * picture.height])
    return b"".join(data[row * plane.line_size : row * plane.line_size + length] for row in range(picture.height))
