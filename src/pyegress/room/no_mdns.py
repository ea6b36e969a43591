"""Stands in for `aioice.mdns`, which loads a DNS library: 46 modules, 3 MB of every process, a twentieth of a second.

It resolves the names of the local network (draft-ietf-mmusic-mdns-ice-candidates) behind which browsers hide their
addresses from each other. livekit-server has no such candidates; one that comes all the same is left out.
"""

from __future__ import annotations

import sys
from types import ModuleType


class MDnsProtocol:
    """Resolves nothing."""

    async def resolve(self, hostname: str) -> str | None:
        return None

    async def close(self) -> None: ...


def is_mdns_hostname(name: str) -> bool:
    """Whether a candidate has a name instead of an address."""
    return name.endswith(".local")


async def create_mdns_protocol() -> MDnsProtocol:
    """What would resolve it."""
    return MDnsProtocol()


def stand_in() -> None:
    """Be `aioice.mdns`; only before aioice is imported."""
    module = ModuleType("aioice.mdns")
    for part in (MDnsProtocol, is_mdns_hostname, create_mdns_protocol):
        setattr(module, part.__name__, part)
    sys.modules.setdefault(module.__name__, module)
