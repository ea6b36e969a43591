"""Files that take the place of others."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pyegress.outputs.disk import replacing

pytestmark = pytest.mark.unit


def test_the_old_file_is_seen_until_the_new_one_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "a.json"
    for content in (b"old", b"new"):
        before = path.read_bytes() if path.exists() else None
        with replacing(path) as file:
            file.write(content)
            file.flush()
            assert (path.read_bytes() if path.exists() else None) == before
        assert path.read_bytes() == content
    assert os.listdir(path.parent) == ["a.json"]


def test_nothing_half_is_left(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(b"old")

    def fail() -> None:
        with replacing(path) as file:
            file.write(b"half of what")
            raise OSError("full")

    with pytest.raises(OSError, match="full"):
        fail()
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a.json"]
