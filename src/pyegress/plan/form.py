"""The one shape that all forms of requests are brought into, and what they have in common."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from livekit.protocol import egress as pb
from livekit.protocol import models

from pyegress.plan.encoding_options import wish_of_options, wish_of_preset
from pyegress.plan.encodings import PASSTHROUGH, EncodingWish
from pyegress.plan.output_options import AskedOutputs
from pyegress.plan.recording_plan import RequestType, Service, Webhook
from pyegress.plan.refusals import invalid_field
from pyegress.plan.sources import AudioMixing, RoomSource, Source, TemplateSource

EgressRequest = (
    pb.RoomCompositeEgressRequest
    | pb.WebEgressRequest
    | pb.ParticipantEgressRequest
    | pb.TrackCompositeEgressRequest
    | pb.TrackEgressRequest
    | pb.StartEgressRequest
    | pb.ExportReplayRequest
)
CompositeRequest = (
    pb.RoomCompositeEgressRequest | pb.WebEgressRequest | pb.ParticipantEgressRequest | pb.TrackCompositeEgressRequest
)


@dataclass(frozen=True, slots=True)
class Form:
    """A request in one shape: what is recorded, the encoding it asks for, and its outputs yet unread.

    `identity` and `track_id` are known for names when the request has them.
    """

    type: RequestType
    source: Source
    room_name: str
    audio: bool
    video: bool
    encoding: EncodingWish
    preset: int | None
    outputs: AskedOutputs
    webhooks: tuple[Webhook, ...]
    identity: str = ""
    track_id: str = ""
    v2: bool = False

    @property
    def passthrough(self) -> bool:
        """Whether the request asks for copies."""
        return self.preset == PASSTHROUGH or self.type is RequestType.TRACK


def recorded_kinds(audio_only: bool, video_only: bool) -> tuple[bool, bool]:
    """Whether sound and whether pictures are recorded."""
    if audio_only and video_only:
        raise invalid_field(
            "audio_only and video_only", "Both were asked for", "Set one of them, or none for both kinds"
        )
    return not video_only, not audio_only


def audio_mixing(number: int) -> AudioMixing:
    """`AudioMixing` of the protocol by number."""
    try:
        return AudioMixing(number)
    except ValueError:
        names = ", ".join(pb.AudioMixing.keys())
        raise invalid_field("audio_mixing", f"There is no audio mixing {number}", f"Use one of {names}") from None


def room_source(layout: str, custom_base_url: str, mixing: AudioMixing, service: Service, *, video: bool) -> Source:
    """A room is drawn by us unless the request or the service names a page that draws it."""
    base_url = custom_base_url or service.template_base
    if not base_url or not (video or layout or custom_base_url):
        return RoomSource(layout, mixing)
    return TemplateSource(base_url, layout)


def asked_encoding(request: CompositeRequest | pb.StartEgressRequest) -> tuple[EncodingWish, int | None]:
    """What the request says about encoding, and its preset when it names one."""
    name = (
        request.WhichOneof("encoding") if isinstance(request, pb.StartEgressRequest) else request.WhichOneof("options")
    )
    match name:
        case "preset":
            return wish_of_preset(request.preset), request.preset
        case "advanced":
            return wish_of_options(request.advanced), None
        case _:
            return EncodingWish(), None


def webhooks_of(messages: Sequence[models.WebhookConfig]) -> tuple[Webhook, ...]:
    """The webhooks of a request."""
    return tuple(
        Webhook(
            message.url,
            message.signing_key,
            tuple(message.filter_params.include_events),
            tuple(message.filter_params.exclude_events),
        )
        for message in messages
    )
