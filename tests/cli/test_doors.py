"""What is loaded for a configuration before it is read."""

from __future__ import annotations

from pathlib import Path

import pytest

from pyegress.cli.doors import _mentions_redis

pytestmark = pytest.mark.unit

REDIS, NONE = "ws_url: ws://h\nredis: {address: 'localhost:6379'}\n", "ws_url: ws://h\n"


def test_redis_is_seen_wherever_the_configuration_comes_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("EGRESS_CONFIG_FILE", "EGRESS_CONFIG_BODY"):
        monkeypatch.delenv(name, raising=False)
    with_redis, without, empty = (tmp_path / name for name in ("redis.yaml", "none.yaml", "empty.yaml"))
    with_redis.write_text(REDIS)
    without.write_text(NONE)
    empty.touch()
    assert _mentions_redis(str(with_redis), "")
    assert not _mentions_redis(str(without), "")
    assert not _mentions_redis(str(empty), "")
    assert not _mentions_redis(str(tmp_path / "missing.yaml"), "")
    assert not _mentions_redis("", "")
    assert _mentions_redis(str(without), REDIS), "a body goes before a file"
    monkeypatch.setenv("EGRESS_CONFIG_FILE", str(with_redis))
    assert _mentions_redis("", "")
    monkeypatch.setenv("EGRESS_CONFIG_BODY", NONE)
    assert not _mentions_redis("", "")
    assert not _mentions_redis(str(without), ""), "arguments go before the environment"
