"""libyuv by ctypes: screens into I420 at a ninth of what FFmpeg's scaler takes for it."""

from __future__ import annotations

import ctypes
import ctypes.util
import logging
from functools import cache
from typing import Any

logger = logging.getLogger(__name__)


@cache
def library() -> ctypes.CDLL | None:
    """The system's libyuv; None (said once in the log) when there is none."""
    for name in (ctypes.util.find_library("yuv"), "libyuv.so.0"):
        try:
            lib = ctypes.CDLL(name) if name else None
            if lib is not None:
                lib.ARGBToI420.restype = ctypes.c_int
                planes: list[Any] = [ctypes.c_void_p, ctypes.c_int] * 4
                lib.ARGBToI420.argtypes = [*planes, ctypes.c_int, ctypes.c_int]
                return lib
        except (OSError, AttributeError) as error:
            logger.debug("%s cannot be used: %s", name, error)
    logger.info("No libyuv was found (Debian: libyuv0): pictures of pages cost a little more")
    return None
