"""Clients and connections of redis-py for a node, Sentinel or Cluster, with TLS."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from redis.asyncio import Connection, Redis, RedisCluster, Sentinel, SSLConnection
from redis.asyncio.cluster import ClusterNode
from redis.asyncio.connection import AbstractConnection, BlockingConnectionPool
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import SentinelManagedSSLConnection
from redis.backoff import NoBackoff

from pyegress.api.psrpc.redis_options import RedisOptions, TlsOptions


class RedisLink(Protocol):
    """Where commands go, and connections for subscribing."""

    async def command(self, *parts: str | bytes | int) -> Any:
        """One command, tried once. Raises redis.RedisError or OSError."""
        ...

    async def connection(self) -> AbstractConnection:
        """A new connection, open, of the caller's own."""
        ...

    async def aclose(self) -> None: ...


def link(options: RedisOptions) -> RedisLink:
    """Nothing is connected before the first use."""
    if options.cluster_addresses:
        return _ClusterLink(options)
    return _sentinel_link(options) if options.sentinel_addresses else _NodeLink(_node_client(options))


class _NodeLink:
    def __init__(self, client: Any, sentinels: Sequence[Redis] = ()) -> None:
        self._client = client
        self._sentinels = sentinels

    async def command(self, *parts: str | bytes | int) -> Any:
        return await self._client.execute_command(*parts)

    async def connection(self) -> AbstractConnection:
        connection = self._client.connection_pool.make_connection()
        await connection.connect()
        opened: AbstractConnection = connection
        return opened

    async def aclose(self) -> None:
        for client in (self._client, *self._sentinels):
            await client.aclose(close_connection_pool=True)


class _ClusterLink:
    """Plain PUBLISH and SUBSCRIBE reach every node of a cluster; keys are at their node."""

    def __init__(self, options: RedisOptions) -> None:
        self._nodes = [ClusterNode(host, port) for host, port in options.cluster_addresses]
        self._arguments: dict[str, Any] = {
            **_credentials(options),
            **_times(options),
            **(_tls_arguments(options.tls) if options.tls else {}),
        }
        self._retry = Retry(NoBackoff(), 1)
        self._client = RedisCluster(
            startup_nodes=self._nodes, require_full_coverage=False, ssl=options.tls is not None,
            max_connections=options.pool_size * 2, retry=self._retry, **self._arguments,
        )  # fmt: skip
        self._connection_class = _tls_class(SSLConnection, options.tls) if options.tls else Connection

    async def command(self, *parts: str | bytes | int) -> Any:
        target = {"target_nodes": RedisCluster.RANDOM} if parts[0] == "PUBLISH" else {}
        return await self._client.execute_command(*parts, **target)

    async def connection(self) -> AbstractConnection:
        await self._client.initialize()
        node = self._client.get_random_node()
        connection: Any = self._connection_class(
            host=node.host, port=node.port, protocol=2, retry=Retry(NoBackoff(), 0), **self._arguments
        )
        await connection.connect()
        opened: AbstractConnection = connection
        return opened

    async def aclose(self) -> None:
        await self._client.aclose()


def _node_client(options: RedisOptions) -> Redis:
    assert options.address is not None
    host, port = options.address
    arguments: dict[str, Any] = {"host": host, "port": port, "db": options.db, **_pool_arguments(options)}
    if options.tls:
        arguments |= {"connection_class": _tls_class(SSLConnection, options.tls), **_tls_arguments(options.tls)}
    pool = BlockingConnectionPool(max_connections=options.pool_size, timeout=options.command_timeout, **arguments)
    return Redis(connection_pool=pool)


def _sentinel_link(options: RedisOptions) -> _NodeLink:
    tls = {"ssl": True, **_tls_arguments(options.tls)} if options.tls else {}
    sentinel: Any = Sentinel(  # type: ignore[no-untyped-call]
        list(options.sentinel_addresses),
        sentinel_kwargs={
            "username": options.sentinel_username or None,
            "password": options.sentinel_password or None,
            "socket_timeout": 1.0,
            "socket_connect_timeout": 2.0,
            **tls,
        },
    )
    arguments: dict[str, Any] = {"db": options.db, **_pool_arguments(options)}
    if options.tls:
        arguments |= {
            "connection_class": _tls_class(SentinelManagedSSLConnection, options.tls),
            **_tls_arguments(options.tls),
        }
    return _NodeLink(sentinel.master_for(options.sentinel_master_name, **arguments), sentinel.sentinels)


def _credentials(options: RedisOptions) -> dict[str, Any]:
    return {"username": options.username or None, "password": options.password or None}


def _times(options: RedisOptions) -> dict[str, Any]:
    return {"socket_timeout": options.command_timeout, "socket_connect_timeout": options.dial_timeout}


def _pool_arguments(options: RedisOptions) -> dict[str, Any]:
    # RESP2 delivers messages as plain arrays. The bus retries by itself: it knows until when a message is of use.
    return {**_credentials(options), **_times(options), "protocol": 2, "retry": Retry(NoBackoff(), 0)}


def _tls_arguments(tls: TlsOptions) -> dict[str, Any]:
    return {
        "ssl_cert_reqs": "none" if tls.insecure else "required",
        "ssl_check_hostname": not tls.insecure,
        "ssl_ca_certs": tls.ca_cert_file or None,
        "ssl_certfile": tls.client_cert_file or None,
        "ssl_keyfile": tls.client_key_file or None,
    }


def _tls_class(base: type[SSLConnection], tls: TlsOptions) -> type[SSLConnection]:
    """`base`, which asks for the certificate of `server_name` where one is given."""
    if not tls.server_name:
        return base

    class NamedServer(base):  # type: ignore[valid-type,misc]
        def _connection_arguments(self) -> Mapping[str, Any]:
            return {**super()._connection_arguments(), "server_hostname": tls.server_name}

    return NamedServer
