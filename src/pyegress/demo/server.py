"""A real livekit-server of one's own: random ports, random keys, everything in one directory."""

from __future__ import annotations

import json
import os
import secrets
import signal
import socket
import subprocess
import threading
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from livekit import api

from pyegress.clock import monotonic

#: Below the range from which Linux takes ports for outgoing connections (net.ipv4.ip_local_port_range), so that
#: nothing grabs a port while the server that owns it is restarted.
PORTS = range(20_000, 32_000)
#: The build takes a second or two to answer on a busy machine.
READY_TIMEOUT = 30.0
STOP_TIMEOUT = 10.0
#: livekit-server answers HTTP some 100 ms before it listens to signals; an earlier SIGTERM is swallowed.
DEAF = 0.3


class ServerFailed(Exception):
    """livekit-server is missing, did not start or ended by itself; the message carries the end of its log."""


def tools_directory() -> Path:
    """Where the project's scripts put what they build: `PYEGRESS_TOOLS_DIR` or the user's cache directory."""
    if named := os.environ.get("PYEGRESS_TOOLS_DIR"):
        return Path(named)
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "pyegress" / "bin"


def server_binary() -> Path:
    """The livekit-server binary. Raises `ServerFailed` when there is none."""
    directory = tools_directory()
    for name in ("livekit-server", "server"):  # `go install` calls it by its directory, cmd/server
        if os.access(directory / name, os.X_OK):
            return directory / name
    raise ServerFailed(f"no livekit-server in {directory}: run scripts/setup")


class LiveKitServer:
    """One livekit-server process. Ports and keys are chosen once and survive `restart`.

    `bind` is the address it listens on, `node_ip` the one in its ICE candidates (default: `bind`). `command_prefix`
    goes before the command, for instance to run it inside a network namespace. `config` is merged over the
    configuration that is written (livekit-server's `config.yaml` keys). Not thread-safe; blocking calls are short.
    """

    def __init__(
        self,
        directory: Path,
        *,
        bind: str = "127.0.0.1",
        node_ip: str | None = None,
        config: Mapping[str, Any] | None = None,
        command_prefix: Sequence[str] = (),
    ) -> None:
        self.directory = directory
        self.bind = bind
        self.node_ip = node_ip or bind
        self.api_key = f"API{secrets.token_hex(6)}"
        self.api_secret = secrets.token_urlsafe(32)
        self.log_path = directory / "livekit-server.log"
        self._overrides = dict(config or {})
        self._prefix = tuple(command_prefix)
        self._process: subprocess.Popen[bytes] | None = None
        self._answered = monotonic()
        self._choose_ports()

    def __repr__(self) -> str:
        state = f"pid {self._process.pid}" if self._process and self.running else "stopped"
        return f"LiveKitServer({self.url}, {state})"

    @property
    def url(self) -> str:
        """The address as `LIVEKIT_URL` has it."""
        return f"ws://{self.bind}:{self.port}"

    @property
    def http_url(self) -> str:
        return f"http://{self.bind}:{self.port}"

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process and self.running else None

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self, timeout: float = READY_TIMEOUT) -> None:
        """Start and wait until it answers. Blocks. Raises `ServerFailed`."""
        if self.running:
            return
        binary = server_binary()
        self.directory.mkdir(parents=True, exist_ok=True)
        for attempt in range(3):
            self._launch(binary)
            try:
                return self._wait_ready(timeout)
            except ServerFailed:
                self.kill()
                # Another process may have taken a port between our look and the start.
                if attempt == 2 or "address already in use" not in self.log_tail():
                    raise
                self._choose_ports()

    def stop(self, timeout: float = STOP_TIMEOUT) -> None:
        """End it in order: participants are told, the process is reaped. Killed after `timeout` seconds."""
        if self.running:
            threading.Event().wait(self._answered + DEAF - monotonic())
        self._end(signal.SIGTERM, timeout)

    def kill(self) -> None:
        """End it at once, as a lost node would: nobody is told."""
        self._end(signal.SIGKILL, STOP_TIMEOUT)

    def restart(self, *, hard: bool = False) -> None:
        """Stop (`hard`: kill) and start again on the same ports with the same keys. Blocks."""
        if hard:
            self.kill()
        else:
            self.stop()
        self.start()

    def log_tail(self, lines: int = 40) -> str:
        """The last lines of its log, the longest ones cut: it writes whole session descriptions."""
        try:
            text = self.log_path.read_text(errors="replace")
        except FileNotFoundError:
            return ""
        return "\n".join(line[:400] for line in text.splitlines()[-lines:])

    def token(
        self,
        identity: str,
        room: str,
        *,
        name: str = "",
        hidden: bool = False,
        recorder: bool = False,
        publish: bool = True,
        subscribe: bool = True,
        ttl: float = 3600.0,
        metadata: str = "",
    ) -> str:
        """An access token for one participant of one room, valid for `ttl` seconds."""
        grants = api.VideoGrants(
            room_join=True,
            room=room,
            can_publish=publish,
            can_subscribe=subscribe,
            can_publish_data=publish,
            hidden=hidden,
            recorder=recorder,
        )
        token = api.AccessToken(self.api_key, self.api_secret).with_identity(identity).with_grants(grants)
        return token.with_name(name or identity).with_metadata(metadata).with_ttl(timedelta(seconds=ttl)).to_jwt()

    @asynccontextmanager
    async def admin(self) -> AsyncIterator[api.LiveKitAPI]:
        """The official API client, with all rights."""
        client = api.LiveKitAPI(self.http_url, self.api_key, self.api_secret)
        try:
            yield client
        finally:
            await client.aclose()

    async def rooms(self) -> list[api.Room]:
        async with self.admin() as client:
            return list((await client.room.list_rooms(api.ListRoomsRequest())).rooms)

    async def participants(self, room: str) -> list[api.ParticipantInfo]:
        async with self.admin() as client:
            return list((await client.room.list_participants(api.ListParticipantsRequest(room=room))).participants)

    async def mute_track(self, room: str, identity: str, track_sid: str, *, muted: bool = True) -> None:
        async with self.admin() as client:
            request = api.MuteRoomTrackRequest(room=room, identity=identity, track_sid=track_sid, muted=muted)
            await client.room.mute_published_track(request)

    async def remove_participant(self, room: str, identity: str) -> None:
        async with self.admin() as client:
            await client.room.remove_participant(api.RoomParticipantIdentity(room=room, identity=identity))

    async def delete_room(self, room: str) -> None:
        async with self.admin() as client:
            await client.room.delete_room(api.DeleteRoomRequest(room=room))

    async def update_room_metadata(self, room: str, metadata: str) -> None:
        async with self.admin() as client:
            await client.room.update_room_metadata(api.UpdateRoomMetadataRequest(room=room, metadata=metadata))

    async def update_participant(self, room: str, identity: str, *, metadata: str) -> None:
        async with self.admin() as client:
            await client.room.update_participant(
                api.UpdateParticipantRequest(room=room, identity=identity, metadata=metadata)
            )

    def _choose_ports(self) -> None:
        self.port, self.tcp_port = free_port(socket.SOCK_STREAM), free_port(socket.SOCK_STREAM)
        self.udp_port, self.stun_port = free_port(socket.SOCK_DGRAM), free_port(socket.SOCK_DGRAM)

    def _config(self) -> dict[str, Any]:
        config: dict[str, Any] = {
            "port": self.port,
            "bind_addresses": [self.bind],
            "keys": {self.api_key: self.api_secret},
            "logging": {"level": "info", "pion_level": "error"},
            "rtc": {
                "tcp_port": self.tcp_port,
                "udp_port": self.udp_port,
                "node_ip": self.node_ip,
                "use_external_ip": False,
                # Works on a machine that has nothing but loopback.
                "enable_loopback_candidate": True,
                "ips": {"includes": [f"{self.node_ip}/32"]},
                # Without an entry clients are sent to public STUN servers. Nobody answers at this one, as behind a
                # firewall. It must not be the media port: a plain STUN request there spoils the sender's ICE.
                "stun_servers": [f"{self.node_ip}:{self.stun_port}"],
            },
            "room": {"enable_remote_unmute": True},
        }
        return _merge(config, self._overrides)

    def _launch(self, binary: Path) -> None:
        config = self.directory / "livekit-server.yaml"
        config.touch(mode=0o600)
        config.write_text(json.dumps(self._config(), indent=1))  # JSON is YAML
        with self.log_path.open("ab") as log:
            # A session of its own: Ctrl-C on the terminal must not reach it before its users have left.
            self._process = subprocess.Popen(
                [*self._prefix, str(binary), "--config", str(config)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def _wait_ready(self, timeout: float) -> None:
        deadline = monotonic() + timeout
        pause = threading.Event()
        while monotonic() < deadline:
            if not self.running:
                raise ServerFailed(f"livekit-server ended while starting\n{self.log_tail()}")
            try:
                with urllib.request.urlopen(self.http_url, timeout=1.0):
                    self._answered = monotonic()
                    return
            except (urllib.error.URLError, OSError):
                pause.wait(0.02)
        raise ServerFailed(f"livekit-server did not answer at {self.http_url} in {timeout:g} s\n{self.log_tail()}")

    def _end(self, how: signal.Signals, timeout: float) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        if process.poll() is None:
            process.send_signal(how)
        # The first SIGTERM waits for the participants to leave, for ever; the second sends them away.
        for patience in (0.2, timeout):
            try:
                process.wait(patience)
                return
            except subprocess.TimeoutExpired:
                process.send_signal(how)
        process.kill()
        process.wait(STOP_TIMEOUT)


def free_port(kind: socket.SocketKind) -> int:
    """A port of `PORTS` on which nobody listens now, at any address."""
    for _ in range(200):
        port = secrets.choice(PORTS)
        with socket.socket(socket.AF_INET, kind) as probe:
            try:
                probe.bind(("", port))
            except OSError:
                continue
            return port
    raise ServerFailed(f"no free port between {PORTS.start} and {PORTS.stop}")


def _merge(base: dict[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        below = merged.get(key)
        merged[key] = _merge(below, value) if isinstance(below, dict) and isinstance(value, Mapping) else value
    return merged
