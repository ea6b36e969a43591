"""What this version does not do: one table, asked before anything is started."""

from __future__ import annotations

from collections.abc import Callable

from pyegress.errors import Code, InvalidRequest
from pyegress.plan.recording_plan import (
    FileOutput,
    ImageOutput,
    RecordingPlan,
    SegmentOutput,
)
from pyegress.plan.sources import PageSource, TemplateSource
from pyegress.plan.storage import LocalStorage

#: What a plan may ask for, the request's field for it, and what there is instead.
NOT_OFFERED: tuple[tuple[str, str, Callable[[RecordingPlan], bool], str], ...] = (
    ("Web pages", "url", lambda plan: isinstance(plan.source, PageSource), "Record a room, a participant or tracks"),
    (
        "Templates drawn by web pages",
        "custom_base_url",
        lambda plan: isinstance(plan.source, TemplateSource),
        "Leave custom_base_url and template_base out: the default layouts are drawn without a browser",
    ),
    (
        "Uploads",
        "storage",
        lambda plan: any(
            isinstance(output, FileOutput | SegmentOutput | ImageOutput)
            and not isinstance(output.storage, LocalStorage)
            for output in plan.outputs
        ),
        "Leave s3, gcp, azure and aliOSS out of the request and of the service's storage: files are kept on its disk",
    ),
)


def check_offered(plan: RecordingPlan) -> None:
    """Raise InvalidRequest with the code UNIMPLEMENTED and the field for what is not done."""
    for what, field, asked, remedy in NOT_OFFERED:
        if asked(plan):
            raise InvalidRequest(
                f"{what} are not offered by this version of pyegress: {field}",
                field=field,
                code=Code.UNIMPLEMENTED,
                remedy=remedy,
            )
