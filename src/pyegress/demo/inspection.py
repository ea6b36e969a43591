"""Looking into recorded demo files: what they contain, and a contact sheet of their pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from pyegress.codecs import Codec
from pyegress.demo.stamp import read_stamp

#: FFmpeg's names of the codecs, where they differ from RTP's encoding names.
_LABELS = {codec.value.encoding.lower(): codec.label for codec in Codec} | {"hevc": Codec.H265.label}
_TILE_WIDTH, _MARGIN, _LINE = 256, 8, 20
_PICTURE_WIDTH, _COLOURS = 640, 128


@dataclass(frozen=True, slots=True)
class Inspection:
    """What a file contains, found by decoding all of its video."""

    path: Path
    #: Seconds, as the container says.
    duration: float
    codecs: tuple[str, ...]
    #: Pixels of the first picture; None without video.
    size: tuple[int, int] | None
    #: Decoded pictures, and how many frame numbers are missing between the first and the last; None without numbers.
    pictures: int
    missing: int | None
    #: Some pictures, with their times in seconds, spread over the file.
    samples: tuple[tuple[float, Image.Image], ...]


def inspect(path: Path, samples: int = 5) -> Inspection:
    """Decode a file (blocks, about a second for 15 s of 640x360). Raises `av.FFmpegError` for what is not playable."""
    with av.open(str(path)) as container:
        duration = (container.duration or 0) / av.time_base
        streams = [*container.streams.video, *container.streams.audio]
        codecs = tuple(_label(stream.codec_context.name) for stream in streams)
        numbers: set[int] = set()
        pictures, size = 0, None
        chosen: list[tuple[float, Image.Image]] = []
        for frame in container.decode(video=0) if container.streams.video else ():
            pictures += 1
            size = size or (frame.width, frame.height)
            plane = frame.planes[0]
            luma = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)[:, : frame.width]
            if stamp := read_stamp(luma[: frame.height]):
                numbers.add(stamp.number)
            at = frame.time or 0.0
            if len(chosen) < samples and at >= duration * (len(chosen) + 0.5) / samples:
                chosen.append((at, Image.fromarray(frame.to_ndarray(format="rgb24"))))
    missing = max(numbers) - min(numbers) + 1 - len(numbers) if numbers else None
    return Inspection(path, duration, codecs, size, pictures, missing, tuple(chosen))


def write_contact_sheet(inspections: Sequence[Inspection], path: Path) -> None:
    """One row per file with video, its sampled pictures side by side, as PNG."""
    rows = [inspection for inspection in inspections if inspection.samples]
    tile_height = max((_tile_height(image) for row in rows for _, image in row.samples), default=0)
    columns = max((len(row.samples) for row in rows), default=0)
    row_height = _LINE + tile_height + _LINE + _MARGIN
    sheet = Image.new("RGB", (columns * (_TILE_WIDTH + _MARGIN) + _MARGIN, len(rows) * row_height + _MARGIN), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=14)
    for index, row in enumerate(rows):
        top = _MARGIN + index * row_height
        size = f"{row.size[0]}x{row.size[1]}" if row.size else ""
        title = f"{row.path.name}   {', '.join(row.codecs)}   {size}   {row.duration:.1f} s"
        draw.text((_MARGIN, top), title, fill="black", font=font)
        for column, (at, image) in enumerate(row.samples):
            left = _MARGIN + column * (_TILE_WIDTH + _MARGIN)
            sheet.paste(image.resize((_TILE_WIDTH, _tile_height(image))), (left, top + _LINE))
            draw.text((left, top + _LINE + tile_height + 2), f"{at:.2f} s", fill="gray", font=font)
    _save(sheet, path)


def write_picture(inspection: Inspection, path: Path) -> None:
    """The sampled picture in the middle of a file, as PNG. ValueError for a file without pictures."""
    if not inspection.samples:
        raise ValueError(f"{inspection.path} has no pictures")
    _, image = inspection.samples[len(inspection.samples) // 2]
    _save(image.resize((_PICTURE_WIDTH, round(image.height * _PICTURE_WIDTH / image.width))), path)


def _save(image: Image.Image, path: Path) -> None:
    # Few colours: what is shown is flat, and the file a fifth as large.
    image.quantize(_COLOURS, dither=Image.Dither.NONE).save(path, optimize=True)


def _tile_height(image: Image.Image) -> int:
    return round(image.height * _TILE_WIDTH / image.width)


def _label(name: str) -> str:
    """`libdav1d`, `libopus` and the like are decoders; the codec's name is wanted."""
    bare = name.removeprefix("lib").replace("dav1d", "av1").split("-")[0].lower()
    return _LABELS.get(bare, name)
