"""What an egress's journal says, entry by entry, and what all of them together mean. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from enum import Enum

from pyegress.clock import Wall
from pyegress.lifecycle.timeline import TrackSpan
from pyegress.storage.objects import ObjectKind


class SpoolState(Enum):
    """Where an egress stands on the disk. Only forward, except that finishing may have to begin again."""

    RECORDING = "recording"
    #: No more media comes; files are being made ordinary seekable ones.
    FINISHING = "finishing"
    #: Everything is finished; not everything is where it belongs.
    UPLOADING = "uploading"
    #: Everything is where it belongs, or nothing was recorded. What is left is to tell it.
    DONE = "done"


@dataclass(frozen=True, slots=True)
class ObjectKey:
    """One object of an egress: the number of its storage among those of the plan, and its name there."""

    storage: int
    name: str


# Entries


@dataclass(frozen=True, slots=True)
class Moved:
    """The egress entered a state; `reason` is an `EndReason`'s wire value, or why it was begun again."""

    at: Wall
    state: SpoolState
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Begun:
    """The first media has arrived. `zero` is second 0 of the outputs; the last one that is told counts."""

    at: Wall
    zero: Wall


@dataclass(frozen=True, slots=True)
class Seen:
    """How publication `number` of those that are recorded (from 0) stands now."""

    at: Wall
    number: int
    track: TrackSpan


@dataclass(frozen=True, slots=True)
class Planned:
    """An object is being written at `path`: absolute, or below the egress's folder."""

    at: Wall
    key: ObjectKey
    path: str


@dataclass(frozen=True, slots=True)
class Parted:
    """An upload of an object that still grows was begun: its id at the storage, and how it is cut (`LeftUpload`)."""

    at: Wall
    key: ObjectKey
    upload: str
    first: int


@dataclass(frozen=True, slots=True)
class Finished:
    """An object is whole. `checksum` is `sha256:` and hex, `duration` seconds of media where somebody knows."""

    at: Wall
    key: ObjectKey
    kind: ObjectKind
    size: int
    checksum: str
    duration: float = 0.0


@dataclass(frozen=True, slots=True)
class Delivered:
    """The destination has confirmed the object. `backup`: it is in the backup storage."""

    at: Wall
    key: ObjectKey
    location: str
    backup: bool = False


@dataclass(frozen=True, slots=True)
class Refused:
    """An object could not be finished or delivered. `retryable`: it may work later without anybody's doing."""

    at: Wall
    key: ObjectKey
    reason: str
    retryable: bool


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """An object will not be: it was renamed, replaced, or nothing was written into it."""

    at: Wall
    key: ObjectKey


@dataclass(frozen=True, slots=True)
class Attempted:
    """What was left was taken up again, and not brought to its end."""

    at: Wall
    reason: str
    retryable: bool


@dataclass(frozen=True, slots=True)
class Told:
    """How the egress ends, as clients are told: an EgressInfo, redacted, as protobuf."""

    at: Wall
    info: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """Everybody who listens has taken what was told last."""

    at: Wall


Entry = (
    Moved
    | Begun
    | Seen
    | Planned
    | Parted
    | Finished
    | Delivered
    | Refused
    | Withdrawn
    | Attempted
    | Told
    | Acknowledged
)
ENTRIES: tuple[type[Entry], ...] = (
    *(Moved, Begun, Seen, Planned, Parted, Finished, Delivered, Refused, Withdrawn),
    *(Attempted, Told, Acknowledged),
)


# What they mean together


@dataclass(frozen=True, slots=True)
class SpooledObject:
    """One object as the journal leaves it.

    `kind` and `size` None: it was not finished; `location` "": it was not delivered.
    """

    key: ObjectKey
    path: str
    kind: ObjectKind | None = None
    size: int | None = None
    checksum: str = ""
    duration: float = 0.0
    location: str = ""
    backup: bool = False
    reason: str = ""
    retryable: bool = True
    #: When it was planned, and the upload that was begun of it meanwhile.
    planned: Wall | None = None
    parted: Parted | None = None

    @property
    def finished(self) -> bool:
        return self.size is not None

    @property
    def delivered(self) -> bool:
        return bool(self.location)


@dataclass(frozen=True, slots=True)
class Record:
    """An egress's journal, read to its end. Objects are in the order in which they were planned."""

    state: SpoolState = SpoolState.RECORDING
    #: When it entered each state, the latest time.
    entered: dict[SpoolState, Wall] = field(default_factory=dict)
    #: Why recording ended; "" when nobody said so.
    end_reason: str = ""
    #: Second 0 of the outputs, once media came.
    zero: Wall | None = None
    #: Publications that were recorded, by their number.
    tracks: dict[int, TrackSpan] = field(default_factory=dict)
    objects: dict[ObjectKey, SpooledObject] = field(default_factory=dict)
    #: Attempts to bring to its end what was left, since one of them got anywhere.
    attempts: int = 0
    attempted_at: Wall | None = None
    reason: str = ""
    retryable: bool = True
    told: bytes = field(default=b"", repr=False)
    acknowledged: bool = False
    #: Time of the last entry.
    at: Wall | None = None

    @property
    def waiting(self) -> tuple[SpooledObject, ...]:
        """What is not at its destination."""
        return tuple(item for item in self.objects.values() if not item.delivered)


def read_entries(entries: Iterable[Entry]) -> Record:
    """Everything that `entries` say, oldest first. What makes no sense is passed over: half a journal is a journal."""
    record = Record()
    for entry in entries:
        record = replace(_apply(record, entry), at=entry.at)
    return record


def _apply(record: Record, entry: Entry) -> Record:
    match entry:
        case Moved(at=at, state=state, reason=reason):
            record.entered[state] = at
            ended = reason if state is SpoolState.FINISHING and reason else record.end_reason
            return replace(record, state=state, end_reason=ended)
        case Begun(zero=zero):
            return replace(record, zero=zero)
        case Seen(number=number, track=track):
            record.tracks[number] = track
            return record
        case Planned(at=at, key=key, path=path):
            # A name that was planned before is written anew.
            record.objects[key] = SpooledObject(key, path, planned=at)
            return record
        case Withdrawn(key=key):
            record.objects.pop(key, None)
            return record
        case Attempted(at=at, reason=reason, retryable=retryable):
            return replace(record, attempts=record.attempts + 1, attempted_at=at, reason=reason, retryable=retryable)
        case Told(info=info):
            return replace(record, told=info, acknowledged=False)
        case Acknowledged():
            return replace(record, acknowledged=True)
        case Parted(key=key) | Finished(key=key) | Delivered(key=key) | Refused(key=key):
            if (known := record.objects.get(key)) is not None:
                record.objects[key] = _object(known, entry)
            # Whatever arrives is a reason to be patient no longer than at the first failure.
            return replace(record, attempts=0) if isinstance(entry, Delivered) else record


def _object(known: SpooledObject, entry: Parted | Finished | Delivered | Refused) -> SpooledObject:
    match entry:
        case Parted():
            return replace(known, parted=entry)
        case Finished(kind=kind, size=size, checksum=checksum, duration=duration):
            if known.checksum != checksum:
                known = replace(known, location="", backup=False)
            known = replace(known, kind=kind, size=size, checksum=checksum, reason="", retryable=True)
            return replace(known, duration=duration or known.duration)
        case Delivered(location=location, backup=backup):
            return replace(known, location=location, backup=backup, reason="", retryable=True)
        case Refused(reason=reason, retryable=retryable):
            return replace(known, reason=reason, retryable=retryable)
