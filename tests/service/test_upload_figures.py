"""Figures of uploads, as Prometheus reads them."""

from __future__ import annotations

import pytest

from pyegress.lifecycle.uploading import UploadTried
from pyegress.service.upload_figures import UploadFigures

pytestmark = pytest.mark.unit


def test_counts_times_and_backups() -> None:
    figures = UploadFigures()
    for milliseconds, status in ((5.0, "success"), (10.0, "success"), (40_000.0, "5xx")):
        figures.add(UploadTried("video/mp4", "file", status, milliseconds, "minio:9000"))
    figures.add(UploadTried("video/mp2t", "segment", "success", 700.0, backup=True))
    figures.add(UploadTried("video/mp2t", "segment", "4xx", 1.0, backup=True))
    assert figures.tried == {
        ("video/mp4", "success", "minio:9000"): 2,
        ("video/mp4", "5xx", "minio:9000"): 1,
        ("video/mp2t", "success", ""): 1,
        ("video/mp2t", "4xx", ""): 1,
    }
    assert figures.backups == {"segment": 1}
    quick = figures.times["video/mp4", "success", "minio:9000"]
    assert quick.total == 15.0
    assert quick.cumulative[0] == ("10.0", 2.0)
    slow = figures.times["video/mp4", "5xx", "minio:9000"].cumulative
    assert (slow[-2], slow[-1]) == (("30000.0", 0.0), ("+Inf", 1.0))
