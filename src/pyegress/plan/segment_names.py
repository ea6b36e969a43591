"""Names of what an HLS output consists of, and of images: a prefix, a number or a time, an extension."""

from __future__ import annotations

from datetime import UTC, datetime

from pyegress.clock import Wall
from pyegress.plan.containers import SEGMENT_FMP4, SEGMENT_TS
from pyegress.plan.recording_plan import ImageFormat, NameSuffix, SegmentFormat

_EXTENSIONS = {SegmentFormat.MPEG_TS: SEGMENT_TS[0], SegmentFormat.FMP4: SEGMENT_FMP4[0]}


def segment_name(prefix: str, format_: SegmentFormat, suffix: NameSuffix, number: int, at: Wall) -> str:
    """The name of a segment: `number` counts from 0, `at` is when it begins."""
    return suffixed(prefix, suffix, number, at) + _EXTENSIONS[format_]


def header_name(prefix: str, format_: SegmentFormat, number: int = 0) -> str:
    """The name of an initialization segment, `number` counts them from 0; "" for a format that has none."""
    further = f"-{number + 1}" if number else ""
    return f"{prefix}_init{further}.mp4" if format_ is SegmentFormat.FMP4 else ""


def suffixed(prefix: str, suffix: NameSuffix, number: int, at: Wall) -> str:
    """`prefix_00000`, `prefix_YYYYMMDDHHMMSSmmm` in local time, or the prefix alone."""
    match suffix:
        case NameSuffix.INDEX:
            return f"{prefix}_{number:05d}"
        case NameSuffix.TIMESTAMP:
            local = datetime.fromtimestamp(at, UTC).astimezone()
            return f"{prefix}_{local:%Y%m%d%H%M%S}{local.microsecond // 1000:03d}"
        case NameSuffix.NONE:
            return prefix


def image_name(prefix: str, format_: ImageFormat, suffix: NameSuffix, number: int, at: Wall) -> str:
    """The name of an image: `number` counts from 0, `at` is when it was taken."""
    return suffixed(prefix, suffix, number, at) + format_.extension
