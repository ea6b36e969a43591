"""Real worker processes under a real supervisor, recording a real room."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from livekit.protocol import egress as pb

from pyegress.clock import monotonic
from pyegress.errors import Code, EgressError
from pyegress.lifecycle.egress import EgressStatus, status_of
from pyegress.room.events import Source
from pyegress.service.config import ServiceConfig
from pyegress.service.config_reader import Seconds
from pyegress.service.config_sections import LimitsSection
from pyegress.service.debug_pages import debug_page
from pyegress.service.egress_service import EgressStart
from pyegress.service.supervisor import Supervisor
from pyegress.storage.spool import Spool
from tests.support.analysis import file_facts, read_pictures
from tests.support.livekit_server import LiveKitServer
from tests.support.secrecy import SECRECY
from tests.support.waiting import eventually
from tests.system.scenes import clip, prepare, publishing

pytestmark = pytest.mark.system

SMALL = pb.EncodingOptions(width=320, height=180, framerate=30)
FINAL = [EgressStatus.STARTING, EgressStatus.ACTIVE, EgressStatus.ENDING, EgressStatus.COMPLETE]


class Node:
    """A supervisor, and everything that it said."""

    def __init__(self, supervisor: Supervisor) -> None:
        self.supervisor = supervisor
        self.told: defaultdict[str, list[pb.EgressInfo]] = defaultdict(list)
        self.active: dict[str, float] = {}
        supervisor.listen(self._hear)
        supervisor.report_left()

    def _hear(self, info: pb.EgressInfo) -> None:
        self.told[info.egress_id].append(info)
        if status_of(info) is EgressStatus.ACTIVE:
            self.active.setdefault(info.egress_id, monotonic())

    def statuses(self, egress_id: str) -> list[EgressStatus]:
        """Each status once, in the order in which they were told."""
        return list(dict.fromkeys(status_of(info) for info in self.told[egress_id]))

    def last(self, egress_id: str) -> pb.EgressInfo:
        return self.told[egress_id][-1]

    def pid(self, egress_id: str) -> int:
        pid = self.supervisor.runs[egress_id].pid
        assert pid is not None
        return pid

    async def recorded(self, egress_id: str, seconds: float) -> None:
        """Wait until it has been active for so long."""
        await eventually(
            lambda: egress_id in self.active and monotonic() - self.active[egress_id] > seconds,
            f"{egress_id} active for {seconds} s; {self.told[egress_id][-1:]}",
            40.0,
        )

    async def ended(self, egress_id: str, within: float = 30.0) -> pb.EgressInfo:
        await eventually(
            lambda: self.told[egress_id] and status_of(self.last(egress_id)).final, f"{egress_id} ended", within
        )
        return self.last(egress_id)


def configured(server: LiveKitServer, folder: Path, **changes: Any) -> ServiceConfig:
    arguments: dict[str, Any] = {
        "api_key": server.api_key,
        "api_secret": server.api_secret,
        "ws_url": server.url,
        "local_directory": str(folder / "files"),
        "state_directory": str(folder / "state"),
    }
    return ServiceConfig(**(arguments | changes))


@asynccontextmanager
async def node(server: LiveKitServer, folder: Path, **changes: Any) -> AsyncIterator[Node]:
    SECRECY.keep(server.api_secret, "the API secret")
    SECRECY.watch(folder / "state")
    async with Supervisor(configured(server, folder, **changes)) as supervisor:
        yield Node(supervisor)


def everybody(room: str, name: str = "") -> pb.RoomCompositeEgressRequest:
    return pb.RoomCompositeEgressRequest(
        room_name=room, advanced=SMALL, file_outputs=[pb.EncodedFileOutput(filepath=name)]
    )


def one_track(room: str, sid: str, name: str) -> pb.TrackEgressRequest:
    return pb.TrackEgressRequest(room_name=room, track_id=sid, file=pb.DirectFileOutput(filepath=name))


def copies_of(room: str, identity: str, name: str) -> pb.ParticipantEgressRequest:
    return pb.ParticipantEgressRequest(
        room_name=room,
        identity=identity,
        preset=pb.EncodingOptionsPreset.PASSTHROUGH,
        file_outputs=[pb.EncodedFileOutput(filepath=name)],
    )


def start(command: list[str], environment: dict[str, str], log: Path) -> subprocess.Popen[bytes]:
    with log.open("wb") as errors:
        return subprocess.Popen(command, env=os.environ | environment, stdout=subprocess.DEVNULL, stderr=errors)


async def _seen_from_inside(supervisor: Supervisor, sids: dict[Source, str]) -> None:
    """What `/debug` shows of two egresses that run."""
    overview = await debug_page(supervisor, "/debug/")
    whole = await debug_page(supervisor, "/debug/egress/EG_whole")
    track = await debug_page(supervisor, "/debug/egress/EG_track/")
    for text in (f"node {supervisor.node_id}", "EG_whole: room_composite, ACTIVE, worker", "/debug/egress/EG_track"):
        assert text in overview
    assert "sources -> decoders -> composition -> encoders -> outputs" in whole
    for sid in sids.values():
        assert whole.count(sid) == 2, whole  # as a source, and as a decoder
    for text in ("picture 320x180 at 30 fps", "H.264", "AAC", "all.mp4  bytes"):
        assert text in whole
    assert "sources -> outputs" in track
    assert "camera of ada" in track
    tasks = await debug_page(supervisor, "/debug/egress/EG_whole/tasks")
    assert "thread media" in tasks
    assert "session.py" in tasks
    assert "task egress EG_whole" in await debug_page(supervisor, "/debug/tasks")
    for path in ("/debug/egress/EG_none", "/other"):
        with pytest.raises(EgressError) as missing:
            await debug_page(supervisor, path)
        assert missing.value.code is Code.NOT_FOUND
    info = supervisor.info("EG_track")
    assert info is not None
    assert info.file_results[0].size > 10_000
    assert info.file_results[0].duration > 2 * 10**9


async def test_a_room_and_a_track_side_by_side(livekit_server: LiveKitServer, tmp_path: Path) -> None:
    """Each in its own process; files where the request names them; every status is told once, in order."""
    room = "served"
    prepare("ada", clip())
    async with node(livekit_server, tmp_path) as here, publishing(livekit_server, room) as ada:
        supervisor = here.supervisor
        whole = EgressStart("EG_whole", everybody(room, "{room_name}/all"), room_id="RM_1")
        track = EgressStart("EG_track", one_track(room, ada.sids[Source.CAMERA], "{publisher_identity}.mp4"))
        load = supervisor.bid(whole)
        assert load is not None
        assert 0 < load < 1
        first = await supervisor.start(whole)
        assert status_of(first) is EgressStatus.STARTING
        assert (first.room_name, first.room_id) == (room, "RM_1")
        assert first.room_composite.file_outputs[0].filepath == "{room_name}/all"
        await supervisor.start(track)
        await supervisor.start(EgressStart("EG_copy", copies_of(room, "ada", "copy")))
        assert sorted(supervisor.running()) == ["EG_copy", "EG_track", "EG_whole"]
        with pytest.raises(EgressError) as taken:
            await supervisor.start(EgressStart("EG_same", everybody(room, "{room_name}/all")))
        assert taken.value.code is Code.ALREADY_EXISTS
        again = await supervisor.start(whole)
        assert again.started_at == first.started_at
        await here.recorded("EG_whole", 5.0)
        await here.recorded("EG_track", 3.0)
        await here.recorded("EG_copy", 3.0)
        assert here.pid("EG_whole") != here.pid("EG_track")
        there = [one.identity for one in await livekit_server.participants(room) if one.permission.recorder]
        assert sorted(there) == ["EG_copy", "EG_track", "EG_whole"]
        await _seen_from_inside(supervisor, ada.sids)
        stopped = [await supervisor.stop(egress_id) for egress_id in ("EG_whole", "EG_track", "EG_copy")]
        assert {status_of(info) for info in stopped} <= {EgressStatus.ENDING, EgressStatus.COMPLETE}
        assert {info.details for info in stopped} == {"End reason: StopEgress API"}
        for egress_id in ("EG_whole", "EG_track", "EG_copy"):
            await here.ended(egress_id)
            assert here.statuses(egress_id) == FINAL
            times = [info.updated_at for info in here.told[egress_id]]
            assert times == sorted(set(times))
        with pytest.raises(EgressError) as refused:
            await supervisor.stop("EG_whole")
        assert refused.value.code is Code.FAILED_PRECONDITION
        with pytest.raises(EgressError) as unknown:
            await supervisor.stop("EG_unknown")
        assert unknown.value.code is Code.NOT_FOUND
        await eventually(lambda: supervisor.running() == [], "nothing runs")
    for egress_id, name, codecs in (
        ("EG_whole", f"{room}/all.mp4", ["h264", "aac"]),
        ("EG_track", "ada.webm", ["vp8"]),
        ("EG_copy", "copy.webm", ["vp8", "opus"]),
    ):
        (result,) = here.last(egress_id).file_results
        path = tmp_path / "files" / name
        assert (result.filename, result.location) == (name, str(path))
        assert result.size == path.stat().st_size
        assert here.last(egress_id).file == result
        facts = file_facts(path)
        # A copy's streams are in the order in which they came.
        assert sorted(stream.codec for stream in facts.streams) == sorted(codecs)
        assert facts.duration is not None
        assert facts.duration == pytest.approx(result.duration / 1e9, abs=0.1)
        assert 2.0 < facts.duration < 15.0
        assert result.ended_at - result.started_at == result.duration
    shown = [picture.participant for picture in read_pictures(tmp_path / "files" / room / "all.mp4")]
    assert shown.count(3) >= 0.7 * len(shown)


async def test_a_killed_worker_costs_its_own_egress_alone(livekit_server: LiveKitServer, tmp_path: Path) -> None:
    room = "served-crash"
    async with node(livekit_server, tmp_path) as here, publishing(livekit_server, room):
        for egress_id in ("EG_dies", "EG_lives"):
            await here.supervisor.start(EgressStart(egress_id, everybody(room, egress_id)))
        for egress_id in ("EG_dies", "EG_lives"):
            # A composition waits for sender reports first.
            await here.recorded(egress_id, 6.5)
        killed = monotonic()
        os.kill(here.pid("EG_dies"), signal.SIGKILL)
        info = await here.ended("EG_dies", 30.0)
        assert monotonic() - killed < 20.0
        assert status_of(info) is EgressStatus.FAILED
        assert info.error_code == 500
        assert "SIGKILL" in info.error
        assert info.details == "End reason: Failure"
        (kept,) = info.file_results
        assert kept.location == str(tmp_path / "files" / "EG_dies.mp4")
        assert kept.size > 0
        assert here.statuses("EG_lives") == [EgressStatus.STARTING, EgressStatus.ACTIVE]
        await here.supervisor.stop("EG_lives")
        assert status_of(await here.ended("EG_lives")) is EgressStatus.COMPLETE
    pictures = read_pictures(tmp_path / "files" / "EG_dies.mp4")
    assert len(pictures) >= 20
    assert [picture.participant for picture in pictures].count(3) >= 0.5 * len(pictures)


async def test_stopped_before_anything_was_recorded(livekit_server: LiveKitServer, tmp_path: Path) -> None:
    """At once, while a worker is being loaded; and while the participant is waited for."""
    room = "served-early"
    nobody = pb.ParticipantEgressRequest(
        room_name=room, identity="nobody", file_outputs=[pb.EncodedFileOutput(filepath="nobody")]
    )
    async with (
        node(livekit_server, tmp_path, spare_workers=0) as here,
        publishing(livekit_server, room, video=False),
    ):
        await here.supervisor.start(EgressStart("EG_early", everybody(room, "early")))
        early = await here.supervisor.stop("EG_early")
        assert status_of(early) is EgressStatus.ABORTED
        await here.supervisor.start(EgressStart("EG_waits", nobody))
        await eventually(
            lambda: "'ada'" in here.last("EG_waits").details or "ada" in here.last("EG_waits").details,
            "it says whom it sees",
            40.0,
        )
        assert "'nobody'" in here.last("EG_waits").details
        waited = await here.supervisor.stop("EG_waits")
        assert status_of(waited) is EgressStatus.ABORTED
        for info in (early, waited):
            assert (info.error, info.error_code) == ("Stop called before pipeline could start", 412)
            assert info.details == "End reason: StopEgress API"
            assert info.ended_at >= info.started_at
        await eventually(lambda: here.supervisor.running() == [], "nothing runs")
    assert here.statuses("EG_waits") == [EgressStatus.STARTING, EgressStatus.ABORTED]
    assert not [path for path in (tmp_path / "files").glob("*") if path.is_file()]


async def test_session_limits(livekit_server: LiveKitServer, tmp_path: Path) -> None:
    room = "served-limits"
    limits = LimitsSection(file_output_max_duration=Seconds(2.0))
    silent = pb.ParticipantEgressRequest(
        room_name=room, identity="nobody", file_outputs=[pb.EncodedFileOutput(filepath="nobody")]
    )
    async with (
        node(livekit_server, tmp_path, session_limits=limits) as here,
        publishing(livekit_server, room) as ada,
    ):
        track = one_track(room, ada.sids[Source.MICROPHONE], "limited")
        await here.supervisor.start(EgressStart("EG_limited", track))
        await here.supervisor.start(EgressStart("EG_never", silent))
        info = await here.ended("EG_limited")
        assert status_of(info) is EgressStatus.LIMIT_REACHED
        assert (info.error, info.error_code) == ("Session limit reached", 413)
        assert info.details == "End reason: Session limit reached"
        assert here.statuses("EG_limited") == [EgressStatus.STARTING, EgressStatus.ACTIVE, EgressStatus.LIMIT_REACHED]
        (result,) = info.file_results
        assert result.filename == "limited.ogg"
        assert result.duration == pytest.approx(2.0e9, abs=0.2e9)
        info = await here.ended("EG_never")
        assert status_of(info) is EgressStatus.ABORTED
        assert (info.error, info.error_code) == ("Session limit reached before start signal", 412)


async def test_a_drain_waits_and_a_second_word_ends_it(livekit_server: LiveKitServer, tmp_path: Path) -> None:
    room = "served-drain"
    async with node(livekit_server, tmp_path) as here, publishing(livekit_server, room):
        await here.supervisor.start(EgressStart("EG_drains", everybody(room, "drains")))
        await here.recorded("EG_drains", 2.0)
        draining = asyncio.create_task(here.supervisor.drain())
        await eventually(lambda: here.supervisor.draining, "it drains")
        late = EgressStart("EG_late", everybody(room))
        assert here.supervisor.bid(late) is None
        with pytest.raises(EgressError) as refused:
            await here.supervisor.start(late)
        assert refused.value.code is Code.UNAVAILABLE
        assert not draining.done()
        here.supervisor.end_now()
        async with asyncio.timeout(30):
            await draining
        info = here.last("EG_drains")
        assert status_of(info) is EgressStatus.COMPLETE
        assert info.details == "End reason: Process killed"
    assert here.statuses("EG_drains") == FINAL
    assert (file_facts(tmp_path / "files" / "drains.mp4").duration or 0.0) > 1.0


async def test_a_worker_outlives_its_supervisor(livekit_server: LiveKitServer, tmp_path: Path) -> None:
    """kill -9 of the service: the recording goes on, and the next service knows it, ends it, and reports its end."""
    room = "served-orphan"
    environment = {
        "LIVEKIT_URL": livekit_server.url,
        "LIVEKIT_API_KEY": livekit_server.api_key,
        "LIVEKIT_API_SECRET": livekit_server.api_secret,
    }
    command = [sys.executable, "-m", "tests.system.supervising", str(tmp_path), room]
    log = tmp_path / "supervisor.log"
    async with publishing(livekit_server, room):
        child = start(command, environment, log)
        try:
            ready = tmp_path / "active"
            await eventually(lambda: ready.exists() or child.poll() is not None, "the egress is active", 60.0)
            assert child.poll() is None, log.read_text()
        finally:
            child.kill()
            child.wait(10)
        async with node(livekit_server, tmp_path, spare_workers=0) as here:
            await eventually(lambda: here.supervisor.running() == ["EG_orphan"], "it is found", 20.0)
            known = here.supervisor.info("EG_orphan")
            assert known is not None
            assert status_of(known) is EgressStatus.ACTIVE
            began = monotonic()
            await eventually(lambda: monotonic() - began > 2.0, "it records on")
            await here.supervisor.stop("EG_orphan")
            info = await here.ended("EG_orphan")
            assert status_of(info) is EgressStatus.COMPLETE
            assert info.file_results[0].duration > 2.0e9
            await eventually(lambda: here.supervisor.running() == [], "nothing runs")
    path = tmp_path / "files" / "orphan.mp4"
    assert info.file_results[0].location == str(path)
    assert file_facts(path).duration == pytest.approx(info.file_results[0].duration / 1e9, abs=0.1)
    assert Spool(tmp_path / "state" / "spool").folders() == [], "everything is told and removed"
