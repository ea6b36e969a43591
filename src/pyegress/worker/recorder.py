"""All files of one copy recording: who gets which file, what they are called, and the one clock that they share."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from pyegress.clock import Monotonic, Wall, monotonic, wall
from pyegress.codecs import Codec
from pyegress.errors import Code, EgressError, InvalidRequest, OutputFailed
from pyegress.outputs.disk import disk_failure
from pyegress.plan.containers import Container, container_for
from pyegress.plan.copy_plan import CopyPlan
from pyegress.plan.names import fill_template, no_common_container, numbered, output_path, safe_component, time_tokens
from pyegress.plan.selection import OneTrack
from pyegress.room.events import Participant, TrackPublication
from pyegress.worker.feed import Feed
from pyegress.worker.parts import Parts
from pyegress.worker.progress import RecordedFile

Codecs = frozenset[Codec]


class Recorder:
    """Makes a `Feed` for each track that is recorded and finishes all files in the end."""

    def __init__(self, plan: CopyPlan, *, on_error: Callable[[EgressError], None]) -> None:
        self._plan = plan
        self._on_error = on_error
        self._tokens: dict[str, str] = time_tokens(wall())
        self._room_name = plan.connection.room
        self._zero: Monotonic | None = None
        self.started_at: Wall | None = None
        self.warnings: list[str] = []
        #: One for the whole recording, or one for each track.
        self._parts: dict[str, Parts] = {}
        self._feeds: list[Feed] = []
        self._finished: list[RecordedFile] = []

    @property
    def started(self) -> bool:
        """Whether the first media has arrived."""
        if self._zero is None:
            begun = [parts.begun for parts in self._parts.values() if parts.begun is not None]
            if not begun:
                return False
            self._zero = min(begun)
            self.started_at = Wall(wall() - (monotonic() - self._zero))
        return True

    @property
    def bytes_written(self) -> int:
        return sum(parts.bytes_written for parts in self._parts.values())

    @property
    def directory(self) -> Path:
        """Where a recording of every track puts its files."""
        return Path(fill_template(self._plan.output, self._tokens))

    def elapsed(self, now: Monotonic) -> float:
        """Seconds since the first media."""
        return max(0.0, now - self._zero) if self.started and self._zero is not None else 0.0

    def warn(self, text: str) -> None:
        """Something that the user should know, once."""
        if text not in self.warnings:
            self.warnings.append(text)

    def check_output(self) -> None:
        """Find out before joining what would fail later: no folder, no permission, a name that is taken."""
        plan = self._plan
        folder = self.directory if plan.many_files else Path(plan.output or ".").parent
        if plan.output.endswith("/"):
            folder = Path(plan.output)
        if "{" not in str(folder):
            _check_folder(folder)
        if plan.many_files or "{" in plan.output or plan.output.endswith("/"):
            return
        if Path(plan.output).is_dir():
            raise OutputFailed(
                f"cannot write {plan.output}: it is a folder",
                field="output",
                remedy="Add a file name, or a / at the end",
            )
        if Container.from_path(plan.output) is not None:
            self._check_free(Path(plan.output))

    def joined(self, room_name: str, room_sid: str) -> None:
        """Room tokens are known."""
        self._room_name = room_name
        self._tokens |= {"room_name": room_name, "room_id": room_sid}

    def feed(self, participant: Participant, track: TrackPublication) -> Feed:
        """The feed of a track that the plan wants. Raises EgressError when it cannot be recorded."""
        if track.codec is None:
            raise InvalidRequest(
                f"Track {track.sid} of {participant.identity!r} has the codec {track.mime or 'unknown'}, "
                "which cannot be recorded",
                field="track_id",
                code=Code.UNIMPLEMENTED,
                remedy=f"Publish it as one of {', '.join(codec.label for codec in Codec)}",
            )
        if track.encrypted:
            raise InvalidRequest(
                f"Track {track.sid} of {participant.identity!r} is end-to-end encrypted",
                field="track_id",
                remedy="Record where the key is, or publish without encryption",
            )
        codec = track.codec
        if self._plan.many_files:
            parts = self._new_parts(self._track_path(participant, track))
            self._parts[track.sid] = parts
        else:
            path_for = self._one_path(participant, track)
            if not self._parts:
                path_for(frozenset({codec}), 1)  # a container that cannot hold the codec is refused before any media
                self._parts[""] = self._new_parts(path_for)
            parts = self._parts[""]
        feed = Feed(participant, track, parts)
        self._feeds.append(feed)
        return feed

    def tick(self, now: Monotonic) -> None:
        """Let silence grow."""
        for parts in self._parts.values():
            parts.tick(now)

    async def finish(self, end: Monotonic | None) -> tuple[RecordedFile, ...]:
        """Finish every file. `end`: until when sound is filled with silence; None for where the media ended."""
        zero = self._zero if self._zero is not None else monotonic()
        for parts in self._parts.values():
            self._finished += await parts.finish(end, zero)
        self._parts.clear()
        return tuple(sorted(self._finished, key=lambda file: (file.start, str(file.path))))

    def index(self) -> list[dict[str, Any]]:
        """What `index.json` says of each track."""
        zero = self._zero or Monotonic(0.0)
        by_track: dict[str, list[RecordedFile]] = {}
        for file in self._finished:
            for stream in file.streams:
                for sid in stream.track_ids:
                    by_track.setdefault(sid, []).append(file)
        entries = []
        for feed in self._feeds:
            files = by_track.get(feed.track_id, [])
            running = feed.target.paths if isinstance(feed.target, Parts) and not files else []
            entries.append(
                {
                    "track_id": feed.track_id,
                    "identity": feed.identity,
                    "name": feed.name,
                    "kind": feed.kind.value,
                    "source": feed.source,
                    "codec": feed.codec.label if feed.codec else None,
                    "start": _offset(feed.first_arrival, zero),
                    "end": _offset(feed.last_arrival, zero) if feed.ended else None,
                    "files": [
                        {
                            "path": os.path.relpath(file.path, self.directory),
                            "start": round(file.start, 6),
                            "end": round(file.end, 6),
                        }
                        for file in files
                    ]
                    or [{"path": os.path.relpath(path, self.directory)} for path in running],
                }
            )
        return entries

    def _new_parts(self, path_for: Callable[[Codecs, int], Path]) -> Parts:
        return Parts(
            path_for=path_for,
            metadata={"title": self._room_name, "encoder": "pyegress"},
            clip=self._plan.duration,
            on_failed=self._on_error,
            on_warning=self.warn,
        )

    def _one_path(self, participant: Participant, track: TrackPublication) -> Callable[[Codecs, int], Path]:
        """The name of a recording of one participant or of named tracks."""
        plan = self._plan
        tokens = self._tokens | {
            "publisher_identity": participant.identity,
            "track_id": track.sid,
            "track_type": track.kind.value,
            "track_source": track.source.value,
        }
        subject = track.sid if isinstance(plan.selection, OneTrack) else self._room_name
        automatic = f"{subject}-{self._tokens['time']}"

        def path_for(codecs: Codecs, part: int) -> Path:
            if part == 1:
                path = Path(output_path(plan.output, tokens, automatic=automatic, codecs=codecs))
            else:
                path = Path(_next_name(plan.output, tokens, automatic, codecs, part))
            self._check_free(path)
            return path

        return path_for

    def _track_path(self, participant: Participant, track: TrackPublication) -> Callable[[Codecs, int], Path]:
        """The name of one of many tracks: who, what, which."""
        stem = f"{safe_component(participant.identity)[:80]}-{track.source.value}-{track.sid}"

        def path_for(codecs: Codecs, part: int) -> Path:
            path = Path(numbered(output_path(stem, {}, automatic=stem, codecs=codecs), part))
            self._check_free(self.directory / path)
            return self.directory / path

        return path_for

    def _check_free(self, path: Path) -> None:
        if not self._plan.overwrite and path.exists() and not self._is_ours(path):
            raise OutputFailed(
                f"{path} exists already",
                field="output",
                code=Code.ALREADY_EXISTS,
                remedy="Choose another name, or say that it may be overwritten (--overwrite)",
            )

    def _is_ours(self, path: Path) -> bool:
        return any(path.absolute() in parts.paths for parts in self._parts.values())


def _next_name(template: str, tokens: Mapping[str, str], automatic: str, codecs: Codecs, part: int) -> PurePosixPath:
    """The name of part 2 and on: that of part 1 with a number, and with the extension that its codecs need."""
    fitting = container_for(codecs)
    if fitting is None:
        raise no_common_container(codecs)
    filled = fill_template(template, tokens)
    if not filled or filled.endswith("/"):
        filled += safe_component(automatic)
    named = Container.from_path(filled)
    if named is None:
        return numbered(PurePosixPath(filled + fitting.value.extensions[0]), part)
    path = PurePosixPath(filled)
    if not all(named.holds(codec) for codec in codecs):
        path = path.with_suffix(fitting.value.extensions[0])
    return numbered(path, part)


def _check_folder(folder: Path) -> None:
    """The folder is there or can be made, and we may write into it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK | os.X_OK):
            raise PermissionError(13, os.strerror(13))
    except OSError as error:
        raise disk_failure(error, folder, "write into") from error


def _offset(at: Monotonic | None, zero: Monotonic) -> float | None:
    return None if at is None else round(at - zero, 6)
