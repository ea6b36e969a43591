"""What a supervisor and its workers say to each other, one JSON line each way at a time. Pure.

The supervisor sends one `Launch` (or `Finish`), later any number of `StopRecording`, `Hurry`, `UpdateStreams` and
`Describe`, and `Received` for `Ended`. The worker says `Ready` when everything is loaded, then how it stands, at last
`Ended`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import cast

from livekit.protocol import egress as pb

from pyegress.clock import Wall
from pyegress.lifecycle.json_lines import decode
from pyegress.lifecycle.outcome import Failure, Outcome, StreamOutcome
from pyegress.lifecycle.recording import EndReason, RecordingState
from pyegress.lifecycle.uploading import UploadProgress, UploadTried
from pyegress.plan.form import EgressRequest
from pyegress.plan.recording_plan import Service, Start

#: Longest line, bytes: requests are as large as their callers want, within reason.
LINE_LIMIT = 16 * 1024 * 1024

_REQUESTS: dict[str, type[EgressRequest]] = {
    kind.DESCRIPTOR.full_name: kind
    for kind in (
        pb.RoomCompositeEgressRequest,
        pb.WebEgressRequest,
        pb.ParticipantEgressRequest,
        pb.TrackCompositeEgressRequest,
        pb.TrackEgressRequest,
        pb.StartEgressRequest,
    )
}

# To the worker


@dataclass(frozen=True, slots=True)
class Launch:
    """Record this. `request` and `info` (as told when it was accepted) are protobuf messages.

    Files with relative names go below `directory`. `spool` is the egress's folder in the spool, "" without one;
    with `keep_copies` what is delivered stays there.
    """

    egress_id: str
    kind: str
    request: bytes = field(repr=False)
    info: bytes = field(repr=False)
    at: Wall
    service: Service
    directory: str
    spool: str = ""
    keep_copies: bool = False
    room_id: str = ""
    token: str = field(default="", repr=False)
    ws_url: str = ""
    retry_count: int = 0
    log_level: str = "INFO"

    def read_request(self) -> EgressRequest:
        """The request itself."""
        request = _REQUESTS[self.kind]()
        request.ParseFromString(self.request)
        return request

    def read_info(self) -> pb.EgressInfo:
        info = pb.EgressInfo()
        info.ParseFromString(self.info)
        return info

    @property
    def start(self) -> Start:
        """What `plan_recording` needs beside the request."""
        return Start(
            egress_id=self.egress_id,
            at=self.at,
            room_id=self.room_id,
            token=self.token,
            ws_url=self.ws_url,
            retry_count=self.retry_count,
        )


@dataclass(frozen=True, slots=True)
class Finish:
    """Bring to its end what another process left of this launch in the spool. Answered by `Ended`."""

    launch: Launch


@dataclass(frozen=True, slots=True)
class StopRecording:
    """Take no more media, finish the files."""

    reason: EndReason


@dataclass(frozen=True, slots=True)
class Hurry:
    """You will be killed soon: deliver for so many seconds, what is not there then stays where it is."""

    seconds: float


@dataclass(frozen=True, slots=True)
class UpdateStreams:
    """A `livekit.UpdateStreamRequest`; answered by `StreamsUpdated` with the same number."""

    number: int
    request: bytes = field(repr=False)


class Description(Enum):
    """What a worker can say of itself, for people who look for what is wrong."""

    #: From sources to outputs, with counters.
    PIPELINE = "pipeline"
    #: Tasks and threads, with where they stand.
    TASKS = "tasks"


@dataclass(frozen=True, slots=True)
class Describe:
    """Answered by `Described` with the same number."""

    number: int
    what: Description


@dataclass(frozen=True, slots=True)
class Received:
    """`Ended` has been told to everybody."""


# From the worker


@dataclass(frozen=True, slots=True)
class Ready:
    """Everything is loaded: a launch costs milliseconds."""

    pid: int


@dataclass(frozen=True, slots=True)
class Standing:
    """How the recording stands; also a sign of life. `paths` are the files that are written now, `streams` all
    destinations that there were."""

    state: RecordingState
    elapsed: float
    bytes_written: int
    waiting_for: str = ""
    seen: tuple[str, ...] = ()
    reason: EndReason | None = None
    paths: tuple[str, ...] = ()
    streams: tuple[StreamOutcome, ...] = ()
    uploads: UploadProgress | None = None


@dataclass(frozen=True, slots=True)
class StreamsUpdated:
    """The answer to `UpdateStreams`."""

    number: int
    error: Failure | None = None


@dataclass(frozen=True, slots=True)
class Described:
    """The answer to `Describe`: lines of text without secrets."""

    number: int
    text: str


@dataclass(frozen=True, slots=True)
class Ended:
    """The recording is over, and its files are finished."""

    outcome: Outcome


@dataclass(frozen=True, slots=True)
class LogLine:
    """Something for the supervisor's log."""

    level: int
    logger: str
    text: str


ToWorker = Launch | Finish | StopRecording | Hurry | UpdateStreams | Describe | Received
FromWorker = Ready | Standing | UploadTried | StreamsUpdated | Described | Ended | LogLine


def to_worker(line: bytes) -> ToWorker:
    """A line that the supervisor sent. Raises BadLine."""
    return cast(ToWorker, decode(line, ToWorker))


def from_worker(line: bytes) -> FromWorker:
    """A line that a worker sent. Raises BadLine."""
    return cast(FromWorker, decode(line, FromWorker))
