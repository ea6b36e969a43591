"""Files of a folder that others write and remove meanwhile."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path


def files_below(folder: Path) -> Iterator[Path]:
    """Every file in it and below; what is removed while it is looked for is left out. (`Path.rglob` would fail.)"""
    for place, _, names in os.walk(folder):
        for name in names:
            if (path := Path(place, name)).is_file():
                yield path
