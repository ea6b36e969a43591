"""The refresh rate of an X display, which Chromium draws by: a multiple of the recording's.

Without a graphics card Chromium takes its rhythm from the mode of the display (X11CanvasSurface in its sources); Xvfb's
own mode has no rate, which counts as 60: for outputs of 24, 25 or 50 pictures a second the page would be drawn between
their ticks. Reference: X Resize, Rotate and Reflect Extension 1.3.
"""

from __future__ import annotations

import math
import struct

from pyegress.browser.failures import BrowserFailed
from pyegress.browser.x_connection import XConnection

_QUERY_VERSION, _CREATE_MODE, _ADD_OUTPUT_MODE, _SET_CRTC_CONFIG, _GET_RESOURCES = 0, 16, 18, 21, 25
_ROTATE_0 = 1
_NAME = b"page"
#: Pictures per second that a page draws at least. At the recording's own rate it would be drawn for 3 to 14 % less, but
#: what Chromium draws late is then a whole picture late: 0.7 % of a page's pictures were lost, none at twice the rate.
_LEAST = 48


def refresh_rate(framerate: int) -> int:
    """How often a page is drawn for an output of so many pictures a second: as often, or a multiple of that."""
    return framerate * math.ceil(_LEAST / framerate)


def set_refresh(connection: XConnection, width: int, height: int, rate: int) -> None:
    """Give the screen, whose size this is, a refresh rate. Raises BrowserFailed when the display cannot."""
    opcode = connection.extension(b"RANDR")
    connection.send(struct.pack("<BBHII", opcode, _QUERY_VERSION, 3, 1, 3))
    connection.reply()
    connection.send(struct.pack("<BBHI", opcode, _GET_RESOURCES, 2, connection.root))
    resources = connection.reply()
    configured, crtcs, outputs = struct.unpack_from("<IHH", resources, 12)
    if not crtcs or not outputs:
        raise BrowserFailed("The X display has no outputs")
    (crtc,) = struct.unpack_from("<I", resources, 32)
    (output,) = struct.unpack_from("<I", resources, 32 + 4 * crtcs)
    # Without blanking: so many lines of so many dots, so often.
    mode = struct.pack(
        "<IHHIHHHHHHHHI", 0, width, height, width * height * rate, *(0, 0, width, 0), *(0, 0, height, len(_NAME)), 0
    )
    connection.send(struct.pack("<BBHI", opcode, _CREATE_MODE, 10 + len(_NAME) // 4, connection.root) + mode + _NAME)
    (number,) = struct.unpack_from("<I", connection.reply(), 8)
    connection.send(struct.pack("<BBHII", opcode, _ADD_OUTPUT_MODE, 3, output, number))
    connection.send(
        struct.pack("<BBHIIIhhIHxxI", opcode, _SET_CRTC_CONFIG, 8, crtc, 0, configured, 0, 0, number, _ROTATE_0, output)
    )
    if status := connection.reply()[1]:
        raise BrowserFailed(f"The X display does not take a refresh rate of {rate}: status {status}")
