"""The front doors that a configuration opens, loaded only when they are."""

from __future__ import annotations

import logging
import os
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import TYPE_CHECKING

from pyegress.service.config import ServiceConfig
from pyegress.service.supervisor import Supervisor

if TYPE_CHECKING:
    from pyegress.api.twirp import TwirpDoor

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
    doors: list[Door] = []
    announced: Callable[[str], bool] = _nobody
    if wants_http(config):
        http = _twirp(config, supervisor)
        announced = http.announces
        doors.append(Door("Egress API over HTTP", http.open, http.aclose))
    if config.redis is not None:
        doors.append(_psrpc(config, supervisor, announced))
    return doors


def load_doors(path: str, body: str) -> None:
    """Load what the doors of a configuration need: what is there before a zygote is forked takes memory once.

    The configuration itself is not read yet: workers need not know all of it.
    """
    import pyegress.api.twirp
    import pyegress.api.twirp_settings

    if _mentions_redis(path, body):
        import pyegress.api.psrpc.door
        import pyegress.api.psrpc.redis_options  # noqa: F401


def _mentions_redis(path: str, body: str) -> bool:
    """Looks at a file in its place, so that nothing of it stays here. What is wrong with it is said later."""
    if not (path or body):
        body, path = os.environ.get("EGRESS_CONFIG_BODY", ""), os.environ.get("EGRESS_CONFIG_FILE", "")
    if body:
        return "redis" in body
    with suppress(OSError, ValueError), open(path, "rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as text:
        return text.find(b"redis") >= 0
    return False


def wants_http(config: ServiceConfig) -> bool:
    """Whether the Egress API is open over HTTP."""
    return config.api is not None or config.redis is None


def _nobody(egress_id: str) -> bool:
    return False


def _psrpc(config: ServiceConfig, supervisor: Supervisor, announced: Callable[[str], bool]) -> Door:
    from pyegress.api.psrpc.door import DoorSettings, PsrpcDoor
    from pyegress.api.psrpc.io_info import IoTimeouts
    from pyegress.api.psrpc.orphans import OrphanPolicy
    from pyegress.api.psrpc.redis_options import RedisOptions

    assert config.redis is not None
    timeouts = IoTimeouts(
        create=config.io_create_timeout,
        update=config.io_update_timeout,
        selection=config.io_selection_timeout or IoTimeouts().selection,
    )
    door = PsrpcDoor(
        supervisor,
        RedisOptions.from_mapping(asdict(config.redis)),
        node_id=supervisor.node_id,
        cluster_id=config.cluster_id,
        settings=DoorSettings(io=timeouts, orphans=OrphanPolicy.after(config.orphan_timeout)),
        announced=announced,
        outbox=Path(config.state_directory, "outbox.db"),
        figures=supervisor.calls,
    )
    return Door("psrpc over Redis", door.open, door.aclose, door.stop_accepting)


def _twirp(config: ServiceConfig, supervisor: Supervisor) -> TwirpDoor:
    from pyegress.api.twirp import TwirpDoor
    from pyegress.api.twirp_settings import configured

    return TwirpDoor(supervisor, configured(config))
