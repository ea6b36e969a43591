"""`pyegress doctor` with real servers: what is well, and each thing that can be wrong."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pyegress.cli.exit_codes import ExitCode
from tests.cli.command import Ended, environment, run
from tests.support.livekit_server import LiveKitServer
from tests.support.netns import NetworkNamespace
from tests.support.object_servers import BUCKET, S3Server
from tests.support.redis_server import RedisServer, why_unavailable

pytestmark = pytest.mark.system


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    if reason := why_unavailable():
        pytest.skip(reason)
    with RedisServer(tmp_path / "redis") as server:
        yield server


async def found(*arguments: object, folder: Path, **more: Any) -> tuple[Ended, dict[str, dict[str, str]]]:
    """What it says, by check."""
    config = {"local_directory": str(folder / "files"), "state_directory": str(folder / "state")}
    config |= more.pop("config", {})
    file = folder / "config.yaml"
    file.write_text(json.dumps(config))
    ended = await run("doctor", "--config", file, "--json", *arguments, within=60, **more)
    return ended, {finding["check"]: finding for finding in json.loads(ended.out)}


def verdicts(findings: dict[str, dict[str, str]]) -> dict[str, str]:
    return {check: finding["verdict"] for check, finding in findings.items()}


async def test_all_is_well_with_redis_and_a_server_that_uses_it(
    new_livekit_server: Callable[..., LiveKitServer], redis: RedisServer, tmp_path: Path
) -> None:
    server = new_livekit_server(config={"redis": {"address": redis.address}})
    config = {"redis": {"address": redis.address}}
    ended, findings = await found(server=server, folder=tmp_path, config=config)
    for check in (
        *("configuration", "server", "keys", "clock", "egress at the server", "join", "media path"),
        *("redis", "clock of redis", "livekit-server at redis", "cpu", "folder for state"),
    ):
        assert findings[check]["verdict"] == "good", findings[check]
    assert ended.code == ExitCode.OK, ended.out
    assert "1.13.5" in findings["join"]["found"]
    assert "udp" in findings["media path"]["found"]
    assert "room composites" in findings["cpu"]["found"]
    assert findings["storage"]["verdict"] == "skipped"
    assert all(finding["meaning"] and finding["remedy"] for finding in findings.values() if finding["verdict"] == "bad")
    # Nothing is left: neither its room nor its files.
    assert [room.name for room in await server.rooms() if room.name.startswith("pyegress-doctor")] == []
    assert list((tmp_path / "files").iterdir()) == []

    text = await run("doctor", "--no-join", server=server)
    assert "ok  keys: " in text.out
    assert text.out.splitlines()[-1].endswith(("All is well.", "the rest is well."))


async def test_a_wrong_secret(livekit_server: LiveKitServer, tmp_path: Path) -> None:
    env = environment(livekit_server, LIVEKIT_API_SECRET="w" * 32)
    ended, findings = await found(env=env, folder=tmp_path, secrets=["w" * 32])
    assert ended.code == ExitCode.REFUSED
    assert verdicts(findings) | {"server": "good", "keys": "bad", "clock": "good", "media path": "skipped"} == verdicts(
        findings
    )
    assert livekit_server.api_key in findings["keys"]["found"]


async def test_nobody_there(tmp_path: Path) -> None:
    env = environment(LIVEKIT_URL="ws://127.0.0.1:9", LIVEKIT_API_KEY="key", LIVEKIT_API_SECRET="hush" * 8)
    config = {"redis": {"address": "127.0.0.1:9"}, "local_directory": "/proc/nothing", "api_kee": 1}
    ended, findings = await found(env=env, folder=tmp_path, config=config, secrets=["hush" * 8])
    assert ended.code == ExitCode.CONNECTION
    expected = {"server": "bad", "keys": "skipped", "redis": "bad", "folder for recordings": "bad"}
    assert verdicts(findings) | expected | {"configuration": "warning"} == verdicts(findings)
    assert "api_key" in findings["configuration"]["found"]
    for check in expected:
        if findings[check]["verdict"] == "bad":
            assert findings[check]["meaning"], check
            assert findings[check]["remedy"], check
    nothing, _ = await found(env=environment(), folder=tmp_path)
    assert nothing.code == ExitCode.USAGE


async def test_redis_that_the_server_does_not_use(
    livekit_server: LiveKitServer, redis: RedisServer, tmp_path: Path
) -> None:
    redis.ask("CONFIG", "SET", "requirepass", "hush-redis")
    config = {"redis": {"address": redis.address, "password": "wrong-hush"}}
    ended, findings = await found("--no-join", server=livekit_server, folder=tmp_path, config=config)
    assert (findings["redis"]["verdict"], "password" in findings["redis"]["found"]) == ("bad", True)
    assert findings["egress at the server"]["verdict"] == "bad"
    config = {"redis": {"address": redis.address, "password": "hush-redis"}}
    ended, findings = await found(
        "--no-join", server=livekit_server, folder=tmp_path, config=config, secrets=["hush-redis"]
    )
    assert (findings["redis"]["verdict"], findings["livekit-server at redis"]["verdict"]) == ("good", "warning")
    assert ended.code == ExitCode.CONNECTION


async def test_a_storage_is_used(livekit_server: LiveKitServer, s3_server: S3Server, tmp_path: Path) -> None:
    right = {"bucket": BUCKET, "region": s3_server.region, "endpoint": s3_server.url, "force_path_style": True}
    right |= {"access_key": s3_server.access_key, "secret": s3_server.secret}
    config = {"storage": {"s3": right}, "backup": {"s3": right | {"secret": "w" * 40}}}
    ended, findings = await found(
        "--no-join", server=livekit_server, folder=tmp_path, config=config, secrets=[s3_server.secret, "w" * 40]
    )
    assert findings["storage"]["verdict"] == "good", findings["storage"]
    assert "deleted again" in findings["storage"]["found"]
    assert (findings["backup"]["verdict"], ended.code) == ("bad", ExitCode.OUTPUT)
    assert findings["backup"]["remedy"]
    assert [path.name for path in s3_server.root.rglob("pyegress-doctor*")] == []


async def test_media_that_is_blocked(
    network_namespace: NetworkNamespace, new_livekit_server: Callable[..., LiveKitServer], tmp_path: Path
) -> None:
    inside = network_namespace.command([])
    server = new_livekit_server(bind=network_namespace.outside)
    network_namespace.impair(loss=1.0, loss_out=1.0)
    ended, findings = await found(server=server, folder=tmp_path, prefix=inside)
    assert (ended.code, findings["media path"]["verdict"]) == (ExitCode.OK, "warning"), findings["media path"]
    assert "tcp" in findings["media path"]["found"]

    server = new_livekit_server(bind=network_namespace.outside, config={"rtc": {"tcp_port": 0}})
    ended, findings = await found(server=server, folder=tmp_path, prefix=inside)
    assert (ended.code, findings["join"]["verdict"]) == (ExitCode.CONNECTION, "good")
    assert "UDP to the media server is blocked" in findings["media path"]["found"]
    assert "udp_port" in findings["media path"]["remedy"]
