"""The frozen plan of a copy recording: where to join, what to take, where to write, when to end."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from pyegress.errors import InvalidRequest
from pyegress.plan.selection import EveryTrack, ParticipantTracks, Selection

if TYPE_CHECKING:
    from pyegress.plan.storage import Storage  # loads the protocol

#: How long a track, participant or room may be missing before the recording gives up, seconds (Track egress).
DEFAULT_WAIT = 30.0
#: How long a lost connection is tried again before the recording ends, seconds.
DEFAULT_RECONNECT_WINDOW = 60.0
#: A participant who is back within this time has not left, seconds.
DEFAULT_GRACE = 5.0


@dataclass(frozen=True, slots=True)
class Connection:
    """A LiveKit server and a room. Either api key and secret, or a ready token."""

    url: str
    room: str
    api_key: str = field(default="", repr=False)
    api_secret: str = field(default="", repr=False)
    token: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        if not self.url:
            raise InvalidRequest(
                "No LiveKit server was named",
                field="url",
                remedy="Give --url or set LIVEKIT_URL, e.g. ws://localhost:7880",
            )
        if not _is_server(self.url):
            raise InvalidRequest(
                f"{_shown(self.url)!r} is not the URL of a LiveKit server",
                field="url",
                remedy="Use ws://HOST:PORT or wss://HOST, as in the server's own clients",
            )
        if not self.room and not self.token:
            raise InvalidRequest("No room was named", field="room_name", remedy="Give the name of the room (--room)")
        if not self.token and not (self.api_key and self.api_secret):
            missing = " and ".join(
                name for name, value in (("api key", self.api_key), ("api secret", self.api_secret)) if not value
            )
            raise InvalidRequest(
                f"The {missing} is missing",
                field="token or api key/secret",
                remedy="Give --api-key and --api-secret, or set LIVEKIT_API_KEY and LIVEKIT_API_SECRET",
            )


def _is_server(url: str) -> bool:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return False
    return parts.scheme in ("ws", "wss", "http", "https") and bool(parts.hostname)


def _shown(url: str) -> str:
    """Without user and password."""
    before, at, after = url.rpartition("@")
    return f"{before.partition('://')[0]}://…@{after}" if at and "://" in before else after


@dataclass(frozen=True, slots=True)
class CopyPlan:
    """One recording without transcoding.

    `output` is a path template (see `plan.names`); for `EveryTrack` a directory. Times are in seconds; `wait` None
    means without limit, `duration` None until the source ends.
    """

    connection: Connection
    selection: Selection
    output: str
    duration: float | None = None
    wait: float | None = DEFAULT_WAIT
    grace: float = DEFAULT_GRACE
    #: How long a missing packet is waited for.
    latency: float = 0.5
    #: How long a lost connection is tried again before the recording ends.
    reconnect_window: float = DEFAULT_RECONNECT_WINDOW
    overwrite: bool = False
    #: Who joins; "" is made up.
    egress_id: str = ""
    #: Bytes.
    max_file_size: int | None = None
    #: `output` is a key there, not a path.
    storage: Storage | None = None

    def __post_init__(self) -> None:
        for name, value in (("duration", self.duration), ("wait", self.wait), ("latency", self.latency)):
            if value is not None and not value > 0:
                raise InvalidRequest(
                    f"The {name} must be more than 0 seconds", field=name, remedy="Leave it out for no limit"
                )
        for name, value in (("grace", self.grace), ("reconnect window", self.reconnect_window)):
            if not value >= 0:
                raise InvalidRequest(
                    f"The {name} must be 0 seconds or more",
                    field=name.replace(" ", "_"),
                    remedy="Give a number of seconds",
                )

    @property
    def follows_participant(self) -> bool:
        """Whether the recording ends with a participant and not with a track."""
        return isinstance(self.selection, ParticipantTracks)

    @property
    def many_files(self) -> bool:
        """One file for each track, in a directory."""
        return isinstance(self.selection, EveryTrack)
