"""Which reader a request is for."""

from __future__ import annotations

from livekit.protocol import egress as pb

from pyegress.errors import Code, InvalidRequest
from pyegress.plan.form import EgressRequest, Form
from pyegress.plan.recording_plan import Service, Start
from pyegress.plan.refusals import invalid_field
from pyegress.plan.v1_requests import participant_form, room_composite_form, track_composite_form, track_form, web_form
from pyegress.plan.v2_requests import start_egress_form


def read_form(request: EgressRequest, start: Start, service: Service) -> Form:
    """The form of `request`; InvalidRequest for what it lacks."""
    match request:
        case pb.RoomCompositeEgressRequest():
            return room_composite_form(request, start, service)
        case pb.WebEgressRequest():
            return web_form(request)
        case pb.ParticipantEgressRequest():
            return participant_form(request, start)
        case pb.TrackCompositeEgressRequest():
            return track_composite_form(request)
        case pb.TrackEgressRequest():
            return track_form(request)
        case pb.StartEgressRequest():
            return start_egress_form(request, start, service)
        case pb.ExportReplayRequest():
            raise InvalidRequest(
                "Replays of recorded rooms are not offered",
                field="replay_id",
                code=Code.UNIMPLEMENTED,
                remedy="Record the room while it is live",
            )
    raise invalid_field("request", "The request is of no known kind", "Use one of the Start…Egress requests")
