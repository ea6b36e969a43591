"""Why a recording ends, and where its files do."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from pyegress.clock import Monotonic, Wall
from pyegress.errors import EgressError
from pyegress.lifecycle.recording import EndReason, RecordingState
from pyegress.lifecycle.timeline import TrackSpan
from pyegress.worker.ending import EndPolicy
from pyegress.worker.presence import Presence
from pyegress.worker.progress import Recorded, RecordingResult
from pyegress.worker.terms import Terms


@dataclass(frozen=True, slots=True)
class Stop:
    """Why the recording ends."""

    reason: EndReason
    details: str = ""
    error: EgressError | None = None


async def run_to_its_end(
    record: Callable[[], Awaitable[Stop]], finish: Callable[[Stop], Awaitable[RecordingResult]]
) -> RecordingResult:
    """Record, then finish whatever comes: errors do not raise, they are in the result. What was recorded is finished
    before a cancellation, or an error that nobody expected, goes on."""
    try:
        stop = await record()
    except EgressError as error:
        stop = Stop(EndReason.FAILURE, error=error)
    except BaseException:
        await finish(Stop(EndReason.FAILURE, "the recording program ended it"))
        raise
    return await finish(stop)


def end_of_media(
    stop: Stop, terms: Terms, presence: Presence, policy: EndPolicy, lost_at: Monotonic | None, now: Monotonic
) -> Monotonic | None:
    """Where the files end; None is where their media did.

    A stop means that nothing more was said until now. A source that ended takes copies with it; an encoding ends when
    its source went away, not when that was certain, and does not go on after the last have left the room.
    """
    if stop.reason is EndReason.SOURCE_CLOSED:
        if terms.copies:
            return None
        gone = presence.empty_since if terms.follows_room else policy.gone_at
        return now if gone is None else gone
    if stop.reason is EndReason.FAILURE and not terms.copies and lost_at is not None:
        return lost_at
    return now


def final_state(error: EgressError | None, recorded: Recorded) -> RecordingState:
    """How it ended."""
    if error is not None:
        return RecordingState.FAILED
    return RecordingState.COMPLETE if recorded.made else RecordingState.ABORTED


def result_of(
    stop: Stop,
    recorded: Recorded,
    error: EgressError | None,
    *,
    started_at: Wall | None,
    warnings: Sequence[str],
    tracks: tuple[TrackSpan, ...] = (),
    room_name: str,
    room_sid: str,
) -> RecordingResult:
    """What came of a recording."""
    return RecordingResult(
        state=final_state(error, recorded),
        reason=EndReason.FAILURE if error is not None else stop.reason,
        files=recorded.files,
        segments=recorded.segments,
        images=recorded.images,
        streams=recorded.streams,
        started_at=started_at,
        duration=recorded.duration,
        room_name=room_name,
        room_sid=room_sid,
        error=error,
        details=stop.details,
        warnings=tuple(warnings),
        tracks=tracks,
    )
