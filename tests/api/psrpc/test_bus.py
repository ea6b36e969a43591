"""The bus on real Redis servers: plain, with password and TLS, Sentinel, Cluster, and with connections that break."""

from __future__ import annotations

import asyncio
import socket
import subprocess
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from pyegress.api.psrpc.bus import RedisBus
from pyegress.api.psrpc.failures import RedisUnreachable
from pyegress.api.psrpc.redis_options import RedisOptions, TlsOptions
from pyegress.clock import Monotonic, monotonic
from pyegress.demo.server import free_port
from tests.support.redis_server import RedisServer
from tests.support.tcp_proxy import TcpProxy
from tests.support.waiting import eventually

pytestmark = pytest.mark.system


def soon(seconds: float = 10.0) -> Monotonic:
    return Monotonic(monotonic() + seconds)


@asynccontextmanager
async def opened(options: RedisOptions) -> AsyncIterator[RedisBus]:
    bus = RedisBus(options)
    try:
        await bus.open()
        yield bus
    finally:
        await bus.aclose()


def behind(proxy: TcpProxy) -> AbstractAsyncContextManager[RedisBus]:
    return opened(RedisOptions(address=("127.0.0.1", proxy.port)))


def again_connected(bus: RedisBus, before: int) -> bool:
    return bus.connections > before and bus.connected


def works(server: RedisServer) -> bool:
    return "cluster_state:ok" in server.ask("CLUSTER", "INFO")


async def exchange(publisher: RedisBus, subscriber: RedisBus, channel: str = "here") -> None:
    """A message from one to the other, and a key that only one of them gets."""
    heard: list[bytes] = []
    await subscriber.subscribe(channel, heard.append)
    await publisher.publish(channel, b"\x00\xffbytes", deadline=soon())
    await eventually(lambda: heard == [b"\x00\xffbytes"], "the message arrives")
    taken = await asyncio.gather(*(b.take("key", "x", seconds=5, deadline=soon()) for b in (publisher, subscriber)))
    assert sorted(taken) == [False, True]
    assert await publisher.value("key", deadline=soon()) == "x"
    await publisher.forget("key", deadline=soon())
    assert await publisher.value("key", deadline=soon()) == ""


async def test_messages_and_keys(bus: RedisBus) -> None:
    await exchange(bus, bus)
    assert await bus.publish("here", b"", deadline=soon()) == 1
    await bus.unsubscribe("here")
    assert await bus.publish("here", b"", deadline=soon()) == 0


async def test_a_receiver_that_fails_does_not_stop_the_bus(bus: RedisBus) -> None:
    heard: list[bytes] = []

    def fail(payload: bytes) -> None:
        raise ValueError("broken")

    await bus.subscribe("broken", fail)
    await bus.subscribe("whole", heard.append)
    await bus.publish("broken", b"1", deadline=soon())
    await bus.publish("whole", b"2", deadline=soon())
    await eventually(lambda: heard == [b"2"], "the message arrives")


async def test_redis_restarts_and_everything_is_subscribed_again(tmp_path: Path) -> None:
    with RedisServer(tmp_path) as server:
        async with opened(server.options) as bus:
            heard: list[bytes] = []
            told: list[bool] = []
            bus.on_connected(lambda: told.append(bus.connected))
            for number in range(50):
                await bus.subscribe(f"channel{number}", heard.append)
            server.kill()
            await eventually(lambda: not bus.connected, "the loss is noticed")
            waiting = asyncio.create_task(bus.publish("channel7", b"kept", deadline=soon(20)))
            late = asyncio.create_task(bus.subscribe("late", heard.append))
            server.start()
            await eventually(lambda: bus.connected, "connected again")
            await waiting
            await late
            await bus.publish("channel49", b"a", deadline=soon())
            await bus.publish("late", b"b", deadline=soon())
            await eventually(lambda: {b"a", b"b"} <= set(heard), "messages arrive again")
            assert told == [True]


async def test_a_connection_that_is_cut_comes_back(redis_server: RedisServer) -> None:
    async with TcpProxy("127.0.0.1", redis_server.port) as proxy, behind(proxy) as bus:
        for _ in range(3):
            before = bus.connections
            proxy.cut()
            await eventually(partial(again_connected, bus, before), "connected again")
            await exchange(bus, bus)


async def test_a_connection_that_is_silent_is_given_up(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pyegress.api.psrpc.bus.PING_EVERY", 0.1)
    monkeypatch.setattr("pyegress.api.psrpc.bus.PING_PATIENCE", 0.3)
    async with TcpProxy("127.0.0.1", redis_server.port) as proxy, behind(proxy) as bus:
        proxy.stall()
        await eventually(lambda: not bus.connected, "the silence is noticed")
        proxy.go_on()
        await eventually(lambda: bus.connected, "connected again")


async def test_nobody_there(tmp_path: Path) -> None:
    server = RedisServer(tmp_path)
    bus = RedisBus(server.options)
    with pytest.raises(RedisUnreachable, match=f"127.0.0.1:{server.port}"):
        await bus.open(timeout=0.3)
    with pytest.raises(RedisUnreachable):
        await bus.publish("here", b"", deadline=soon(0.2))
    await bus.aclose()


async def test_passwords(tmp_path: Path) -> None:
    with RedisServer(tmp_path, "requirepass s3cret") as server:
        address = ("127.0.0.1", server.port)
        async with opened(RedisOptions(address=address, password="s3cret", db=3)) as bus:
            await exchange(bus, bus)
        wrong = RedisBus(RedisOptions(address=address, password="wr0ng"))
        with pytest.raises(RedisUnreachable) as raised:
            await wrong.open(timeout=5.0)
        await wrong.aclose()
        assert "wr0ng" not in str(raised.value)


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    """Certificate of `redis.test` and its key."""
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-keyout", str(key), "-out", str(certificate), "-subj", "/CN=redis.test", "-addext",
         "subjectAltName=DNS:redis.test"],
        check=True, capture_output=True,
    )  # fmt: skip
    return certificate, key


async def test_tls(tmp_path: Path, certificate: tuple[Path, Path]) -> None:
    pem, key = certificate
    settings = (f"tls-cert-file {pem}", f"tls-key-file {key}", f"tls-ca-cert-file {pem}")
    with RedisServer(tmp_path / "redis", *settings, tls=True) as server:
        address = ("127.0.0.1", server.port)
        files: dict[str, Any] = {"client_cert_file": str(pem), "client_key_file": str(key)}
        named = TlsOptions(server_name="redis.test", ca_cert_file=str(pem), **files)
        async with opened(RedisOptions(address=address, tls=named)) as bus:
            await exchange(bus, bus)
        async with opened(RedisOptions(address=address, tls=TlsOptions(insecure=True, **files))) as bus:
            await exchange(bus, bus)
        strict = RedisBus(RedisOptions(address=address, tls=TlsOptions(ca_cert_file=str(pem), **files)))
        with pytest.raises(RedisUnreachable, match=r"(?i)certificate"):
            await strict.open(timeout=5.0)
        await strict.aclose()


async def test_sentinel_finds_the_new_master(tmp_path: Path) -> None:
    with RedisServer(tmp_path / "a") as first, RedisServer(tmp_path / "b") as second:
        second.ask("REPLICAOF", "127.0.0.1", str(first.port))
        settings = [
            f"sentinel monitor main 127.0.0.1 {first.port} 1",
            "sentinel down-after-milliseconds main 300",
            "sentinel failover-timeout main 1000",
        ]
        with RedisServer(tmp_path / "s", *settings, sentinel=True) as sentinel:
            options = RedisOptions(sentinel_master_name="main", sentinel_addresses=(("127.0.0.1", sentinel.port),))
            async with opened(options) as bus:
                await exchange(bus, bus)
                await eventually(
                    lambda: str(second.port) in sentinel.ask("SENTINEL", "replicas", "main"), "the replica is known"
                )
                await eventually(lambda: "master_link_status:up" in second.ask("INFO", "replication"), "in step")
                first.kill()
                # Not asked of the new master itself: it is promoted with its clients being cut off.
                await eventually(
                    lambda: str(second.port) in sentinel.ask("SENTINEL", "get-master-addr-by-name", "main"),
                    "the failover",
                    30,
                )
                await eventually(lambda: bus.connected, "connected to the new master", 30)
                await exchange(bus, bus, "there")


async def test_cluster(tmp_path: Path) -> None:
    settings = ("cluster-enabled yes", "cluster-config-file nodes.conf", "cluster-node-timeout 2000")
    # Its own choice, the port plus 10000, may be taken.
    buses = [f"cluster-port {free_port(socket.SOCK_STREAM)}" for _ in range(2)]
    with (
        RedisServer(tmp_path / "a", *settings, buses[0]) as first,
        RedisServer(tmp_path / "b", *settings, buses[1]) as second,
    ):
        first.ask("CLUSTER", "ADDSLOTSRANGE", "0", "8191")
        second.ask("CLUSTER", "ADDSLOTSRANGE", "8192", "16383")
        first.ask("CLUSTER", "MEET", "127.0.0.1", str(second.port), buses[1].split()[1])
        for server in (first, second):
            await eventually(partial(works, server), "the cluster works", 20)
        options = RedisOptions(cluster_addresses=(("127.0.0.1", first.port), ("127.0.0.1", second.port)))
        async with opened(options) as one, opened(options) as other:
            for number in range(6):
                await exchange(one, other, f"channel{number}")
