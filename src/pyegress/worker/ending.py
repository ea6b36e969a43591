"""When a copy recording is over because its source is: pure, told what happens, asked on every event and tick."""

from __future__ import annotations

from pyegress.clock import Monotonic
from pyegress.plan.copy_plan import CopyPlan
from pyegress.plan.selection import EveryTrack, ParticipantTracks

#: After a full reconnect of ours (the server restarted) the publishers need time to come back too, seconds.
REPUBLISH_GRACE = 15.0


class EndPolicy:
    """Ends with the participant, with the tracks, or (every track) only with the room.

    What vanishes while we reconnect may have vanished with the server: it may come back under a new id.
    """

    def __init__(self, plan: CopyPlan) -> None:
        self._selection = plan.selection
        self._grace = plan.grace
        #: Tracks that are recorded: sid -> (identity, source).
        self._active: dict[str, tuple[str, str]] = {}
        #: Tracks that vanished while we reconnected and may come back.
        self._lost: set[tuple[str, str]] = set()
        self._took_any = False
        self._participant_was_there = False
        self._participant_is_there = False
        self._reconnecting = False
        self._deadline: Monotonic | None = None

    @property
    def reconnecting(self) -> bool:
        return self._reconnecting

    def track_taken(self, sid: str, identity: str, source: str) -> None:
        """A track is being recorded."""
        self._took_any = True
        self._active[sid] = identity, source
        self._lost.discard((identity, source))
        if not isinstance(self._selection, ParticipantTracks):
            self._deadline = None

    def track_gone(self, sid: str, now: Monotonic) -> None:
        """A track was unpublished, or its participant left."""
        known = self._active.pop(sid, None)
        if known is not None and self._reconnecting:
            self._lost.add(known)

    def participant_there(self, identity: str) -> None:
        """A participant is in the room."""
        if self._wants(identity):
            self._participant_was_there = self._participant_is_there = True
            self._deadline = None

    def participant_left(self, identity: str, now: Monotonic) -> None:
        """A participant left the room."""
        if self._wants(identity):
            self._participant_is_there = False
            self._deadline = Monotonic(now + (REPUBLISH_GRACE if self._reconnecting else self._grace))

    def connection_lost(self) -> None:
        """We lost the room and try to come back."""
        self._reconnecting = True

    def connection_back(self, now: Monotonic) -> None:
        """We are back; what vanished meanwhile has some time to come back too."""
        self._reconnecting = False
        if self._lost or (self._participant_was_there and not self._participant_is_there):
            self._deadline = Monotonic(now + REPUBLISH_GRACE)

    def replaces_lost(self, identity: str, source: str) -> bool:
        """Whether a publication is a track of ours that has come back under a new id."""
        return (identity, source) in self._lost

    def over(self, now: Monotonic) -> str | None:
        """Why the recording is over; None while it goes on."""
        if self._reconnecting:
            return None
        waiting = self._deadline is not None and now < self._deadline
        match self._selection:
            case EveryTrack():
                return None
            case ParticipantTracks(identity=identity):
                if self._participant_was_there and not self._participant_is_there and not waiting:
                    return f"participant {identity!r} left"
            case _:
                if self._took_any and not self._active and not (self._lost and waiting):
                    return "the track was unpublished"
        return None

    def _wants(self, identity: str) -> bool:
        return isinstance(self._selection, ParticipantTracks) and identity == self._selection.identity
