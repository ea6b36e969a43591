"""What a recording waits for and what it sees meanwhile, in words."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from pyegress.errors import EgressError, NotFound, RoomConnectionFailed
from pyegress.plan.selection import OneTrack, ParticipantTracks, TrackPair
from pyegress.room.events import Participant
from pyegress.worker.feed import Feed
from pyegress.worker.terms import Terms

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


def waiting_text(terms: Terms, feeds: Collection[Feed], *, media_connected: bool) -> str:
    """What a recording that has joined waits for; `feeds` are the tracks that it asked for and that go on."""
    if not feeds:
        return str(terms.choice)
    if not media_connected:
        return "a media path to the server"
    muted = [feed for feed in feeds if feed.is_muted]
    if len(muted) == len(feeds):
        return f"{_listed(muted)} to be unmuted"
    return f"media from {_listed([feed for feed in feeds if not feed.is_muted])}"


def _listed(feeds: Collection[Feed]) -> str:
    return ", ".join(sorted(f"the {feed.source} of {feed.identity!r}" for feed in feeds))


def missing_error(
    terms: Terms,
    room: str,
    participants: Mapping[str, Participant],
    feeds: Collection[Feed],
    waited: float,
    *,
    media_connected: bool = True,
    hindrance: str = "",
) -> EgressError:
    """The error after the wait limit: what was waited for, and what was seen instead.

    `feeds` are the tracks that were asked for and that go on; `hindrance` is what the server said of them.
    """
    seen = "; ".join(describe_room(participants)) or "nobody"
    if feeds:
        what = f"No media arrived within {waited:g} s from {_listed(feeds)} in room {room!r}"
        if not media_connected:
            return RoomConnectionFailed(
                f"{what}: there is no media path to the server",
                remedy="Open livekit-server's UDP ports and its TCP fallback in every firewall between, or configure "
                "TURN; a longer --wait tells in more detail what was tried",
            )
        return RoomConnectionFailed(
            what, remedy=hindrance or "Check that the publisher sends, and that UDP from the server gets through"
        )
    remedy = "Check the name; --wait sets how long to wait"
    match terms.source:
        case OneTrack(track_id=sid) if sid:
            what = f"Track {sid} was not published"
        case OneTrack(identity=identity, source=source):
            what = _absence(identity, source, participants)
        case ParticipantTracks(identity=identity) as wanted:
            what = _absence(identity, " or ".join(wanted.sources), participants)
        case TrackPair() as pair:
            what = f"No {pair} was published"
        case _:
            what = "Nobody published anything"
    message = f"{what} in room {room!r} within {waited:g} s; in the room: {seen}"
    return NotFound(message, field="track_id", remedy=remedy)


def _absence(identity: str, sources: str, participants: Mapping[str, Participant]) -> str:
    if identity in participants:
        return f"Participant {identity!r} published no {sources}"
    return f"Participant {identity!r} not found"
