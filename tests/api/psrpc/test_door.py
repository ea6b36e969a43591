"""livekit-server's Egress API, through Redis, to egress nodes; the official client asks."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest
from livekit import api
from livekit.protocol import egress as pb

from pyegress.api.psrpc import definitions
from pyegress.api.psrpc.door import START_EGRESS
from pyegress.api.psrpc.orphans import OrphanPolicy
from pyegress.clock import monotonic
from pyegress.errors import InvalidRequest
from tests.api.psrpc.cluster import ROOM, SETTINGS, Cluster, composite, running_cluster
from tests.support.stack import Stack
from tests.support.waiting import eventually

pytestmark = pytest.mark.system

STARTING, ACTIVE, ENDING, COMPLETE, FAILED = (
    pb.EgressStatus.Value(f"EGRESS_{name}") for name in ("STARTING", "ACTIVE", "ENDING", "COMPLETE", "FAILED")
)
FILE = pb.EncodedFileOutput(filepath="/tmp/a.mp4")


async def start(cluster: Cluster) -> pb.EgressInfo:
    return await cluster.client.egress.start_room_composite_egress(composite(layout="grid"))


async def test_an_egress_from_start_to_end(cluster: Cluster) -> None:
    node = await cluster.node()
    info = await start(cluster)
    assert info.status == STARTING
    assert node.service.starts[0].request == composite(layout="grid")
    assert node.service.starts[0].room_id.startswith("RM_")
    node.service.move(info.egress_id, ACTIVE)
    await cluster.until_stored(info.egress_id, ACTIVE)
    stopped = await cluster.client.egress.stop_egress(pb.StopEgressRequest(egress_id=info.egress_id))
    assert stopped.status == ENDING
    node.service.move(info.egress_id, COMPLETE)
    final = await cluster.until_stored(info.egress_id, COMPLETE)
    assert final.ended_at
    assert final.room_composite.layout == "grid"
    updated = "egress_updated"
    await cluster.until_events(
        info.egress_id,
        [("egress_started", STARTING), (updated, ACTIVE), (updated, ENDING), ("egress_ended", COMPLETE)],
    )


async def test_every_kind_of_request(cluster: Cluster) -> None:
    node = await cluster.node()
    egress = cluster.client.egress
    web = pb.WebEgressRequest(url="https://example.com", file_outputs=[FILE])
    participant = pb.ParticipantEgressRequest(room_name=ROOM, identity="ada", file_outputs=[FILE])
    pair = pb.TrackCompositeEgressRequest(room_name=ROOM, audio_track_id="TR_a", file_outputs=[FILE])
    track = pb.TrackEgressRequest(room_name=ROOM, track_id="TR_a", file=pb.DirectFileOutput(filepath="/tmp/t.ogg"))
    newer = pb.StartEgressRequest(room_name=ROOM, template=pb.TemplateSource(layout="grid"))
    newer.outputs.add().file.filepath = "/tmp/v2.mp4"
    await egress.start_web_egress(web)
    await egress.start_participant_egress(participant)
    await egress.start_track_composite_egress(pair)
    await egress.start_track_egress(track)
    await egress._client.request("Egress", "StartEgress", newer, egress._auth_header(
        api.VideoGrants(room_record=True)), pb.EgressInfo)  # fmt: skip
    assert [started.request for started in node.service.starts] == [web, participant, pair, track, newer]


async def test_a_request_that_is_refused(cluster: Cluster) -> None:
    node = await cluster.node()
    node.service.refusal = InvalidRequest("request has missing or invalid field: output", field="output")
    with pytest.raises(api.TwirpError) as raised:
        await start(cluster)
    assert raised.value.code == "invalid_argument"
    assert "invalid field: output" in raised.value.message
    assert len(node.service.starts) == 1


async def test_update_stream_and_calls_for_what_has_ended(cluster: Cluster) -> None:
    node = await cluster.node()
    info = await start(cluster)
    node.service.move(info.egress_id, ACTIVE)
    await cluster.until_stored(info.egress_id, ACTIVE)
    update = pb.UpdateStreamRequest(egress_id=info.egress_id, add_output_urls=["rtmp://example.com/live/key"])
    await cluster.client.egress.update_stream(update)
    assert node.service.updates == [update]
    node.service.move(info.egress_id, COMPLETE)
    await cluster.until_stored(info.egress_id, COMPLETE)
    began = monotonic()
    for call in (
        cluster.client.egress.stop_egress(pb.StopEgressRequest(egress_id=info.egress_id)),
        cluster.client.egress.update_stream(update),
    ):
        with pytest.raises(api.TwirpError) as raised:
            await call
        assert raised.value.code == "failed_precondition"
    assert monotonic() - began < 2.5  # the server waits 3 s for each of them when nobody answers


async def test_the_less_loaded_of_two_nodes_wins(cluster: Cluster) -> None:
    busy = await cluster.node(load=0.9)
    idle = await cluster.node(load=0.1)
    full = await cluster.node(load=None)
    for _ in range(5):
        await start(cluster)
    assert (len(idle.service.starts), len(busy.service.starts), len(full.service.starts)) == (5, 0, 0)
    # Each node answers for its own.
    info = await cluster.client.egress.stop_egress(pb.StopEgressRequest(egress_id=idle.service.starts[0].egress_id))
    assert info.status == ENDING


async def test_a_repeated_start_is_started_once(cluster: Cluster) -> None:
    # The server repeats a start with the same id when it has no answer after ten seconds: here both go at once.
    first, second = await cluster.node(), await cluster.node()
    info = await start(cluster)
    body = _start_again(info.egress_id)
    for _ in range(4):
        again = pb.EgressInfo.FromString(await first.door._nodes.call(START_EGRESS, body, timeout=5.0))
        assert again.egress_id == info.egress_id
    assert len(first.service.starts) + len(second.service.starts) == 1


async def test_fifty_starts_at_once_on_two_nodes(cluster: Cluster) -> None:
    nodes = [await cluster.node(), await cluster.node()]
    for node in nodes:
        node.service.step = 0.02
    infos = await asyncio.gather(*(start(cluster) for _ in range(50)))
    started = [s.egress_id for node in nodes for s in node.service.starts]
    assert sorted(started) == sorted(info.egress_id for info in infos)
    # How evenly depends on who is quicker on a busy machine; bench.control has figures.
    assert min(len(node.service.starts) for node in nodes) >= 1
    for node in nodes:
        for begun in node.service.starts:
            node.service.move(begun.egress_id, FAILED, "the end of the test")
    for info in infos:
        await cluster.until_stored(info.egress_id, FAILED)


async def test_redis_is_killed_while_an_egress_runs(own_stack: Stack) -> None:
    async with running_cluster(own_stack) as cluster:
        node = await cluster.node()
        info = await start(cluster)
        node.service.move(info.egress_id, ACTIVE)
        await cluster.until_stored(info.egress_id, ACTIVE)
        cluster.redis.kill()
        await eventually(lambda: not node.door.bus.connected, "the loss is noticed")
        node.service.move(info.egress_id, ENDING)
        node.service.move(info.egress_id, COMPLETE)
        assert node.door.reporter.undelivered() == {info.egress_id}
        cluster.redis.start()
        await cluster.until_stored(info.egress_id, COMPLETE, within=30.0)
        updated = "egress_updated"
        await cluster.until_events(
            info.egress_id,
            [("egress_started", STARTING), (updated, ACTIVE), (updated, ENDING), ("egress_ended", COMPLETE)],
        )
        assert (await start(cluster)).status == STARTING
        assert len(node.service.starts) == 2


async def test_the_next_run_tells_what_a_killed_one_could_not(own_stack: Stack, tmp_path: Path) -> None:
    """Redis is away when the egress ends, and the service is killed before it comes back."""
    async with running_cluster(own_stack) as cluster:
        killed = await cluster.node(outbox=tmp_path / "outbox.db")
        info = await start(cluster)
        killed.service.move(info.egress_id, ACTIVE)
        await cluster.until_stored(info.egress_id, ACTIVE)
        cluster.redis.kill()
        await eventually(lambda: not killed.door.bus.connected, "the loss is noticed")
        for status in (ENDING, COMPLETE):
            killed.service.move(info.egress_id, status)
        cluster.nodes.remove(killed)
        await killed.door.aclose(drain=0.0)
        cluster.redis.start()
        following = await cluster.node(outbox=tmp_path / "outbox.db")
        assert following.door._own() <= {info.egress_id}
        await cluster.until_stored(info.egress_id, COMPLETE, within=30.0)
        updated = "egress_updated"
        await cluster.until_events(
            info.egress_id,
            [("egress_started", STARTING), (updated, ACTIVE), (updated, ENDING), ("egress_ended", COMPLETE)],
        )
        await eventually(lambda: following.door.reporter.undelivered() == set(), "nothing is left")


async def test_an_egress_whose_node_is_gone_is_marked_as_failed(cluster: Cluster) -> None:
    gone = await cluster.node(load=0.0)
    info = await start(cluster)
    gone.service.move(info.egress_id, ACTIVE)
    await cluster.until_stored(info.egress_id, ACTIVE)
    policy = OrphanPolicy(interval=0.1, rounds=2, age=0.2)
    heir = await cluster.node(load=0.5, settings=replace(SETTINGS, orphans=policy, census=0.2))
    kept = await heir.door._owned()
    assert info.egress_id in kept
    await gone.door.aclose(drain=0.0)
    cluster.nodes.remove(gone)
    final = await cluster.until_stored(info.egress_id, FAILED)
    assert "gone" in final.error
    assert final.room_composite.layout == "grid"


async def test_what_is_not_told_yet_is_told_before_the_door_closes(cluster: Cluster) -> None:
    node = await cluster.node()
    info = await start(cluster)
    for status in (ACTIVE, ENDING, COMPLETE):
        node.service.move(info.egress_id, status)
    cluster.nodes.remove(node)
    await node.door.aclose(drain=10.0)
    assert (await cluster.stored(info.egress_id)).status == COMPLETE


async def test_a_closing_node_takes_nothing_and_still_stops_what_it_has(cluster: Cluster) -> None:
    node = await cluster.node()
    info = await start(cluster)
    await node.door.stop_accepting()
    other = await cluster.node(load=1.0)
    await start(cluster)
    assert (len(node.service.starts), len(other.service.starts)) == (1, 1)
    stopped = await cluster.client.egress.stop_egress(pb.StopEgressRequest(egress_id=info.egress_id))
    assert stopped.status == ENDING


def _start_again(egress_id: str) -> bytes:
    return bytes(
        definitions.StartEgressRequest(
            egress_id=egress_id, room_composite=composite(layout="grid").SerializeToString()
        ).SerializeToString()
    )
