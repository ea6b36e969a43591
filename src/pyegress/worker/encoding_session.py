"""The session of a plan that encodes: a page is captured, everything else is composed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from pyegress.errors import EgressError
from pyegress.plan.recording_plan import RecordingPlan
from pyegress.worker.composition import Composition
from pyegress.worker.delivery import Delivery
from pyegress.worker.egress_session import EgressSession
from pyegress.worker.media_recorder import MediaRecorder
from pyegress.worker.page_session import PageSession
from pyegress.worker.progress import Progress
from pyegress.worker.received import ReceivedLog
from pyegress.worker.session import RecordingSession
from pyegress.worker.stop import Stop


def encoding_session(
    plan: RecordingPlan,
    *,
    on_progress: Callable[[Progress], None],
    delivery: Delivery | None = None,
    received: Path | None = None,
) -> EgressSession:
    """Without `delivery` files stay where they are written. `received` is a file for what is not rendered yet.

    Live outputs need none, they do not wait.
    """
    if plan.needs_browser:
        return PageSession(plan, delivery=delivery, on_progress=on_progress)

    def composition(on_over: Callable[[Stop | EgressError], None]) -> MediaRecorder:
        log = ReceivedLog(received) if received is not None and not plan.live else None
        return Composition(plan, on_over=on_over, delivery=delivery, received=log)

    return RecordingSession(plan, make_recorder=composition, on_progress=on_progress)
