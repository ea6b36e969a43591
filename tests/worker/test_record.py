"""The Python API against the real server: watching, stopping, leaving the block, results."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

import pyegress
from pyegress.codecs import Kind
from pyegress.demo.server import LiveKitServer
from pyegress.errors import EgressError, InvalidRequest, NotFound
from pyegress.lifecycle.recording import EndReason, RecordingState
from pyegress.room import connection
from pyegress.room.events import Source
from pyegress.rtp.frame import EncodedFrame
from pyegress.worker.copy_file import CopyFile
from pyegress.worker.feed import Feed
from tests.room.rooms import publisher
from tests.support.analysis import file_facts
from tests.support.tcp_proxy import TcpProxy
from tests.support.waiting import eventually

pytestmark = pytest.mark.system


def access(server: LiveKitServer, room: str) -> dict[str, Any]:
    return {"url": server.url, "room": room, "api_key": server.api_key, "api_secret": server.api_secret}


async def active(recording: pyegress.Recording, seconds: float = 1.0) -> None:
    await eventually(lambda: recording.now.elapsed >= seconds, f"{seconds:g} s recorded: {recording.now}", within=40)


async def test_watch_stop_and_read_the_result(livekit_server: LiveKitServer, tmp_path: Path) -> None:
    states: list[RecordingState] = []
    async with publisher(livekit_server, "api"):
        recording = pyegress.record_participant(
            copy=True, **access(livekit_server, "api"), identity="ada", output=tmp_path / "ada"
        )
        async with recording:
            with pytest.raises(RuntimeError, match="not ended"):
                _ = recording.result
            async for progress in recording.progress():
                states.append(progress.state)
                if progress.elapsed >= 1.0 and len(progress.tracks) == 2:
                    recording.stop()
                    recording.stop()
    result = recording.result
    result.check()
    assert (result.state, result.reason) == (RecordingState.COMPLETE, EndReason.STOPPED)
    assert [state for state, after in zip(states, [*states[1:], None], strict=True) if state is not after] == [
        RecordingState.STARTING,
        RecordingState.WAITING,
        RecordingState.ACTIVE,
        RecordingState.ENDING,
        RecordingState.COMPLETE,
    ]
    (file,) = result.files
    assert file.path == tmp_path / "ada.webm"
    assert file.start == 0.0
    assert file.started_at == result.started_at
    assert result.room_name == "api"
    assert result.room_sid.startswith("RM_")
    assert file_facts(file.path).duration == pytest.approx(file.duration, abs=0.05)


async def test_an_exception_in_the_block_finishes_the_files(livekit_server: LiveKitServer, tmp_path: Path) -> None:
    async with publisher(livekit_server, "api-raise"):
        recording = pyegress.record_track(
            **access(livekit_server, "api-raise"), identity="ada", source="camera", output=tmp_path / "x"
        )

        async def fail() -> None:
            async with recording:
                await active(recording)
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await fail()
    assert recording.result.error is None
    assert file_facts(tmp_path / "x.webm").duration is not None


async def test_cancelling_the_caller_finishes_the_files(livekit_server: LiveKitServer, tmp_path: Path) -> None:
    async with publisher(livekit_server, "api-cancel"):
        recording = pyegress.record_track(
            **access(livekit_server, "api-cancel"), identity="ada", source="camera", output=tmp_path / "x"
        )

        async def record() -> None:
            async with recording:
                await asyncio.Event().wait()

        task = asyncio.create_task(record())
        await active(recording)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
    assert recording.result.state is RecordingState.COMPLETE
    assert file_facts(tmp_path / "x.webm").duration is not None


async def test_a_stop_before_anything_came(livekit_server: LiveKitServer, tmp_path: Path) -> None:
    async with pyegress.record_tracks(**access(livekit_server, "api-nothing"), output=tmp_path, wait=None) as recording:
        await eventually(lambda: "api-nothing" in recording.now.waiting_for, "waiting for the room")
        recording.stop()
        result = await recording.wait()
    assert (result.state, result.files, result.error) == (RecordingState.ABORTED, (), None)
    assert result.started_at is None
    assert result.as_json()["status"] == "aborted"
    assert not (tmp_path / "index.json").exists()


async def test_an_error_does_not_raise_unless_asked(livekit_server: LiveKitServer, tmp_path: Path) -> None:
    async with publisher(livekit_server, "api-error"):
        arguments = access(livekit_server, "api-error") | {"output": tmp_path / "x", "wait": 0.5}
        async with pyegress.record_participant(copy=True, **arguments, identity="bob") as recording:
            result = await recording.wait()
    assert isinstance(result.error, NotFound)
    assert (result.state, result.reason) == (RecordingState.FAILED, EndReason.FAILURE)
    assert "in the room: ada: " in result.error.message
    with pytest.raises(EgressError):
        result.check()
    assert [*recording.now.seen] == []


async def test_arguments_are_checked_at_once(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest):
        pyegress.record_track(url="ws://h", token="a.b.c", room="r", output=tmp_path)


async def test_a_room_that_was_deleted_while_we_were_away_is_not_brought_back(
    livekit_server: LiveKitServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "ROOM_BACK_AFTER_OUTAGE", 0.5)
    async with (
        publisher(livekit_server, "api-deleted"),
        TcpProxy(livekit_server.bind, livekit_server.port) as proxy,
    ):
        arguments = access(livekit_server, "api-deleted") | {"url": proxy.url, "output": tmp_path / "ada.webm"}
        async with pyegress.record_participant(copy=True, **arguments, identity="ada") as recording:
            await active(recording)
            proxy.refusing = True
            proxy.cut()
            await livekit_server.delete_room("api-deleted")
            proxy.refusing = False
            async with asyncio.timeout(30):
                result = await recording.wait()
    assert result.error is None
    assert result.reason is EndReason.SOURCE_CLOSED
    assert file_facts(tmp_path / "ada.webm").duration is not None
    participants = [p.identity for p in await livekit_server.participants("api-deleted")]
    assert participants == [], "we did not join the successor that our attempt to resume made"


async def test_a_track_that_sends_nothing_is_spoken_of(
    livekit_server: LiveKitServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pyegress.worker.silence.SILENT_AFTER", 1.0)
    async with publisher(livekit_server, "api-silent") as ada:
        arguments = access(livekit_server, "api-silent") | {"output": tmp_path / "ada"}
        async with pyegress.record_participant(copy=True, **arguments, identity="ada") as recording:
            await active(recording)
            task = ada._published[Source.CAMERA].task
            task.cancel()
            await eventually(
                lambda: any(track.silent > 2.5 for track in recording.now.tracks), "a silent track in the progress"
            )
            recording.stop()
            result = await recording.wait()
    assert result.error is None
    assert any("The camera of 'ada' is not muted and sends nothing any more" in text for text in result.warnings)


async def test_a_track_that_we_fail_on_does_not_take_the_others_with_it(
    livekit_server: LiveKitServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame = CopyFile.frame

    def fail(self: CopyFile, feed: Feed, encoded: EncodedFrame) -> None:
        if feed.kind is Kind.VIDEO and self.elapsed(encoded.arrival) > 1.0:
            raise ZeroDivisionError
        frame(self, feed, encoded)

    monkeypatch.setattr(CopyFile, "frame", fail)
    async with publisher(livekit_server, "api-fail"):
        arguments = access(livekit_server, "api-fail") | {"output": tmp_path / "ada"}
        async with pyegress.record_participant(copy=True, **arguments, identity="ada") as recording:
            await active(recording, 3.0)
            assert [track.source for track in recording.now.tracks] == ["microphone"]
    assert any("The camera of 'ada' was given up" in warning for warning in recording.result.warnings)
    assert recording.result.error is None
    assert recording.result.duration > 2.5
