"""What this version does not do: one table, asked before anything is started."""

from __future__ import annotations

from collections.abc import Callable

from pyegress.errors import Code, InvalidRequest
from pyegress.plan.recording_plan import RecordingPlan, WebsocketOutput

_FILES = "Record a file on the disk of the service (file_outputs)"

#: What a plan may ask for, the request's field for it, and what there is instead.
NOT_OFFERED: tuple[tuple[str, str, Callable[[RecordingPlan], bool], str], ...] = (
    ("WebSocket outputs", "websocket_url", lambda plan: _has(plan, WebsocketOutput), _FILES),
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


def _has(plan: RecordingPlan, kind: type) -> bool:
    return any(isinstance(output, kind) for output in plan.outputs)
