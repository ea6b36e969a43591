from __future__ import annotations

import logging
from pathlib import Path

import pytest

from pyegress.errors import Code
from pyegress.service import disk_guard
from pyegress.service.config_sections import DiskSection
from pyegress.service.disk_guard import DiskGuard
from pyegress.storage.spool import DiskSpace

pytestmark = pytest.mark.unit


def test_little_space_is_warned_of_and_less_refuses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    free = {"spool": 10_000, "files": 10_000}
    monkeypatch.setattr(disk_guard, "disk_space", lambda path: DiskSpace(free[path.name], 100_000))
    guard = DiskGuard(DiskSection(warn_below=5000, refuse_below=1000), [tmp_path / "spool", tmp_path / "files"])
    caplog.set_level(logging.INFO)
    guard.sample()
    assert guard.refusal is None
    assert caplog.records == []
    free["files"] = 4000
    for _ in range(3):
        guard.sample()
    assert guard.refusal is None
    assert [record.levelname for record in caplog.records] == ["WARNING"], "said once"
    free["files"] = 999
    guard.sample()
    refusal = guard.refusal
    assert refusal is not None
    assert (refusal.code, refusal.retryable, refusal.field) == (Code.RESOURCE_EXHAUSTED, True, "disk.refuse_below")
    assert str(tmp_path / "files") in refusal.message
    free["files"] = 9000
    guard.sample()
    assert guard.refusal is None
    assert [record.levelname for record in caplog.records] == ["WARNING", "ERROR", "INFO"]


def test_a_disk_that_cannot_be_asked_refuses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(path: Path) -> DiskSpace:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(disk_guard, "disk_space", fails)
    guard = DiskGuard(DiskSection(), [tmp_path])
    guard.sample()
    assert (guard.refusal, guard.free) == (None, {})
