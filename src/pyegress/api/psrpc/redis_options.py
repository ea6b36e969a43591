"""How to reach Redis: the `redis` section of the configuration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pyegress.errors import InvalidRequest

DEFAULT_PORT = 6379
SENTINEL_PORT = 26379
Address = tuple[str, int]


@dataclass(frozen=True, slots=True)
class TlsOptions:
    """TLS towards Redis. Files are PEM. `server_name` replaces the host name in SNI and in the certificate check."""

    insecure: bool = False
    server_name: str = ""
    ca_cert_file: str = ""
    client_cert_file: str = ""
    client_key_file: str = ""


@dataclass(frozen=True, slots=True)
class RedisOptions:
    """One of three: a node (`address`), Sentinel (`sentinel_master_name`, addresses) or Cluster. Times in seconds."""

    address: Address | None = None
    username: str = ""
    password: str = field(default="", repr=False)
    db: int = 0
    tls: TlsOptions | None = None
    sentinel_master_name: str = ""
    sentinel_addresses: tuple[Address, ...] = ()
    sentinel_username: str = ""
    sentinel_password: str = field(default="", repr=False)
    cluster_addresses: tuple[Address, ...] = ()
    dial_timeout: float = 5.0
    command_timeout: float = 3.0
    pool_size: int = 16

    @classmethod
    def from_mapping(cls, section: Mapping[str, Any]) -> RedisOptions:
        """The `redis` section as the configuration file has it (times in milliseconds). Raises InvalidRequest."""
        master = str(section.get("sentinel_master_name") or "")
        sentinels = _addresses(section, "sentinel_addresses", SENTINEL_PORT)
        cluster = _addresses(section, "cluster_addresses", DEFAULT_PORT)
        address = _address(str(section["address"]), "redis.address", DEFAULT_PORT) if section.get("address") else None
        if bool(master) != bool(sentinels):
            raise InvalidRequest(
                "Sentinel needs both the name of the master and the addresses of the sentinels",
                field="redis.sentinel_addresses" if master else "redis.sentinel_master_name",
                remedy="Give redis.sentinel_master_name and redis.sentinel_addresses, or neither",
            )
        if not (address or sentinels or cluster):
            raise InvalidRequest(
                "No Redis address was given",
                field="redis.address",
                remedy="Set redis.address (host:port), redis.sentinel_addresses or redis.cluster_addresses",
            )
        read = max(_seconds(section, "read_timeout", 3.0), _seconds(section, "write_timeout", 3.0))
        return cls(
            address=address,
            username=str(section.get("username") or ""),
            password=str(section.get("password") or ""),
            db=_integer(section, "db", 0),
            tls=_tls(section),
            sentinel_master_name=master,
            sentinel_addresses=sentinels,
            sentinel_username=str(section.get("sentinel_username") or ""),
            sentinel_password=str(section.get("sentinel_password") or ""),
            cluster_addresses=cluster,
            dial_timeout=_seconds(section, "dial_timeout", 5.0),
            command_timeout=read,
            pool_size=max(1, _integer(section, "pool_size", 16)),
        )

    def __str__(self) -> str:
        """Where Redis is, without credentials."""
        if self.cluster_addresses:
            return f"Redis Cluster at {_listed(self.cluster_addresses)}"
        if self.sentinel_addresses:
            return f"Redis master {self.sentinel_master_name!r} of the sentinels at {_listed(self.sentinel_addresses)}"
        return f"Redis at {_listed([self.address] if self.address else [])}"


def _tls(section: Mapping[str, Any]) -> TlsOptions | None:
    tls = section.get("tls") or {}
    if not isinstance(tls, Mapping):
        raise InvalidRequest(
            "redis.tls must be a mapping", field="redis.tls", remedy="For instance: tls: {enabled: true}"
        )
    if not (tls.get("enabled") or section.get("use_tls")):
        return None
    files = {name: str(tls.get(name) or "") for name in ("ca_cert_file", "client_cert_file", "client_key_file")}
    return TlsOptions(bool(tls.get("insecure")), str(tls.get("server_name") or ""), **files)


def _addresses(section: Mapping[str, Any], key: str, port: int) -> tuple[Address, ...]:
    value = section.get(key) or []
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise InvalidRequest(
            f"redis.{key} must be a list", field=f"redis.{key}", remedy="Give a list of host:port, one per node"
        )
    return tuple(_address(str(item), f"redis.{key}", port) for item in value)


def _address(text: str, name: str, default_port: int) -> Address:
    """`host`, `host:port`, `[IPv6]:port`."""
    host, port = text, ""
    if text.startswith("["):
        host, _, port = text[1:].partition("]")
        port = port.removeprefix(":")
    elif text.count(":") == 1:
        host, _, port = text.partition(":")
    if not host or (port and not port.isdecimal()):
        raise InvalidRequest(f"{text!r} is not an address", field=name, remedy="Give host:port")
    return host, int(port) if port else default_port


def _integer(section: Mapping[str, Any], key: str, default: int) -> int:
    value = section.get(key)
    if value is None:
        return default
    try:
        return int(value)
    except (TypeError, ValueError):
        raise InvalidRequest(f"redis.{key} is {value!r}", field=f"redis.{key}", remedy="Give a whole number") from None


def _seconds(section: Mapping[str, Any], key: str, default: float) -> float:
    milliseconds = _integer(section, key, 0)
    return milliseconds / 1000 if milliseconds > 0 else default


def _listed(addresses: Sequence[Address]) -> str:
    return ", ".join(f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in addresses)
