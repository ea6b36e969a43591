"""The spool: one folder for each egress, `<spool>/<egress id>/`, with all that is needed to bring it to its end.

* `plan.json`: the request, see `SpooledPlan`.
* `journal.jsonl`: what has happened, see `journal_entries`.
* `media/<storage>/…`: what goes to a remote storage. Local outputs are written at their place, the journal names them.
* `lock`: held by the one process that works on the folder; it falls with that process.
* `owner`: held by the service that looks after the folder; several may share a spool.
* `alone.PID`: that process has lost its supervisor, and works on.

Whoever creates a folder writes its plan first, and the folder appears with it: a folder without a plan is none.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from google.protobuf.message import DecodeError
from livekit.protocol import egress as pb

from pyegress.clock import wall
from pyegress.errors import Code, EgressError, NotFound
from pyegress.plan.names import safe_component
from pyegress.plan.output_names import clean_path
from pyegress.plan.redact import redacted
from pyegress.storage.journal import Journal, read_journal
from pyegress.storage.journal_entries import ObjectKey, Record, SpooledObject
from pyegress.storage.spooled_plan import SpooledPlan

PLAN, JOURNAL, MEDIA, LOCK, OWNER = "plan.json", "journal.jsonl", "media", "lock", "owner"
#: What is not rendered yet, and where it is rendered again.
RECEIVED, AGAIN = "received.jsonl", "again"
#: How often, and how many seconds apart, a lock is tried.
_PROBES, _PROBE = 10, 0.04
_PAUSE = threading.Event()
#: Behind it the process that works on without its supervisor.
ALONE = "alone."
#: A folder that is being made or removed.
_HIDDEN = "."
_NEW = ".new"
_GONE = ".gone"
#: Seconds after which a folder that is not finished was left by a crash: others take milliseconds.
_ABANDONED = 60.0


class SpoolFolder:
    """The folder of one egress. Everything blocks, shortly; methods raise OSError."""

    __slots__ = ("path",)

    def __init__(self, path: Path) -> None:
        self.path = path

    def __repr__(self) -> str:
        return f"SpoolFolder({str(self.path)!r})"

    def plan(self) -> SpooledPlan:
        """Raises EgressError when it cannot be read."""
        try:
            return SpooledPlan.decode((self.path / PLAN).read_bytes())
        except FileNotFoundError:
            raise NotFound(
                f"The spool has no egress {self.path.name}",
                field="egress_id",
                remedy="`pyegress spool list` shows what there is",
            ) from None

    def record(self) -> Record:
        """What the journal says now."""
        return read_journal(self.path / JOURNAL)

    def stamp(self) -> tuple[int, int]:
        """Changes whenever the journal does."""
        with suppress(FileNotFoundError):
            stat = (self.path / JOURNAL).stat()
            return stat.st_size, stat.st_mtime_ns
        return 0, 0

    def journal(self) -> Journal:
        """The journal, to be written: by who holds the lock."""
        return Journal(self.path / JOURNAL)

    @property
    def received(self) -> Path:
        """What its worker has received and not rendered safely yet; there only in the first seconds."""
        return self.path / RECEIVED

    @property
    def again(self) -> SpoolFolder:
        """Where that is rendered again."""
        return SpoolFolder(self.path / AGAIN)

    def place(self, key: ObjectKey) -> Path:
        """Where an object for a remote storage is written: below `media`, under its own name."""
        name = clean_path(key.name.lstrip("/")) or "unnamed"
        return self.path / MEDIA / str(key.storage) / name

    def spelled(self, path: Path) -> str:
        """A path as entries have it: below the folder where it can be, else absolute."""
        absolute = Path(os.path.abspath(path))
        root = Path(os.path.abspath(self.path))
        return str(absolute.relative_to(root)) if absolute.is_relative_to(root) else str(absolute)

    def path_of(self, item: SpooledObject) -> Path:
        """Where an object of the journal lies."""
        return self.path / item.path

    @property
    def busy(self) -> bool:
        """Whether a process holds the lock."""
        with suppress(FileNotFoundError), (self.path / LOCK).open("rb") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
        return False

    @contextmanager
    def claim(self) -> Iterator[None]:
        """Hold the lock. Raises EgressError when another process does."""
        with (self.path / LOCK).open("ab") as lock:
            # Whoever only asks whether it is held holds it for a moment.
            if not any(_locked(lock.fileno()) or _PAUSE.wait(_PROBE) for _ in range(_PROBES)):
                raise EgressError(
                    f"Another process works on egress {self.path.name}",
                    field="egress_id",
                    code=Code.FAILED_PRECONDITION,
                    retryable=True,
                    remedy="Wait until it has ended, or end it",
                )
            yield

    def own(self) -> int | None:
        """Become the service that looks after the folder: a descriptor that holds it, None while another one does."""
        try:
            fd = os.open(self.path / OWNER, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except FileNotFoundError:
            return None
        if _locked(fd):
            return fd
        os.close(fd)
        return None

    def note_alone(self, info: pb.EgressInfo) -> None:
        """This process works on without its supervisor; `info` is what clients know of the egress."""
        path = self.path / f"{ALONE}{os.getpid()}"
        write_synced(path, redacted(info).SerializeToString())

    def alone(self) -> tuple[int, pb.EgressInfo] | None:
        """The process that works on the folder without its supervisor, and what clients know."""
        if not self.busy:
            return None
        for path in self.path.glob(f"{ALONE}*"):
            with suppress(OSError, ValueError, DecodeError):
                pid = int(path.name.removeprefix(ALONE))
                os.kill(pid, 0)
                return pid, pb.EgressInfo.FromString(path.read_bytes())
        return None

    def size(self) -> int:
        """Bytes of everything in the folder."""
        total = 0
        for folder, _, files in os.walk(self.path):
            for name in files:
                with suppress(OSError):
                    total += os.stat(os.path.join(folder, name)).st_size
        return total

    def remove(self) -> None:
        """Remove it, whole as far as anybody sees. Idempotent."""
        gone = self.path.with_name(f"{_HIDDEN}{self.path.name}{_GONE}")
        with suppress(FileNotFoundError):
            self.path.rename(gone)
        shutil.rmtree(gone, ignore_errors=True)


@dataclass(frozen=True, slots=True)
class DiskSpace:
    """Bytes of a file system."""

    free: int
    total: int


class Spool:
    """All folders. Everything blocks, shortly; methods raise OSError."""

    def __init__(self, directory: Path | str) -> None:
        self.directory = Path(directory)

    def folder(self, egress_id: str) -> SpoolFolder:
        """The folder of an egress, whether it is there or not."""
        return SpoolFolder(self.directory / safe_component(egress_id))

    def create(self, plan: SpooledPlan) -> SpoolFolder:
        """Make the folder of an egress; one that is there already stays as it is. It outlives a power cut."""
        folder, owned = self.create_owned(plan)
        if owned is not None:
            os.close(owned)
        return folder

    def create_owned(self, plan: SpooledPlan) -> tuple[SpoolFolder, int | None]:
        """`create`, and `own` before anybody else can see the folder."""
        folder = self.folder(plan.egress_id)
        if (folder.path / PLAN).exists():
            return folder, folder.own()
        self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        new = folder.path.with_name(f"{_HIDDEN}{folder.path.name}{_NEW}")
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir(mode=0o700)
        owned = SpoolFolder(new).own()
        write_synced(new / PLAN, plan.encode())
        new.rename(folder.path)
        sync_folder(self.directory)
        return folder, owned

    def folders(self) -> list[SpoolFolder]:
        """Every folder that has a plan, oldest first."""
        found = []
        with suppress(FileNotFoundError):
            for entry in os.scandir(self.directory):
                plan = Path(entry.path, PLAN)
                with suppress(OSError):
                    if not entry.name.startswith(_HIDDEN):
                        found.append((plan.stat().st_mtime, SpoolFolder(Path(entry.path))))
        return [folder for _, folder in sorted(found, key=lambda item: (item[0], item[1].path.name))]

    def sweep(self) -> None:
        """Remove what a crash left of folders that were being made or removed; not what others are making now."""
        with suppress(FileNotFoundError):
            for entry in os.scandir(self.directory):
                if not (entry.name.startswith(_HIDDEN) and entry.name.endswith((_NEW, _GONE))):
                    continue
                with suppress(OSError):
                    if entry.name.endswith(_GONE) or wall() - entry.stat().st_mtime > _ABANDONED:
                        shutil.rmtree(entry.path, ignore_errors=True)

    def space(self) -> DiskSpace:
        """Of the file system that the spool is on."""
        return disk_space(self.directory)


def _locked(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def disk_space(path: Path) -> DiskSpace:
    """Of the file system that `path` is on, or will be on. Raises OSError."""
    while not path.exists() and path != path.parent:
        path = path.parent
    disk = os.statvfs(path)
    return DiskSpace(disk.f_bavail * disk.f_frsize, disk.f_blocks * disk.f_frsize)


def write_synced(path: Path, data: bytes) -> None:
    """A new file, readable for its owner only, that outlives a power cut together with its name's folder."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(fd, view) :]
        os.fsync(fd)
    finally:
        os.close(fd)
    sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    """The names in a folder outlive a power cut."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
