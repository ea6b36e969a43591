"""Which events a change makes, and whom they are for."""

from __future__ import annotations

import json

import pytest
from livekit.protocol import egress as pb
from livekit.protocol.webhook import WebhookEvent

from pyegress.errors import InvalidRequest
from pyegress.plan.recording_plan import Webhook
from pyegress.service.egress_store import Change, Stored
from pyegress.service.webhook_events import check_webhooks, event_body, events_of, recipients

pytestmark = pytest.mark.unit

S = pb.EgressStatus


@pytest.mark.parametrize(
    ("change", "status", "events"),
    [
        (Change.CREATED, S.EGRESS_STARTING, ("egress_started",)),
        (Change.UPDATED, S.EGRESS_STARTING, ()),
        (Change.UPDATED, S.EGRESS_ACTIVE, ("egress_updated",)),
        (Change.UPDATED, S.EGRESS_ENDING, ("egress_updated",)),
        (Change.UPDATED, S.EGRESS_COMPLETE, ("egress_ended",)),
        (Change.UPDATED, S.EGRESS_FAILED, ("egress_ended",)),
        (Change.UPDATED, S.EGRESS_ABORTED, ("egress_ended",)),
        (Change.UPDATED, S.EGRESS_LIMIT_REACHED, ("egress_ended",)),
        (Change.CREATED, S.EGRESS_ACTIVE, ("egress_started", "egress_updated")),
        (Change.CREATED, S.EGRESS_FAILED, ("egress_ended",)),
        (Change.NONE, S.EGRESS_ACTIVE, ()),
    ],
)
def test_events_by_status(change: Change, status: pb.EgressStatus, events: tuple[str, ...]) -> None:
    info = pb.EgressInfo(egress_id="EG_1", status=status)
    assert events_of(Stored(change, announced=True), info) == events
    assert events_of(Stored(change, announced=False), info) == ()


def test_filters_and_repeats() -> None:
    info = pb.EgressInfo()
    hooks = info.track.webhooks
    hooks.add(url="http://only-end").filter_params.include_events.append("egress_ended")
    hooks.add(url="http://no-progress").filter_params.exclude_events.append("egress_updated")
    both = hooks.add(url="http://both")
    both.filter_params.include_events.append("egress_updated")
    both.filter_params.exclude_events.append("egress_updated")
    hooks.add(url="http://configured")
    hooks.add(url="http://configured", signing_key="other")
    configured = [Webhook("http://configured", "")]

    def told(event: str) -> list[str]:
        return [f"{w.url[7:]}{'+' if w.signing_key else ''}" for w in recipients(configured, info, event)]

    assert told("egress_started") == ["configured", "no-progress", "configured+"]
    assert told("egress_updated") == ["configured", "both", "configured+"]
    assert told("egress_ended") == ["configured", "only-end", "no-progress", "configured+"]


@pytest.mark.parametrize("url", ["", "example.com/x", "ftp://example.com", "http://", "http://[", "http://a:99999/"])
def test_urls_that_cannot_be_called_are_refused(url: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        check_webhooks([Webhook("https://fine", ""), Webhook(url, "")], {})
    assert refused.value.field == "webhooks[1].url"


def test_unknown_signing_keys_are_refused_and_not_shown() -> None:
    with pytest.raises(InvalidRequest) as refused:
        check_webhooks([Webhook("https://fine", "a-secret-by-mistake")], {"key": "secret"})
    assert refused.value.field == "webhooks[0].signing_key"
    assert "a-secret-by-mistake" not in str(refused.value)
    check_webhooks([Webhook("https://fine:8080/x?y", "key")], {"key": "secret"})


def test_a_body_is_what_go_writes() -> None:
    event = WebhookEvent(event="egress_ended", id="EV_1", created_at=5)
    event.egress_info.egress_id = "EG_1"
    event.egress_info.started_at = 2**60
    event.egress_info.status = S.EGRESS_COMPLETE
    event.egress_info.room_name = "Zoë"
    body = event_body(event)
    assert json.loads(body) == {
        "event": "egress_ended",
        "id": "EV_1",
        "createdAt": "5",
        "egressInfo": {
            "egressId": "EG_1",
            "startedAt": str(2**60),
            "status": "EGRESS_COMPLETE",
            "roomName": "Zoë",
        },
    }
    assert "Zoë".encode() in body
