"""What a recording waits for and what it sees meanwhile, in words."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from pyegress.errors import EgressError, NotFound, RoomConnectionFailed
from pyegress.plan.copy_plan import CopyPlan
from pyegress.plan.selection import OneTrack, ParticipantTracks, TrackPair
from pyegress.room.events import Participant

_SHOWN = 20


def describe_participant(participant: Participant) -> str:
    """One participant and the publications, for instance `alice: camera TR_x (VP8), microphone TR_y (Opus, muted)`."""
    tracks = []
    for track in participant.tracks.values():
        facts = [track.codec.label if track.codec else track.mime or "unknown codec"]
        if track.muted:
            facts.append("muted")
        tracks.append(f"{track.source.value} {track.sid} ({', '.join(facts)})")
    return f"{participant.identity}: {', '.join(tracks) if tracks else 'publishes nothing'}"


def describe_room(participants: Mapping[str, Participant]) -> tuple[str, ...]:
    """Everybody in the room, one line each; at most 20 lines."""
    lines = [describe_participant(participant) for participant in list(participants.values())[:_SHOWN]]
    if len(participants) > _SHOWN:
        lines.append(f"and {len(participants) - _SHOWN} more")
    return tuple(lines)


def missing_error(
    plan: CopyPlan, room: str, participants: Mapping[str, Participant], subscribed: Collection[str], waited: float
) -> EgressError:
    """The error after the wait limit: what was waited for, and what was seen instead."""
    seen = "; ".join(describe_room(participants)) or "nobody"
    if subscribed:
        return RoomConnectionFailed(
            f"No media arrived within {waited:g} s from {', '.join(sorted(subscribed))} in room {room!r}",
            remedy="Check that the publisher sends, and that UDP from the server gets through",
        )
    remedy = "Check the name; --wait sets how long to wait"
    match plan.selection:
        case OneTrack(track_id=sid) if sid:
            what = f"Track {sid} was not published"
        case OneTrack(identity=identity, source=source):
            what = _absence(identity, source, participants)
        case ParticipantTracks(identity=identity):
            what = _absence(identity, " or ".join(plan.selection.sources), participants)
        case TrackPair():
            what = f"No {plan.selection} was published"
        case _:
            what = "Nobody published anything"
    message = f"{what} in room {room!r} within {waited:g} s; in the room: {seen}"
    return NotFound(message, field="track_id", remedy=remedy)


def _absence(identity: str, sources: str, participants: Mapping[str, Participant]) -> str:
    if identity in participants:
        return f"Participant {identity!r} published no {sources}"
    return f"Participant {identity!r} not found"
