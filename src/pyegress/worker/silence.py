"""Tracks that should send and do not: pure, asked from time to time, speaks of each silence once."""

from __future__ import annotations

from collections.abc import Iterable

from pyegress.clock import Monotonic
from pyegress.worker.feed import SILENT_AFTER, Feed


class SilenceWatch:
    """Knows whose silence was spoken of."""

    def __init__(self) -> None:
        self._silent: set[Feed] = set()

    def warnings(self, feeds: Iterable[Feed], now: Monotonic, elapsed: float | None) -> list[str]:
        """A sentence for each track that has fallen silent. `elapsed` are seconds of media, None before the first."""
        texts = []
        for feed in feeds:
            if feed.silent_for(now) < SILENT_AFTER:
                self._silent.discard(feed)
            elif feed not in self._silent:
                self._silent.add(feed)
                what = "has sent nothing yet" if feed.last_arrival is None else "sends nothing any more"
                at = "" if elapsed is None else f" (after {elapsed:.0f} s)"
                texts.append(f"The {feed.source} of {feed.identity!r} is not muted and {what}{at}")
        return texts
