from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from google.protobuf.json_format import MessageToJson
from livekit.protocol import egress as pb

from pyegress.lifecycle.egress import EgressStatus, status_of
from pyegress.lifecycle.zygote_messages import WORKER_NAME
from pyegress.service.left_workers import LeftWorkers

pytestmark = pytest.mark.unit


@pytest.fixture
def worker_like() -> Iterator[subprocess.Popen[bytes]]:
    """A process that looks like a worker; ends at SIGTERM."""
    code = f"import sys; open('/proc/self/comm', 'w').write({WORKER_NAME!r}); print(flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process
        process.kill()


def info(egress_id: str, status: str = "EGRESS_ACTIVE") -> str:
    return MessageToJson(pb.EgressInfo(egress_id=egress_id, status=status))


def test_who_runs_and_how_it_ended(tmp_path: Path, worker_like: subprocess.Popen[bytes]) -> None:
    alone = tmp_path / f"EG_1.{worker_like.pid}.alone"
    alone.write_text(info("EG_1"))
    left = LeftWorkers(tmp_path)
    assert list(left.running) == ["EG_1"]
    assert left.collect() == []
    left.stop("EG_1")
    worker_like.wait(10)
    Path(left.path_of("EG_1")).write_text(info("EG_1", "EGRESS_COMPLETE"))
    left.look()
    known = left.info("EG_1")
    assert known is not None
    assert status_of(known) is EgressStatus.COMPLETE, "known before it is told"
    assert [status_of(ended) for ended in left.collect()] == [EgressStatus.COMPLETE]
    assert left.collect() == []
    assert list(tmp_path.iterdir()) == []


def test_a_worker_that_died_alone(tmp_path: Path) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    (tmp_path / f"EG_2.{gone.pid}.alone").write_text(info("EG_2"))
    (ended,) = LeftWorkers(tmp_path).collect()
    assert status_of(ended) is EgressStatus.FAILED
    assert "after its supervisor" in ended.error


def test_a_number_that_another_process_has_now(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        (tmp_path / f"EG_3.{other.pid}.alone").write_text(info("EG_3"))
        left = LeftWorkers(tmp_path)
        assert left.running == {}
        assert [ended.egress_id for ended in left.collect()] == ["EG_3"]
        other.kill()


def test_files_that_cannot_be_read_are_taken_away(tmp_path: Path) -> None:
    (tmp_path / "EG_4.json").write_text("{half")
    assert LeftWorkers(tmp_path).collect() == []
    assert list(tmp_path.iterdir()) == []
