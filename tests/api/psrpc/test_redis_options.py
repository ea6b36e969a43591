"""The `redis` section of the configuration."""

from __future__ import annotations

from typing import Any

import pytest

from pyegress.api.psrpc.redis_options import RedisOptions, TlsOptions
from pyegress.errors import InvalidRequest

pytestmark = pytest.mark.unit


def test_a_single_node() -> None:
    options = RedisOptions.from_mapping(
        {"address": "redis.example:6380", "username": "u", "password": "s3cret", "db": 2, "dial_timeout": 1500}
    )
    assert options.address == ("redis.example", 6380)
    assert (options.username, options.password, options.db, options.dial_timeout) == ("u", "s3cret", 2, 1.5)
    assert "s3cret" not in repr(options) + str(options)
    assert str(options) == "Redis at redis.example:6380"


@pytest.mark.parametrize(
    ("text", "address"),
    [("redis", ("redis", 6379)), ("[::1]:7000", ("::1", 7000)), ("::1", ("::1", 6379)), ("[::1]", ("::1", 6379))],
)
def test_addresses(text: str, address: tuple[str, int]) -> None:
    assert RedisOptions.from_mapping({"address": text}).address == address


def test_sentinel_and_cluster() -> None:
    sentinel = RedisOptions.from_mapping(
        {"sentinel_master_name": "main", "sentinel_addresses": ["a", "b:1"], "sentinel_password": "s3cret"}
    )
    assert sentinel.sentinel_addresses == (("a", 26379), ("b", 1))
    assert "s3cret" not in repr(sentinel)
    cluster = RedisOptions.from_mapping({"cluster_addresses": ["a:7000", "b:7001"]})
    assert cluster.cluster_addresses == (("a", 7000), ("b", 7001))


def test_tls() -> None:
    assert RedisOptions.from_mapping({"address": "a", "use_tls": True}).tls == TlsOptions()
    options = RedisOptions.from_mapping(
        {"address": "a", "tls": {"enabled": True, "server_name": "redis", "ca_cert_file": "/ca.pem"}}
    )
    assert options.tls == TlsOptions(server_name="redis", ca_cert_file="/ca.pem")
    assert RedisOptions.from_mapping({"address": "a", "tls": {"enabled": False}}).tls is None


@pytest.mark.parametrize(
    ("section", "field"),
    [
        ({}, "redis.address"),
        ({"address": "a:b"}, "redis.address"),
        ({"sentinel_addresses": ["a"]}, "redis.sentinel_master_name"),
        ({"sentinel_master_name": "main"}, "redis.sentinel_addresses"),
        ({"cluster_addresses": "a:7000"}, "redis.cluster_addresses"),
        ({"address": "a", "db": "two"}, "redis.db"),
        ({"address": "a", "tls": "yes"}, "redis.tls"),
    ],
)
def test_errors_name_the_key(section: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidRequest) as raised:
        RedisOptions.from_mapping(section)
    assert raised.value.field == field
    assert raised.value.remedy
