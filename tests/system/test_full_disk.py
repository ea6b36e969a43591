"""A disk that runs full under the service, and one that has too little space to begin."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from pyegress.errors import Code, EgressError
from pyegress.lifecycle.egress import EgressStatus, status_of
from pyegress.service.config_sections import DiskSection
from pyegress.service.egress_service import EgressStart
from tests.support.analysis import read_pictures
from tests.support.livekit_server import LiveKitServer
from tests.system.scenes import clip, prepare, publishing
from tests.system.test_supervisor import everybody, node

pytestmark = pytest.mark.system


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 512 KiB."""
    place = tmp_path / "disk"
    place.mkdir()
    if os.geteuid() != 0:
        pytest.skip("mounting a small file system takes root")
    command = ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(place)]
    mount = subprocess.run(command, capture_output=True, text=True, check=False)
    if mount.returncode:
        pytest.skip(f"cannot mount here: {mount.stderr.strip()}")
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)


async def test_a_disk_that_runs_full(livekit_server: LiveKitServer, small_disk: Path, tmp_path: Path) -> None:
    """What was recorded plays and is told with the cause; whoever comes then is refused, and what runs elsewhere is not
    disturbed."""
    room = "full-disk"
    prepare("ada", clip())
    elsewhere = str(tmp_path / "roomy" / "lives")
    async with (
        node(livekit_server, tmp_path, local_directory=str(small_disk), disk=DiskSection(0, 100_000)) as here,
        publishing(livekit_server, room),
    ):
        await here.supervisor.start(EgressStart("EG_lives", everybody(room, elsewhere)))
        await here.supervisor.start(EgressStart("EG_full", everybody(room, "full")))
        info = await here.ended("EG_full", 60.0)
        assert status_of(info) is EgressStatus.FAILED
        assert "No space left on device" in info.error
        assert info.error_code == Code.RESOURCE_EXHAUSTED.http
        (result,) = info.file_results
        assert result.location == str(small_disk / "full.mp4")
        assert len(read_pictures(result.location)) > 30
        here.supervisor.disk.sample()
        with pytest.raises(EgressError) as refused:
            await here.supervisor.start(EgressStart("EG_more", everybody(room, "more")))
        assert refused.value.code is Code.RESOURCE_EXHAUSTED
        assert str(small_disk) in refused.value.message
        assert here.supervisor.bid(EgressStart("EG_more", everybody(room, "more"))) is None
        await here.supervisor.stop("EG_lives")
        assert status_of(await here.ended("EG_lives")) is EgressStatus.COMPLETE
    assert sorted(os.listdir(small_disk)) == ["full.mp4"]
