"""Where the files of one recording go: what can be refused before joining is, and nothing is overwritten unasked."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryFile

from pyegress.clock import Wall
from pyegress.codecs import Codec
from pyegress.errors import Code, OutputFailed
from pyegress.outputs.disk import disk_failure
from pyegress.plan.containers import Container
from pyegress.plan.copy_plan import CopyPlan
from pyegress.plan.names import fill_template, numbered, output_path, part_path, safe_component, time_tokens
from pyegress.plan.selection import OneTrack
from pyegress.room.events import Participant, TrackPublication

Codecs = frozenset[Codec]
#: Names the file of a part (1, 2, ...) for its codecs; raises EgressError.
PathFor = Callable[[Codecs, int], Path]
#: What a recording of every track leaves beside its files.
INDEX_NAME = "index.json"
#: Bytes of an identity in the names of `record tracks`: room for source and track id.
_MAX_IDENTITY = 100


class OutputPaths:
    """Fills the plan's template. `is_ours` says whether a path that exists is written by this recording."""

    def __init__(self, plan: CopyPlan, at: Wall, *, is_ours: Callable[[Path], bool]) -> None:
        self._plan = plan
        self._tokens = time_tokens(at)
        self._room_name = plan.connection.room
        self._is_ours = is_ours

    @property
    def directory(self) -> Path:
        """Where a recording of every track puts its files."""
        return Path(fill_template(self._plan.output, self._tokens))

    def joined(self, room_name: str, room_sid: str) -> None:
        """Room tokens are known."""
        self._room_name = room_name
        self._tokens |= {"room_name": room_name, "room_id": room_sid}

    def check(self) -> None:
        """Find out before joining what would fail later: no folder, no permission, a name that is taken."""
        plan = self._plan
        output = fill_template(plan.output, self._tokens)
        folder = Path(output) if plan.many_files or output.endswith("/") else Path(output or ".").parent
        if "{" in str(folder):
            return
        check_folder(folder)
        if plan.many_files:
            self._check_unused(folder)
        elif output and not output.endswith("/") and "{" not in output:
            if Path(output).is_dir():
                raise OutputFailed(
                    f"Cannot write {output}: it is a folder",
                    field="output",
                    remedy="Add a file name, or a / at the end for an automatic one",
                )
            if Container.from_path(output) is not None:
                self._check_free(Path(output))

    def of_participant(self, participant: Participant, track: TrackPublication) -> PathFor:
        """The name of a recording of one participant or of named tracks; `track` is the first of them."""
        plan = self._plan
        tokens = self._tokens | {
            "publisher_identity": participant.identity,
            "track_id": track.sid,
            "track_type": track.kind.value,
            "track_source": track.source.value,
        }
        subject = track.sid if isinstance(plan.selection, OneTrack) else self._room_name
        automatic = f"{subject}-{self._tokens['time']}"
        numbers: dict[int, int] = {}

        def path_for(codecs: Codecs, part: int) -> Path:
            if part == 1:
                path = self._named(tokens, automatic, codecs, 1)
                self._check_free(path)
                return path
            # A name that is taken must not end a recording that runs: the next number is as good.
            number = numbers.get(part) or max([1, *numbers.values()]) + 1
            while True:
                path = self._named(tokens, automatic, codecs, number)
                if plan.overwrite or not path.exists() or self._is_ours(path):
                    numbers[part] = number
                    return path
                number += 1

        return path_for

    def _named(self, tokens: dict[str, str], automatic: str, codecs: Codecs, part: int) -> Path:
        output = self._plan.output
        if part == 1:
            return Path(output_path(output, tokens, automatic=automatic, codecs=codecs))
        return Path(part_path(output, tokens, automatic=automatic, codecs=codecs, part=part))

    def of_track(self, participant: Participant, track: TrackPublication, take: int) -> PathFor:
        """The name of one of many tracks: who, what, which; `take` counts how often it was begun anew."""
        directory = self.directory
        identity = safe_component(participant.identity, limit=_MAX_IDENTITY)
        stem = f"{identity}-{track.source.value}-{safe_component(track.sid)}" + (f"-take{take}" if take > 1 else "")

        def path_for(codecs: Codecs, part: int) -> Path:
            path = directory / numbered(output_path(stem, {}, automatic=stem, codecs=codecs), part)
            self._check_free(path)
            return path

        return path_for

    def _check_unused(self, folder: Path) -> None:
        """Two recordings in one folder would fight for the index."""
        if (folder / INDEX_NAME).exists() and not self._plan.overwrite:
            raise OutputFailed(
                f"{folder} holds a recording already ({INDEX_NAME})",
                field="output",
                code=Code.ALREADY_EXISTS,
                remedy=f"Choose another folder, for instance {folder}/{{time}}, or say that the index may be replaced "
                "(--overwrite)",
            )

    def _check_free(self, path: Path) -> None:
        if not self._plan.overwrite and path.exists() and not self._is_ours(path):
            raise taken(path)


def taken(path: Path) -> OutputFailed:
    """A file of this name exists, and was not to be replaced."""
    return OutputFailed(
        f"{path} exists already",
        field="output",
        code=Code.ALREADY_EXISTS,
        remedy="Choose another name, or say that it may be replaced (--overwrite)",
    )


def check_folder(folder: Path) -> None:
    """The folder is there or can be made, and we may write into it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise disk_failure(error, folder, "write into") from error
