"""Sequence parameter sets and sequence headers with any field, written after the syntax tables."""

from __future__ import annotations

from tests.rtp.bit_writer import BitWriter, escape


def h264_sps(
    *,
    profile: int = 66,
    compatibility: int = 0xC0,
    level: int = 31,
    chroma_format: int = 1,
    separate_planes: bool = False,
    luma_bits: int = 8,
    chroma_bits: int = 8,
    scaling_lists: bool = False,
    order_type: int = 0,
    order_cycle: int = 3,
    macroblocks: tuple[int, int] = (40, 23),
    frames_only: bool = True,
    crop: tuple[int, int, int, int] | None = (0, 0, 0, 4),
) -> bytes:
    """H.264 section 7.3.2.1.1. `macroblocks` are width and map units; `crop` is left, right, top, bottom."""
    writer = BitWriter().u(8, profile).u(8, compatibility).u(8, level).ue(0)
    if profile in (44, 83, 86, 100, 110, 118, 122, 128, 134, 135, 138, 139, 244):
        writer.ue(chroma_format)
        if chroma_format == 3:
            writer.flags(separate_planes)
        writer.ue(luma_bits - 8, chroma_bits - 8).flags(0, scaling_lists)
        if scaling_lists:
            for index in range(12 if chroma_format == 3 else 8):
                size = 16 if index < 6 else 64
                if index % 3 == 0:
                    writer.flags(0)
                elif index % 3 == 1:
                    writer.flags(1).se(*([2, -1] * (size // 2)))
                else:
                    writer.flags(1).se(4, -12)  # the next scale is 0: the rest repeats the last one
    writer.ue(0, order_type)
    if order_type == 0:
        writer.ue(4)
    elif order_type == 1:
        writer.flags(0).se(-3, 5).ue(order_cycle).se(*range(-1, order_cycle - 1))
    writer.ue(4).flags(0).ue(macroblocks[0] - 1, macroblocks[1] - 1).flags(frames_only)
    if not frames_only:
        writer.flags(1)
    writer.flags(1, crop is not None)
    if crop is not None:
        writer.ue(*crop)
    return b"\x67" + escape(writer.flags(0).done())


def h265_sps(
    *,
    layers: int = 1,
    nesting: bool = True,
    profile_tier_level: bytes = bytes.fromhex("01600000009000000000005d"),
    chroma_format: int = 1,
    separate_planes: bool = False,
    size: tuple[int, int] = (640, 368),
    window: tuple[int, int, int, int] | None = (0, 0, 0, 4),
    luma_bits: int = 8,
    chroma_bits: int = 8,
) -> bytes:
    """H.265 section 7.3.2.2.1, cut after the bit depths. `window` is left, right, top, bottom."""
    writer = BitWriter().u(4, 0).u(3, layers - 1).flags(nesting).u(96, int.from_bytes(profile_tier_level, "big"))
    if layers > 1:
        present = [(index % 2, index % 3 != 1) for index in range(layers - 1)]
        for profile_present, level_present in present:
            writer.flags(profile_present, level_present)
        writer.u(2 * (9 - layers), 0)
        for profile_present, level_present in present:
            writer.u(88, (1 << 87) + 5 if profile_present else 0) if profile_present else None
            writer.u(8, 90) if level_present else None
    writer.ue(0, chroma_format)
    if chroma_format == 3:
        writer.flags(separate_planes)
    writer.ue(*size).flags(window is not None)
    if window is not None:
        writer.ue(*window)
    writer.ue(luma_bits - 8, chroma_bits - 8, 4).flags(1)
    return bytes((33 << 1, 1)) + escape(writer.done())


def av1_sequence(
    *,
    profile: int = 0,
    still: bool = False,
    level: int = 5,
    tier: int = 0,
    timing: bool = False,
    decoder_model: bool = False,
    display_delay: bool = False,
    operating_points: int = 1,
    size: tuple[int, int] = (640, 360),
    frame_ids: bool = False,
    order_hint: bool = True,
    force_tools: bool = False,
    depth: int = 8,
    monochrome: bool = False,
    colours: tuple[int, int, int] | None = None,
    subsampling: tuple[int, int] = (1, 1),
    position: int = 1,
) -> bytes:
    """The payload of a sequence header OBU (AV1 section 5.5)."""
    writer = BitWriter().u(3, profile).flags(still, still)
    if still:
        writer.u(5, level)
    else:
        writer.flags(timing)
        if timing:
            writer.u(32, 1).u(32, 30).flags(1).ue(0).flags(decoder_model)
            if decoder_model:
                writer.u(5, 9).u(32, 1).u(5, 4).u(5, 4)
        writer.flags(display_delay).u(5, operating_points - 1)
        for index in range(operating_points):
            writer.u(12, 0x100 | index).u(5, level)
            if level > 7:
                writer.flags(tier)
            if timing and decoder_model:
                writer.flags(1).u(10, 3).u(10, 4).flags(0)
            if display_delay:
                writer.flags(1).u(4, 2)
    writer.u(4, 10).u(4, 9).u(11, size[0] - 1).u(10, size[1] - 1)
    if not still:
        writer.flags(frame_ids)
        if frame_ids:
            writer.u(4, 3).u(3, 2)
    writer.flags(0, 1, 1)
    if not still:
        writer.flags(1, 1, 1, 1, order_hint)
        if order_hint:
            writer.flags(1, 1)
        writer.flags(*((0, 1, 0, 1) if force_tools else (1, 1)))
        if order_hint:
            writer.u(3, 6)
    writer.flags(0, 1, 1)
    writer.flags(depth > 8)
    if profile == 2 and depth > 8:
        writer.flags(depth == 12)
    if profile != 1:
        writer.flags(monochrome)
    writer.flags(colours is not None)
    if colours is not None:
        writer.u(8, colours[0]).u(8, colours[1]).u(8, colours[2])
    if monochrome:
        writer.flags(0)
    elif colours != (1, 13, 0):
        writer.flags(0)
        if profile == 2 and depth == 12:
            writer.flags(subsampling[0])
            if subsampling[0]:
                writer.flags(subsampling[1])
        if subsampling == (1, 1):
            writer.u(2, position)
        writer.flags(0)
    return writer.flags(0).done()
