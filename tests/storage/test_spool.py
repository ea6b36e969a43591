from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from livekit.protocol import egress as pb

from pyegress.errors import Code, EgressError, NotFound
from pyegress.lifecycle.worker_messages import Launch
from pyegress.plan.build import plan_recording
from pyegress.plan.egress_info import starting_info
from pyegress.plan.recording_plan import Service
from pyegress.plan.storage import S3Storage, StorageDefaults
from pyegress.storage.journal_entries import ObjectKey, SpooledObject
from pyegress.storage.sealing import seal, unseal
from pyegress.storage.spool import Spool, SpoolFolder, disk_space
from pyegress.storage.spooled_plan import SpooledPlan
from tests.plan.requests import FILE, NOW, RTMP, planned, room

pytestmark = pytest.mark.unit

KEY = "a key that the configuration has"
SECRETS = ("AKIDACCESS", "very-secret", "session-tok", "ext-id", "streamkey", "room-token", "api-secret")
S3 = pb.S3Upload(
    bucket="bucket",
    access_key="AKIDACCESS",
    secret="very-secret",
    session_token="session-tok",
    assume_role_external_id="ext-id",
)
FULL = room(
    pb.EncodedFileOutput(filepath="talks/{room_name}.mp4", s3=S3),
    stream_outputs=[pb.StreamOutput(urls=[RTMP])],
    segment_outputs=[pb.SegmentedFileOutput(filename_prefix="hls/a")],
)


def launch(request: pb.RoomCompositeEgressRequest = FULL, egress_id: str = "EG_1") -> Launch:
    service = Service(ws_url="ws://h", api_key="key", api_secret="api-secret")
    return Launch(
        egress_id=egress_id,
        kind=request.DESCRIPTOR.full_name,
        request=request.SerializeToString(deterministic=True),
        info=starting_info(planned(request, egress_id=egress_id), request).SerializeToString(),
        at=NOW,
        service=service,
        directory="/out",
        spool="/spool/EG_1",
        token="room-token",
        ws_url="ws://other",
        retry_count=0,
    )


def everything(folder: Path) -> str:
    return "".join(path.read_bytes().decode(errors="replace") for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("key", ["", KEY])
def test_no_secret_in_clear_text(tmp_path: Path, key: str) -> None:
    folder = Spool(tmp_path / "spool").create(SpooledPlan.of(launch(), key))
    written = everything(folder.path)
    assert [secret for secret in SECRETS if secret in written] == []
    assert "talks/{room_name}.mp4" in SpooledPlan.decode((folder.path / "plan.json").read_bytes()).request.decode(
        errors="replace"
    )
    assert not [secret for secret in SECRETS if secret in repr(folder.plan())]
    modes = {stat.S_IMODE(path.stat().st_mode) for path in folder.path.rglob("*")}
    assert modes == {0o600}
    assert stat.S_IMODE(folder.path.stat().st_mode) == 0o700


def test_with_the_key_the_request_comes_back_whole(tmp_path: Path) -> None:
    before = launch()
    plan = Spool(tmp_path).create(SpooledPlan.of(before, KEY)).plan()
    after = plan.launch(before.service, spool="/spool/EG_1", key=KEY)
    assert after.read_request() == FULL
    assert not plan.complete
    outputs = plan_recording(FULL, before.start, before.service).outputs
    assert plan_recording(after.read_request(), after.start, after.service).outputs == outputs
    with pytest.raises(EgressError) as caught:
        plan.launch(before.service, spool="", key="another key")
    assert caught.value.field == "spool.encryption_key"


def test_without_a_key_the_outputs_are_the_same_but_for_credentials(tmp_path: Path) -> None:
    before = launch()
    plan = Spool(tmp_path).create(SpooledPlan.of(before)).plan()
    after = plan.launch(before.service, spool="")
    assert not plan.complete
    asked, kept = (plan_recording(one.read_request(), one.start, one.service).outputs[:2] for one in (before, after))
    assert [output.names if hasattr(output, "names") else output.path for output in kept] == [  # type: ignore[union-attr]
        output.names if hasattr(output, "names") else output.path  # type: ignore[union-attr]
        for output in asked
    ]
    assert after.token != "room-token"
    again = plan.launch(before.service, spool="", request=FULL)
    assert again.read_request() == FULL
    with pytest.raises(EgressError, match="TrackEgressRequest"):
        plan.launch(before.service, spool="", request=pb.TrackEgressRequest())


def test_credentials_of_the_service_are_those_of_today(tmp_path: Path) -> None:
    plan = Spool(tmp_path).create(SpooledPlan.of(launch(room(FILE)))).plan()
    assert plan.complete
    today = Service(
        ws_url="ws://h", api_key="k", api_secret="s", storage=StorageDefaults(storage=S3Storage("b", secret="rotated"))
    )
    after = plan.launch(today, spool="")
    (output,) = plan_recording(after.read_request(), after.start, after.service).outputs
    assert getattr(output.storage, "secret", "") == "rotated"  # type: ignore[union-attr]


def test_sealing() -> None:
    sealed = seal(b"secret", KEY)
    assert b"secret" not in sealed
    assert seal(b"secret", KEY) != sealed
    assert unseal(sealed, KEY) == b"secret"
    other = bytes([sealed[30] ^ 1])
    for damaged in (sealed[:-1], sealed[:20], b"", sealed[:30] + other + sealed[31:]):
        with pytest.raises(EgressError):
            unseal(damaged, KEY)


def test_folders(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "deep" / "spool")
    assert spool.folders() == []
    first, second = (spool.create(SpooledPlan.of(launch(room(FILE), egress_id))) for egress_id in ("EG_b", "EG_a"))
    os.utime(first.path / "plan.json", (1, 1))
    assert [folder.path.name for folder in spool.folders()] == ["EG_b", "EG_a"]
    assert spool.create(SpooledPlan.of(launch(FULL, "EG_b"))).plan() == first.plan(), "what is there stays"
    (spool.directory / "EG_planless").mkdir()
    (spool.directory / ".EG_c.new").mkdir()
    os.utime(spool.directory / ".EG_c.new", (0.0, 0.0))
    (spool.directory / ".EG_d.gone").mkdir()
    (spool.directory / ".EG_e.new").mkdir()  # by somebody who makes it now
    spool.sweep()
    assert sorted(os.listdir(spool.directory)) == [".EG_e.new", "EG_a", "EG_b", "EG_planless"]
    place = second.place(ObjectKey(0, "a/b.mp4"))
    place.parent.mkdir(parents=True)
    place.write_bytes(bytes(5000))
    assert 5000 < second.size() < 12_000
    second.remove()
    second.remove()
    assert [folder.path.name for folder in spool.folders()] == ["EG_b"]
    with pytest.raises(NotFound, match="spool list"):
        spool.folder("EG_a").plan()
    assert spool.folder("../../etc").path.parent == spool.directory
    space = spool.space()
    assert 0 < space.free <= space.total
    assert disk_space(tmp_path / "not" / "there").total == space.total


@pytest.mark.parametrize("name", ["a.mp4", "/a.mp4", "../../a.mp4", "x/../../../a.mp4", "a/b/c.ts", "..", ""])
def test_media_stay_in_the_folder(tmp_path: Path, name: str) -> None:
    folder = SpoolFolder(tmp_path / "EG_1")
    key = ObjectKey(2, name)
    place = folder.place(key)
    assert place.is_relative_to(tmp_path / "EG_1" / "media" / "2")
    assert ".." not in place.parts
    spelled = folder.spelled(place)
    assert not spelled.startswith("/")
    assert folder.path_of(SpooledObject(key, spelled)) == place
    elsewhere = Path("/elsewhere/a.mp4")
    assert folder.path_of(SpooledObject(key, folder.spelled(elsewhere))) == elsewhere


def test_a_plan_that_cannot_be_read(tmp_path: Path) -> None:
    folder = Spool(tmp_path).create(SpooledPlan.of(launch(room(FILE))))
    (folder.path / "plan.json").write_text('{"is": "SpooledPlan", "hidden": "very-secret"}')
    with pytest.raises(EgressError) as caught:
        folder.plan()
    assert caught.value.code is Code.FAILED_PRECONDITION
    assert "very-secret" not in str(caught.value)


def test_one_process_works_on_a_folder(tmp_path: Path) -> None:
    """The lock falls with the process, however that ends."""
    folder = Spool(tmp_path).create(SpooledPlan.of(launch(room(FILE))))
    assert not folder.busy
    code = (
        "import sys; from pathlib import Path; from pyegress.storage.spool import SpoolFolder\n"
        "with SpoolFolder(Path(sys.argv[1])).claim(): print('held', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(folder.path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        assert folder.busy
        with pytest.raises(EgressError) as caught, folder.claim():
            pass
        assert caught.value.retryable
        other.kill()
        other.wait()
    assert not folder.busy
    with folder.claim():
        assert folder.busy
