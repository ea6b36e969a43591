"""livekit-server on a Redis, as a cluster has them."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.livekit_server import LiveKitServer, free_port
from tests.support.redis_server import RedisServer


@dataclass(frozen=True, slots=True)
class Stack:
    """A livekit-server on a Redis, both running, with webhooks to `inbox_port`."""

    redis: RedisServer
    server: LiveKitServer
    inbox_port: int


@contextmanager
def running_stack(directory: Path, *redis_settings: str) -> Iterator[Stack]:
    """Redis and livekit-server; `redis_settings` are lines of redis.conf."""
    inbox_port = free_port(socket.SOCK_STREAM)
    with RedisServer(directory / "redis", *redis_settings) as redis:
        keys = LiveKitServer(directory / "livekit")
        config = {
            "redis": {"address": redis.address},
            "keys": {keys.api_key: keys.api_secret},
            "webhook": {"urls": [f"http://127.0.0.1:{inbox_port}/"], "api_key": keys.api_key},
        }
        server = LiveKitServer(directory / "livekit", config=config)
        server.api_key, server.api_secret = keys.api_key, keys.api_secret
        with server:
            yield Stack(redis, server, inbox_port)
