"""The name under which other rooms know a raw picture: only this room, outputs and browser import PyAV."""

from __future__ import annotations

import av

#: I420, limited range, BT.709.
Picture = av.VideoFrame
