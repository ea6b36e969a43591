"""Records what livekit-server and a node of ours say on Redis: `python -m tests.api.psrpc.record_recordings`.

Writes `recordings.json` beside this file: a list of `{channel, payload}` (payload in base64) in order, and the keys
that were taken (`SET ... NX`).
"""

from __future__ import annotations

import asyncio
import base64
import json
import tempfile
from pathlib import Path

from livekit.protocol import egress as pb
from redis.asyncio import Redis

from tests.api.psrpc.cluster import composite, running_cluster
from tests.support.stack import running_stack

QUEUE_KEY = 44  # characters: base64 of 32 bytes
RECORDINGS = Path(__file__).with_name("recordings.json")


async def record(directory: Path) -> dict[str, object]:
    """One egress from start to end, and a stop of one that nobody has."""
    messages: list[dict[str, str]] = []
    with running_stack(directory) as stack:
        log = Redis(host="127.0.0.1", port=stack.redis.port, protocol=2)
        listening = asyncio.Event()

        async def listen() -> None:
            async with log.pubsub() as subscription:
                await subscription.psubscribe("*")
                async for item in subscription.listen():
                    listening.set()
                    if item["type"] == "pmessage":
                        payload = base64.b64encode(item["data"]).decode()
                        messages.append({"channel": item["channel"].decode(), "payload": payload})

        async def monitor(keys: list[str]) -> None:
            async with log.monitor() as commands:
                async for command in commands.listen():
                    parts = command["command"].split(" ")
                    if parts[0].upper() == "SET" and len(parts[1]) == QUEUE_KEY:
                        keys.append(parts[1])

        keys: list[str] = []
        tasks = [asyncio.create_task(listen()), asyncio.create_task(monitor(keys))]
        await listening.wait()
        async with running_cluster(stack) as cluster:
            node = await cluster.node()
            info = await cluster.client.egress.start_room_composite_egress(composite(layout="grid"))
            node.service.move(info.egress_id, pb.EgressStatus.EGRESS_ACTIVE)
            await cluster.until_stored(info.egress_id, pb.EgressStatus.EGRESS_ACTIVE)
            await cluster.client.egress.stop_egress(pb.StopEgressRequest(egress_id=info.egress_id))
            node.service.move(info.egress_id, pb.EgressStatus.EGRESS_COMPLETE)
            await cluster.until_stored(info.egress_id, pb.EgressStatus.EGRESS_COMPLETE)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        await log.aclose()
    return {"messages": messages, "keys": keys}


def main() -> None:
    with tempfile.TemporaryDirectory() as directory:
        recorded = asyncio.run(record(Path(directory)))
    RECORDINGS.write_text(json.dumps(recorded, indent=1) + "\n")


if __name__ == "__main__":
    main()
