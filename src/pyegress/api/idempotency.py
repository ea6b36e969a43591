"""Calls that come twice with one `X-Livekit-Request-Id` are one call: SDKs send it again when an answer was lost."""

from __future__ import annotations

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from google.protobuf.message import Message

from pyegress.clock import Monotonic
from pyegress.errors import Code, EgressError, Fault

#: Seconds for which an answer is given again, and how many of them are kept.
KEPT_FOR, KEPT = 600.0, 10_000


@dataclass(slots=True)
class _Call:
    digest: bytes
    task: asyncio.Task[Message]
    begun_at: Monotonic
    waiting: int = 0


class RepeatedCalls:
    """Runs each call once per key. Answers are given again for some minutes; errors are not kept: a retry may help."""

    def __init__(self, *, kept_for: float = KEPT_FOR, kept: int = KEPT) -> None:
        self._kept_for = kept_for
        self._kept = kept
        self._running: set[asyncio.Task[Message]] = set()
        self._calls: OrderedDict[tuple[str, str], _Call] = OrderedDict()

    async def run(
        self,
        key: tuple[str, str],
        request: bytes,
        call: Callable[[], Coroutine[Any, Any, Message]],
        *,
        now: Monotonic,
    ) -> Message:
        """The answer of `call`, or of the one with the same `key` (API key, request id) before it.

        When all who wait for it are cancelled, the call is. Raises what it raises, and EgressError when the key was
        used for a different `request`.
        """
        self._forget(now)
        digest = hashlib.sha256(request).digest()
        known = self._calls.get(key)
        if known is None or known.task.cancelling():
            task = asyncio.get_running_loop().create_task(call(), name=f"call {key[1][:40]}")
            self._running.add(task)
            task.add_done_callback(self._running.discard)
            known = self._calls[key] = _Call(digest, task, now)
        elif known.digest != digest:
            raise EgressError(
                "The request id was used for another request",
                field="X-Livekit-Request-Id",
                code=Code.INVALID_ARGUMENT,
                fault=Fault.CALLER,
                remedy="Send a new id with every request",
            )
        return await self._wait(key, known)

    async def _wait(self, key: tuple[str, str], call: _Call) -> Message:
        call.waiting += 1
        try:
            await asyncio.wait([call.task])
        finally:
            call.waiting -= 1
            if not call.waiting and not call.task.done():
                call.task.cancel()
            failed = call.task.done() and (call.task.cancelled() or call.task.exception() is not None)
            if (failed or call.task.cancelling()) and self._calls.get(key) is call:
                del self._calls[key]
        return call.task.result()

    def _forget(self, now: Monotonic) -> None:
        while self._calls:
            key, oldest = next(iter(self._calls.items()))
            if len(self._calls) < self._kept and now - oldest.begun_at < self._kept_for:
                return
            if not oldest.task.done():
                return
            del self._calls[key]

    async def aclose(self) -> None:
        """End the calls that still run. May be called twice."""
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
        self._calls.clear()
