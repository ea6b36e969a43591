"""What livekit-server has still to be told about one egress. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from livekit.protocol import egress as pb


class Kind(Enum):
    CREATE = 1
    UPDATE = 2


@dataclass(frozen=True, slots=True)
class Report:
    """One call to IOInfo."""

    kind: Kind
    info: pb.EgressInfo

    def to_bytes(self) -> bytes:
        """For keeping it."""
        return bytes([self.kind.value]) + self.info.SerializeToString()

    @classmethod
    def from_bytes(cls, data: bytes) -> Report:
        """What `to_bytes` gave."""
        return cls(Kind(data[0]), pb.EgressInfo.FromString(data[1:]))


class UpdateQueue:
    """The reports of one egress in order: CreateEgress first, then every status, newest details of each.

    A report that waits gives way to a newer one of the same status; one that is being sent stays as it is. What is
    said twice is sent once: an end that an earlier process left, and then was found in its folder.
    """

    def __init__(self, left: Iterable[Report] = ()) -> None:
        """`left`: what an earlier process did not get to, its first report to be sent again."""
        self._waiting: deque[Report] = deque(left)
        self._sending = False
        self._begun = bool(self._waiting)
        self.created = self._begun and self._waiting[0].kind is Kind.UPDATE

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def waiting(self) -> tuple[Report, ...]:
        """What is not sent yet, in order."""
        return tuple(self._waiting)

    def add(self, info: pb.EgressInfo) -> None:
        """`info` is copied: senders go on changing theirs."""
        copy = pb.EgressInfo()
        copy.CopyFrom(info)
        if self._waiting and self._waiting[-1].info == copy and self._waiting[-1].kind is Kind.UPDATE:
            return
        if not self._begun:
            self._begun = True
            self._waiting.append(Report(Kind.CREATE, copy))
            # Creating makes a webhook of its own; any other status needs the update besides.
            if copy.status == pb.EgressStatus.EGRESS_STARTING:
                return
        elif self._replaceable(copy):
            self._waiting[-1] = Report(self._waiting[-1].kind, copy)
            return
        self._waiting.append(Report(Kind.UPDATE, copy))

    def next(self) -> Report | None:
        """The report to send now; the same one again until `sent`."""
        if not self._waiting:
            return None
        self._sending = True
        return self._waiting[0]

    def sent(self) -> None:
        """The report of `next` has arrived."""
        self._sending = False
        if self._waiting.popleft().kind is Kind.CREATE:
            self.created = True

    def unsent(self) -> None:
        """The report of `next` has not arrived: it may be replaced until it is tried again."""
        self._sending = False

    def _replaceable(self, info: pb.EgressInfo) -> bool:
        if not self._waiting or (self._sending and len(self._waiting) == 1):
            return False
        return self._waiting[-1].info.status == info.status
