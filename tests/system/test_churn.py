"""Everybody comes and goes: what was published long enough is recorded. `bench/churn.py` is the long version."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

import pyegress
from tests.support.livekit_server import LiveKitServer
from tests.system.churn import Churn, problems
from tests.system.scenes import access

pytestmark = pytest.mark.system

CHANGES = 30
#: Seconds that a publication must have sent to be missed, and that may be missing of it, on a busy machine.
LEAST, SLACK = 2.5, 2.5


@pytest.mark.alone
async def test_random_changes(livekit_server: LiveKitServer, tmp_path: Path) -> None:
    churn = Churn(livekit_server, "churn", people=4, seed=20_26)
    churn.prepare()
    directory = tmp_path / "tracks"
    async with pyegress.record_tracks(room="churn", output=directory, **access(livekit_server)) as recording:
        try:
            await churn.run(CHANGES)
        finally:
            await churn.leave_all()
        recording.stop()
        result = await recording.wait()
    result.check()
    assert sum(churn.changes.values()) == CHANGES
    found = await asyncio.to_thread(problems, directory, churn.publications, least=LEAST, slack=SLACK)
    assert not found, "\n".join(found)
    assert result.warnings == ()
