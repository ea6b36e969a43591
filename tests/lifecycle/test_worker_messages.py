from __future__ import annotations

from dataclasses import replace

import pytest

from pyegress.clock import Wall
from pyegress.errors import Code
from pyegress.lifecycle.json_lines import BadLine, encode
from pyegress.lifecycle.outcome import Failure, FileOutcome, Outcome
from pyegress.lifecycle.recording import EndReason, RecordingState
from pyegress.lifecycle.worker_messages import (
    Ended,
    Finish,
    FromWorker,
    Hurry,
    Launch,
    LogLine,
    Ready,
    Received,
    Standing,
    StopRecording,
    StreamsUpdated,
    ToWorker,
    UpdateStreams,
    from_worker,
    to_worker,
)
from pyegress.plan.egress_info import starting_info
from pyegress.plan.recording_plan import LimitRule, RequestType, Service, SessionLimits, Waits
from pyegress.plan.storage import LocalStorage, Proxy, S3Storage, StorageDefaults
from tests.plan.requests import FILE, NOW, SERVICE, planned, room

pytestmark = pytest.mark.unit

REQUEST = room(FILE)
S3 = S3Storage("bucket", prefix="p", access_key="a", metadata=(("k", "v"),), proxy=Proxy("http://p"))
FULL = Service(
    ws_url="ws://h",
    api_secret="hidden",
    storage=StorageDefaults(storage=S3, backup=LocalStorage(prefix="b"), presigned=True),
    limits=SessionLimits(file=60.0, file_size=5, rules=(LimitRule("a*", (RequestType.WEB,), 7.0),)),
    waits=Waits(tracks=None, participant=3.0),
    overwrite=False,
)


def launch(service: Service = SERVICE) -> Launch:
    return Launch(
        egress_id="EG_1",
        kind=REQUEST.DESCRIPTOR.full_name,
        request=REQUEST.SerializeToString(),
        info=starting_info(planned(REQUEST), REQUEST).SerializeToString(),
        at=NOW,
        service=service,
        directory="/out",
        spool="/spool/EG_1",
        token="hidden",
    )


@pytest.mark.parametrize(
    "message",
    [
        launch(),
        launch(FULL),
        StopRecording(EndReason.CPU_EXHAUSTED),
        Hurry(7.5),
        UpdateStreams(3, b"\x00\xff"),
        Received(),
        Finish(launch()),
    ],
)
def test_what_a_worker_is_told(message: ToWorker) -> None:
    line = encode(message)
    assert line.count(b"\n") == 1
    assert to_worker(line) == message
    with pytest.raises(BadLine):
        from_worker(line)


@pytest.mark.parametrize(
    "message",
    [
        Ready(7),
        Standing(RecordingState.WAITING, 0.0, 0, "alice", ("bob: publishes nothing",)),
        Standing(RecordingState.ENDING, 1.5, 10, reason=EndReason.STOPPED, paths=("/out/ä\n.mp4",)),
        StreamsUpdated(3),
        StreamsUpdated(3, Failure(Code.INVALID_ARGUMENT, "no stream")),
        Ended(Outcome(EndReason.STOPPED, (FileOutcome("a", "/a", 1, Wall(2.0), 3.0),), None, ("slow",))),
        LogLine(20, "pyegress", "two\nlines"),
    ],
)
def test_what_a_worker_says(message: FromWorker) -> None:
    assert from_worker(encode(message)) == message


def test_a_launch_gives_back_request_and_info() -> None:
    told = to_worker(encode(launch()))
    assert isinstance(told, Launch)
    assert told.read_request() == REQUEST
    assert told.read_info().egress_id == "EG_1"
    assert (told.start.at, told.start.token) == (NOW, "hidden")


def test_a_launch_does_not_show_secrets() -> None:
    assert "hidden" not in repr(launch())


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"\xff\n",
        b"[]\n",
        b"{}\n",
        b'{"is": "Launch"}\n',
        b'{"is": "Ready", "pid": "seven"}\n',
        b'{"is": "Ready", "pid": 7, "more": 8}\n',
        b'{"is": "StopRecording", "reason": "NONE_SUCH"}\n',
        encode(launch()).replace(b'"Service"', b'"Popen"'),
    ],
)
def test_other_lines(line: bytes) -> None:
    for read in (to_worker, from_worker):
        with pytest.raises(BadLine) as bad:
            read(line)
        assert "hidden" not in str(bad.value)


def test_only_what_is_declared_can_be_sent() -> None:
    with pytest.raises(TypeError):
        encode(replace(launch(), request=object()))  # type: ignore[arg-type]
