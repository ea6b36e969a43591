"""Demo participants in a process of their own: a busy recorder does not make them late, and their SDK stays quiet.

`python -m pyegress.demo.cast` reads one line of JSON from standard input, `{"url": …, "people": [{"name", "token",
"content"}]}`, says `ready` and everybody's epoch when everybody publishes, and leaves when standard input ends.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass
from types import TracebackType
from typing import Any, Self

from pyegress.clock import Monotonic
from pyegress.codecs import Codec
from pyegress.demo.publishers import Content, DemoParticipant, release_sdk

#: Seconds for everybody to leave.
_LEAVE_TIMEOUT = 15.0
_READY = "ready "


class CastFailed(Exception):
    """The participants did not come; the text says what the process said last."""


@dataclass(frozen=True, slots=True)
class Person:
    """One participant: the identity in `token` should be `name`. Publishes camera and microphone, or one of them."""

    name: str
    token: str
    content: Content
    video: bool = True
    audio: bool = True

    def as_json(self) -> dict[str, Any]:
        content = asdict(self.content) | {"codec": self.content.codec.name, "size": list(self.content.size)}
        tracks = {"video": self.video, "audio": self.audio}
        return {"name": self.name, "token": self.token, "content": content, **tracks}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        content = dict(value["content"])
        content |= {"codec": Codec[content["codec"]], "size": tuple(content["size"])}
        return cls(value["name"], value["token"], Content(**content), value["video"], value["audio"])


class Cast:
    """Runs people in one process, from entering to leaving the context."""

    def __init__(self, url: str, people: list[Person]) -> None:
        self._task = json.dumps({"url": url, "people": [person.as_json() for person in people]})
        self._process: subprocess.Popen[str] | None = None
        #: When everybody's frame 0 and sample 0 were due, by name: this machine's monotonic clock.
        self.epochs: dict[str, Monotonic] = {}

    def __enter__(self) -> Self:
        """Start; returns when everybody publishes. Raises CastFailed."""
        command = [sys.executable, "-m", "pyegress.demo.cast"]
        self._process = process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,  # Ctrl-C is for us; we end it.
        )
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(self._task + "\n")
        process.stdin.flush()
        said = ""
        while (line := process.stdout.readline()) and not line.startswith(_READY):
            said = line.strip()
        if not line:
            self._end()
            raise CastFailed(said or f"exit code {process.returncode}")
        self.epochs = json.loads(line.removeprefix(_READY))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def _end(self) -> None:
        process = self._process
        assert process is not None
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.close()
        try:
            process.wait(_LEAVE_TIMEOUT)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()


async def _play(task: Mapping[str, Any]) -> None:
    async with AsyncExitStack() as stack:
        epochs = {}
        for person in map(Person.from_json, task["people"]):
            participant = DemoParticipant(
                task["url"], person.token, person.name, person.content, video=person.video, audio=person.audio
            )
            await stack.enter_async_context(participant)
            epochs[person.name] = participant.epoch
        sys.stdout.write(f"{_READY}{json.dumps(epochs)}\n")
        sys.stdout.flush()
        await asyncio.to_thread(sys.stdin.read)


def main() -> int:
    try:
        asyncio.run(_play(json.loads(sys.stdin.readline())))
    except Exception as error:
        sys.stdout.write(f"{type(error).__name__}: {error}\n")
        return 1
    finally:
        release_sdk()
    return 0


if __name__ == "__main__":
    sys.exit(main())
