"""Run by its path, as root: a command as the user nobody, who sees some folders in places of his own.

    unprivileged.py FOLDER=PLACE ... [--no-user-namespaces] -- PROGRAM ARGUMENTS

A checkout may lie where only root gets: each PLACE, an empty folder, shows FOLDER to this command alone. Without user
namespaces it runs as on systems that forbid them: in one that allows no further ones. Imports no site packages.
"""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path

NOBODY = 65534
_NEW_MOUNTS, _NEW_USERS = 0x20000, 0x10000000
_BIND, _RECURSIVE, _PRIVATE = 0x1000, 0x4000, 0x40000
_libc = ctypes.CDLL(None, use_errno=True)


def why_unavailable() -> str:
    """Why nothing can be run so here; "" where it can."""
    return "" if os.geteuid() == 0 else "only root can become somebody else"


def command_line(shown: dict[Path, Path], *command: str, user_namespaces: bool = True) -> list[str]:
    """How to run a command so; `shown` are folders and their places."""
    places = [f"{folder}={place}" for folder, place in shown.items()]
    places += [] if user_namespaces else ["--no-user-namespaces"]
    return [sys.executable, "-I", "-S", __file__, *places, "--", *command]


def _called(result: int) -> None:
    if result != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def _mount(source: str | None, target: str, flags: int) -> None:
    _called(_libc.mount(source.encode() if source else None, target.encode(), None, ctypes.c_ulong(flags), None))


def _forbid_user_namespaces() -> None:
    """Enter one with the same users, in which the limit is none."""
    read, write = os.pipe()
    me = os.getpid()
    if (mapper := os.fork()) == 0:
        os.read(read, 1)
        for kind in ("uid", "gid"):
            Path(f"/proc/{me}/{kind}_map").write_text("0 0 65536")
        os._exit(0)
    _called(_libc.unshare(_NEW_USERS))
    os.write(write, b"x")
    assert os.waitpid(mapper, 0)[1] == 0, "users cannot be mapped"
    Path("/proc/sys/user/max_user_namespaces").write_text("0")


def main(arguments: list[str]) -> None:
    end = arguments.index("--")
    options, command = arguments[:end], arguments[end + 1 :]
    _called(_libc.unshare(_NEW_MOUNTS))
    _mount(None, "/", _RECURSIVE | _PRIVATE)
    for option in options:
        folder, found, place = option.partition("=")
        if found:
            _mount(folder, place, _BIND | _RECURSIVE)
    if "--no-user-namespaces" in options:
        _forbid_user_namespaces()
    os.setgroups([])
    os.setgid(NOBODY)
    os.setuid(NOBODY)
    os.chdir("/")
    os.execv(command[0], command)


if __name__ == "__main__":
    main(sys.argv[1:])
