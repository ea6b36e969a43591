"""What becomes of folders that are found: with worker processes replaced by what they answer."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from livekit.protocol import egress as pb

from pyegress.clock import Wall, wall
from pyegress.errors import Code, EgressError
from pyegress.lifecycle.egress import EgressStatus, status_of
from pyegress.lifecycle.outcome import Failure, FileOutcome, Outcome
from pyegress.lifecycle.recording import EndReason
from pyegress.lifecycle.worker_messages import Launch
from pyegress.plan.egress_info import starting_info
from pyegress.service import spool_keeper
from pyegress.service.config_reader import Seconds
from pyegress.service.config_sections import SpoolSection
from pyegress.service.spool_keeper import SpoolKeeper
from pyegress.service.worker_pool import WorkerPool
from pyegress.service.zygote import Zygote
from pyegress.storage.journal_entries import Attempted, Begun, Entry, Moved, ObjectKey, Planned, SpoolState, Told
from pyegress.storage.spool import Spool, SpoolFolder
from pyegress.storage.spooled_plan import SpooledPlan
from tests.plan.requests import FILE, SERVICE, planned, room

pytestmark = pytest.mark.unit

S = EgressStatus
MADE = FileOutcome("a.mp4", "/out/a.mp4", 1234, Wall(1.7e9), 12.25)
KEY = ObjectKey(0, "a.mp4")


class Node:
    """A keeper, what it published, and what its workers answer."""

    def __init__(self, tmp_path: Path, section: SpoolSection | None = None) -> None:
        self.told: list[pb.EgressInfo] = []
        self.answers: list[Outcome | EgressError] = []
        self.asked: list[Launch] = []
        self.state: SpoolState | None = SpoolState.DONE
        self.kept = asyncio.get_running_loop().create_future()
        self.kept.set_result(None)
        self.spool = Spool(tmp_path / "spool")
        self.running: set[str] = set()
        self.keeper = SpoolKeeper(
            self.spool,
            section or SpoolSection(),
            SERVICE,
            WorkerPool(0, Zygote()),
            publish=self._publish,
            on_upload=lambda tried: None,
            runs=self.running.__contains__,
        )

    def _publish(self, info: pb.EgressInfo) -> list[asyncio.Future[None]]:
        self.told.append(info)
        return [self.kept]

    async def answer(self, pool: object, launch: Launch, on_upload: object) -> Outcome:
        self.asked.append(launch)
        answer = self.answers.pop(0)
        if isinstance(answer, EgressError):
            raise answer
        if self.state is not None:
            append(self.spool.folder(launch.egress_id), Moved(wall(), self.state))
        return answer

    async def rounds(self, count: int = 4) -> None:
        """What a supervisor does each second."""
        for _ in range(count):
            self.keeper.update(self.keeper.look())
            self.keeper.act()
            while self.keeper._tasks:
                await asyncio.wait(set(self.keeper._tasks.values()))

    @property
    def statuses(self) -> list[EgressStatus]:
        return [status_of(info) for info in self.told]


@pytest.fixture
async def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Node:
    made = Node(tmp_path)
    monkeypatch.setattr(spool_keeper, "finish_left", lambda *arguments: made.answer(*arguments))
    return made


def append(folder: SpoolFolder, *entries: Entry) -> None:
    journal = folder.journal()
    journal.append(*entries)
    journal.close()


def left(node: Node, *entries: Entry, egress_id: str = "EG_1") -> SpoolFolder:
    """A folder that an earlier supervisor left."""
    request = room(FILE)
    launch = Launch(
        egress_id=egress_id,
        kind=request.DESCRIPTOR.full_name,
        request=request.SerializeToString(),
        info=starting_info(planned(request, egress_id=egress_id), request).SerializeToString(),
        at=Wall(1.7e9),
        service=SERVICE,
        directory="/out",
    )
    folder = node.spool.create(SpooledPlan.of(launch))
    append(folder, *entries)
    return folder


RECORDING = (
    Moved(Wall(1.7e9), SpoolState.RECORDING),
    Planned(Wall(1.7e9), KEY, "/out/a.mp4"),
    Begun(Wall(1.7e9), Wall(1.7e9)),
)


async def test_complete_with_the_part_that_was_recorded(node: Node) -> None:
    folder = left(node, *RECORDING)
    node.answers = [Outcome(EndReason.PROCESS_KILLED, (MADE,))]
    node.keeper.update(node.keeper.look())
    assert node.keeper.working == ["EG_1"]
    await node.rounds()
    assert node.statuses == [S.ENDING, S.COMPLETE]
    info = node.told[-1]
    assert info.details == (
        "End reason: Process killed; the service was interrupted; the 12.2 s that were recorded until then are whole"
    )
    assert (info.file_results[0].location, info.file_results[0].size) == ("/out/a.mp4", 1234)
    assert (info.error, info.error_code) == ("", 0)
    assert not folder.path.exists(), "delivered, told and removed"
    assert node.keeper.kept == {}
    assert node.asked[0].read_request() == room(FILE)


async def test_what_was_to_end_anyway_says_why(node: Node) -> None:
    left(node, *RECORDING, Moved(wall(), SpoolState.FINISHING, "Session limit reached"))
    node.answers = [Outcome(EndReason.LIMIT_REACHED, (MADE,))]
    await node.rounds()
    assert status_of(node.told[-1]) is S.LIMIT_REACHED
    assert node.told[-1].details.startswith("End reason: Session limit reached; the service was interrupted")


async def test_nothing_was_recorded(node: Node) -> None:
    left(node, RECORDING[0])
    node.answers = [Outcome(EndReason.PROCESS_KILLED)]
    await node.rounds()
    assert node.statuses == [S.FAILED]
    assert "before anything was recorded" in node.told[0].error


async def test_it_stays_until_everybody_would_not_forget_it(node: Node) -> None:
    folder = left(node, *RECORDING)
    node.kept = asyncio.get_running_loop().create_future()
    node.answers = [Outcome(EndReason.STOPPED, (MADE,))]
    await node.rounds()
    assert node.statuses == [S.ENDING, S.COMPLETE]
    assert folder.record().told
    assert folder.path.exists()
    node.kept.set_result(None)
    await node.rounds()
    assert not folder.path.exists()
    assert len(node.told) == 2, "told once"


async def test_told_by_a_worker_that_nobody_heard(node: Node) -> None:
    ended = pb.EgressInfo(
        egress_id="EG_1", status=pb.EgressStatus.EGRESS_COMPLETE, details="End reason: StopEgress API"
    )
    folder = left(node, *RECORDING, Moved(wall(), SpoolState.DONE), Told(wall(), ended.SerializeToString()))
    node.keeper.update(node.keeper.look())
    assert node.keeper.working == []
    await node.rounds()
    assert node.told == [ended]
    assert not folder.path.exists()


async def test_a_storage_that_does_not_answer(node: Node, tmp_path: Path) -> None:
    """ENDING with the reason while there is patience; it is tried again when its time has come."""
    folder = left(node, *RECORDING)
    node.state = SpoolState.UPLOADING
    node.answers = [Outcome(EndReason.STOPPED, (MADE,), pending="S3 does not answer")]
    append(folder, Moved(wall(), SpoolState.FINISHING))
    await node.rounds(1)
    append(folder, Attempted(wall(), "S3 does not answer", True))
    await node.rounds()
    assert node.statuses == [S.ENDING, S.ENDING]
    waits = f"not delivered yet: S3 does not answer; it is kept in the spool ({folder.path}) and tried again"
    assert node.told[-1].details.endswith(waits)
    assert len(node.asked) == 1, "not before its time"
    append(folder, Attempted(Wall(wall() - 3600), "S3 does not answer", True))
    node.state = SpoolState.DONE
    node.answers = [Outcome(EndReason.STOPPED, (MADE,))]
    await node.rounds()
    assert status_of(node.told[-1]) is S.COMPLETE
    assert not folder.path.exists()


async def test_patience_ends_but_the_recording_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    node = Node(tmp_path, SpoolSection(patience=Seconds(0.0)))
    monkeypatch.setattr(spool_keeper, "finish_left", lambda *arguments: node.answer(*arguments))
    folder = left(node, *RECORDING, Moved(Wall(wall() - 3600), SpoolState.FINISHING))
    node.state = SpoolState.UPLOADING
    node.answers = [Outcome(EndReason.STOPPED, (MADE,), pending="S3 does not answer")]
    await node.rounds(1)
    append(folder, Attempted(wall(), "S3 does not answer", True))
    await node.rounds()
    info = node.told[-1]
    assert (status_of(info), info.error_code) == (S.FAILED, 400)
    assert "S3 does not answer" in info.error
    assert "spool" in info.error
    assert folder.path.exists()
    append(folder, Attempted(Wall(wall() - 3600), "S3 does not answer", True))
    node.state = SpoolState.DONE
    node.answers = [Outcome(EndReason.STOPPED, (MADE,))]
    await node.rounds()
    late = node.told[-1]
    assert status_of(late) is S.FAILED, "a final status stays"
    assert late.file_results[0].location == "/out/a.mp4"
    assert "delivered later" in late.details
    assert not folder.path.exists()


async def test_a_worker_that_dies_is_followed_by_another(node: Node) -> None:
    folder = left(node, *RECORDING)
    node.answers = [EgressError("The worker process ended", code=Code.INTERNAL, retryable=True)]
    await node.rounds()
    assert folder.record().attempts == 1
    assert node.statuses == [S.ENDING, S.ENDING]
    assert "not delivered yet: The worker process ended" in node.told[-1].details


async def test_a_refusal_is_a_failure_with_its_cause(node: Node) -> None:
    folder = left(node, *RECORDING)
    node.state = SpoolState.UPLOADING
    refused = Failure(Code.INVALID_ARGUMENT, "S3 upload failed: no such bucket")
    node.answers = [Outcome(EndReason.STOPPED, (MADE,), refused)]
    await node.rounds(1)
    append(folder, Attempted(wall(), refused.message, False))
    await node.rounds()
    assert (status_of(node.told[-1]), node.told[-1].error_code) == (S.FAILED, 400)
    assert folder.path.exists()


async def test_a_plan_that_cannot_be_read_is_kept_and_said(node: Node) -> None:
    folder = left(node, *RECORDING)
    (folder.path / "plan.json").write_text("{}")
    await node.rounds()
    assert node.statuses == [S.FAILED]
    assert "spool export" in node.told[0].error
    assert folder.path.exists()


async def test_what_runs_here_is_not_the_keepers(node: Node) -> None:
    left(node, *RECORDING)
    node.running.add("EG_1")
    await node.rounds()
    assert (node.told, node.asked, node.keeper.working) == ([], [], [])
    node.running.clear()
    ended = pb.EgressInfo(egress_id="EG_1", status=pb.EgressStatus.EGRESS_COMPLETE)
    append(node.spool.folder("EG_1"), Moved(wall(), SpoolState.DONE))
    await node.keeper.adopt("EG_1", ended, [node.kept], noted=False)
    await node.rounds()
    assert node.told == [], "it was told by who ran it"
    assert node.spool.folders() == []


async def test_two_services_share_a_spool(node: Node, tmp_path: Path) -> None:
    """What one looks after is none of the other's business, until it is gone."""
    other = Node(tmp_path)
    left(node, *RECORDING)
    node.keeper.paused = True
    await node.rounds(1)
    await other.rounds(2)
    assert (node.keeper.working, other.keeper.working, other.told) == (["EG_1"], [], [])
    await node.keeper.aclose()
    other.keeper.paused = True
    await other.rounds(1)
    assert other.keeper.working == ["EG_1"]
    await other.keeper.aclose()


async def test_dropped_by_hand(node: Node) -> None:
    folder = left(node, *RECORDING)
    node.keeper.paused = True
    await node.rounds(1)
    folder.remove()
    await node.rounds(1)
    assert node.statuses == [S.FAILED]
    assert "dropped" in node.told[0].error


@pytest.fixture
def recorder(tmp_path: Path, node: Node) -> Iterator[subprocess.Popen[bytes]]:
    """A process that holds a folder and says that it works on alone; ends at SIGTERM."""
    code = (
        "import sys; from pathlib import Path; from livekit.protocol import egress as pb\n"
        "from pyegress.storage.spool import SpoolFolder\n"
        "folder = SpoolFolder(Path(sys.argv[1]))\n"
        "with folder.claim():\n"
        "    folder.note_alone(pb.EgressInfo(egress_id='EG_1', status='EGRESS_ACTIVE'))\n"
        "    print('alone', flush=True); sys.stdin.read()"
    )
    path = tmp_path / "spool" / "EG_1"
    left(node, *RECORDING)
    with subprocess.Popen(
        [sys.executable, "-c", code, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"alone\n"
        yield process
        process.kill()


async def test_a_worker_that_records_on(node: Node, recorder: subprocess.Popen[bytes]) -> None:
    await node.rounds(1)
    assert node.keeper.working == ["EG_1"]
    known = node.keeper.info("EG_1")
    assert known is not None
    assert status_of(known) is S.ACTIVE
    assert node.asked == []
    assert node.keeper.stop("EG_1") == known
    recorder.wait(10)
    node.answers = [Outcome(EndReason.PROCESS_KILLED, (MADE,))]
    await node.rounds()
    assert status_of(node.told[-1]) is S.COMPLETE
    assert node.keeper.stop("EG_2") is None
    assert os.listdir(node.spool.directory) == []


async def test_an_end_that_a_worker_left_is_told_with_all_that_comes_before_it(
    node: Node, recorder: subprocess.Popen[bytes]
) -> None:
    await node.rounds(1)
    ended = pb.EgressInfo(egress_id="EG_1", status=pb.EgressStatus.EGRESS_COMPLETE, updated_at=round(wall() * 1e9))
    ended.details = "End reason: Process killed"
    folder = node.spool.folder("EG_1")
    append(folder, Moved(wall(), SpoolState.DONE), Told(wall(), ended.SerializeToString()))
    recorder.terminate()
    recorder.wait(10)
    await node.rounds()
    assert node.statuses == [S.ENDING, S.COMPLETE]
    assert node.told[0].details == ended.details
    assert node.told[0].updated_at < ended.updated_at
    assert node.told[1] == ended
    assert not folder.path.exists()


async def test_retention(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    node = Node(tmp_path, SpoolSection(max_size=2000, keep=Seconds(3600.0)))
    ended = pb.EgressInfo(egress_id="EG_1", status=pb.EgressStatus.EGRESS_COMPLETE)
    told = Told(wall(), ended.SerializeToString())
    kept = left(node, *RECORDING, Moved(wall(), SpoolState.DONE), told)
    waiting = left(node, *RECORDING, Attempted(wall(), "no answer", True), egress_id="EG_2")
    for folder in (kept, waiting):
        (folder.path / "media").mkdir()
        (folder.path / "media" / "a.mp4").write_bytes(bytes(3000))
    await node.rounds()
    assert kept.path.exists(), "kept for an hour"
    await node.keeper.sweep()
    assert not kept.path.exists()
    assert waiting.path.exists(), "never what is not delivered"
