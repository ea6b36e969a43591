"""Service processes that share a Redis: who starts what, and what is left when a part of it all is gone."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from livekit import api
from livekit.protocol import egress as pb

from pyegress.demo.content import tone_of
from pyegress.room.events import Source
from tests.support.analysis import beep_onsets, file_facts, read_pictures, read_sound
from tests.support.composed import read_looks
from tests.support.livekit_server import LiveKitServer
from tests.support.sdks import Sdk, python_sdk
from tests.support.serving import ServiceProcess, serving, until_nothing_runs
from tests.support.stack import Stack
from tests.support.waiting import eventually
from tests.support.webhook_inbox import WebhookInbox
from tests.system.compositions import mostly
from tests.system.scenes import clip, prepare, publishing

pytestmark = pytest.mark.system

SMALL = pb.EncodingOptions(width=320, height=180, framerate=30)
ROOM = "shared"
STARTS = 40
#: A room composite makes a node visibly busier than a track does.
COSTS = {"room_composite_cpu_cost": 1.4}
ORPHANED = "4s"
#: Seconds without Redis.
AWAY = 5.0


def composite(name: str) -> pb.RoomCompositeEgressRequest:
    return pb.RoomCompositeEgressRequest(
        room_name=ROOM, layout="grid", advanced=SMALL, file_outputs=[pb.EncodedFileOutput(filepath=name)]
    )


def track(sid: str, name: str) -> pb.TrackEgressRequest:
    return pb.TrackEgressRequest(room_name=ROOM, track_id=sid, file=pb.DirectFileOutput(filepath=name))


async def running_on(node: ServiceProcess) -> set[str]:
    """The egresses that a node's health port names."""
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"http://127.0.0.1:{node.health_port}/") as response,
    ):
        shown: dict[str, Any] = await response.json()
    return {name for name in shown if name.startswith("EG_")}


async def active(inbox: WebhookInbox, *egress_ids: str) -> None:
    def missing() -> list[str]:
        return [egress_id for egress_id in egress_ids if "ACTIVE" not in inbox.story(egress_id)]

    await eventually(lambda: not missing(), f"all of {egress_ids} are active", 60.0)


async def for_seconds(seconds: float) -> None:
    """Let the recordings go on for so long: how long they are is what is tested."""
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    await eventually(lambda: loop.time() >= end, "time passes", seconds + 5.0)


async def test_two_nodes_share_what_is_started_and_one_is_killed(stack: Stack, tmp_path: Path) -> None:
    server = stack.server
    prepare("ada", clip())
    async with AsyncExitStack() as exits:
        inbox = await exits.enter_async_context(WebhookInbox(server.api_key, server.api_secret, stack.inbox_port))
        nodes = [
            await exits.enter_async_context(
                serving(tmp_path / name, server, stack.redis, cpu_cost=COSTS, orphan_timeout=ORPHANED)
            )
            for name in ("a", "b")
        ]
        ada = await exits.enter_async_context(publishing(server, ROOM))
        sdk = await exits.enter_async_context(python_sdk(server.http_url, server.api_key, server.api_secret))
        busy, idle, lost, kept = await _less_loaded(nodes, sdk, inbox, ada.sids[Source.MICROPHONE])
        await _many_at_once(nodes, sdk, inbox, ada.sids[Source.MICROPHONE])
        await _one_is_gone(busy, idle, sdk, inbox, lost, kept)
        await _a_supervisor_is_killed(idle, sdk, inbox, kept)
        await until_nothing_runs(idle)
    pictures = read_pictures(busy.files / "lost.mp4")
    assert [picture.participant for picture in pictures].count(3) > 30
    facts = file_facts(idle.files / "kept.ogg")
    assert (facts.duration or 0.0) > 5.0


async def _less_loaded(
    nodes: list[ServiceProcess], sdk: Sdk, inbox: WebhookInbox, sid: str
) -> tuple[ServiceProcess, ServiceProcess, str, str]:
    """The node with a composition is passed over."""
    lost = (await sdk.start(composite("lost.mp4"))).egress_id
    (busy,) = [node for node in nodes if lost in await running_on(node)]
    (idle,) = [node for node in nodes if node is not busy]
    kept = [(await sdk.start(track(sid, name))).egress_id for name in ("kept.ogg", "other.ogg")]
    assert await running_on(idle) == set(kept)
    await active(inbox, lost, *kept)
    await for_seconds(4.0)
    await sdk.stop(kept[1])
    return busy, idle, lost, kept[0]


async def _many_at_once(nodes: list[ServiceProcess], sdk: Sdk, inbox: WebhookInbox, sid: str) -> None:
    """Every start is answered, happens once, and every egress ends."""

    async def start_and_stop(number: int) -> str:
        info = await sdk.start(track(sid, f"short-{number}.ogg"))
        assert info.status == pb.EgressStatus.EGRESS_STARTING
        await sdk.stop(info.egress_id)
        return info.egress_id

    ids = await asyncio.gather(*(start_and_stop(number) for number in range(STARTS)))
    assert len(set(ids)) == STARTS
    starts = [egress_id for node in nodes for egress_id in node.accepted() if egress_id in ids]
    assert sorted(starts) == sorted(ids), "each is started on one node, once"
    shares = [len(set(node.accepted()) & set(ids)) for node in nodes]
    # How evenly depends on how busy each is meanwhile, which `bench.control` shows.
    assert all(shares), shares
    final = {"ABORTED", "COMPLETE"}
    await eventually(lambda: all(final & set(inbox.story(egress_id)) for egress_id in ids), "all have ended", 60.0)
    for egress_id in ids:
        assert len(final & set(inbox.story(egress_id))) == 1
        assert inbox.story(egress_id)[0] == "STARTING"
        assert inbox.of(egress_id)[0][0] == "egress_started"


async def _one_is_gone(
    busy: ServiceProcess, idle: ServiceProcess, sdk: Sdk, inbox: WebhookInbox, lost: str, kept: str
) -> None:
    """As if its machine were gone: its egress is marked by the other node, whose own goes on."""
    await busy.kill(workers=True)
    await eventually(lambda: inbox.story(lost)[-1] == "FAILED", f"it is marked; {inbox.story(lost)}", 40.0)
    (info,) = await sdk.infos(egress_id=lost)
    assert "no node" in info.error or "gone" in info.error, info.error
    assert await running_on(idle) == {kept}
    assert inbox.story(kept) == ["STARTING", "ACTIVE"]


async def _a_supervisor_is_killed(node: ServiceProcess, sdk: Sdk, inbox: WebhookInbox, kept: str) -> None:
    """Its worker records on; the next service on its state directory ends it when asked to, and reports its end."""
    await node.kill(workers=False)
    await node.start()
    info = await sdk.stop(kept)
    assert info.egress_id == kept
    await eventually(lambda: inbox.story(kept)[-1] == "COMPLETE", f"{inbox.story(kept)}", 40.0)
    assert "FAILED" not in inbox.story(kept)


async def test_redis_and_the_server_are_gone_for_a_while(own_stack: Stack, tmp_path: Path) -> None:
    """Recordings go on; what happened meanwhile is told afterwards, in order, also by the next service."""
    stack, server = own_stack, own_stack.server
    prepare("ada", clip())
    story = ["STARTING", "ACTIVE", "ENDING", "COMPLETE"]
    async with AsyncExitStack() as exits:
        inbox = await exits.enter_async_context(WebhookInbox(server.api_key, server.api_secret, stack.inbox_port))
        node = await exits.enter_async_context(serving(tmp_path / "a", server, stack.redis, http=True))
        ada = await exits.enter_async_context(publishing(server, ROOM))
        sdk = await exits.enter_async_context(python_sdk(server.http_url, server.api_key, server.api_secret))
        direct = await exits.enter_async_context(python_sdk(node.http_url, server.api_key, server.api_secret))
        long = (await sdk.start(composite("long.mp4"))).egress_id
        short = (await sdk.start(track(ada.sids[Source.MICROPHONE], "short.ogg"))).egress_id
        late = (await sdk.start(composite("late.mp4"))).egress_id
        await active(inbox, long, short, late)
        await asyncio.to_thread(stack.redis.kill)
        await for_seconds(2.0)
        assert await running_on(node) == {long, short, late}
        await direct.stop(short)
        await for_seconds(AWAY - 2.0)
        await asyncio.to_thread(stack.redis.start)
        await eventually(lambda: inbox.story(short)[-1] == "COMPLETE", f"{inbox.story(short)}", 40.0)
        assert inbox.story(short) == story
        assert inbox.story(long) == story[:2]

        await _killed_with_news(stack, node, direct, inbox, late)
        (info,) = await sdk.infos(egress_id=late)
        assert pb.EgressStatus.Name(info.status) == "EGRESS_COMPLETE"
        assert info.file_results[0].location == str(node.files / "late.mp4")
        assert await running_on(node) == {long}

        await asyncio.to_thread(server.restart, hard=True)
        await asyncio.wait_for(_both_are_back(server), 60.0)
        await for_seconds(6.0)
        assert await running_on(node) == {long}
        await sdk.stop(long)
        await eventually(lambda: inbox.story(long)[-1] == "COMPLETE", f"{inbox.story(long)}", 40.0)
        # The next service says again that it is active.
        assert list(dict.fromkeys(inbox.story(long))) == story
        assert inbox.story(late) == story
        await until_nothing_runs(node)
    looks = read_looks(node.files / "long.mp4", {"whole": (0.0, 0.0, 320.0, 180.0)}, every=3)
    during = [look.shows("whole") == 3 for look in looks if 1.5 < look.at < AWAY + 0.5]
    assert mostly(during, 0.7), "the picture stood still while Redis was away"
    assert any(look.shows("whole") == 3 for look in looks if look.at > looks[-1].at - 3.0), (
        "the recording did not find back into the room"
    )
    assert len(beep_onsets(read_sound(node.files / "short.ogg"), tone_of(3))) >= 2
    (late_file,) = info.file_results
    assert file_facts(node.files / "late.mp4").duration == pytest.approx(late_file.duration / 1e9, abs=0.2)
    assert [picture.participant for picture in read_pictures(node.files / "late.mp4")].count(3) > 30


async def _both_are_back(server: LiveKitServer) -> None:
    """When publisher and recorder have come back to a server that was killed, each as fast as it does."""
    while True:
        with suppress(api.TwirpError):  # nobody is in the room yet
            people = await server.participants(ROOM)
            publishes = any(len(person.tracks) == 2 for person in people)
            if publishes and any(person.permission.recorder for person in people):
                return
        await for_seconds(0.2)


async def _killed_with_news(
    stack: Stack, node: ServiceProcess, direct: Sdk, inbox: WebhookInbox, egress_id: str
) -> None:
    """A supervisor that is killed before it could tell how an egress ended: the next one tells it, once."""
    workers = len(node.workers())
    await asyncio.to_thread(stack.redis.kill)
    await direct.stop(egress_id)
    # A worker ends when its end is kept where a crash does not reach it.
    await eventually(lambda: len(node.workers()) < workers, f"its worker has ended: {node.workers()}", 30.0)
    await node.kill(workers=False)
    await asyncio.to_thread(stack.redis.start)
    assert "COMPLETE" not in inbox.story(egress_id)
    await node.start()
    await eventually(lambda: inbox.story(egress_id)[-1] == "COMPLETE", f"{inbox.story(egress_id)}", 40.0)
    assert inbox.story(egress_id) == ["STARTING", "ACTIVE", "ENDING", "COMPLETE"]
