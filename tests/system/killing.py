"""A service that is killed at random moments, and what must be true of every recording afterwards."""

from __future__ import annotations

import asyncio
import os
import posixpath
import random
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any, Literal

import psutil
import yaml
from livekit import api
from livekit.protocol import egress as pb

from pyegress.clock import Wall, wall
from pyegress.demo.server import LiveKitServer, free_port
from pyegress.lifecycle.egress import EgressStatus, status_of
from pyegress.storage.spool import Spool
from tests.support.analysis import file_facts, read_packets
from tests.support.files import files_below
from tests.support.object_servers import BUCKET, ObjectServer, S3Server
from tests.support.secrecy import SECRECY
from tests.support.waiting import eventually
from tests.system.killed_outputs import Place, images_problems, segments_problems

#: What a recording may lose before the moment of the kill, seconds. A composition is rendered 1.0 behind, and rounds,
#: encoder, batches and the writer hold some tenths each; the rest is for a busy machine.
MAX_LOSS_COPIED, MAX_LOSS_COMPOSED = 2.0, 3.0
#: Until then a composition waits for sender reports, and catches up.
CAUGHT_UP = 5.0
#: In this time everything that was received is kept, and rendered after a kill: less is lost than later.
KEPT, MAX_LOSS_KEPT = 9.0, 1.5
#: Extensions that a request must say by type.
_TYPES = {".ogg": pb.EncodedFileType.OGG, ".mp3": pb.EncodedFileType.MP3}


class Victim(Enum):
    """Who is killed with SIGKILL."""

    #: The worker of the egress: the supervisor lives.
    WORKER = "worker"
    #: Supervisor and workers at once, as in a power cut.
    EVERYBODY = "everybody"


@dataclass(frozen=True, slots=True)
class Fate:
    """What happens to one egress: `seconds` after it is active, or after its stop with `ending`."""

    request: Any
    victim: Victim
    seconds: float
    ending: bool = False
    #: The folder of HLS and images, "" for a file.
    outputs: str = ""


@dataclass(slots=True)
class Case:
    """One egress that was killed."""

    fate: Fate
    egress_id: str = ""
    killed_at: Wall = field(default=Wall(0.0))
    #: Seconds before the kill that are not in the file.
    loss: float = 0.0
    #: It had ended before anybody could kill it.
    missed: bool = False
    info: pb.EgressInfo = field(default_factory=pb.EgressInfo)


class KilledService:
    """`pyegress serve` over HTTP; may be killed and started again. Used as `async with`."""

    def __init__(self, server: LiveKitServer, folder: Path, bucket: ObjectServer | None = None, **config: Any) -> None:
        """With `bucket` everything goes there unless requests say otherwise; with a `storage` of its own in `config`,
        that does not answer, by the backup."""
        self.folder = folder
        self.bucket = bucket
        self.on_backup = "backup" in config
        #: Everything that the service wrote for others to read: logs, spool, health, metrics.
        self.evidence: list[str] = []
        self._operations = {key: free_port(socket.SOCK_STREAM) for key in ("health_port", "prometheus_port")}
        self.files = folder / "files"
        self.spool = Spool(folder / "state" / "spool")
        self._port = free_port(socket.SOCK_STREAM)
        self._server = server
        settings: dict[str, Any] = {
            "ws_url": server.url,
            "api_key": server.api_key,
            "api_secret": server.api_secret,
            "local_directory": str(self.files),
            "state_directory": str(folder / "state"),
            "api": {"port": self._port},
            "cpu_cost": {"max_cpu_utilization": 1.0, "participant_cpu_cost": 0.01, "room_composite_cpu_cost": 0.01},
        }
        settings |= self._operations
        if isinstance(bucket, S3Server):
            settings["storage"] = {"s3": s3_section(bucket)}
        folder.mkdir(parents=True, exist_ok=True)
        self._config = folder / "config.yaml"
        self._config.write_text(yaml.safe_dump(settings | config))
        self.log = folder / "service.log"
        SECRECY.keep(server.api_secret, "the API secret")
        SECRECY.watch(self.log, folder / "state")
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def client(self) -> api.LiveKitAPI:
        return api.LiveKitAPI(f"http://127.0.0.1:{self._port}", self._server.api_key, self._server.api_secret)

    async def __aenter__(self) -> KilledService:
        await self.start()
        return self

    async def __aexit__(self, *error: object) -> None:
        self.kill()

    async def start(self) -> None:
        """Serve, in a process of its own."""
        self._spawn()
        await eventually(self._listens, f"the service listens; {self.log}", 60.0)

    def _spawn(self) -> None:
        command = [sys.executable, "-m", "pyegress", "serve", "--config", str(self._config)]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)

    def kill(self) -> None:
        """Supervisor and workers, at once."""
        if self._process is None:
            return
        with suppress(psutil.NoSuchProcess):
            everybody = [psutil.Process(self._process.pid), *psutil.Process(self._process.pid).children(recursive=True)]
            for process in everybody:
                with suppress(psutil.NoSuchProcess):
                    process.kill()
            psutil.wait_procs(everybody, 10.0)
        self._process.wait(10.0)
        self._process = None

    def file_of(self, result: pb.FileInfo) -> Path | None:
        """A recording where it was told to be; what is in the bucket is fetched."""
        if result.location.startswith("/"):
            path = Path(result.location)
            return path if path.exists() else None
        assert self.bucket is not None
        if result.filename not in self.bucket.names():
            return None
        fetched = self.folder / "fetched" / result.filename
        fetched.parent.mkdir(parents=True, exist_ok=True)
        fetched.write_bytes(self.bucket.stored(result.filename))
        return fetched

    def collect(self) -> None:
        """Take evidence, media aside."""
        for path in [self.log, *files_below(self.folder / "state")]:
            if "media" not in path.parts:
                with suppress(OSError):
                    self.evidence.append(path.read_bytes().decode(errors="replace"))
        for port in self._operations.values():
            with suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5) as page:
                self.evidence.append(page.read().decode(errors="replace"))

    def worker_of(self, egress_id: str) -> int | None:
        """The process that works on an egress."""
        lock = str(self.spool.folder(egress_id).path / "lock")
        assert self._process is not None
        for child in psutil.Process(self._process.pid).children(recursive=True):
            with suppress(psutil.Error):
                if any(file.path == lock for file in child.open_files()):
                    return int(child.pid)
        return None

    def _listens(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self.log.read_text()[-2000:]
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self._port)) == 0


def s3_section(bucket: S3Server) -> dict[str, object]:
    """The configuration of a bucket."""
    return {
        "access_key": bucket.access_key,
        "secret": bucket.secret,
        "region": bucket.region,
        "endpoint": bucket.url,
        "bucket": BUCKET,
        "force_path_style": True,
    }


async def survive(service: KilledService, fates: Sequence[Fate]) -> list[Case]:
    """Let everybody meet their fate, start the service again, and wait until every egress has ended."""
    async with service.client as client:
        cases = [Case(fate) for fate in fates]
        await asyncio.gather(*(_meet(service, client, case) for case in cases))
        await asyncio.to_thread(service.collect)
        at = wall()
        await asyncio.to_thread(service.kill)
        await asyncio.to_thread(service.collect)
        for case in cases:
            if case.fate.victim is Victim.EVERYBODY and not case.missed:
                case.killed_at = at
    await service.start()
    async with service.client as client:
        for case in cases:
            await _ended(client, case)
    await eventually(lambda: service.spool.folders() == [], "everything is told and removed from the spool", 60.0)
    await asyncio.to_thread(service.collect)
    service.evidence += [str(case.info) for case in cases]
    return cases


async def _meet(service: KilledService, client: api.LiveKitAPI, case: Case) -> None:
    info = await _start(client, case.fate.request)
    case.egress_id = info.egress_id
    await _status(client, case, {EgressStatus.ACTIVE})
    if case.fate.ending:
        # So that there is something to finish.
        await asyncio.sleep(CAUGHT_UP)
        await client.egress.stop_egress(api.StopEgressRequest(egress_id=case.egress_id))
    await asyncio.sleep(case.fate.seconds)
    if case.fate.victim is Victim.EVERYBODY:
        return
    pid = await asyncio.to_thread(service.worker_of, case.egress_id)
    case.killed_at = wall()
    if pid is None:
        case.missed = True
    else:
        os.kill(pid, signal.SIGKILL)
        await _ended(client, case)


async def _start(client: api.LiveKitAPI, request: Any) -> pb.EgressInfo:
    match request:
        case pb.RoomCompositeEgressRequest():
            return await client.egress.start_room_composite_egress(request)
        case pb.ParticipantEgressRequest():
            return await client.egress.start_participant_egress(request)
        case _:
            return await client.egress.start_track_egress(request)


async def _status(client: api.LiveKitAPI, case: Case, wanted: set[EgressStatus], within: float = 90.0) -> None:
    async with asyncio.timeout(within):
        while True:
            found = await client.egress.list_egress(api.ListEgressRequest(egress_id=case.egress_id))
            if found.items:
                case.info = found.items[0]
                if status_of(case.info) in wanted:
                    return
                assert not status_of(case.info).final, case.info
            await asyncio.sleep(0.1)


async def status_of_egress(client: api.LiveKitAPI, egress_id: str, wanted: EgressStatus) -> pb.EgressInfo:
    """Wait until an egress has a status."""
    case = Case(Fate(None, Victim.EVERYBODY, 0.0), egress_id)
    await _status(client, case, {wanted})
    return case.info


async def _ended(client: api.LiveKitAPI, case: Case) -> None:
    final = {status for status in EgressStatus if status.final}
    try:
        await _status(client, case, final)
    except TimeoutError:
        raise AssertionError(f"{case.egress_id} has not ended: {case.info}") from None


def check(service: KilledService, case: Case) -> list[str]:
    """What is not as it must be, in words; empty when all is well."""
    info, fate = case.info, case.fate
    wrong = []
    status = status_of(info)
    if fate.victim is Victim.EVERYBODY and not fate.ending:
        if status is not EgressStatus.COMPLETE or "interrupted" not in info.details:
            wrong.append(f"the status does not say it: {status.name}, {info.details!r}, {info.error!r}")
    elif fate.victim is Victim.WORKER and not case.missed and not fate.ending:
        if status is not EgressStatus.FAILED or "SIGKILL" not in info.error:
            wrong.append(f"the status does not say it: {status.name}, {info.error!r}")
    elif status not in (EgressStatus.COMPLETE, EgressStatus.FAILED):
        wrong.append(f"it is {status.name}")
    if case.missed and status is EgressStatus.COMPLETE:
        pass
    elif info.backup_storage_used is not service.on_backup:
        wrong.append(f"backup_storage_used is {info.backup_storage_used}")
    if fate.outputs:
        return wrong + _check_outputs(service, case)
    results = list(info.file_results)
    if len(results) != 1 or not results[0].location:
        return [*wrong, f"no file: {info}"]
    path = service.file_of(results[0])
    if path is None:
        return [*wrong, f"{results[0].location} is not there"]
    if path.stat().st_size != results[0].size:
        wrong.append(f"{path} has {path.stat().st_size} bytes, not {results[0].size}")
    facts = file_facts(path)
    kinds: tuple[Literal["video", "audio"], ...] = ("video", "audio")
    ends = [
        max((packet.pts or 0.0) + (packet.duration or 0.0) for packet in packets)
        for kind in kinds
        if any(stream.kind == kind for stream in facts.streams) and (packets := read_packets(path, kind))
    ]
    played = max(ends, default=0.0)
    recorded = case.killed_at - results[0].started_at / 1e9
    case.loss = recorded - played
    allowed = MAX_LOSS_COPIED if isinstance(fate.request, pb.TrackEgressRequest) else _composed_loss(recorded)
    if not case.missed and not fate.ending and case.loss > allowed:
        wrong.append(f"{path.name} plays {played:.2f} s of {recorded:.2f} s")
    if facts.duration is None or abs(facts.duration - results[0].duration / 1e9) > 0.2:
        wrong.append(f"{path.name} lasts {facts.duration} s, told are {results[0].duration / 1e9:.2f} s")
    return wrong


def _check_outputs(service: KilledService, case: Case) -> list[str]:
    """HLS and images."""
    info, place = case.info, Place(service.files, service.bucket)
    if len(info.segment_results) != 1 or len(info.image_results) != 1:
        return [f"no results: {info}"]
    segments, images = info.segment_results[0], info.image_results[0]
    prefix = posixpath.join(case.fate.outputs, "")
    scratch = service.folder / "fetched" / f"{case.egress_id}.ts"
    wrong, played = segments_problems(place, segments, f"{prefix}hls", scratch)
    wrong += images_problems(place, images, f"{prefix}shots")
    recorded = case.killed_at - segments.started_at / 1e9
    case.loss = recorded - played
    if not wrong and not case.missed and not case.fate.ending and case.loss > _composed_loss(recorded):
        wrong.append(f"{prefix} plays {played:.2f} s, {case.loss:.2f} s are lost")
    return wrong


def _composed_loss(recorded: float) -> float:
    """What a composition may lose that was recorded for so many seconds."""
    return MAX_LOSS_KEPT if recorded < KEPT else MAX_LOSS_COMPOSED


def outputs_request(room: str, folder: str) -> pb.RoomCompositeEgressRequest:
    """HLS and images below `folder`."""
    hls = pb.SegmentedFileOutput(
        filename_prefix=f"{folder}/hls",
        playlist_name="hls.m3u8",
        live_playlist_name="hls-live.m3u8",
        segment_duration=1,
        disable_manifest=True,
    )
    shots = pb.ImageOutput(
        filename_prefix=f"{folder}/shots", capture_interval=1, width=160, height=90, disable_manifest=True
    )
    small = pb.EncodingOptions(width=320, height=180, framerate=30)
    return pb.RoomCompositeEgressRequest(room_name=room, advanced=small, segment_outputs=[hls], image_outputs=[shots])


def leftovers(service: KilledService, cases: Sequence[Case]) -> list[str]:
    """Files and objects that are no recording: half ones, doubles, what finishing uses."""
    results = [result for case in cases for result in case.info.file_results]
    known = {Path(result.location) for result in results}
    known |= {path.with_name(f"{case.egress_id}.json") for path in known for case in cases}
    # What belongs to HLS and images is looked at with them.
    folders = tuple(f"{case.fate.outputs}/" for case in cases if case.fate.outputs)
    mine = [path for path in files_below(service.files) if path not in known]
    left = [str(path) for path in mine if not str(path.relative_to(service.files)).startswith(folders)]
    if service.bucket is not None:
        names = {result.filename for result in results} | {f"{case.egress_id}.json" for case in cases}
        left += [name for name in service.bucket.names() if name not in names and not name.startswith(folders)]
    return left


def random_fates(room: str, sid: str, seed: int, count: int) -> list[Fate]:
    """Fates of recordings of all kinds: at random moments of recording and of finishing."""
    chance = random.Random(seed)
    fates = []
    for number in range(count):
        name = f"{seed}-{number}"
        small = pb.EncodingOptions(width=320, height=180, framerate=30)
        kind = chance.choice(["composite", "sound", "track", "participant", "outputs"])
        request: Any
        if kind == "track":
            request = pb.TrackEgressRequest(room_name=room, track_id=sid, file=pb.DirectFileOutput(filepath=name))
        elif kind == "outputs":
            request = outputs_request(room, name)
        elif kind == "participant":
            file = pb.EncodedFileOutput(filepath=f"{name}.webm")
            request = pb.ParticipantEgressRequest(room_name=room, identity="ada", advanced=small, file_outputs=[file])
        else:
            extension = chance.choice([".ogg", ".mp3", ".flac", ".wav"]) if kind == "sound" else ".mp4"
            file = pb.EncodedFileOutput(filepath=name + extension)
            if extension in _TYPES:
                file.file_type = _TYPES[extension]
            request = pb.RoomCompositeEgressRequest(
                room_name=room, advanced=small, audio_only=kind == "sound", file_outputs=[file]
            )
        ending = chance.random() < 0.35
        seconds = chance.uniform(0.0, 0.25) if ending else chance.uniform(0.5, 16.0)
        victim = chance.choice(list(Victim))
        fates.append(Fate(request, victim, seconds, ending, name if kind == "outputs" else ""))
    return fates
