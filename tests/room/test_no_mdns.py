"""aioice without its DNS library."""

from __future__ import annotations

import subprocess
import sys

import pytest
from aioice import Candidate, Connection

from pyegress.room.no_mdns import create_mdns_protocol, is_mdns_hostname

pytestmark = pytest.mark.unit

SEEN = """
import sys
import pyegress.room.ice
from aioice import ice
print(ice.mdns.is_mdns_hostname.__module__, any(name.partition(".")[0] == "dns" for name in sys.modules))
"""


def test_no_dns_library_is_loaded() -> None:
    seen = subprocess.run([sys.executable, "-c", SEEN], capture_output=True, text=True, timeout=60, check=True)
    assert seen.stdout.split() == ["pyegress.room.no_mdns", "False"]


async def test_a_name_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """As aioice calls it, whichever of both modules this process has."""
    monkeypatch.setattr("aioice.ice.mdns.is_mdns_hostname", is_mdns_hostname)
    monkeypatch.setattr("aioice.ice.mdns.create_mdns_protocol", create_mdns_protocol)
    connection = Connection(ice_controlling=True)
    try:
        for host in ("3b2ee8d1-7d3f-4c7d-9d4f-3f8b9f9f4e4f.local", "192.0.2.1"):
            await connection.add_remote_candidate(Candidate("1", 1, "udp", 1, host, 9, "host"))
        assert [candidate.host for candidate in connection.remote_candidates] == ["192.0.2.1"]
    finally:
        await connection.close()
