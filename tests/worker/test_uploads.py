"""Objects of an egress on their way to real storages: in order, in parallel, again until they are there."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from pyegress.errors import OutputFailed
from pyegress.lifecycle.uploading import UploadTried
from pyegress.plan.storage import LocalStorage, S3Storage
from pyegress.storage import lane
from pyegress.worker import uploads as module
from pyegress.worker.delivery import Delivered, InPlace, ObjectKind
from pyegress.worker.uploads import Uploads
from tests.support.object_servers import GcsServer, ObjectServer, S3Server, why_unavailable
from tests.support.tcp_proxy import TcpProxy
from tests.support.waiting import eventually

pytestmark = pytest.mark.system

MIB = 1024 * 1024
KINDS = {
    "talk.mp4": ObjectKind.FILE,
    "hls/talk_00000.ts": ObjectKind.SEGMENT,
    "hls/talk_00001.ts": ObjectKind.SEGMENT,
    "hls/talk.m3u8": ObjectKind.PLAYLIST,
    "images/shot_00000.jpeg": ObjectKind.IMAGE,
    "EG_1.json": ObjectKind.MANIFEST,
}


@pytest.fixture
def own_s3(tmp_path: Path) -> Iterator[S3Server]:
    """One that a test may kill."""
    if reason := why_unavailable():
        pytest.skip(reason)
    with S3Server(tmp_path / "own-s3") as server:
        yield server


def _storage(server: ObjectServer) -> S3Storage:
    storage = server.storage
    assert isinstance(storage, S3Storage)
    return storage


def _write(path: Path, size: int) -> bytes:
    path.parent.mkdir(parents=True, exist_ok=True)
    content = os.urandom(size)
    path.write_bytes(content)
    return content


async def test_every_kind_arrives_as_it_would_be_on_the_local_disk(object_server: ObjectServer, tmp_path: Path) -> None:
    tried: list[UploadTried] = []
    uploads = Uploads(tmp_path / "scratch", on_tried=tried.append)
    local = InPlace(str(tmp_path / "local"))
    storage = replace(object_server.storage, prefix="kinds")
    expected = {}
    futures: dict[str, asyncio.Future[Delivered]] = {}
    for number, (name, kind) in enumerate(KINDS.items()):
        path = uploads.place(name, storage)
        assert path.is_relative_to(tmp_path / "scratch")
        expected[name] = _write(path, 100_000 * number + 1)
        local.place(name, LocalStorage())
        futures[name] = uploads.deliver(path, kind)
    assert uploads.progress.waiting == len(KINDS)
    assert uploads.progress.bytes_waiting == sum(map(len, expected.values()))
    done = {name: await future for name, future in futures.items()}
    await uploads.aclose()
    for name, content in expected.items():
        assert object_server.stored(f"kinds/{name}") == content
        delivered = done[name]
        assert (delivered.name, delivered.size, delivered.backup) == (name, len(content), False)
        assert delivered.location.startswith("https://")
        assert delivered.location.endswith(f"/kinds/{name}")
    assert uploads.progress.delivered == len(KINDS)
    assert uploads.progress.bytes_delivered == sum(map(len, expected.values()))
    assert not (tmp_path / "scratch").exists(), "what is confirmed is kept nowhere else"
    assert {(one.status, one.output_type, one.content_type) for one in tried} == {
        ("success", "file", "video/mp4"),
        ("success", "segment", "video/mp2t"),
        ("success", "playlist", "application/x-mpegurl"),
        ("success", "image", "image/jpeg"),
        ("success", "manifest", "application/json"),
    }


async def test_the_local_disk_is_written_in_its_place(tmp_path: Path) -> None:
    uploads = Uploads(tmp_path / "scratch", directory=str(tmp_path))
    path = uploads.place("a.mp4", LocalStorage(prefix="videos"))
    assert path == tmp_path / "videos" / "a.mp4"
    content = _write(path, 10)
    assert (await uploads.deliver(path, ObjectKind.FILE)).location == str(path)
    uploads.release(path)
    await uploads.aclose()
    assert path.read_bytes() == content


async def test_the_newest_playlist_wins(s3_server: S3Server, tmp_path: Path) -> None:
    """Of thirty versions in a row those that are outrun are left out; the last one is there, nobody waits for ever."""
    tried: list[UploadTried] = []
    uploads = Uploads(tmp_path, on_tried=tried.append)
    path = uploads.place("live/newest.m3u8", s3_server.storage)
    futures = []
    for version in range(30):
        path.write_text(f"version {version}")
        futures.append(uploads.deliver(path, ObjectKind.PLAYLIST))
        await asyncio.sleep(0)
    await asyncio.gather(*futures)
    assert s3_server.stored("live/newest.m3u8") == b"version 29"
    assert len(tried) <= 10
    path.write_text("ended")
    await uploads.deliver(path, ObjectKind.PLAYLIST)
    await uploads.aclose()
    assert s3_server.stored("live/newest.m3u8") == b"ended"


async def test_an_image_that_is_replaced_while_the_last_one_is_sent(s3_server: S3Server, tmp_path: Path) -> None:
    uploads = Uploads(tmp_path)
    for version in range(20):
        path = uploads.place("poster.jpeg", s3_server.storage)
        new = path.with_name("new")
        new.write_bytes(b"%d" % version)
        new.replace(path)
        future = uploads.deliver(path, ObjectKind.IMAGE)
        if version % 3 == 0:
            await future
    await future
    await uploads.aclose()
    assert s3_server.stored("poster.jpeg") == b"19"
    assert not path.exists()


async def test_with_a_journal_the_copy_stays_until_it_is_released(s3_server: S3Server, tmp_path: Path) -> None:
    uploads = Uploads(tmp_path, keep=True)
    path = uploads.place("kept.mp4", s3_server.storage)
    _write(path, 10)
    await uploads.deliver(path, ObjectKind.FILE)
    await uploads.aclose()
    assert path.exists()
    uploads.release(path)
    assert not path.exists()


async def test_an_endpoint_that_is_down_and_comes_back(own_s3: S3Server, tmp_path: Path) -> None:
    storage = own_s3.storage
    own_s3.kill()
    tried: list[UploadTried] = []
    uploads = Uploads(tmp_path / "scratch", on_tried=tried.append)
    expected = {}
    futures = []
    for number in range(12):
        path = uploads.place(f"s_{number:05}.ts", storage)
        expected[path.name] = _write(path, 50_000)
        futures.append(uploads.deliver(path, ObjectKind.SEGMENT))
    await eventually(lambda: uploads.progress.failing, "word of what fails")
    assert uploads.progress.failing == f"S3 upload failed: 127.0.0.1:{own_s3.port} takes no connections"
    assert uploads.progress.waiting == 12
    # Pieces that were handed to connections which break do not wait just then.
    assert 300_000 <= uploads.progress.bytes_waiting <= 600_000
    await eventually(lambda: len(tried) >= 8, "a second attempt of each that is on its way")
    await asyncio.to_thread(own_s3.start)
    await asyncio.gather(*futures)
    await uploads.aclose()
    assert {key: own_s3.stored(key) for key in own_s3.names()} == expected
    assert uploads.progress.failing == ""


async def test_a_storage_that_does_not_come_back_is_waited_for_as_long_as_is_said(
    own_s3: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LAST_PATIENCE", 1.0)
    own_s3.kill()
    uploads = Uploads(tmp_path / "scratch")
    path = uploads.place("late.mp4", own_s3.storage)
    content = _write(path, 1000)
    future = uploads.deliver(path, ObjectKind.FILE)
    uploads.finishing()
    with pytest.raises(OutputFailed, match="takes no connections") as caught:
        await future
    await uploads.aclose()
    assert caught.value.retryable
    assert f"kept in {path}" in caught.value.remedy
    assert path.read_bytes() == content


async def test_the_backup_is_used_when_the_first_choice_refuses(
    s3_server: S3Server, gcs_server: GcsServer, tmp_path: Path
) -> None:
    wrong = replace(_storage(s3_server), secret="wrong", prefix="backup-used")
    backup = replace(gcs_server.storage, prefix="backup-used")
    tried: list[UploadTried] = []
    uploads = Uploads(tmp_path / "scratch", backup=backup, on_tried=tried.append)
    expected = {}
    results = []
    for number in range(3):
        path = uploads.place(f"b_{number}.ts", wrong)
        expected[f"backup-used/{path.name}"] = _write(path, 1000)
        results.append(await uploads.deliver(path, ObjectKind.SEGMENT))
    await uploads.aclose()
    assert all(result.backup and "storage.googleapis.com" in result.location for result in results)
    assert {key: gcs_server.stored(key) for key in expected} == expected
    assert [(one.status, one.backup) for one in tried] == [("4xx", False), *[("success", True)] * 3]
    assert not [key for key in s3_server.names() if key.startswith("backup-used")]


async def test_the_backup_is_used_when_the_first_choice_is_away(
    own_s3: S3Server, s3_server: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lane, "BACKUP_PATIENCE", 0.5)
    own_s3.kill()
    uploads = Uploads(tmp_path / "scratch", backup=LocalStorage(prefix=str(tmp_path / "backup")))
    path = uploads.place("a/b.mp4", own_s3.storage)
    content = _write(path, 1000)
    delivered = await uploads.deliver(path, ObjectKind.FILE)
    await uploads.aclose()
    stored = tmp_path / "backup" / "a" / "b.mp4"
    assert delivered.location == str(stored)
    assert stored.read_bytes() == content


async def test_a_file_that_is_gone_is_no_reason_for_the_backup(
    s3_server: S3Server, gcs_server: GcsServer, tmp_path: Path
) -> None:
    uploads = Uploads(tmp_path / "scratch", backup=gcs_server.storage)
    gone = uploads.place("gone.ts", s3_server.storage)
    there = uploads.place("there.ts", s3_server.storage)
    _write(there, 10)
    with pytest.raises(OutputFailed, match="Cannot read"):
        await uploads.deliver(gone, ObjectKind.SEGMENT)
    delivered = await uploads.deliver(there, ObjectKind.SEGMENT)
    await uploads.aclose()
    assert not delivered.backup


async def test_both_refuse(s3_server: S3Server, gcs_server: GcsServer, tmp_path: Path) -> None:
    backup = replace(_storage(s3_server), bucket="nowhere")
    uploads = Uploads(tmp_path / "scratch", backup=backup)
    path = uploads.place("a.mp4", replace(_storage(s3_server), secret="wrong"))
    content = _write(path, 1000)
    with pytest.raises(OutputFailed) as caught:
        await uploads.deliver(path, ObjectKind.FILE)
    await uploads.aclose()
    assert [line.split(" (")[0] for line in caught.value.message.splitlines()] == [
        "primary: S3 upload failed: the secret is wrong",
        "backup: S3 upload failed: bucket nowhere does not exist",
    ]
    assert path.read_bytes() == content


async def test_giving_up(own_s3: S3Server, tmp_path: Path) -> None:
    """Nobody waits any more; everything is kept, and told as what may be tried again."""
    async with TcpProxy("127.0.0.1", own_s3.port) as proxy:
        proxy.stall()
        storage = own_s3.storage_at(f"http://127.0.0.1:{proxy.port}")
        uploads = Uploads(tmp_path / "scratch")
        paths = [uploads.place(f"{number}.ts", storage) for number in range(module.AT_ONCE + 2)]
        for path in paths:
            _write(path, 100_000)
        futures = [uploads.deliver(path, ObjectKind.SEGMENT) for path in paths]
        await eventually(lambda: proxy.connections, "a connection")
        uploads.give_up()
        await uploads.aclose()
        errors = [future.exception() for future in futures]
    assert all(isinstance(error, OutputFailed) and error.retryable for error in errors)
    assert all("it was broken off" in str(error) for error in errors)
    assert all(path.exists() for path in paths)
    assert own_s3.names() == []


async def test_a_line_of_one_megabyte_a_second(s3_server: S3Server, tmp_path: Path) -> None:
    async with TcpProxy("127.0.0.1", s3_server.port) as proxy:
        proxy.rate = MIB
        storage = s3_server.storage_at(f"http://127.0.0.1:{proxy.port}")
        uploads = Uploads(tmp_path / "scratch")
        path = uploads.place("slow.mp4", storage)
        content = _write(path, 3 * MIB)
        began = asyncio.get_running_loop().time()
        delivered = await uploads.deliver(path, ObjectKind.FILE)
        took = asyncio.get_running_loop().time() - began
        await uploads.aclose()
    assert took > 2
    assert delivered.size == 3 * MIB
    assert s3_server.stored("slow.mp4") == content


async def test_a_queue_that_is_full(own_s3: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_WAITING", 3)
    monkeypatch.setattr(module, "LAST_PATIENCE", 0.0)
    own_s3.kill()
    uploads = Uploads(tmp_path / "scratch")
    futures = []
    for number in range(module.AT_ONCE + 4):
        path = uploads.place(f"{number}.ts", own_s3.storage)
        _write(path, 10)
        futures.append(uploads.deliver(path, ObjectKind.SEGMENT))
    with pytest.raises(OutputFailed, match="upload queue full, 3 objects wait") as caught:
        await futures[-1]
    assert caught.value.retryable
    assert path.exists()
    await uploads.aclose()
    assert all(isinstance(future.exception(), OutputFailed) for future in futures)
