"""What a supervisor and its zygote say to each other, one JSON line in each message of a SOCK_SEQPACKET pair. Pure.

The supervisor sends `Spawn` with two descriptors: the worker's end of its socket pair, and where its standard error
goes. The zygote answers `Spawned`, and says `Exited` when that process is over.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from pyegress.lifecycle.json_lines import decode

#: Bytes of the longest message.
LIMIT = 1024
#: What each process is called in /proc/PID/comm: its command line is that of its zygote. At most 15 bytes.
WORKER_NAME, ZYGOTE_NAME = "pyegress-worker", "pyegress-zygote"
#: Variables that carry secrets or would configure a worker behind our back.
KEPT_OUT = ("LIVEKIT_", "EGRESS_")


@dataclass(frozen=True, slots=True)
class Spawn:
    """Fork a worker. `loaded`: it loads what encodes, too, before it says that it is ready."""

    loaded: bool


@dataclass(frozen=True, slots=True)
class Spawned:
    """The answer to `Spawn`."""

    pid: int


@dataclass(frozen=True, slots=True)
class Exited:
    """A worker is over. `code` as in `subprocess`: negative for a signal."""

    pid: int
    code: int


FromZygote = Spawned | Exited


def to_zygote(line: bytes) -> Spawn:
    """A message of the supervisor. Raises BadLine."""
    return cast(Spawn, decode(line, Spawn))


def from_zygote(line: bytes) -> FromZygote:
    """A message of the zygote. Raises BadLine."""
    return cast(FromZygote, decode(line, FromZygote))
