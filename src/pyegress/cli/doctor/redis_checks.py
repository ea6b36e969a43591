"""Redis as both sides of psrpc use it."""

from __future__ import annotations

import asyncio
from dataclasses import asdict

from redis.exceptions import AuthenticationError, RedisError

from pyegress.api.psrpc.channels import Method
from pyegress.api.psrpc.io_info import CREATE_EGRESS
from pyegress.api.psrpc.redis_connection import RedisLink, link
from pyegress.api.psrpc.redis_options import RedisOptions
from pyegress.cli.doctor.findings import Finding, bad, failed, good, skipped, warning
from pyegress.cli.doctor.server_checks import skew
from pyegress.cli.exit_codes import ExitCode
from pyegress.clock import monotonic, wall
from pyegress.errors import EgressError
from pyegress.service.config import ServiceConfig

_TIMEOUT = 8.0
_UNREACHABLE = "Requests of livekit-server do not get here, and it learns nothing of recordings."


async def check_redis(config: ServiceConfig) -> list[Finding]:
    """Whether Redis answers, and whether a livekit-server listens there."""
    if config.redis is None:
        return [skipped("redis", "the configuration has no section redis: requests come over HTTP")]
    try:
        options = RedisOptions.from_mapping(asdict(config.redis))
    except EgressError as error:
        return [failed("redis", error, _UNREACHABLE)]
    connected = link(options)
    try:
        async with asyncio.timeout(_TIMEOUT):
            return await _look(connected, options)
    except TimeoutError:
        return [_unreachable(options, f"no answer in {_TIMEOUT:g} s")]
    except AuthenticationError:
        return [
            bad(
                *("redis", f"{options} refuses our password", _UNREACHABLE),
                "Check redis.username and redis.password",
                ExitCode.REFUSED,
            )
        ]
    except (RedisError, OSError) as error:
        return [_unreachable(options, _cause(error))]
    finally:
        await connected.aclose()


async def _look(connected: RedisLink, options: RedisOptions) -> list[Finding]:
    begun = monotonic()
    await connected.command("PING")
    took = (monotonic() - begun) * 1000
    findings = [good("redis", f"{options} answers in {took:.1f} ms")]
    if not options.cluster_addresses:
        seconds, microseconds = await connected.command("TIME")
        findings.append(skew("clock of redis", wall() - int(seconds) - int(microseconds) / 1e6, "Redis"))
        findings.append(await _servers(connected, CREATE_EGRESS))
    return findings


async def _servers(connected: RedisLink, method: Method) -> Finding:
    """livekit-server listens there to what egress services report."""
    _, listening = await connected.command("PUBSUB", "NUMSUB", method.requests(""))
    if int(listening):
        return good("livekit-server at redis", f"{listening} listen there")
    return warning(
        "livekit-server at redis",
        "no livekit-server listens there",
        "Nobody would send requests here, and reports would wait.",
        "Start livekit-server with a redis section that names the same Redis (the database number does not matter)",
    )


def _unreachable(options: RedisOptions, cause: str) -> Finding:
    remedy = "Check that it runs, the address in the section redis, and redis.tls"
    return bad("redis", f"{options} cannot be reached: {cause}", _UNREACHABLE, remedy, ExitCode.CONNECTION)


def _cause(error: BaseException) -> str:
    """What went wrong, without what a message may repeat of credentials."""
    cause = error.__cause__ or error.__context__
    if isinstance(cause, OSError) and cause.strerror:
        return cause.strerror
    return type(error).__name__ if not str(error) else str(error)[:200]
