"""Which webhook events a change of an egress makes, whom each is for, and what is sent."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from urllib.parse import urlsplit

from google.protobuf.json_format import MessageToDict
from livekit.protocol import egress as pb
from livekit.protocol.webhook import WebhookEvent

from pyegress.errors import InvalidRequest
from pyegress.plan.form import EgressRequest, webhooks_of
from pyegress.plan.recording_plan import Webhook
from pyegress.service.egress_store import Change, Stored, is_final

STARTED, UPDATED, ENDED = "egress_started", "egress_updated", "egress_ended"


def events_of(stored: Stored, info: pb.EgressInfo) -> tuple[str, ...]:
    """The events of one change, as livekit-server names them; none for egresses that others announce."""
    if not stored.announced or stored.change is Change.NONE:
        return ()
    if is_final(info):
        return (ENDED,)
    started = (STARTED,) if stored.change is Change.CREATED else ()
    return started if info.status == pb.EgressStatus.EGRESS_STARTING else (*started, UPDATED)


def is_wanted(webhook: Webhook, event: str) -> bool:
    """Whether the filter of a webhook lets the event through. What is included goes before what is excluded."""
    if webhook.include_events:
        return event in webhook.include_events
    return event not in webhook.exclude_events


def request_of(info: pb.EgressInfo) -> EgressRequest | None:
    """The request in an info."""
    name = info.WhichOneof("request")
    return getattr(info, name) if name else None


def requested_webhooks(request: EgressRequest | None) -> tuple[Webhook, ...]:
    """The webhooks that a request names."""
    return webhooks_of(request.webhooks) if request is not None else ()


def check_webhooks(webhooks: Sequence[Webhook], keys: Mapping[str, str]) -> None:
    """Raise InvalidRequest for a webhook that could never be sent. `keys` are the secrets by API key."""
    for index, webhook in enumerate(webhooks):
        if not _is_http(webhook.url):
            raise InvalidRequest(
                "A webhook has no http:// or https:// URL",
                field=f"webhooks[{index}].url",
                remedy="Name the whole URL that events are posted to",
            )
        if webhook.signing_key and webhook.signing_key not in keys:
            raise InvalidRequest(
                "A webhook is to be signed with an API key that this service does not know",
                field=f"webhooks[{index}].signing_key",
                remedy="Name an API key (not its secret) of this service, or none for the one that signs all webhooks",
            )


def recipients(configured: Sequence[Webhook], info: pb.EgressInfo, event: str) -> Iterator[Webhook]:
    """Whom an event is sent to: the configured URLs, and those of the request. The same one twice gets it once."""
    seen: set[tuple[str, str]] = set()
    for webhook in (*configured, *requested_webhooks(request_of(info))):
        to = (webhook.url, webhook.signing_key)
        if to not in seen and is_wanted(webhook, event):
            seen.add(to)
            yield webhook


def event_body(event: WebhookEvent) -> bytes:
    """An event as it is posted: protobuf JSON with lowerCamelCase names."""
    return json.dumps(MessageToDict(event), separators=(",", ":"), ensure_ascii=False).encode()


def _is_http(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        return False
