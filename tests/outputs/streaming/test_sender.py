"""One destination whose server is simulated: what is sent, what is noticed, what is reported."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from pyegress.codecs import Kind
from pyegress.errors import EgressError, OutputFailed
from pyegress.lifecycle.outcome import StreamStatus
from pyegress.outputs.streaming import retries, sender
from pyegress.outputs.streaming.sender import Connection, StreamSender
from pyegress.outputs.streaming.unit import Unit
from pyegress.plan.stream_urls import destination
from tests.support.waiting import eventually

pytestmark = [pytest.mark.unit, pytest.mark.usefixtures("no_tasks_left")]


class Server:
    """Takes everything, until it is told otherwise."""

    def __init__(self) -> None:
        self.units: list[list[Unit]] = []
        self.refusal: EgressError | None = None
        self.answers = True
        self.stalls = False
        self.over = asyncio.Event()
        self.closed: list[bool] = []
        self.starts = 0
        self.failures: list[EgressError] = []

    async def connect(self) -> Connection:
        if not self.answers:
            await asyncio.Event().wait()
        if self.refusal is not None:
            raise self.refusal
        self.units.append([])
        self.over.clear()
        return Connected(self)

    def sender(self, **changes: float) -> StreamSender:
        arguments: dict[str, float] = {"window": 30.0} | changes
        return StreamSender(
            destination("rtmp://h/app/secretkey"),
            self.connect,
            want_start=self.wanted,
            on_failed=lambda sender, error: self.failures.append(error),
            **arguments,  # type: ignore[arg-type]
        )

    def wanted(self) -> None:
        self.starts += 1


class Connected:
    def __init__(self, server: Server) -> None:
        self._server = server
        self._sent = 0

    def send(self, units: Sequence[Unit]) -> None:
        self._sent += sum(len(unit.payload) for unit in units)
        self._server.units[-1] += units

    async def writable(self) -> None: ...

    async def ended(self) -> None:
        await self._server.over.wait()
        raise OutputFailed("it hung up")

    @property
    def taken(self) -> int:
        return 0 if self._server.stalls else self._sent

    @property
    def pending(self) -> bool:
        return self._server.stalls

    async def aclose(self, *, orderly: bool) -> None:
        self._server.closed.append(orderly)


def unit(seconds: float, *, start: bool = True) -> Unit:
    return Unit(Kind.VIDEO, seconds, start, b"x")


async def test_sends_from_the_first_start_and_ends_in_order() -> None:
    server = Server()
    stream = server.sender()
    assert stream.outcome.started_at is None
    await eventually(lambda: server.units, "connected")
    for number in range(5):
        stream.submit(unit(number, start=number == 1))
    await stream.finish()
    assert [each.seconds for each in server.units[0]] == [1, 2, 3, 4]
    assert (server.starts, server.closed, server.failures) == (1, [True], [])
    outcome = stream.outcome
    assert (outcome.status, outcome.error, outcome.retries) == (StreamStatus.FINISHED, "", 0)
    assert outcome.started_at is not None
    assert outcome.ended_at is not None
    assert outcome.ended_at >= outcome.started_at
    assert "secretkey" not in str(outcome)
    await stream.finish()
    assert stream.outcome == outcome


async def test_a_refusal_at_first_is_final() -> None:
    server = Server()
    server.refusal = OutputFailed("no such key", remedy="Check it")
    stream = server.sender()
    await eventually(lambda: stream.over, "given up")
    assert server.failures == [server.refusal]
    assert (stream.outcome.status, stream.outcome.error) == (StreamStatus.FAILED, "no such key. Check it")
    await stream.finish()
    assert stream.outcome.status is StreamStatus.FAILED


async def test_a_lost_connection_is_made_again_and_begins_with_a_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retries, "BACK_OFF", (0.01, 0.02))
    server = Server()
    stream = server.sender()
    await eventually(lambda: server.units, "connected")
    stream.submit(unit(0.0))
    await eventually(lambda: server.units[0], "sent")
    server.refusal = OutputFailed("not yet")
    server.over.set()
    await eventually(lambda: stream.outcome.retries >= 3, "tried again")
    server.refusal = None
    await eventually(lambda: len(server.units) == 2, "connected again")
    stream.submit(unit(1.0, start=False))
    stream.submit(unit(2.0))
    await eventually(lambda: server.units[1], "sent again")
    assert [each.seconds for each in server.units[1]] == [2.0]
    assert server.starts == 2
    assert stream.outcome.last_retry_at is not None
    assert stream.outcome.status is StreamStatus.ACTIVE
    await stream.finish()
    assert server.closed == [False, True]


async def test_whoever_takes_nothing_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sender, "_WATCH", 0.01)
    server = Server()
    stream = server.sender(stall=0.1, window=0.0)
    await eventually(lambda: server.units, "connected")
    server.stalls = True
    stream.submit(unit(0.0))
    await eventually(lambda: stream.over, "given up")
    (error,) = server.failures
    assert "has taken no data for 0.1 s" in str(error)
    assert "secretkey" not in str(error)


async def test_an_end_does_not_wait_for_a_server_that_does_not_answer() -> None:
    server = Server()
    server.answers = False
    stream = server.sender()
    await asyncio.sleep(0)
    async with asyncio.timeout(1.0):
        await stream.finish()
    assert stream.outcome.status is StreamStatus.FINISHED
    assert stream.outcome.started_at is None


async def test_what_never_took_anything_has_failed_at_the_end_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retries, "BACK_OFF", (10.0,))
    server = Server()
    stream = server.sender()
    await eventually(lambda: server.units, "connected")
    server.over.set()
    await eventually(lambda: server.closed, "hung up")
    await stream.finish()
    assert (stream.outcome.status, stream.outcome.error) == (StreamStatus.FAILED, "it hung up")
    assert server.failures == []


async def test_too_slow_receivers_wait_for_another_start() -> None:
    server = Server()
    stream = server.sender(backlog=1.0)
    await eventually(lambda: server.units, "connected")
    stream.submit(unit(0.0))
    for number in range(1, 4):
        stream.submit(unit(number / 2, start=False))
    assert server.starts == 2
    assert stream.dropped == 4
    await stream.finish()
