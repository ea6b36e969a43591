"""Names of psrpc's Redis channels, ids and keys."""

from __future__ import annotations

import base64
import hashlib
import secrets
import string
from dataclasses import dataclass

from pyegress.service.rpc_figures import Called, Role

_ALPHABET = string.ascii_letters + string.digits
_PLAIN = frozenset(_ALPHABET + "_")
#: Seconds for which one receiver of a queue request keeps the others off it.
TAKEN_FOR = 5


@dataclass(frozen=True, slots=True)
class Method:
    """One method of a service.

    `claimed`: servers bid and the client picks one. `queue`: of all servers that hear the request only the one that
    takes its key goes on. `multi`: all servers answer.
    """

    service: str
    name: str
    claimed: bool = True
    queue: bool = False
    multi: bool = False

    def called(self, role: Role) -> Called:
        """It, as figures name it."""
        return Called(role, "multirpc" if self.multi else "rpc", self.service, self.name)

    def requests(self, topic: str = "") -> str:
        """The channel on which servers hear requests."""
        return _joined(self.service, self.name, topic, "REQ")

    def awards(self, topic: str = "") -> str:
        """The channel on which servers hear whom a client has picked (claim responses)."""
        return _joined(self.service, self.name, topic, "RCLAIM")


def bids(service: str, client_id: str) -> str:
    """The channel on which a client hears bids (claim requests)."""
    return _joined(service, client_id, "CLAIM")


def responses(service: str, client_id: str) -> str:
    """The channel on which a client hears responses."""
    return _joined(service, client_id, "RES")


def new_id(prefix: str) -> str:
    """`prefix` (`CLI_`, `SRV_`, `REQ_`) and twelve random characters."""
    return prefix + "".join(secrets.choice(_ALPHABET) for _ in range(12))


def queue_key(payload: bytes) -> str:
    """The Redis key that a receiver of a queue request sets to have it for itself."""
    return base64.b64encode(hashlib.sha256(payload).digest()).decode()


def _joined(*parts: str) -> str:
    return "|".join(_escaped(part) for part in parts if part)


def _escaped(part: str) -> str:
    return "".join(c if c in _PLAIN else f"u+{ord(c):04x}" if ord(c) <= 0xFFFF else f"U+{ord(c):08x}" for c in part)
