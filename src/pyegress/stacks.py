"""What this process does right now: its tasks and threads, each with where it stands. No values are shown."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Iterable, Iterator
from itertools import islice
from types import FrameType
from typing import Any

#: Frames shown of each thread, the innermost.
_DEPTH = 16


def tasks_text() -> str:
    """Every task of the running event loop and every thread, outermost call first."""
    lines = []
    for task in sorted(asyncio.all_tasks(), key=lambda task: task.get_name()):
        lines += [f"task {task.get_name()}", *_stack(_awaits(task))]
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    for ident, frame in sys._current_frames().items():
        lines += [f"thread {names.get(ident, ident)}", *_stack(reversed(list(islice(_callers(frame), _DEPTH))))]
    return "\n".join(lines) + "\n"


def _awaits(task: asyncio.Task[Any]) -> Iterator[FrameType]:
    """From a task's coroutine to what it awaits, as far as that is Python."""
    coroutine: Any = task.get_coro()
    while coroutine is not None:
        frame = getattr(coroutine, "cr_frame", None) or getattr(coroutine, "gi_frame", None)
        if frame is not None:
            yield frame
        coroutine = getattr(coroutine, "cr_await", None) or getattr(coroutine, "gi_yieldfrom", None)


def _callers(frame: FrameType | None) -> Iterator[FrameType]:
    while frame is not None:
        yield frame
        frame = frame.f_back


def _stack(frames: Iterable[FrameType]) -> Iterator[str]:
    for frame in frames:
        code = frame.f_code
        yield f"    {code.co_filename.rpartition('/site-packages/')[2]}:{frame.f_lineno} {code.co_qualname}"
