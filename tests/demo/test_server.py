"""A livekit-server of one's own: reachable, restartable, and gone afterwards."""

from __future__ import annotations

import socket
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from livekit import rtc

from pyegress.demo.server import LiveKitServer, ServerFailed
from tests.support.waiting import eventually

pytestmark = pytest.mark.system


async def test_serves_participants_and_administration(livekit_server: LiveKitServer) -> None:
    room = rtc.Room()
    await room.connect(livekit_server.url, livekit_server.token("alice", "server-test", name="Alice"))
    try:
        assert [(p.identity, p.name) for p in await livekit_server.participants("server-test")] == [("alice", "Alice")]
        assert "server-test" in [r.name for r in await livekit_server.rooms()]
    finally:
        await room.disconnect()


def test_restart_keeps_address_and_keys(own_livekit_server: LiveKitServer) -> None:
    first, url = own_livekit_server.pid, own_livekit_server.url
    own_livekit_server.restart()
    second = own_livekit_server.pid
    own_livekit_server.restart(hard=True)
    assert own_livekit_server.url == url
    assert len({first, second, own_livekit_server.pid}) == 3
    with urllib.request.urlopen(own_livekit_server.http_url, timeout=5) as answer:
        assert answer.read() == b"OK"


def test_stop_ends_the_process_and_may_be_repeated(own_livekit_server: LiveKitServer) -> None:
    pid = own_livekit_server.pid
    assert pid
    own_livekit_server.stop()
    own_livekit_server.stop()
    assert not own_livekit_server.running
    assert not psutil.pid_exists(pid)
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(own_livekit_server.http_url, timeout=5)


async def test_stop_does_not_wait_for_participants(own_livekit_server: LiveKitServer) -> None:
    room = rtc.Room()
    await room.connect(own_livekit_server.url, own_livekit_server.token("alice", "r"))
    try:
        own_livekit_server.stop()
        # Killing it would log nothing more.
        assert '"force": true' in own_livekit_server.log_tail()
    finally:
        await room.disconnect()


def test_configuration_is_merged(new_livekit_server: Callable[..., LiveKitServer]) -> None:
    server = new_livekit_server(config={"logging": {"level": "debug"}, "rtc": {"allow_tcp_fallback": False}})
    assert "DEBUG" in server.log_path.read_text()
    assert server.running


def test_a_taken_port_is_replaced(tmp_path: Path) -> None:
    server = LiveKitServer(tmp_path)
    with socket.create_server(("127.0.0.1", server.port)):
        taken = server.port
        with server:
            assert server.port != taken


def test_failure_to_start_shows_the_log(tmp_path: Path) -> None:
    server = LiveKitServer(tmp_path, config={"no_such_key": True})
    with pytest.raises(ServerFailed, match="no_such_key"):
        server.start()
    assert not server.running


def test_missing_binary_names_the_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYEGRESS_TOOLS_DIR", str(tmp_path))
    with pytest.raises(ServerFailed, match="scripts/setup"):
        LiveKitServer(tmp_path / "server").start()


async def test_media_goes_over_udp(own_livekit_server: LiveKitServer) -> None:
    room = rtc.Room()
    await room.connect(own_livekit_server.url, own_livekit_server.token("alice", "udp"))
    source = rtc.AudioSource(48000, 1)
    try:
        await room.local_participant.publish_track(rtc.LocalAudioTrack.create_audio_track("a", source))
        # The server names the connection's type when it says that the participant is active.
        await eventually(lambda: '"connectionType"' in own_livekit_server.log_path.read_text(), "a connection type")
    finally:
        await room.disconnect()
        await source.aclose()
    assert '"connectionType": "udp"' in own_livekit_server.log_path.read_text()
