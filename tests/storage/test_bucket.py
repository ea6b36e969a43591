"""Objects on real storages: byte-identical, confirmed, described; and what is said when one refuses."""

from __future__ import annotations

import asyncio
import os
import urllib.request
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from aiohttp import web

from pyegress.errors import OutputFailed
from pyegress.plan.storage import AzureStorage, GcsStorage, Proxy, Retries, S3Storage
from pyegress.storage.bucket import Bucket
from pyegress.storage.digests import PART
from pyegress.storage.s3_address import region_of
from tests.support.object_servers import BUCKET, AzureServer, ObjectServer, S3Server
from tests.support.tcp_proxy import TcpProxy

pytestmark = pytest.mark.system


def _file(folder: Path, size: int, name: str = "file") -> Path:
    path = folder / name
    path.write_bytes(os.urandom(size))
    return path


def _ignore(sent: int) -> None:
    """Progress that nobody looks at."""


@pytest.mark.parametrize("size", [0, 10_000, PART, 2 * PART + 12_345])
async def test_objects_arrive_unchanged(object_server: ObjectServer, tmp_path: Path, size: int) -> None:
    path = _file(tmp_path, size)
    sent: list[int] = []
    name = f"folder/ünïcode {size}.mp4"
    stored = await Bucket(object_server.storage).put(path, name, "video/mp4", sent=sent.append)
    assert stored.size == size == sum(sent)
    assert object_server.stored(name) == path.read_bytes()


async def test_it_is_told_when_another_object_had_the_name(object_server: ObjectServer, tmp_path: Path) -> None:
    path = _file(tmp_path, 1000)

    async def put(bucket: Bucket) -> bool:
        return (await bucket.put(path, "taken.mp4", "video/mp4", sent=_ignore, look=True)).replaced

    first = Bucket(object_server.storage)
    assert not await put(first)
    assert not await put(first), "it is our own"
    assert not await put(Bucket(object_server.storage)), "the same bytes: an attempt whose process was killed"
    _file(tmp_path, 1001)
    assert not await put(first)
    _file(tmp_path, 1002)
    assert await put(Bucket(object_server.storage))
    assert object_server.stored("taken.mp4") == path.read_bytes()


async def test_a_prefix_goes_before_every_name(object_server: ObjectServer, tmp_path: Path) -> None:
    path = _file(tmp_path, 100)
    storage = replace(object_server.storage, prefix="/archive/2026/")
    stored = await Bucket(storage).put(path, "/a/b.mp4", "video/mp4", sent=_ignore)
    assert object_server.stored("archive/2026/a/b.mp4") == path.read_bytes()
    assert stored.location.startswith("https://")
    assert stored.location.endswith("/archive/2026/a/b.mp4")


async def test_what_s3_is_told_of_an_object(s3_server: S3Server, tmp_path: Path) -> None:
    storage = replace(
        s3_server.storage_at(s3_server.url),
        metadata=(("meeting", "standup"),),
        tagging="team=core&kind=a%20b",
        content_disposition="attachment",
        presigned=True,
    )
    for size in (10, PART + 1):
        path = _file(tmp_path, size)
        stored = await Bucket(storage).put(path, f"told-{size}.webm", "video/webm", sent=_ignore)

        def fetch(url: str = stored.location) -> tuple[bytes, dict[str, str]]:
            with urllib.request.urlopen(url) as answer:
                return answer.read(), {name.lower(): value for name, value in answer.headers.items()}

        content, headers = await asyncio.to_thread(fetch)
        assert content == path.read_bytes()
        assert headers["content-type"] == "video/webm"
        assert headers["content-disposition"] == "attachment"
        assert headers["x-amz-meta-meeting"] == "standup"
        assert headers["x-amz-tagging-count"] == "2"


async def test_a_presigned_azure_url_works_without_a_key(azure_server: AzureServer, tmp_path: Path) -> None:
    path = _file(tmp_path, 1000)
    storage = replace(azure_server.storage, presigned=True)
    stored = await Bucket(storage).put(path, "signed.jpeg", "image/jpeg", sent=_ignore)

    def fetch() -> bytes:
        with urllib.request.urlopen(stored.location) as answer:
            content: bytes = answer.read()
            return content

    assert await asyncio.to_thread(fetch) == path.read_bytes()


async def test_oss_by_its_s3_interface(s3_server: S3Server, tmp_path: Path) -> None:
    path = _file(tmp_path, PART + 5)
    await Bucket(s3_server.as_oss).put(path, "oss.ogg", "audio/ogg", sent=_ignore)
    assert s3_server.stored("oss.ogg") == path.read_bytes()


async def test_where_a_bucket_is() -> None:
    """Amazon says it in a header, whatever else it answers."""

    async def head(request: web.Request) -> web.Response:
        there = {"x-amz-bucket-region": "eu-west-1"} if request.path == "/meetings" else {}
        return web.Response(status=403 if there else 404, headers=there)

    application = web.Application()
    application.router.add_route("HEAD", "/{bucket}", head)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        amazon = f"http://127.0.0.1:{runner.addresses[0][1]}"
        assert await region_of(S3Storage(bucket="meetings"), amazon) == "eu-west-1"
        assert await region_of(S3Storage(bucket="unknown"), amazon) == "us-east-1"
    finally:
        await runner.cleanup()
    with pytest.raises(OutputFailed) as caught:
        await region_of(S3Storage(bucket="meetings"), amazon)
    assert caught.value.retryable


async def test_through_a_proxy(s3_server: S3Server, tmp_path: Path) -> None:
    """A proxy that asks for a password and forwards: the object arrives, and nothing went past it."""
    asked: list[str] = []
    over = asyncio.Event()

    async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        method, _, rest = head.partition(" ")
        asked.append(head)
        over.clear()
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", s3_server.port)
        # The request of a proxy names the whole URL; the server wants the path.
        path = rest.partition(f":{s3_server.port}")[2]
        far_writer.write(f"{method} {path}".replace("\r\n\r\n", "\r\nconnection: close\r\n\r\n").encode())

        async def back() -> None:
            while data := await far_reader.read(65536):
                writer.write(data)
            writer.close()

        answering = asyncio.create_task(back())
        try:
            while not answering.done() and (data := await reader.read(65536)):
                far_writer.write(data)
            await answering
        finally:
            far_writer.close()
            with suppress(OSError):
                await far_writer.wait_closed()
            over.set()

    server = await asyncio.start_server(forward, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        proxy = Proxy(f"http://127.0.0.1:{port}", "user", "pass word")
        path = _file(tmp_path, 100_000)
        bucket = Bucket(replace(s3_server.storage_at(s3_server.url), proxy=proxy))
        await bucket.put(path, "proxied.mp4", "video/mp4", sent=_ignore)
        async with asyncio.timeout(10):
            await over.wait()
    assert s3_server.stored("proxied.mp4") == path.read_bytes()
    assert [head.split(" ")[0] for head in asked] == ["PUT", "HEAD"]
    assert all("proxy-authorization: Basic dXNlcjpwYXNzIHdvcmQ=" in head for head in asked)


async def test_a_proxy_that_wants_another_password(s3_server: S3Server, tmp_path: Path) -> None:
    """Not a proxy that forwards: the way to it is what is ours."""
    seen: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        proxy = Proxy(f"http://127.0.0.1:{port}", "user", "pass word")
        storage = replace(s3_server.storage_at(s3_server.url), proxy=proxy)
        with pytest.raises(OutputFailed, match="the proxy asks for a user and password") as caught:
            await Bucket(storage).put(_file(tmp_path, 10), "x.mp4", "video/mp4", sent=_ignore)
    assert b"proxy-authorization: Basic dXNlcjpwYXNzIHdvcmQ=" in seen[0]
    assert "pass word" not in str(caught.value)


def _broken(server: ObjectServer) -> dict[str, tuple[object, str, bool]]:
    storage = server.storage
    if isinstance(storage, S3Storage):
        return {
            "wrong secret": (replace(storage, secret="wrong-secret"), "the secret is wrong", False),
            "wrong key": (replace(storage, access_key="AKIANOBODY"), "the access key is not known", False),
            "missing bucket": (replace(storage, bucket="nowhere"), "bucket nowhere does not exist", False),
            "wrong region": (replace(storage, region="us-east-1"), f"the region is wrong, {S3Server.region} is", False),
            "down": (replace(storage, endpoint="http://127.0.0.1:1"), "127.0.0.1:1 takes no connections", True),
            "DNS": (replace(storage, endpoint="http://no.invalid", force_path_style=True), "no.invalid is not", True),
            "TLS": (replace(storage, endpoint=f"https://127.0.0.1:{server.port}"), "does not speak TLS", False),
        }
    if isinstance(storage, GcsStorage):
        return {
            "missing bucket": (replace(storage, bucket="nowhere"), "bucket nowhere does not exist", False),
            "bad credentials": (
                replace(storage, credentials='{"secret": "hush"}'),
                "credentials cannot be read",
                False,
            ),
        }
    assert isinstance(storage, AzureStorage)
    return {
        "wrong key": (replace(storage, account_key="d3Jvbmc="), "", False),
        "no base64": (replace(storage, account_key="wrong-secret!"), "account_key is not base64", False),
        "missing container": (replace(storage, container_name="nowhere"), "container nowhere does not exist", False),
        "down": (replace(storage, endpoint="http://127.0.0.1:1/x"), "127.0.0.1:1 takes no connections", True),
    }


async def test_every_refusal_has_its_cause_and_no_secret(object_server: ObjectServer, tmp_path: Path) -> None:
    small, large = _file(tmp_path, 100, "small"), _file(tmp_path, PART + 1, "large")
    for case, (storage, words, retryable) in _broken(object_server).items():
        for path in (small, large):
            with pytest.raises(OutputFailed) as caught:
                await Bucket(storage).put(path, f"{case}.mp4", "video/mp4", sent=_ignore)  # type: ignore[arg-type]
            error = caught.value
            text = f"{error} {error!r} {error.field}"
            assert words in text, case
            assert error.message.startswith(f"{object_server.storage.label} upload failed: "), case
            assert error.remedy, case
            assert error.retryable is retryable, case
            for secret in ("wrong-secret", "hush", "X-Amz", "d3Jvbmc", getattr(object_server, "secret", "none")):
                assert secret not in text, case
    names = {f"{case}.mp4" for case in _broken(object_server)}
    assert not names.intersection(object_server.names())


async def test_a_connection_that_is_cut_in_the_middle_of_a_part(object_server: ObjectServer, tmp_path: Path) -> None:
    """The part is sent again; there is one object, and it is whole."""
    path = _file(tmp_path, 3 * PART)
    async with TcpProxy("127.0.0.1", object_server.port) as proxy:
        storage = object_server.storage_at(f"http://127.0.0.1:{proxy.port}")
        if isinstance(storage, S3Storage):
            storage = replace(storage, retries=Retries())
        putting = asyncio.create_task(Bucket(storage).put(path, "cut.mp4", "video/mp4", sent=_ignore))
        for seen in (PART // 2, PART + PART // 2):
            await proxy.passed(seen, within=20)
            proxy.cut()
        stored = await putting
    assert stored.size == 3 * PART
    assert object_server.stored("cut.mp4") == path.read_bytes()
    assert object_server.names().count("cut.mp4") == 1


def test_nothing_is_left_of_uploads_that_failed(s3_server: S3Server) -> None:
    left = list((s3_server.root / BUCKET / ".sgwtmp").rglob("part*")) if (s3_server.root / BUCKET).exists() else []
    assert left == []
