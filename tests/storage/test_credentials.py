"""Who we are at S3."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from aiohttp import web

from pyegress.errors import OutputFailed
from pyegress.plan.storage import S3Storage
from pyegress.storage.bucket import Bucket
from pyegress.storage.credentials import machine_keys, s3_provider, sts_url
from tests.support.object_servers import S3Server

pytestmark = pytest.mark.system

ROLE = "arn:aws:iam::123456789012:role/recorder"


def test_keys_of_the_machine(tmp_path: Path) -> None:
    file = tmp_path / ".aws" / "credentials"
    home = {"HOME": str(tmp_path)}
    assert machine_keys(home) is None
    file.parent.mkdir()
    file.write_text(
        "[default]\naws_access_key_id = AKIA1\naws_secret_access_key = one%two\n"
        "[work]\naws_access_key_id = AKIA2\naws_secret_access_key = two\naws_session_token = t\n"
    )
    found = [machine_keys(home | extra) for extra in ({}, {"AWS_PROFILE": "work"}, {"AWS_PROFILE": "none"})]
    assert [keys and (keys.access_key, keys.secret, keys.token) for keys in found] == [
        ("AKIA1", "one%two", ""),
        ("AKIA2", "two", "t"),
        None,
    ]
    environment = home | {"AWS_ACCESS_KEY_ID": "AKIA3", "AWS_SECRET_ACCESS_KEY": "three"}
    keys = machine_keys(environment)
    assert keys is not None
    assert keys.access_key == "AKIA3"
    other = tmp_path / "elsewhere"
    other.write_bytes(b"\xff\xfe not ini")
    assert machine_keys({"AWS_SHARED_CREDENTIALS_FILE": str(other)}) is None


def test_where_roles_are_assumed() -> None:
    storage = S3Storage(bucket="b")
    assert sts_url(storage, "eu-west-1", {}) == "https://sts.eu-west-1.amazonaws.com/"
    amazon = replace(storage, endpoint="https://s3.eu-west-1.amazonaws.com")
    assert sts_url(amazon, "eu-west-1", {}) == "https://sts.eu-west-1.amazonaws.com/"
    assert sts_url(replace(storage, endpoint="http://minio:9000"), "x", {}) == "http://minio:9000/"
    assert sts_url(storage, "x", {"AWS_ENDPOINT_URL_STS": "http://sts:1"}) == "http://sts:1/"


def test_a_role_needs_keys_to_assume_it_with(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("AWS_ACCESS_KEY_ID", raising=False)
    with pytest.raises(OutputFailed, match="no keys to assume the role"):
        s3_provider(S3Storage(bucket="b", assume_role_arn=ROLE), "")


async def test_keys_of_a_request_are_not_mixed_with_the_environment(
    monkeypatch: pytest.MonkeyPatch, s3_server: S3Server, tmp_path: Path
) -> None:
    """A session token or an endpoint of the service would break, or leak, the uploads of its callers."""
    for name, value in {
        "AWS_SESSION_TOKEN": "other",
        "AWS_ACCESS_KEY_ID": "AKIAOTHER",
        "AWS_SECRET_ACCESS_KEY": "other",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:1",
        "AWS_ENDPOINT_URL_S3": "http://127.0.0.1:1",
        "AWS_SKIP_SIGNATURE": "true",
    }.items():
        monkeypatch.setenv(name, value)
    path = tmp_path / "x"
    path.write_bytes(b"content")
    await Bucket(s3_server.storage).put(path, "own-keys.txt", "text/plain", sent=lambda count: None)
    assert s3_server.stored("own-keys.txt") == b"content"


async def test_the_default_chain(monkeypatch: pytest.MonkeyPatch, s3_server: S3Server, tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"content")
    storage = replace(s3_server.storage_at(s3_server.url), access_key="", secret="")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", s3_server.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", s3_server.secret)
    await Bucket(storage).put(path, "chain/environment.txt", "text/plain", sent=lambda count: None)
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".aws").mkdir()
    lines = ["[default]", f"aws_access_key_id={s3_server.access_key}", f"aws_secret_access_key={s3_server.secret}"]
    (tmp_path / ".aws" / "credentials").write_text("\n".join(lines))
    await Bucket(storage).put(path, "chain/file.txt", "text/plain", sent=lambda count: None)
    assert {"chain/environment.txt", "chain/file.txt"} <= set(s3_server.names())


async def test_a_role_is_assumed(monkeypatch: pytest.MonkeyPatch, s3_server: S3Server, tmp_path: Path) -> None:
    """STS of ours, which hands out the keys of a real S3 (that knows no session tokens)."""
    asked: list[dict[str, str]] = []
    refusing = False

    async def sts(request: web.Request) -> web.Response:
        form = await request.post()
        asked.append({name: str(value) for name, value in form.items()} | dict(request.headers))
        if refusing:
            return web.Response(status=403, text="<Error><Code>AccessDenied</Code><Message>hush</Message></Error>")
        expires = datetime.fromtimestamp(datetime.now(UTC).timestamp() + 3600, UTC)
        return web.Response(
            text=f"""<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult>
            <Credentials><AccessKeyId>{s3_server.access_key}</AccessKeyId>
            <SecretAccessKey>{s3_server.secret}</SecretAccessKey><SessionToken/>
            <Expiration>{expires:%Y-%m-%dT%H:%M:%SZ}</Expiration></Credentials>
            </AssumeRoleResult></AssumeRoleResponse>"""
        )

    application = web.Application()
    application.router.add_post("/", sts)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", f"http://127.0.0.1:{runner.addresses[0][1]}")
        storage = replace(
            s3_server.storage_at(s3_server.url),
            access_key="AKIABASE",
            secret="base",
            assume_role_arn=ROLE,
            assume_role_external_id="outside",
        )
        path = tmp_path / "x"
        path.write_bytes(b"content")
        bucket = Bucket(storage)
        await asyncio.gather(
            *(bucket.put(path, f"role-{n}.txt", "text/plain", sent=lambda count: None) for n in range(3))
        )
        assert s3_server.stored("role-2.txt") == b"content"
        assert asked[0]["RoleArn"] == ROLE
        assert asked[0]["ExternalId"] == "outside"
        assert asked[0]["Authorization"].startswith("AWS4-HMAC-SHA256 Credential=AKIABASE/")
        assert "/sts/aws4_request" in asked[0]["Authorization"]
        assert len(asked) == 1, "the session is used until it ends"
        refusing = True
        with pytest.raises(OutputFailed) as caught:
            await Bucket(storage).put(path, "role-no.txt", "text/plain", sent=lambda count: None)
        assert "hush" not in str(caught.value)
        assert "AKIABASE" not in str(caught.value)
        assert "may not" in str(caught.value)
    finally:
        await runner.cleanup()
