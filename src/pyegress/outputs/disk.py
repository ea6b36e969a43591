"""A file that grows by whole pieces, and the one place where the disk's errors become ours."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from pyegress.errors import Code, OutputFailed

#: Suffix of a file that is being finished beside the recording; whoever finds one without its process may delete it.
TEMPORARY_SUFFIX = ".pyegress-tmp"
_MAX_NAME_BYTES = 255

_REMEDIES = {
    errno.ENOSPC: "Free space there or choose another disk",
    errno.EDQUOT: "Raise the quota or choose another disk",
    errno.EFBIG: "Raise the file size limit (ulimit -f) or choose another file system",
    errno.EACCES: "Choose a folder that this user may write to, or change its permissions",
    errno.EPERM: "Choose a folder that this user may write to, or change its permissions",
    errno.EROFS: "Choose a folder on a writable file system",
    errno.EISDIR: "Add a file name to the path",
    errno.ENOTDIR: "Choose a path whose parents are folders",
    errno.EEXIST: "Choose a path whose parents are folders",
    errno.ENAMETOOLONG: "Choose a shorter name",
    errno.EINVAL: "Choose a path that is an ordinary file",
    errno.EIO: "Check the disk",
    errno.EWOULDBLOCK: "Choose another name, or stop the other recording",
}
_NO_LOCKS_HERE = frozenset({errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL})


def disk_failure(error: OSError, path: Path, doing: str) -> OutputFailed:
    """`error` as the user should read it: what failed, where, why, and what to do."""
    number = error.errno or 0
    reason = os.strerror(number) if number else str(error)
    if number == errno.EWOULDBLOCK:
        reason = "another recording is writing it"
    elif number in (errno.EEXIST, errno.ENOTDIR):
        reason = "a part of the path is no folder"
    return OutputFailed(
        f"Cannot {doing} {path}: {reason}",
        remedy=_REMEDIES.get(number, "Check the disk and the path"),
        field=str(path),
        code=Code.RESOURCE_EXHAUSTED if number in (errno.ENOSPC, errno.EDQUOT) else None,
    )


def temporary_beside(path: Path) -> Path:
    """The hidden name, in the same folder, under which a file for `path` is prepared."""
    room = _MAX_NAME_BYTES - len(TEMPORARY_SUFFIX) - 1
    name = path.name.encode()[:room].decode(errors="ignore")
    return path.with_name(f".{name}{TEMPORARY_SUFFIX}")


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A file that takes the place of `path` when all is written into it. Raises OSError; nothing half is left.

    Whoever reads sees the old file or the new one; a process that is killed leaves one of them.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = temporary_beside(path)
    try:
        with beside.open("wb") as file:
            yield file
        os.replace(beside, path)
    except BaseException:
        with suppress(OSError):
            beside.unlink()
        raise


def write_all(fd: int, data: bytes | bytearray | memoryview) -> None:
    """Write everything at the file position. Raises OSError."""
    view = memoryview(data).cast("B")
    while view:
        view = view[os.write(fd, view) :]


class GrowingFile:
    """Appends pieces that are on their way to the disk when `append` returns, so they outlive this process.

    A piece that does not fit is taken back as a whole: the file always ends where a good piece ends (unless the
    process dies within a write). Methods raise OSError; `disk_failure` words it.
    """

    __slots__ = ("_fd", "path", "size")

    def __init__(self, path: Path) -> None:
        """Open `path` empty; parents are created, a symbolic link is followed."""
        self.path = Path(os.path.realpath(path))
        self.size = 0
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK, 0o644)
        try:
            if not stat.S_ISREG(os.fstat(self._fd).st_mode):
                raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
            self._lock()
            os.ftruncate(self._fd, 0)
        except BaseException:
            self.close()
            raise

    @property
    def fd(self) -> int:
        """The descriptor, for reading what was written; -1 once closed."""
        return self._fd

    def append(self, data: bytes | bytearray) -> int:
        """Write `data` at the end and return its offset."""
        offset = self.size
        view = memoryview(data)
        try:
            while view:
                view = view[os.pwrite(self._fd, view, self.size + len(data) - len(view)) :]
        except OSError:
            with suppress(OSError):  # else the torn piece stays; players stop there
                os.ftruncate(self._fd, offset)
            raise
        self.size = offset + len(data)
        return offset

    def patch(self, offset: int, data: bytes | bytearray) -> None:
        """Overwrite bytes that were written before, in one call: a killed process leaves the old or the new ones."""
        if os.pwrite(self._fd, data, offset) != len(data):
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    def close(self) -> None:
        """Close the file; idempotent."""
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            os.close(fd)

    def _lock(self) -> None:
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in _NO_LOCKS_HERE:
                raise
