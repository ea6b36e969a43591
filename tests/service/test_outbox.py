"""What waits survives a kill -9, in order."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pyegress.errors import EgressError
from pyegress.service.outbox import Outbox

pytestmark = pytest.mark.unit

_CHILD = """
import asyncio, sys
from pyegress.service.outbox import Outbox

async def main():
    outbox = Outbox(sys.argv[1], "reports")
    await outbox.open()
    for number in range(50):
        outbox.save("EG_a", [str(each).encode() for each in range(number)])
    outbox.save("EG_b", [b"gone"])
    await outbox.settled()
    outbox.save("EG_b", [])
    await outbox.settled()
    print("kept", flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


def test_a_killed_process_has_kept_what_was_settled(tmp_path: Path) -> None:
    path = tmp_path / "state" / "outbox.db"
    child = subprocess.Popen([sys.executable, "-c", _CHILD, str(path)], stdout=subprocess.PIPE)
    try:
        assert child.stdout is not None
        assert child.stdout.readline() == b"kept\n"
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait(10)
        assert child.stdout is not None
        child.stdout.close()
    assert path.stat().st_mode & 0o077 == 0

    async def left(kind: str) -> dict[str, list[bytes]]:
        outbox = Outbox(path, kind)
        try:
            return await outbox.open()
        finally:
            await outbox.aclose()

    assert asyncio.run(left("reports")) == {"EG_a": [str(number).encode() for number in range(49)]}
    assert asyncio.run(left("webhooks")) == {}


async def test_two_kinds_share_a_file(tmp_path: Path) -> None:
    path = tmp_path / "outbox.db"
    first, second = Outbox(path, "reports"), Outbox(path, "webhooks")
    assert (await first.open(), await second.open()) == ({}, {})
    first.save("EG_a", [b"1"])
    second.save("EG_a", [b"2"])
    await first.aclose()
    await second.aclose()
    await second.aclose()
    again = Outbox(path, "webhooks")
    assert await again.open() == {"EG_a": [b"2"]}
    assert again.settled().done()
    await again.aclose()


async def test_a_disk_that_fails_holds_nobody_up(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    outbox = Outbox(tmp_path / "outbox.db", "reports")
    await outbox.open()
    await outbox._database.aclose()
    outbox.save("EG_a", [b"1"])
    await outbox.settled()
    assert "would be lost at a crash" in caplog.text
    await outbox.aclose()


async def test_a_file_that_is_none(tmp_path: Path) -> None:
    path = tmp_path / "outbox.db"
    path.write_bytes(b"no database" * 100)
    with pytest.raises(EgressError, match="outbox") as raised:
        await Outbox(path, "reports").open()
    assert raised.value.remedy
