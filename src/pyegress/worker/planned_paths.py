"""Where the copies of a request go: the name was asked for without knowing the codec, so its extension follows that."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path, PurePosixPath

from pyegress.clock import Wall
from pyegress.plan.copy_plan import CopyPlan
from pyegress.plan.file_names import copy_target
from pyegress.plan.names import numbered
from pyegress.plan.recording_plan import FileOutput
from pyegress.worker.delivery import Delivery
from pyegress.worker.output_paths import Codecs, OutputPaths


class PlannedPaths(OutputPaths):
    """`OutputPaths` of one output of a request."""

    def __init__(
        self, plan: CopyPlan, output: FileOutput, delivery: Delivery, at: Wall, *, is_ours: Callable[[Path], bool]
    ) -> None:
        super().__init__(plan, at, is_ours=is_ours)
        self._output = output
        self._delivery = delivery

    def _named(self, tokens: dict[str, str], automatic: str, codecs: Codecs, part: int) -> Path:
        target = copy_target(self._output, tokens, codecs)
        return self._delivery.place(str(numbered(PurePosixPath(target.path), part)), self._output.storage)
