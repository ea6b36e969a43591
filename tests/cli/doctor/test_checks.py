"""Checks that need no server."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from pyegress.cli.doctor.findings import Verdict, bad, code_of, good, warning
from pyegress.cli.doctor.machine_checks import check_machine
from pyegress.cli.doctor.server_checks import skew
from pyegress.cli.doctor.storage_checks import check_storage
from pyegress.cli.exit_codes import ExitCode
from pyegress.errors import OutputFailed
from pyegress.plan.storage import Storage
from pyegress.service.config import ServiceConfig
from pyegress.service.config_sections import ApiSection, CostSection, DiskSection, SpoolSection
from pyegress.service.storage_config import S3Section, StorageSection

pytestmark = pytest.mark.unit


def test_the_first_bad_finding_is_the_exit_code() -> None:
    findings = [good("a", ""), warning("b", "", "", ""), bad("c", "", "", "", ExitCode.REFUSED), bad("d", "", "", "")]
    assert code_of(findings) is ExitCode.REFUSED
    assert code_of(findings[:2]) is ExitCode.OK


@pytest.mark.parametrize(
    ("seconds", "verdict", "said"),
    [
        (0.4, Verdict.GOOD, "the same"),
        (5.0, Verdict.WARNING, "5 s ahead of that of Redis"),
        (-90.0, Verdict.BAD, "90 s behind"),
    ],
)
def test_clocks(seconds: float, verdict: Verdict, said: str) -> None:
    finding = skew("clock", seconds, "Redis")
    assert (finding.verdict, said in finding.found) == (verdict, True)
    assert "Redis" in finding.found


def test_ports_and_processors(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        config = ServiceConfig(
            local_directory=str(tmp_path),
            state_directory=str(tmp_path / "state"),
            api=ApiSection(port=taken.getsockname()[1]),
            cpu_cost=CostSection(participant_cpu_cost=1000.0),
        )
        found = {finding.check: finding for finding in check_machine(config)}
    assert (found["ports"].verdict, "api.port" in found["ports"].found) == (Verdict.WARNING, True)
    assert found["cpu"].verdict is Verdict.BAD
    assert found["folder for recordings"].verdict in (Verdict.GOOD, Verdict.WARNING)


def test_folders(tmp_path: Path) -> None:
    """What the service would refuse is bad, and each folder is named by its key."""
    (tmp_path / "file").touch()
    config = ServiceConfig(
        local_directory=str(tmp_path),
        state_directory=str(tmp_path / "state"),
        spool=SpoolSection(directory=str(tmp_path / "file" / "spool")),
        disk=DiskSection(refuse_below=10**18),
    )
    found = {finding.check: finding for finding in check_machine(config)}
    assert found["folder for recordings"].verdict is Verdict.BAD
    assert "disk.refuse_below" in found["folder for recordings"].meaning
    assert found["folder for the spool"].verdict is Verdict.BAD
    assert "spool.directory" in found["folder for the spool"].remedy


async def test_storages_are_tried() -> None:
    tried = []

    async def trial(storage: Storage) -> None:
        tried.append(storage)
        if len(tried) == 2:
            raise OutputFailed("S3 bucket b: HTTP 403", remedy="Check access_key and secret")

    section = StorageSection(s3=S3Section(bucket="b"))
    config = ServiceConfig(storage=section, backup=section)
    put, refused = await check_storage(config, trial)
    assert (put.verdict, refused.verdict, refused.code) == (Verdict.GOOD, Verdict.BAD, ExitCode.OUTPUT)
    assert refused.remedy
    (local,) = await check_storage(ServiceConfig(), trial)
    assert local.verdict is Verdict.SKIPPED
