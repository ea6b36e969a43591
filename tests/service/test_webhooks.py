"""Webhooks over real HTTP, verified by LiveKit's own receiver: signed, in order, again, bounded, drained."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from pathlib import Path

import jwt
import pytest
from livekit.protocol import egress as pb
from livekit.protocol.webhook import WebhookEvent

from pyegress.plan.recording_plan import Webhook
from pyegress.service.outbox import Outbox
from pyegress.service.webhooks import WebhookSender, WebhookSettings
from tests.support.webhook_receiver import Received, receiving

pytestmark = pytest.mark.wire

KEYS = {"key": "k" * 32, "other": "o" * 32}
FAST = {"signing_key": "key", "first_delay": 0.02, "most_delay": 0.05}
ACTIVE, COMPLETE = pb.EgressStatus.EGRESS_ACTIVE, pb.EgressStatus.EGRESS_COMPLETE


@pytest.fixture
async def receiver() -> AsyncIterator[Received]:
    async with receiving(KEYS, path="/secret-path") as received:
        yield received


def sender_to(*urls: str, outbox: Outbox | None = None, **settings: object) -> WebhookSender:
    merged: dict[str, object] = FAST | settings
    webhooks = tuple(Webhook(url, "") for url in urls)
    return WebhookSender(WebhookSettings(webhooks=webhooks, **merged), KEYS, outbox)  # type: ignore[arg-type]


def info(id: str = "EG_1", number: int = 0) -> pb.EgressInfo:
    return pb.EgressInfo(egress_id=id, room_name="Zoë's", status=ACTIVE, updated_at=number)


async def test_events_are_signed_and_typed(receiver: Received) -> None:
    sender = sender_to(receiver.url)
    sender.send("egress_started", info())
    await sender.aclose()
    (event,) = receiver.events
    assert event.event == "egress_started"
    assert event.egress_info == info()
    assert event.id.startswith("EV_")
    assert event.created_at > 1_600_000_000
    assert receiver.content_types == {"application/webhook+json"}
    assert not receiver.tokens[0].lower().startswith("bearer")


async def test_the_request_names_url_key_and_filter(receiver: Received) -> None:
    sender = sender_to()
    named = info()
    hook = named.participant.webhooks.add(url=receiver.url, signing_key="other")
    hook.filter_params.include_events.append("egress_ended")
    for event in ("egress_started", "egress_updated", "egress_ended"):
        sender.send(event, named)
    await sender.aclose()
    assert receiver.names() == ["egress_ended"]
    assert jwt.decode(receiver.tokens[0], KEYS["other"], algorithms=["HS256"])["iss"] == "other"


async def test_failures_are_tried_again_in_order(receiver: Received) -> None:
    failures = iter([500, 429, 503])
    receiver.answer = lambda event: next(failures, 200)
    sender = sender_to(receiver.url)
    for number, event in enumerate(["egress_started", "egress_updated", "egress_ended"]):
        sender.send(event, info(number=number))
    await receiver.wait(lambda r: len(r.events) == 3, "three events")
    assert receiver.names() == ["egress_started", "egress_updated", "egress_ended"]
    assert [e.event for e in receiver.attempts[:4]] == ["egress_started"] * 4
    assert len({e.id for e in receiver.attempts}) == 3  # a repeated event keeps its id
    assert len(set(receiver.bodies)) == 3
    await sender.aclose()
    assert sender.waiting == 0


async def test_a_receiver_that_comes_late_gets_everything(receiver: Received) -> None:
    """Nothing listens at first: connections are refused."""
    port = receiver.url.split(":")[2].split("/")[0]
    server = await asyncio.start_server(lambda r, w: w.close(), "127.0.0.1", 0)
    dead = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    sender = sender_to(receiver.url.replace(port, str(dead)), receiver.url, give_up=0.2)
    sender.send("egress_started", info())
    sender.send("egress_ended", info(number=1))
    await receiver.wait(lambda r: len(r.events) == 2, "the one that listens is not held up")
    await sender.aclose()
    assert sender.waiting == 0


@pytest.mark.parametrize("status", [400, 404, 410, 301])
async def test_what_is_refused_for_good_is_not_repeated(receiver: Received, status: int) -> None:
    receiver.answer = lambda event: status if event.event == "egress_started" else 200
    sender = sender_to(receiver.url)
    sender.send("egress_started", info())
    sender.send("egress_ended", info(number=1))
    await sender.aclose()
    assert [e.event for e in receiver.attempts] == ["egress_started", "egress_ended"]
    assert receiver.events[0].num_dropped == 1


async def test_one_egress_does_not_wait_for_another(receiver: Received) -> None:
    receiver.answer = lambda event: 500 if event.egress_info.egress_id == "EG_bad" else 200
    sender = sender_to(receiver.url)
    sender.send("egress_started", info("EG_bad"))
    for number in range(20):
        sender.send("egress_updated", info("EG_good", number))
    await receiver.wait(lambda r: len(r.names("EG_good")) == 20, "all of the good one")
    assert [e.egress_info.updated_at for e in receiver.events] == list(range(20))
    await sender.aclose(timeout=0.0)
    assert sender.waiting == 1


async def test_progress_is_dropped_first_and_counted(receiver: Received) -> None:
    receiver.hold = asyncio.Event()
    sender = sender_to(receiver.url, backlog=4)
    sender.send("egress_started", info())
    await receiver.wait(lambda r: len(r.attempts) == 1, "the first attempt")
    for number in range(1, 10):
        sender.send("egress_updated", info(number=number))
    sender.send("egress_ended", info(number=10))
    assert sender.waiting == 4
    receiver.hold.set()
    await sender.aclose()
    assert [(e.event, e.egress_info.updated_at) for e in receiver.events] == [
        ("egress_started", 0),
        ("egress_updated", 8),
        ("egress_updated", 9),
        ("egress_ended", 10),
    ]
    assert receiver.events[1].num_dropped == 7


async def test_all_egresses_together_are_bounded_but_ends_are_told(receiver: Received) -> None:
    receiver.hold = asyncio.Event()
    sender = sender_to(receiver.url, total_backlog=10)
    for number in range(30):
        sender.send("egress_updated", info(f"EG_{number}"))
    assert sender.waiting == 10
    sender.send("egress_ended", info("EG_29", 1))
    receiver.hold.set()
    await sender.aclose()
    assert receiver.names("EG_29") == ["egress_ended"]


async def test_closing_waits_no_longer_than_it_is_given(receiver: Received, caplog: pytest.LogCaptureFixture) -> None:
    receiver.answer = lambda event: 500
    sender = sender_to(receiver.url)
    sender.send("egress_started", info())
    with caplog.at_level(logging.INFO):
        await receiver.wait(lambda r: len(r.attempts) >= 2, "two attempts")
        await sender.aclose(timeout=0.05)
        await sender.aclose(timeout=0.05)
    sender.send("egress_ended", info())
    assert "1 webhooks were not delivered" in caplog.text
    assert "secret-path" not in caplog.text
    assert not [task for task in asyncio.all_tasks() if task.get_name().startswith("webhooks")]


async def test_a_silent_receiver_is_left(receiver: Received) -> None:
    receiver.hold = asyncio.Event()
    sender = sender_to(receiver.url, timeout=0.1, give_up=3.0)
    sender.send("egress_started", info())
    await receiver.wait(lambda r: len(r.attempts) >= 2, "a second attempt")
    receiver.hold.set()
    await sender.aclose()
    assert sender.waiting == 0


async def test_an_event_is_as_it_was_when_it_happened(receiver: Received) -> None:
    """What the service changes later in its info is not in an earlier event."""
    sender = sender_to(receiver.url)
    changing = info()
    sender.send("egress_updated", changing)
    changing.status = COMPLETE
    sender.send("egress_ended", changing)
    await sender.aclose()
    events: list[WebhookEvent] = receiver.events
    assert [e.egress_info.status for e in events] == [ACTIVE, COMPLETE]


async def test_what_a_killed_service_did_not_deliver_is_sent_by_the_next(receiver: Received, tmp_path: Path) -> None:
    """The first one is left as a kill leaves it: nothing of it runs any more, and its file is not closed."""
    receiver.answer = lambda event: 503
    killed = sender_to(receiver.url, outbox=Outbox(tmp_path / "outbox.db", "webhooks"))
    await killed.open()
    for number, event in enumerate(["egress_started", "egress_updated", "egress_ended"]):
        killed.send(event, info(number=number))
    killed.send("egress_started", info("EG_2"))
    await killed.kept()
    await receiver.wait(lambda r: len(r.attempts) >= 2, "two attempts")
    for task in killed._tasks:
        task.cancel()

    receiver.answer = lambda event: 200
    following = sender_to(outbox=Outbox(tmp_path / "outbox.db", "webhooks"))
    await following.open()
    await receiver.wait(lambda r: len(r.events) == 4, "four events")
    assert receiver.names("EG_1") == ["egress_started", "egress_updated", "egress_ended"]
    first = {event.egress_info.egress_id: event.id for event in receiver.attempts[:2]}
    assert first["EG_1"] == next(event.id for event in receiver.events if event.egress_info.egress_id == "EG_1")
    await following.aclose()
    await killed.aclose(timeout=0.0)
    third = Outbox(tmp_path / "outbox.db", "webhooks")
    assert await third.open() == {}
    await third.aclose()
