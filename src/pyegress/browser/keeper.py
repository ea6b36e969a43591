"""Run by its path: the process that owns everything which one recording starts, and the folder that it lives in.

It starts what it is told over its socket, and says what ends. When the socket closes, for whatever reason, it ends all
descendants, removes the folder and ends. So nothing outlives the worker, not even one that was killed. It is the
subreaper of its descendants: what changes its session or loses its parent stays within reach. Imports nothing of
pyegress and no site packages: it is ready within milliseconds.

Messages are JSON in packets. In: `start` (name), `argv`, `env`, `fds` (the numbers that the descriptors sent along
get), `remove` (files and folders that its end has to remove; with `lock`, a file that names a process, only while that
is one that it started: names that were let go of may be somebody else's by then). Out: `started`, `failed` or `ended`
with the name, and `status`.
"""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from typing import Any

_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36
#: Seconds for Xvfb and PulseAudio to remove their sockets.
_GRACE = 1.0
_MESSAGE = 256 * 1024
_prctl = ctypes.CDLL(None, use_errno=True).prctl


class Keeper:
    def __init__(self, control: socket.socket, folder: str) -> None:
        self._control = control
        self._folder = folder
        self._children: dict[int, str] = {}
        self._started: set[int] = set()
        #: Each with its lock, "" for what is ours in any case.
        self._remove: list[tuple[str, list[str]]] = []

    def run(self, wakeup: int) -> None:
        try:
            while True:
                readable, _, _ = select.select([self._control.fileno(), wakeup], [], [])
                if wakeup in readable:
                    os.read(wakeup, 64)
                self._reap()
                if self._control.fileno() in readable and not self._receive():
                    return
        finally:
            self._end()

    def _receive(self) -> bool:
        try:
            data, descriptors, _, _ = socket.recv_fds(self._control, _MESSAGE, 8)
        except OSError:
            return False
        if not data:
            return False
        message = json.loads(data)
        if "remove" in message:
            self._remove.append((message.get("lock", ""), message["remove"]))
        if "start" in message:
            self._start(message, descriptors)
        return True

    def _start(self, message: dict[str, Any], descriptors: list[int]) -> None:
        # Out of the way of the numbers that they are to get.
        high = [fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, 64) for descriptor in descriptors]
        for descriptor in descriptors:
            os.close(descriptor)
        places = message["fds"]

        def prepare() -> None:
            _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            for source, target in zip(high, places, strict=True):
                os.dup2(source, target)

        name = message["start"]
        try:
            child = subprocess.Popen(
                message["argv"],
                env=message["env"],
                cwd=self._folder,
                stdin=subprocess.DEVNULL if 0 not in places else None,
                pass_fds=[place for place in places if place > 2],
                preexec_fn=prepare,
            )
        except OSError as error:
            self._say({"failed": name, "error": error.strerror or str(error)})
        else:
            self._children[child.pid] = name
            self._started.add(child.pid)
            # Or the object would collect a child that has ended when it is forgotten, and nobody would hear of it.
            child.returncode = 0
            self._say({"started": name, "pid": child.pid})
        finally:
            for descriptor in high:
                os.close(descriptor)

    def _reap(self) -> None:
        """Collect whoever has ended; also orphans that became ours."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if (name := self._children.pop(pid, None)) is not None:
                self._say({"ended": name, "status": os.waitstatus_to_exitcode(status)})

    def _say(self, message: dict[str, Any]) -> None:
        with suppress(OSError):
            self._control.send(json.dumps(message).encode(), socket.MSG_DONTWAIT)

    def _end(self) -> None:
        for pid, name in list(self._children.items()):
            _kill(pid, signal.SIGKILL if name == "chromium" else signal.SIGTERM)
        tick = 0.02
        for _ in range(round(_GRACE / tick)):
            self._reap()
            if not self._children:
                break
            select.select([], [], [], tick)
        # Before the last of them are killed: who lives keeps others from taking his names.
        for lock, paths in self._remove:
            if lock and _owner(lock) in self._started:
                _remove(paths)
        while children := _children():
            for pid in children:
                _kill(pid, signal.SIGKILL)
            with suppress(ChildProcessError):
                os.waitpid(-1, 0)
        for lock, paths in self._remove:
            if not lock:
                _remove(paths)
        _remove([self._folder])


def _remove(paths: list[str]) -> None:
    for path in paths:
        if os.path.isdir(path):
            shutil.rmtree(path, ignore_errors=True)
        else:
            with suppress(OSError):
                os.unlink(path)


def _owner(lock: str) -> int:
    """The process that a lock file names, as X servers write it; 0 without one."""
    try:
        with open(lock) as file:
            return int(file.read(32))
    except (OSError, ValueError):
        return 0


def _children() -> list[int]:
    try:
        with open("/proc/thread-self/children") as listed:
            return [int(pid) for pid in listed.read().split()]
    except OSError:  # a kernel without CONFIG_PROC_CHILDREN
        return [int(pid) for pid in os.listdir("/proc") if pid.isdigit() and _parent(pid) == os.getpid()]


def _parent(pid: str) -> int:
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return int(stat.read().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def _kill(pid: int, number: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)


def main() -> None:
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM, signal.SIGPIPE):
        signal.signal(number, signal.SIG_IGN)
    _prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    wakeup, written = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(written)
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    control = socket.socket(fileno=int(sys.argv[1]))
    control.set_inheritable(False)
    Keeper(control, sys.argv[2]).run(wakeup)


if __name__ == "__main__":
    main()
