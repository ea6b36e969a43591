"""What uploads of all egresses came to: counted here, shown by the metrics."""

from __future__ import annotations

from collections import Counter

from pyegress.lifecycle.uploading import UploadTried
from pyegress.service.times import Times

#: Upper bounds of response times, milliseconds.
BUCKETS = (10, 100, 500, 1_000, 3_000, 10_000, 30_000)


class UploadFigures:
    """Fed with every attempt of every worker."""

    def __init__(self) -> None:
        #: By content type, status and custom endpoint.
        self.tried: Counter[tuple[str, str, str]] = Counter()
        #: By the same.
        self.times: dict[tuple[str, str, str], Times] = {}
        #: Objects that went to the backup storage, by type of output.
        self.backups: Counter[str] = Counter()

    def add(self, tried: UploadTried) -> None:
        labels = tried.content_type, tried.status, tried.endpoint
        self.tried[labels] += 1
        self.times.setdefault(labels, Times(BUCKETS)).add(tried.milliseconds)
        if tried.backup and tried.status == "success":
            self.backups[tried.output_type] += 1
