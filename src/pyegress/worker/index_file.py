"""`index.json` of a recording of every track: which file is whose, and when it began, on one clock."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


def write_index(directory: Path, *, room: str, started_at: float | None, tracks: Sequence[Mapping[str, Any]]) -> None:
    """Write `index.json` into `directory` atomically, so that it is complete at any moment.

    `started_at` is the UTC second that `start` and `end` of every track count from.
    """
    content = {"version": 1, "room_name": room, "started_at": started_at, "tracks": list(tracks)}
    target = directory / "index.json"
    partial = directory / ".index.json.partial"
    partial.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    os.replace(partial, target)
