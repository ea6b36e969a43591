"""The zygote: has loaded what every worker needs, and forks one when it is told to. No threads, no event loop.

A start costs milliseconds instead of half a second of a core, and all workers share that memory. `python -m
pyegress.worker.zygote FD` is one in a process of its own; `fork_zygote` makes one of a process that has not begun yet,
which shares what both have loaded. Its supervisor's end of the socket pair is its life line: workers outlive both.
"""

from __future__ import annotations

import ctypes
import faulthandler
import gc
import importlib
import logging
import os
import select
import signal
import socket
import sys
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from pyegress.lifecycle.json_lines import encode
from pyegress.lifecycle.zygote_messages import (
    KEPT_OUT,
    LIMIT,
    WORKER_NAME,
    ZYGOTE_NAME,
    Exited,
    Spawn,
    Spawned,
    to_zygote,
)

#: Loaded before the first fork: all that copies of tracks need. What encodes is larger than that, and loaded by who
#: encodes.
_SHARED = ("uvloop", "pyegress.worker.process", "pyegress.worker.assignment")


def fork_zygote() -> tuple[int, socket.socket]:
    """Fork a zygote; its process and the supervisor's end. Only before there are threads or event loops."""
    load()
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    pid = os.fork()
    if pid:
        theirs.close()
        return pid, ours
    ours.close()
    _leave(_serve_as_child, theirs)


def load() -> None:
    """Load what is shared, and keep the garbage collector from writing into its pages."""
    for module in _SHARED:
        importlib.import_module(module)
    gc.collect()
    # Free memory between what is used would be written to by both sides of a fork.
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
    gc.freeze()


def serve(control: socket.socket) -> None:
    """Fork workers until the supervisor's end is closed. Returns in the zygote only."""
    _call_it(ZYGOTE_NAME)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, signal.SIG_IGN)
    woken, wake = socket.socketpair()
    wake.setblocking(False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake.fileno(), warn_on_full_buffer=False)
    while True:
        readable, _, _ = select.select([control, woken], [], [])
        if woken in readable:
            woken.recv(4096)
            _reap(control)
        if control in readable:
            try:
                line, descriptors, _, _ = socket.recv_fds(control, LIMIT, 2)
            except ConnectionResetError:  # killed, with something unread
                return
            if not line:
                return
            _spawn(control, to_zygote(line), descriptors, (woken, wake))


def _spawn(
    control: socket.socket, message: Spawn, descriptors: Sequence[int], of_zygote: Sequence[socket.socket]
) -> None:
    pid = os.fork()
    if pid:
        for descriptor in descriptors:
            os.close(descriptor)
        control.send(encode(Spawned(pid)))
        return
    signal.set_wakeup_fd(-1)
    for end in (control, *of_zygote):
        end.close()
    link, errors = descriptors
    os.dup2(errors, 2)
    os.close(errors)
    for number in (signal.SIGTERM, signal.SIGQUIT, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    os.setsid()
    _call_it(WORKER_NAME)
    faulthandler.enable()
    _leave(_work, link, message.loaded)


def _work(link: int, loaded: bool) -> None:
    from pyegress.worker.process import run_worker

    run_worker(link, loaded=loaded)


def _serve_as_child(control: socket.socket) -> None:
    os.setsid()
    for name in [name for name in os.environ if name.startswith(KEPT_OUT)]:
        del os.environ[name]
    sys.path[:] = [folder for folder in sys.path if folder not in ("", os.getcwd())]
    null = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1):
        os.dup2(null, number)
    os.close(null)
    serve(control)


def _leave(work: Callable[..., None], *arguments: object) -> NoReturn:
    """Do it as the last thing of this process: nothing of the process that it was forked from is unwound."""
    code = 1
    try:
        work(*arguments)
        code = 0
    except SystemExit as leaving:
        code = leaving.code if isinstance(leaving.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        logging.shutdown()
        sys.stderr.flush()
        os._exit(code)


def _reap(control: socket.socket) -> None:
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if not pid:
            return
        try:
            control.send(encode(Exited(pid, os.waitstatus_to_exitcode(status))))
        except OSError:  # the supervisor is gone; the end of its socket comes next
            return


def _call_it(name: str) -> None:
    with suppress(OSError):
        Path("/proc/self/comm").write_text(name)


def main() -> None:
    """Entry point of a zygote in a process of its own."""
    control = socket.socket(fileno=int(sys.argv[1]))
    load()
    serve(control)


if __name__ == "__main__":
    main()
