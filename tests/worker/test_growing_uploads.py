"""Files that are uploaded while they are recorded, to a real S3: little is left at the end, and no byte is another."""

from __future__ import annotations

import asyncio
import os
import pickle
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from livekit.protocol import egress as pb

from pyegress.clock import wall
from pyegress.codecs import Codec
from pyegress.errors import OutputFailed
from pyegress.lifecycle.worker_messages import Launch
from pyegress.outputs.file_writer import FileWriter
from pyegress.outputs.written import Written
from pyegress.plan.containers import Container
from pyegress.plan.egress_info import starting_info
from pyegress.plan.recording_plan import Service
from pyegress.plan.storage import LocalStorage, S3Storage
from pyegress.rtp.codec_config import START_CODE
from pyegress.rtp.frame import EncodedFrame
from pyegress.storage import lane
from pyegress.storage.digests import PART
from pyegress.storage.object_parts import open_parts
from pyegress.storage.parted import LeftUpload
from pyegress.storage.spool import JOURNAL, MEDIA, Spool, SpoolFolder
from pyegress.storage.spooled_plan import SpooledPlan
from pyegress.worker.assignment import abandon, finish_launch
from pyegress.worker.delivery import ObjectKind
from pyegress.worker.spooled import Spooled
from pyegress.worker.uploads import Uploads
from tests.outputs.media import STEP, opus, read_back, recovered, spec_of, video
from tests.plan.requests import planned, room
from tests.support.object_servers import AzureServer, S3Server, why_unavailable
from tests.support.tcp_proxy import TcpProxy
from tests.support.waiting import eventually

pytestmark = pytest.mark.system

MIB = 1024 * 1024
#: What is said beside the parts: requests, headers, retries that were cut at once.
TALK = 200_000
#: Bytes that a picture is made larger by: a filler unit, which decoders pass over.
FILLING = 256 * 1024


@pytest.fixture
def own_s3(tmp_path: Path) -> Iterator[S3Server]:
    """One that a test may kill, and whose pending uploads are those of the test."""
    if reason := why_unavailable():
        pytest.skip(reason)
    with S3Server(tmp_path / "own-s3") as server:
        yield server


@asynccontextmanager
async def proxied(server: S3Server) -> AsyncIterator[tuple[TcpProxy, S3Storage]]:
    """The bucket by a line that a test may cut, and that counts."""
    async with TcpProxy("127.0.0.1", server.port) as proxy:
        yield proxy, server.storage_at(f"http://127.0.0.1:{proxy.port}")


def filled(frame: EncodedFrame) -> EncodedFrame:
    """A frame that is large, with random bytes that nobody shows."""
    noise = os.urandom(FILLING).replace(b"\x00", b"\x01")
    start = START_CODE + b"\x0c" if frame.codec is Codec.H264 else b""
    return replace(frame, payload=frame.payload + start + noise)


class Recording:
    """A large file that grows, piece by piece."""

    def __init__(self, path: Path, codec: Codec) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self.codec = codec
        self.pictures: list[EncodedFrame] = []
        self._frames = video(codec, 25)
        sound = opus(50)
        container = Container.MP4 if codec is Codec.H264 else Container.WEBM
        self._sound = sound
        self.writer = FileWriter(path, container, [spec_of(self._frames), spec_of(sound)])

    def go_on(self, size: int) -> Written:
        """Record until the file has `size` bytes."""
        while self.writer.bytes_written < size:
            number = len(self.pictures)
            frame = filled(self._frames[number % len(self._frames)])
            self.pictures.append(frame)
            self.writer.write(0, frame, number * STEP)
            self.writer.write(1, self._sound[number % 50], number * 1920)
        self.writer.flush()
        return Written(self.writer.bytes_written)

    def finish(self) -> bytes:
        """The finished file; every picture is in it."""
        assert self.writer.close().optimised
        track = read_back(self.path).tracks[0]
        assert [recovered(self.codec, payload) for payload in track.payloads] == [
            recovered(self.codec, frame.payload) if self.codec is not Codec.H264 else _units(frame)
            for frame in self.pictures
        ]
        return self.path.read_bytes()


def _units(frame: EncodedFrame) -> list[bytes]:
    return [unit for unit in frame.payload.split(START_CODE) if unit]


@pytest.mark.parametrize("codec", [Codec.H264, Codec.VP8], ids=["MP4", "WebM"])
async def test_most_of_a_file_is_there_before_it_ends(own_s3: S3Server, tmp_path: Path, codec: Codec) -> None:
    name = "long.mp4" if codec is Codec.H264 else "long.webm"
    async with proxied(own_s3) as (proxy, storage):
        uploads = Uploads(tmp_path / "scratch", keep=True)
        recording = Recording(uploads.place(name, storage), codec)
        begun: list[tuple[str, int]] = []
        written = recording.go_on(12 * MIB)
        uploads.grown(recording.path, written, lambda *upload: begun.append(upload))
        assert proxy.received == 0, "it may be a short one"
        # Four parts behind the first one, which is held back.
        written = recording.go_on(42 * MIB)
        uploads.grown(recording.path, written, lambda *upload: begun.append(upload))
        await proxy.passed(4 * PART, within=60)
        assert begun == [(own_s3.pending()[0], PART)]
        assert own_s3.names() == [], "half an object is none"
        recording.go_on(43 * MIB)
        content = recording.finish()
        delivered = await uploads.deliver(recording.path, ObjectKind.FILE)
        await uploads.aclose()
        assert proxy.received < len(content) + TALK, "every byte was sent once"
    assert own_s3.stored(name) == content
    assert delivered.size == len(content)
    assert own_s3.pending() == []


async def test_what_changes_after_it_was_sent_is_sent_again(own_s3: S3Server, tmp_path: Path) -> None:
    async with proxied(own_s3) as (proxy, storage):
        uploads = Uploads(tmp_path / "scratch", keep=True)
        path = uploads.place("changed.ogg", storage)
        content = bytearray(os.urandom(3 * PART + 1000))
        path.write_bytes(content)
        uploads.grown(path, Written(len(content)))
        await proxy.passed(2 * PART, within=60)
        content[PART + 5] ^= 1
        path.write_bytes(content)
        await uploads.deliver(path, ObjectKind.FILE)
        await uploads.aclose()
        assert proxy.received < 4 * PART + TALK
    assert own_s3.stored("changed.ogg") == content
    assert own_s3.pending() == []


async def test_a_file_that_is_written_anew_begins_anew(own_s3: S3Server, tmp_path: Path) -> None:
    async with proxied(own_s3) as (proxy, storage):
        uploads = Uploads(tmp_path / "scratch")
        path = uploads.place("anew.webm", storage)
        path.write_bytes(os.urandom(3 * PART))
        uploads.grown(path, Written(3 * PART))
        await proxy.passed(2 * PART, within=60)
        content = os.urandom(2 * PART + 17)
        beside = path.with_name("beside")
        beside.write_bytes(content)
        beside.replace(path)
        uploads.grown(path, Written(len(content), version=1))
        await proxy.passed(3 * PART, within=60)
        await eventually(lambda: len(own_s3.pending()) == 1, "the end of the first upload")
        await uploads.deliver(path, ObjectKind.FILE)
        await uploads.aclose()
        assert own_s3.stored("anew.webm") == content
        assert not path.exists()
        # Two that are never delivered: one that failed, and one of which nothing was sent yet.
        for name, size in (("failed.webm", 3 * PART), ("short.webm", 2 * PART - 1)):
            path = uploads.place(name, storage)
            path.write_bytes(bytes(size))
            uploads.grown(path, Written(size))
        await eventually(own_s3.pending, "an upload")
        await uploads.aclose()
    assert own_s3.names() == ["anew.webm"]
    assert own_s3.pending() == []


async def test_an_endpoint_that_is_away_while_it_is_recorded(own_s3: S3Server, tmp_path: Path) -> None:
    """A connection is cut in the middle of a part, then the server is gone; it comes back before or after the end."""
    async with proxied(own_s3) as (proxy, storage):
        uploads = Uploads(tmp_path / "scratch", keep=True)
        recording = Recording(uploads.place("away.mp4", storage), Codec.H264)
        written = recording.go_on(26 * MIB)
        uploads.grown(recording.path, written)
        await proxy.passed(PART + PART // 2, within=60)
        own_s3.kill()
        proxy.cut()
        await eventually(lambda: uploads.progress.failing, "word of what fails", within=60)
        uploads.grown(recording.path, recording.go_on(34 * MIB))
        assert "takes no connections" in uploads.progress.failing or "broke" in uploads.progress.failing
        await asyncio.to_thread(own_s3.start)
        before = proxy.received
        await proxy.passed(before + PART, within=60)
        proxy.refusing = True
        proxy.cut()
        content = recording.finish()
        delivering = uploads.deliver(recording.path, ObjectKind.FILE)
        await eventually(lambda: uploads.progress.waiting and uploads.progress.failing, "word of it", within=60)
        proxy.refusing = False
        await asyncio.wait_for(delivering, 60)
        await uploads.aclose()
    assert own_s3.stored("away.mp4") == content
    assert own_s3.names() == ["away.mp4"]
    assert own_s3.pending() == []


async def test_an_upload_that_somebody_aborts_is_sent_as_a_whole(own_s3: S3Server, tmp_path: Path) -> None:
    async with proxied(own_s3) as (proxy, storage):
        uploads = Uploads(tmp_path / "scratch", keep=True)
        path = uploads.place("aborted.webm", storage)
        content = os.urandom(3 * PART)
        path.write_bytes(content)
        uploads.grown(path, Written(len(content)))
        await proxy.passed(2 * PART, within=60)
        client = await open_parts(own_s3.storage)
        assert client is not None
        (pending,) = await client.pending("aborted.webm")
        await client.abort("aborted.webm", pending.upload)
        await client.abort("aborted.webm", pending.upload)
        await uploads.deliver(path, ObjectKind.FILE)
        await uploads.aclose()
    assert own_s3.stored("aborted.webm") == content
    assert own_s3.pending() == []


async def test_the_backup_gets_the_whole_file(
    own_s3: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lane, "BACKUP_PATIENCE", 0.5)
    async with proxied(own_s3) as (proxy, storage):
        uploads = Uploads(tmp_path / "scratch", keep=True, backup=LocalStorage(prefix=str(tmp_path / "backup")))
        path = uploads.place("kept.webm", storage)
        content = os.urandom(3 * PART)
        path.write_bytes(content)
        uploads.grown(path, Written(len(content)))
        await proxy.passed(2 * PART, within=60)
        proxy.refusing = True
        proxy.cut()
        delivered = await uploads.deliver(path, ObjectKind.FILE)
        await uploads.aclose()
    assert delivered.backup
    assert (tmp_path / "backup" / "kept.webm").read_bytes() == content
    assert own_s3.names() == []


async def test_wrong_keys_are_told_at_the_end_and_nothing_waits_for_them(own_s3: S3Server, tmp_path: Path) -> None:
    uploads = Uploads(tmp_path / "scratch", keep=True)
    path = uploads.place("no.webm", replace(own_s3.storage_at(own_s3.url), secret="wrong"))
    content = os.urandom(3 * PART)
    path.write_bytes(content)
    uploads.grown(path, Written(len(content)))
    uploads.grown(path, Written(len(content)))
    with pytest.raises(OutputFailed, match="the secret is wrong"):
        await uploads.deliver(path, ObjectKind.FILE)
    await uploads.aclose()
    assert path.read_bytes() == content


async def test_giving_up_while_parts_are_on_their_way(own_s3: S3Server, tmp_path: Path) -> None:
    async with proxied(own_s3) as (proxy, storage):
        uploads = Uploads(tmp_path / "scratch", keep=True)
        path = uploads.place("given-up.webm", storage)
        content = os.urandom(3 * PART)
        path.write_bytes(content)
        uploads.grown(path, Written(len(content)))
        await proxy.passed(PART, within=60)
        proxy.stall()
        delivering = uploads.deliver(path, ObjectKind.FILE)
        uploads.give_up()
        await asyncio.wait_for(uploads.aclose(), 15)
        assert isinstance(delivering.exception(), OutputFailed)
    assert path.read_bytes() == content
    assert own_s3.names() == []


async def test_blocks_of_azure(azure_server: AzureServer, tmp_path: Path) -> None:
    """Those that a process has sent which is gone are used by the next one."""
    async with TcpProxy("127.0.0.1", azure_server.port) as proxy:
        storage = azure_server.storage_at(f"http://127.0.0.1:{proxy.port}")
        first = Uploads(tmp_path / "scratch", keep=True)
        recording = Recording(first.place("growing/blocks.mp4", storage), Codec.H264)
        begun: list[tuple[str, int]] = []
        first.grown(recording.path, recording.go_on(27 * MIB), lambda *upload: begun.append(upload))
        await proxy.passed(2 * PART, within=60)
        await eventually(lambda: begun, "word of the upload")
        first.give_up()
        content = recording.finish()
        assert "growing/blocks.mp4" not in azure_server.names()
        second = Uploads(tmp_path / "scratch", keep=True)
        assert second.place("growing/blocks.mp4", storage) == recording.path
        ((upload, held),) = begun
        second.left(recording.path, LeftUpload(wall(), upload, held))
        delivered = await second.deliver(recording.path, ObjectKind.FILE)
        await second.aclose()
        # The second block may have been on its way.
        assert proxy.received < len(content) + PART + TALK
        await first.aclose()
    assert delivered.size == len(content)
    assert azure_server.stored("growing/blocks.mp4") == content


def launched(tmp_path: Path, storage: S3Storage) -> Launch:
    request = room(
        pb.EncodedFileOutput(
            filepath="killed.webm",
            disable_manifest=True,
            s3=pb.S3Upload(
                bucket=storage.bucket,
                region=storage.region,
                endpoint=storage.endpoint,
                access_key=storage.access_key,
                secret=storage.secret,
            ),
        )
    )
    return Launch(
        egress_id="EG_1",
        kind=request.DESCRIPTOR.full_name,
        request=request.SerializeToString(),
        info=starting_info(planned(request, egress_id="EG_1"), request).SerializeToString(),
        at=wall(),
        service=Service(ws_url="ws://h", api_key="k", api_secret="s"),
        directory=str(tmp_path),
        spool=str(tmp_path / "spool" / "EG_1"),
        keep_copies=True,
    )


@pytest.mark.parametrize("how", ["the journal knows the upload", "killed before it did", "dropped"])
async def test_a_worker_that_is_killed_while_it_uploads(own_s3: S3Server, tmp_path: Path, how: str) -> None:
    async with proxied(own_s3) as (proxy, storage):
        launch = launched(tmp_path, storage)
        folder = Spool(tmp_path / "spool").create(SpooledPlan.of(launch))
        (tmp_path / "launch").write_bytes(pickle.dumps(launch))
        child = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.worker.growing_child", tmp_path / "launch", str(27 * MIB)),
            stdout=asyncio.subprocess.PIPE,
        )
        try:
            assert child.stdout is not None
            assert await asyncio.wait_for(child.stdout.readline(), 60) == b"recorded\n"
            await proxy.passed(2 * PART, within=60)
            await eventually(lambda: _parted(folder), "the upload in the journal")
        finally:
            child.kill()
            await child.wait()
        if how == "killed before it did":
            journal = folder.path / JOURNAL
            lines = journal.read_bytes().splitlines(keepends=True)
            journal.write_bytes(b"".join(line for line in lines if b'"Parted"' not in line))
        assert len(own_s3.pending()) == 1
        if how == "dropped":
            await abandon(launch, folder.record())
            assert own_s3.pending() == own_s3.names() == []
            return
        before = proxy.received
        async with Spooled(folder) as spooled:
            outcome = await spooled.settle(await finish_launch(launch, spooled))
        (file,) = outcome.files
        content = next((folder.path / MEDIA).rglob("killed.webm")).read_bytes()
        assert (outcome.error, outcome.pending, file.size) == (None, "", len(content))
        assert own_s3.stored("killed.webm") == content
        assert read_back(next((folder.path / MEDIA).rglob("killed.webm"))).tracks[0].payloads
        assert own_s3.names() == ["killed.webm"]
        assert own_s3.pending() == []
        # The second part may have been on its way.
        again = proxy.received - before < len(content) - PART + TALK
        assert again or how == "killed before it did", "what is there is not sent again"


def _parted(folder: SpoolFolder) -> bool:
    return any(item.parted is not None for item in folder.record().objects.values())
