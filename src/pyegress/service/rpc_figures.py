"""What calls over psrpc came to: counted by the door, shown by the metrics under psrpc's own names."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from enum import Enum

from pyegress.service.times import Times

#: Upper bounds of the time of a call, milliseconds.
BUCKETS = (10, 50, 100, 300, 500, 1_000, 1_500, 2_000, 5_000, 10_000)


class Role(Enum):
    CLIENT = "client"
    SERVER = "server"


@dataclass(frozen=True, slots=True)
class Called:
    """One method in one role; `kind` is rpc, or multirpc when all servers answer."""

    role: Role
    kind: str
    service: str
    method: str

    @property
    def labels(self) -> tuple[str, str, str, str]:
        return self.role.value, self.kind, self.service, self.method


class RpcFigures:
    """Fed with every request."""

    def __init__(self) -> None:
        #: Requests that were heard, and those that came when nobody waited for them any more, by service and method.
        self.received: Counter[tuple[str, str]] = Counter()
        self.expired: Counter[tuple[str, str]] = Counter()
        #: Of calls without an error.
        self.times: dict[Called, Times] = {}
        #: By code.
        self.errors: Counter[tuple[Called, str]] = Counter()

    def heard(self, service: str, method: str, *, expired: bool) -> None:
        """A server heard a request."""
        self.received[service, method] += 1
        self.expired[service, method] += expired

    def over(self, called: Called, seconds: float, code: str = "") -> None:
        """A call is over, with an error when it has a `code`."""
        if code:
            self.errors[called, code] += 1
        else:
            self.times.setdefault(called, Times(BUCKETS)).add(seconds * 1000)
