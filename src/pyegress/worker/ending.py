"""When a recording is over because its source is: pure, told what happens, asked on every event and tick."""

from __future__ import annotations

from pyegress.clock import Monotonic
from pyegress.plan.selection import EveryTrack, ParticipantTracks, Selection
from pyegress.plan.sources import MediaSource, RoomSource, Source

#: After a full reconnect of ours (the server restarted) the publishers need time to come back too, seconds.
REPUBLISH_GRACE = 15.0


class EndPolicy:
    """Ends with the participant, with the tracks, or (every track, a whole room, chosen media) only with the room.

    What vanishes while we reconnect may have vanished with the server: it may come back under a new id.
    """

    def __init__(self, source: Selection | Source, grace: float) -> None:
        """`grace` is how many seconds a participant may be away."""
        self._source = source
        self._grace = grace
        #: When what the recording ends with went away last.
        self._gone_at: Monotonic | None = None
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
    def gone_at(self) -> Monotonic | None:
        """When its source went away, however long it was waited for after that; None while it is there."""
        gone = not self._participant_is_there if isinstance(self._source, ParticipantTracks) else not self._active
        return self._gone_at if gone else None

    @property
    def reconnecting(self) -> bool:
        return self._reconnecting

    def track_taken(self, sid: str, identity: str, source: str) -> None:
        """A track is being recorded."""
        self._took_any = True
        self._active[sid] = identity, source
        self._lost.discard((identity, source))
        if not isinstance(self._source, ParticipantTracks):
            self._deadline = None

    def track_gone(self, sid: str, now: Monotonic) -> None:
        """A track was unpublished, or its participant left."""
        known = self._active.pop(sid, None)
        if known is not None and not isinstance(self._source, ParticipantTracks):
            self._gone_at = now
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
            self._gone_at = now
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
        match self._source:
            case EveryTrack() | RoomSource() | MediaSource():
                return None
            case ParticipantTracks(identity=identity):
                if self._participant_was_there and not self._participant_is_there and not waiting:
                    return f"participant {identity!r} left"
            case _:
                if self._took_any and not self._active and not (self._lost and waiting):
                    return "the track was unpublished"
        return None

    def _wants(self, identity: str) -> bool:
        return isinstance(self._source, ParticipantTracks) and identity == self._source.identity
