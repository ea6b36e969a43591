"""The front doors that a configuration opens, loaded only when they are."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from pyegress.plan.recording_plan import Webhook
from pyegress.service.config import ApiSection, ServiceConfig
from pyegress.service.supervisor import Supervisor

logger = logging.getLogger(__name__)


async def _nothing() -> None:
    pass


@dataclass(frozen=True, slots=True)
class Door:
    """One way in. `close` delivers what was not told yet; `refuse` takes no more starts."""

    name: str
    open: Callable[[], Awaitable[None]]
    close: Callable[[], Awaitable[None]]
    refuse: Callable[[], Awaitable[None]] = _nothing


def doors_of(config: ServiceConfig, supervisor: Supervisor) -> list[Door]:
    """The doors, closed yet. Raises EgressError that names the key of what cannot be."""
    doors = [_psrpc(config, supervisor)] if config.redis is not None else []
    if config.api is not None or not doors:
        doors.append(_twirp(config, config.api or ApiSection(), supervisor))
    return doors


def _psrpc(config: ServiceConfig, supervisor: Supervisor) -> Door:
    from pyegress.api.psrpc.door import DoorSettings, PsrpcDoor
    from pyegress.api.psrpc.io_info import IoTimeouts
    from pyegress.api.psrpc.redis_options import RedisOptions

    assert config.redis is not None
    door = PsrpcDoor(
        supervisor,
        RedisOptions.from_mapping(asdict(config.redis)),
        node_id=supervisor.node_id,
        cluster_id=config.cluster_id,
        settings=DoorSettings(io=IoTimeouts(create=config.io_create_timeout, update=config.io_update_timeout)),
    )
    return Door("psrpc over Redis", door.open, door.aclose, door.stop_accepting)


def _twirp(config: ServiceConfig, section: ApiSection, supervisor: Supervisor) -> Door:
    from pyegress.api.twirp import TwirpDoor
    from pyegress.api.twirp_settings import TwirpSettings
    from pyegress.service.recording_rules import read_rules
    from pyegress.service.twirp_client import ServerAccess
    from pyegress.service.webhooks import WebhookSettings

    key = config.webhooks.api_key
    door = TwirpDoor(
        supervisor,
        TwirpSettings(
            server=ServerAccess(config.ws_url, config.api_key, config.api_secret),
            database=section.database or Path(config.state_directory, "egress.db"),
            keys={str(name): str(secret) for name, secret in section.keys.items()},
            host=section.host,
            port=section.port,
            retention=section.retention,
            webhooks=WebhookSettings(
                webhooks=tuple(Webhook(url, key) for url in config.webhooks.urls), signing_key=key
            ),
            rules=read_rules([dict(rule) for rule in config.auto_egress]),
            webhook_path=section.webhook_path,
        ),
    )
    return Door("Egress API over HTTP", door.open, door.aclose)
