"""Real object storages of one's own, each over a folder: S3 and Google Cloud Storage (versitygw), Azure Blob Storage
(azurite). A free port that survives `start` after `kill`, and one bucket.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.client
import http.server
import json
import os
import secrets
import socket
import threading
import urllib.error
import urllib.parse
import urllib.request
from email.utils import formatdate
from pathlib import Path

from pyegress.clock import wall
from pyegress.demo.server import free_port, tools_directory
from pyegress.plan.storage import AliOssStorage, AzureStorage, GcsStorage, Retries, S3Storage, Storage
from pyegress.storage.sigv4 import Keys, signed_headers
from tests.support.files import files_below
from tests.support.secrecy import SECRECY
from tests.support.server_process import ServerProcess

READY_TIMEOUT = 30.0
STOP_TIMEOUT = 5.0
BUCKET = "recordings"
#: What tests wait for is the delivery, not the client inside it.
QUICK = Retries(attempts=2, min_delay=0.02, max_delay=0.1)


def why_unavailable() -> str:
    """Why there are no storages here; empty when there are."""
    names = ("versitygw", "azurite-blob")
    missing = [name for name in names if not os.access(tools_directory() / name, os.X_OK)]
    return f"no {', '.join(missing)}: run scripts/setup" if missing else ""


class ObjectServer(ServerProcess):
    """One process. `command` and `stored` differ by kind."""

    kind = ""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.root = directory / "root"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def storage(self) -> Storage:
        """The bucket, with everything that is needed to write into it."""
        return self.storage_at(self.url)

    def storage_at(self, url: str) -> Storage:
        """The same bucket by another address, for instance that of a proxy."""
        raise NotImplementedError

    def stored(self, key: str) -> bytes:
        """The bytes of an object, read past the code under test. Raises FileNotFoundError."""
        raise NotImplementedError

    def names(self) -> list[str]:
        """Every object that can be seen, sorted."""
        raise NotImplementedError

    def start(self) -> None:
        """Blocks until it answers, and has its bucket."""
        self.root.mkdir(parents=True, exist_ok=True)
        super().start()
        self.make_bucket()

    def listening(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=2)
        try:
            connection.request("GET", "/")
            connection.getresponse().read()
        except OSError:
            return False
        finally:
            connection.close()
        return True

    def make_bucket(self) -> None:
        """Idempotent."""


class S3Server(ObjectServer):
    """versitygw."""

    kind = "s3"
    region = "eu-test-1"

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.access_key = f"AKIA{secrets.token_hex(8).upper()}"
        self.secret = SECRECY.keep(secrets.token_urlsafe(30), "the secret of S3")
        self.iam = directory / "iam"

    def storage_at(self, url: str) -> S3Storage:
        return S3Storage(
            bucket=BUCKET,
            region=self.region,
            endpoint=url,
            access_key=self.access_key,
            secret=self.secret,
            retries=QUICK,
        )

    @property
    def as_oss(self) -> AliOssStorage:
        """The same bucket by the storage of Alibaba Cloud, whose protocol it speaks."""
        return AliOssStorage(
            bucket=BUCKET, endpoint=self.url, region=self.region, access_key=self.access_key, secret=self.secret
        )

    def command(self) -> list[str]:
        (self.root / BUCKET).mkdir(exist_ok=True)
        self.iam.mkdir(exist_ok=True)
        return [
            *(str(tools_directory() / "versitygw"), "--quiet", "--region", self.region),
            *("--port", f"127.0.0.1:{self.port}", "--access", self.access_key, "--secret", self.secret),
            *("--iam-dir", str(self.iam), "posix", str(self.root)),
        ]

    def stored(self, key: str) -> bytes:
        return (self.root / BUCKET / key).read_bytes()

    def names(self) -> list[str]:
        bucket = self.root / BUCKET
        found = (path.relative_to(bucket) for path in files_below(bucket))
        return sorted(str(path) for path in found if not path.parts[0].startswith(".sgwtmp"))

    def pending(self) -> list[str]:
        """Ids of uploads in parts that were begun and not ended, read past the code under test."""
        multipart = self.root / BUCKET / ".sgwtmp" / "multipart"
        below = (folders for place, folders, _ in os.walk(multipart) if Path(place).parent == multipart)
        return sorted(name for folders in below for name in folders)


class GcsServer(S3Server):
    """Google Cloud Storage's XML interface: S3's with another authorization. So versitygw behind a door that signs what
    comes without a token (tests have no OAuth).

    fake-gcs-server knows only the JSON interface, which is not the one that clients of large objects use.
    """

    kind = "gcs"

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.inner, self.port = self.port, free_port(socket.SOCK_STREAM)
        self._door: _Door | None = None

    def storage_at(self, url: str) -> GcsStorage:  # type: ignore[override]
        credentials = {"gcs_base_url": url, "disable_oauth": True, "client_email": "", "private_key": ""}
        return GcsStorage(bucket=BUCKET, credentials=json.dumps(credentials | {"private_key_id": ""}))

    def start(self) -> None:
        outside, self.port = self.port, self.inner
        try:
            super().start()
        finally:
            self.port = outside
        self._door = _Door(self)
        self._door.start()

    def kill(self) -> None:
        door, self._door = self._door, None
        if door is not None:
            door.close()
        super().kill()


class _Door(http.server.ThreadingHTTPServer):
    """Forwards requests, signed."""

    daemon_threads = True

    def __init__(self, gcs: GcsServer) -> None:
        super().__init__(("127.0.0.1", gcs.port), _DoorHandler)
        self.gcs = gcs
        self._thread = threading.Thread(target=self.serve_forever, args=(0.05,), name="door of GCS", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        self.shutdown()
        self.server_close()
        self._thread.join(STOP_TIMEOUT)

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that go away are what tests want."""


class _DoorHandler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def _forward(self) -> None:
        assert isinstance(self.server, _Door)
        gcs = self.server.gcs
        self.close_connection = True
        length = int(self.headers.get("content-length", "0"))
        body = self.rfile.read(length)
        if len(body) != length:
            return
        path, _, query = self.path.partition("?")
        payload = hashlib.sha256(body).hexdigest()
        headers = signed_headers(
            self.command,
            f"http://127.0.0.1:{gcs.inner}{urllib.parse.quote(urllib.parse.unquote(path), safe='/-_.~')}?{query}",
            payload,
            Keys(gcs.access_key, gcs.secret),
            region=gcs.region,
            service="s3",
            at=wall(),
            headers={
                "X-Amz-Content-Sha256": payload,
                "Content-Type": self.headers.get("content-type", ""),
            },
        )
        connection = http.client.HTTPConnection("127.0.0.1", gcs.inner, timeout=30)
        try:
            connection.request(self.command, self.path, body, headers | {"Range": self.headers.get("range", "")})
            answer = connection.getresponse()
            content = answer.read()
        finally:
            connection.close()
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in ("connection", "transfer-encoding", "content-length", "date", "server"):
                self.send_header(name, value)
        told = answer.getheader("content-length") if self.command == "HEAD" else str(len(content))
        self.send_header("Content-Length", told or "0")
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _forward

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""


class AzureServer(ObjectServer):
    """azurite, with its well-known account."""

    kind = "azure"
    account = "devstoreaccount1"
    key = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="

    def storage_at(self, url: str) -> AzureStorage:
        SECRECY.keep(self.key, "the key of Azure")
        return AzureStorage(
            container_name=BUCKET,
            account_name=self.account,
            account_key=self.key,
            endpoint=f"{url}/{self.account}",
        )

    def command(self) -> list[str]:
        return [
            *(str(tools_directory() / "azurite-blob"), "--silent", "--disableTelemetry", "--skipApiVersionCheck"),
            *("--blobPort", str(self.port), "--location", str(self.root)),
            *("--blobKeepAliveTimeout", "1"),
        ]

    def make_bucket(self) -> None:
        with urllib.request.urlopen(self._signed("PUT", "", "restype=container")) as answer:
            answer.read()

    def _signed(self, method: str, key: str, query: str = "") -> urllib.request.Request:
        return signed_azure_request(method, self.url, self.account, self.key, f"{BUCKET}/{key}".rstrip("/"), query)

    def stored(self, key: str) -> bytes:
        try:
            with urllib.request.urlopen(self._signed("GET", key)) as answer:
                content: bytes = answer.read()
                return content
        except urllib.error.HTTPError as error:
            with error:
                raise FileNotFoundError(key) from error

    def names(self) -> list[str]:
        with urllib.request.urlopen(self._signed("GET", "", "comp=list&restype=container")) as answer:
            text = answer.read().decode()
        return sorted(part.partition("</Name>")[0] for part in text.split("<Name>")[1:])


def signed_azure_request(
    method: str, url: str, account: str, key: str, path: str, query: str = ""
) -> urllib.request.Request:
    """A request with Azure's shared key.

    Source: https://learn.microsoft.com/en-us/rest/api/storageservices/authorize-with-shared-key
    """
    date = formatdate(usegmt=True)
    version = "2021-08-06"
    resource = f"/{account}/{account}/{urllib.parse.quote(path)}"
    resource += "".join(f"\n{name}:{value}" for name, value in sorted(urllib.parse.parse_qsl(query)))
    text = "\n".join([method, *[""] * 11, f"x-ms-date:{date}", f"x-ms-version:{version}", resource])
    signature = base64.b64encode(hmac.digest(base64.b64decode(key), text.encode(), "sha256")).decode()
    return urllib.request.Request(
        f"{url}/{account}/{urllib.parse.quote(path)}" + (f"?{query}" if query else ""),
        method=method,
        headers={
            "x-ms-date": date,
            "x-ms-version": version,
            "Authorization": f"SharedKey {account}:{signature}",
        },
    )
