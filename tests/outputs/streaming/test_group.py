"""Several destinations of one stream, whose servers are simulated."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence

import pytest

from pyegress.clock import Monotonic
from pyegress.codecs import Codec, Kind
from pyegress.errors import Code, EgressError, OutputFailed
from pyegress.lifecycle.outcome import StreamStatus
from pyegress.outputs.streaming.group import StreamGroup
from pyegress.outputs.streaming.sender import Connection
from pyegress.outputs.streaming.unit import Unit
from pyegress.plan.stream_updates import MOST_DESTINATIONS
from pyegress.plan.stream_urls import Destination, destination
from pyegress.rtp.frame import EncodedFrame
from tests.support.waiting import eventually

pytestmark = [pytest.mark.unit, pytest.mark.usefixtures("no_tasks_left")]


class Connected:
    """Takes everything."""

    taken, pending = 0, False

    def __init__(self, units: list[Unit]) -> None:
        self._units = units

    def send(self, units: Sequence[Unit]) -> None:
        self._units += units

    async def writable(self) -> None: ...

    async def ended(self) -> None:
        await asyncio.Event().wait()

    async def aclose(self, *, orderly: bool) -> None: ...


class Servers:
    """A `Publisher` that knows a server for every URL, and one that refuses."""

    def __init__(self) -> None:
        self.units: dict[str, list[Unit]] = {}
        self.breaks = False

    def package(self, kind: Kind, frame: EncodedFrame) -> Unit:
        if self.breaks:
            raise ValueError("no parameter sets")
        return Unit(kind, frame.timestamp / 90_000, frame.keyframe, frame.payload)

    async def connect(self, target: Destination) -> Connection:
        if "refuses" in target.url:
            raise OutputFailed("refused")
        self.units[target.url] = []
        return Connected(self.units[target.url])


class Streams:
    def __init__(self) -> None:
        self.servers = Servers()
        self.failed: list[EgressError] = []
        self.empty: list[EgressError | None] = []
        self.group = StreamGroup(
            frozenset({Kind.VIDEO}),
            self.servers,
            window=10.0,
            want_start=lambda: None,
            on_failed=self.failed.append,
            on_empty=self.empty.append,
        )

    def send(self, *seconds: float) -> None:
        """From another thread, as encoders do."""
        frames = [EncodedFrame(Codec.H264, b"x", round(at * 90_000), Monotonic(0.0)) for at in seconds]

        def run() -> None:
            for frame in frames:
                self.group.packet(Kind.VIDEO, frame)

        thread = threading.Thread(target=run)
        thread.start()
        thread.join()

    def seconds(self, url: str) -> list[float]:
        return [unit.seconds for unit in self.servers.units[url]]


ONE, TWO, REFUSING = "rtmp://h/a/firstkey", "rtmp://h/a/secondkey", "rtmp://refuses/a/thirdkey"


async def test_everybody_gets_everything_and_one_failure_is_its_own() -> None:
    streams = Streams()
    for url in (ONE, TWO, REFUSING):
        streams.group.add(destination(url))
    await eventually(lambda: len(streams.servers.units) == 2 and streams.failed, "connected, and refused")
    streams.send(0.0, 0.1, 0.2)
    await streams.group.finish()
    assert streams.seconds(ONE) == streams.seconds(TWO) == pytest.approx([0.0, 0.1, 0.2])
    assert [one.status.name for one in streams.group.streams] == ["FINISHED", "FINISHED", "FAILED"]
    assert streams.empty == []


async def test_adding_and_removing() -> None:
    streams = Streams()
    streams.group.add(destination(ONE, id="mine"))
    with pytest.raises(EgressError) as twice:
        streams.group.add(destination(ONE))
    with pytest.raises(EgressError):
        streams.group.add(destination(TWO, id="mine"))
    assert twice.value.code is Code.ALREADY_EXISTS
    streams.group.add(destination(TWO))
    await eventually(lambda: len(streams.servers.units) == 2, "connected")
    for unknown in (REFUSING, "", "theirs"):
        with pytest.raises(EgressError) as nothing:
            streams.group.remove(unknown)
        assert nothing.value.code is Code.NOT_FOUND
        assert "thirdkey" not in str(nothing.value)
    streams.group.remove("mine")
    with pytest.raises(EgressError):
        streams.group.remove("mine")
    await eventually(lambda: len(streams.group.active) == 1, "one is removed")
    assert streams.empty == []
    # As infos show it.
    streams.group.remove(streams.group.streams[1].url)
    await eventually(lambda: streams.empty, "all are removed")
    assert streams.empty == [None]
    streams.group.add(destination(ONE))
    assert [one.status for one in streams.group.streams][2] is StreamStatus.ACTIVE
    await streams.group.finish()
    with pytest.raises(EgressError) as late:
        streams.group.add(destination(TWO))
    assert late.value.code is Code.FAILED_PRECONDITION


async def test_no_more_than_so_many() -> None:
    streams = Streams()
    for number in range(MOST_DESTINATIONS):
        streams.group.add(destination(f"rtmp://h/a/key{number}"))
    with pytest.raises(EgressError, match="11 destinations"):
        streams.group.add(destination(ONE))
    await streams.group.finish()


async def test_the_last_failure_is_told() -> None:
    streams = Streams()
    streams.group.add(destination(REFUSING))
    await eventually(lambda: streams.empty, "nobody is left")
    assert streams.empty == streams.failed != []
    await streams.group.finish()


async def test_packets_that_cannot_be_packed_end_the_stream_alone() -> None:
    streams = Streams()
    streams.group.add(destination(ONE))
    await eventually(lambda: streams.servers.units, "connected")
    streams.servers.breaks = True
    streams.send(0.0, 0.1)
    await eventually(lambda: streams.empty, "given up")
    (error,) = streams.failed
    assert "cannot be streamed (ValueError)" in str(error)
    await streams.group.finish()
    assert streams.group.streams[0].status is StreamStatus.FAILED
