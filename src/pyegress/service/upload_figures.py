"""What uploads of all egresses came to: counted here, shown by the metrics."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, defaultdict
from dataclasses import dataclass, field

from pyegress.lifecycle.uploading import UploadTried

#: Upper bounds of response times, milliseconds.
BUCKETS = (10, 100, 500, 1_000, 3_000, 10_000, 30_000)


@dataclass(slots=True)
class Times:
    """A histogram: counts by bucket (the last has no bound), and the sum of all."""

    counts: list[int] = field(default_factory=lambda: [0] * (len(BUCKETS) + 1))
    total: float = 0.0

    def add(self, milliseconds: float) -> None:
        self.counts[bisect_left(BUCKETS, milliseconds)] += 1
        self.total += milliseconds

    @property
    def cumulative(self) -> list[tuple[str, float]]:
        """As Prometheus has them: bound and how many were not above it."""
        bounds = [*(str(float(bound)) for bound in BUCKETS), "+Inf"]
        sums, so_far = [], 0
        for bound, count in zip(bounds, self.counts, strict=True):
            so_far += count
            sums.append((bound, float(so_far)))
        return sums


class UploadFigures:
    """Fed with every attempt of every worker."""

    def __init__(self) -> None:
        #: By content type, status and custom endpoint.
        self.tried: Counter[tuple[str, str, str]] = Counter()
        #: By the same.
        self.times: defaultdict[tuple[str, str, str], Times] = defaultdict(Times)
        #: Objects that went to the backup storage, by type of output.
        self.backups: Counter[str] = Counter()

    def add(self, tried: UploadTried) -> None:
        labels = tried.content_type, tried.status, tried.endpoint
        self.tried[labels] += 1
        self.times[labels].add(tried.milliseconds)
        if tried.backup and tried.status == "success":
            self.backups[tried.output_type] += 1
