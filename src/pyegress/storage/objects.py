"""What egresses make: the one table of the kinds of objects. Pure."""

from __future__ import annotations

from enum import Enum


class ObjectKind(Enum):
    """What an object is: decides how it is finished and how it is delivered."""

    FILE = "file"
    SEGMENT = "segment"
    #: Delivered again whenever it has changed; only the newest matters.
    PLAYLIST = "playlist"
    IMAGE = "image"
    MANIFEST = "manifest"
