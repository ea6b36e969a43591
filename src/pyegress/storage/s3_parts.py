"""Multipart uploads of S3 one request at a time, so that parts go up in any order and while their file grows.

obstore takes the parts of an object in their order, all of them in one go. Source:
https://docs.aws.amazon.com/AmazonS3/latest/userguide/mpuoverview.html
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping
from datetime import UTC, datetime
from urllib.parse import parse_qsl, quote, urlencode

from pyegress.clock import Wall, wall
from pyegress.plan.storage import AliOssStorage, S3Storage
from pyegress.storage.credentials import Provider, oss_provider, s3_provider
from pyegress.storage.failures import upload_failed
from pyegress.storage.http_call import Answer, call
from pyegress.storage.object_parts import Pending, SentPart
from pyegress.storage.s3_address import S3Address, oss_address, s3_address
from pyegress.storage.sigv4 import Keys, signed_headers

#: For one part, over a line that others use too, and for everything else, seconds.
_PART_TIMEOUT, _TIMEOUT = 300.0, 60.0
#: They take parts of one size only, so none that is made last and as large as it gets.
_OF_ONE_SIZE = (".r2.cloudflarestorage.com",)


class S3Parts:
    """An `ObjectParts`."""

    def __init__(self, storage: S3Storage | AliOssStorage, address: S3Address, provider: Provider) -> None:
        self._storage = storage
        self._address = address
        self._provider = provider
        self._keys: Keys | None = None
        self._expire: datetime | None = None
        self._asking = asyncio.Lock()

    @classmethod
    async def open(cls, storage: S3Storage | AliOssStorage) -> S3Parts | None:
        """None where the credentials are not in our hands, or parts have to be of one size. Raises OutputFailed."""
        match storage:
            case S3Storage():
                address = await s3_address(storage)
                provider = s3_provider(storage, address.region)
            case AliOssStorage():
                address, provider = oss_address(storage), oss_provider(storage)
        if provider is None or address.endpoint.endswith(_OF_ONE_SIZE):
            return None
        return cls(storage, address, provider)

    async def begin(self, key: str, content_type: str) -> str:
        """As `ObjectParts`."""
        headers = {"Content-Type": content_type}
        if isinstance(self._storage, S3Storage):
            headers["Content-Disposition"] = self._storage.content_disposition or "inline"
            headers |= {f"x-amz-meta-{name}": value for name, value in self._storage.metadata}
            if tags := parse_qsl(self._storage.tagging, keep_blank_values=True):
                headers["x-amz-tagging"] = urlencode(tags, quote_via=quote)
        answer = await self._call("POST", key, {"uploads": ""}, headers=headers)
        return self._told(answer, "UploadId")

    async def send(self, key: str, upload: str, number: int, part: bytes) -> SentPart:
        """As `ObjectParts`."""
        md5, sha256 = await asyncio.to_thread(_digests, part)
        answer = await self._call(
            "PUT",
            key,
            {"partNumber": str(number), "uploadId": upload},
            # The storage refuses what is not what was sent.
            headers={"Content-MD5": base64.b64encode(md5).decode()},
            body=part,
            sha256=sha256,
            timeout=_PART_TIMEOUT,
        )
        return SentPart(number, len(part), md5.hex(), answer.headers.get("etag", ""))

    async def sent(self, key: str, upload: str) -> list[SentPart]:
        """As `ObjectParts`."""
        found: list[SentPart] = []
        marker = ""
        while True:
            query = {"uploadId": upload} | ({"part-number-marker": marker} if marker else {})
            tree = self._parsed(await self._call("GET", key, query))
            for part in tree.iterfind("{*}Part"):
                etag = part.findtext("{*}ETag", "")
                number, size = int(part.findtext("{*}PartNumber", "0")), int(part.findtext("{*}Size", "0"))
                found.append(SentPart(number, size, etag.strip('"').lower(), etag))
            following = tree.findtext("{*}NextPartNumberMarker", "")
            if tree.findtext("{*}IsTruncated", "") != "true" or following in ("", marker):
                return found
            marker = following

    async def complete(self, key: str, upload: str, parts: list[SentPart], content_type: str) -> str:
        """As `ObjectParts`."""
        root = ElementTree.Element("CompleteMultipartUpload")
        for part in parts:
            entry = ElementTree.SubElement(root, "Part")
            ElementTree.SubElement(entry, "PartNumber").text = str(part.number)
            ElementTree.SubElement(entry, "ETag").text = part.tag
        body = ElementTree.tostring(root)
        # Large objects take their time.
        answer = await self._call("POST", key, {"uploadId": upload}, body=body, timeout=_PART_TIMEOUT)
        # An error may come behind the status of success.
        return self._told(answer, "ETag").strip('"')

    async def abort(self, key: str, upload: str) -> None:
        """As `ObjectParts`."""
        await self._call("DELETE", key, {"uploadId": upload}, may_be_gone=True)

    async def pending(self, key: str) -> list[Pending]:
        """As `ObjectParts`, at most a thousand."""
        tree = self._parsed(await self._call("GET", "", {"prefix": key, "uploads": ""}))
        found = []
        for entry in tree.iterfind("{*}Upload"):
            if entry.findtext("{*}Key", "") == key:
                begun = datetime.fromisoformat(entry.findtext("{*}Initiated", "").replace("Z", "+00:00"))
                moment = Wall(begun.replace(tzinfo=begun.tzinfo or UTC).timestamp())
                found.append(Pending(key, entry.findtext("{*}UploadId", ""), moment))
        return found

    # -- requests ---------------------------------------------------------------------------------------------------

    async def _call(
        self,
        method: str,
        key: str,
        query: Mapping[str, str],
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        sha256: str = "",
        timeout: float = _TIMEOUT,
        may_be_gone: bool = False,
    ) -> Answer:
        sha256 = sha256 or hashlib.sha256(body).hexdigest()
        url = self._address.url(key, urlencode(sorted(query.items()), quote_via=quote, safe="-_.~"))
        signed = signed_headers(
            method,
            url,
            sha256,
            await self._identity(),
            region=self._address.region,
            service="s3",
            at=wall(),
            headers=dict(headers or {}) | {"X-Amz-Content-Sha256": sha256},
        )
        proxy = self._storage.proxy if isinstance(self._storage, S3Storage) else None
        answer = await call(self._storage, method, url, headers=signed, body=body, proxy=proxy, timeout=timeout)
        if answer.status >= 300 and not (may_be_gone and answer.status == 404):
            raise upload_failed(self._storage, answer.described)
        return answer

    async def _identity(self) -> Keys:
        async with self._asking:
            if self._keys is None or (self._expire is not None and self._expire.timestamp() <= wall()):
                found = await self._provider()
                self._keys = Keys(found["access_key_id"], found["secret_access_key"], found.get("token") or "")
                self._expire = found.get("expires_at")
            return self._keys

    def _parsed(self, answer: Answer) -> ElementTree.Element:
        try:
            return ElementTree.fromstring(answer.text)
        except ElementTree.ParseError:
            raise upload_failed(self._storage, "the answer is no XML") from None

    def _told(self, answer: Answer, name: str) -> str:
        value = self._parsed(answer).findtext(f"{{*}}{name}", "")
        if not value:
            # An error of the storage, whatever the status says.
            raise upload_failed(self._storage, f"status code 500 {answer.text}")
        return value


def _digests(part: bytes) -> tuple[bytes, str]:
    return hashlib.md5(part, usedforsecurity=False).digest(), hashlib.sha256(part).hexdigest()
