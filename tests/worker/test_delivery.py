"""Where objects are written that stay on the local disk, and how their names are told."""

from __future__ import annotations

from pathlib import Path

import pytest

from pyegress.plan.storage import LocalStorage
from pyegress.worker.delivery import InPlace, ObjectKind

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("prefix", "asked", "path"),
    [
        ("", "a.mp4", "out/a.mp4"),
        ("", "/{}/abs/a.mp4", "abs/a.mp4"),
        ("p", "b/a.mp4", "out/p/b/a.mp4"),
        ("p", "/b/a.mp4", "out/p/b/a.mp4"),
        ("/{}/p", "a.mp4", "p/a.mp4"),
    ],
)
async def test_prefixes_and_absolute_names(tmp_path: Path, prefix: str, asked: str, path: str) -> None:
    root = str(tmp_path).lstrip("/")
    name, storage = asked.format(root), LocalStorage(prefix=prefix.format(root))
    delivery = InPlace(str(tmp_path / "out"))
    placed = delivery.place(name, storage)
    assert placed == tmp_path / path
    placed.parent.mkdir(parents=True)
    placed.write_bytes(b"1234")
    delivered = await delivery.deliver(placed, ObjectKind.FILE)
    assert (delivered.name, delivered.location, delivered.size) == (name, str(placed), 4)
    await delivery.aclose()


async def test_a_file_whose_name_nobody_asked_for(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"1")
    delivered = await InPlace().deliver(tmp_path / "x", ObjectKind.FILE)
    assert (delivered.name, delivered.location) == (str(tmp_path / "x"), str(tmp_path / "x"))
