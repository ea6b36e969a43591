"""Blocks of Azure's block blobs as parts of an upload. Source:
https://learn.microsoft.com/en-us/rest/api/storageservices/put-block and put-block-list

The name of a block is its number and the MD5 of its bytes, which Azure checks when it takes the block. So the list of
the blocks of a blob tells what is in it, without reading it.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping
from email.utils import formatdate
from urllib.parse import quote, urlencode, urlsplit

from pyegress.clock import wall
from pyegress.plan.storage import AzureStorage
from pyegress.storage.digests import etag_of_parts
from pyegress.storage.failures import upload_failed
from pyegress.storage.http_call import Answer, call
from pyegress.storage.locations import AZURE_HOST, with_scheme
from pyegress.storage.object_parts import Pending, SentPart

_VERSION = "2021-08-06"
#: For one block, and for everything else, seconds.
_BLOCK_TIMEOUT, _TIMEOUT = 300.0, 60.0
#: Blocks belong to their blob, and to no upload.
_BLOCKS = "blocks"
_DIGITS = 5


class AzureBlocks:
    """An `ObjectParts`. What is not made into a blob within a week Azure forgets."""

    def __init__(self, storage: AzureStorage) -> None:
        self._storage = storage
        endpoint = with_scheme(storage.endpoint).rstrip("/") or f"https://{storage.account_name}.{AZURE_HOST}"
        self._container = f"{endpoint}/{storage.container_name}"

    async def begin(self, key: str, content_type: str) -> str:
        """Nothing has to be begun."""
        return _BLOCKS

    async def send(self, key: str, upload: str, number: int, part: bytes) -> SentPart:
        """As `ObjectParts`."""
        digest = await asyncio.to_thread(lambda: hashlib.md5(part, usedforsecurity=False).digest())
        name = _name(number, digest.hex())
        checked = {"Content-MD5": base64.b64encode(digest).decode()}
        await self._call("PUT", key, {"comp": "block", "blockid": name}, checked, part, _BLOCK_TIMEOUT)
        return SentPart(number, len(part), digest.hex(), name)

    async def sent(self, key: str, upload: str) -> list[SentPart]:
        """As `ObjectParts`. Azure keeps blocks that were replaced, too."""
        return await self._blocks(key, "uncommitted")

    async def complete(self, key: str, upload: str, parts: list[SentPart], content_type: str) -> str:
        """As `ObjectParts`."""
        root = ElementTree.Element("BlockList")
        for part in parts:
            ElementTree.SubElement(root, "Uncommitted").text = part.tag
        headers = {"x-ms-blob-content-type": content_type}
        await self._call("PUT", key, {"comp": "blocklist"}, headers, ElementTree.tostring(root))
        made = await self._blocks(key, "committed")
        return etag_of_parts(bytes.fromhex(part.md5) for part in made)

    async def abort(self, key: str, upload: str) -> None:
        """There is no way to; they are forgotten."""

    async def pending(self, key: str) -> list[Pending]:
        """None has to be aborted."""
        return []

    async def _blocks(self, key: str, kind: str) -> list[SentPart]:
        answer = await self._call("GET", key, {"comp": "blocklist", "blocklisttype": kind})
        try:
            tree = ElementTree.fromstring(answer.text.lstrip("\ufeff"))
            named = [(entry.findtext("Name", ""), int(entry.findtext("Size", "0"))) for entry in tree.iter("Block")]
            return [_part(name, size) for name, size in named]
        except (ElementTree.ParseError, ValueError):
            raise upload_failed(self._storage, "the list of blocks is none of ours") from None

    async def _call(
        self,
        method: str,
        key: str,
        query: Mapping[str, str],
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        timeout: float = _TIMEOUT,
    ) -> Answer:
        url = f"{self._container}/{quote(key, safe='/-_.~')}"
        sent = dict(headers or {}) | {"x-ms-date": formatdate(wall(), usegmt=True), "x-ms-version": _VERSION}
        sent["Authorization"] = self._authorization(method, url, query, sent, len(body))
        asked = f"{url}?{urlencode(query, quote_via=quote, safe='')}"
        answer = await call(self._storage, method, asked, headers=sent, body=body, timeout=timeout)
        if answer.status >= 300:
            raise upload_failed(self._storage, answer.described)
        return answer

    def _authorization(
        self, method: str, url: str, query: Mapping[str, str], headers: Mapping[str, str], length: int
    ) -> str:
        """Source: https://learn.microsoft.com/en-us/rest/api/storageservices/authorize-with-shared-key"""
        ours = "".join(f"{name}:{headers[name]}\n" for name in sorted(headers) if name.startswith("x-ms-"))
        resource = f"/{self._storage.account_name}{urlsplit(url).path}"
        resource += "".join(f"\n{name}:{value}" for name, value in sorted(query.items()))
        lines = [method, "", "", str(length) if length else "", headers.get("Content-MD5", ""), *[""] * 7]
        text = "\n".join(lines) + f"\n{ours}{resource}"
        key = base64.b64decode(self._storage.account_key)
        return f"SharedKey {self._storage.account_name}:" + _base64(hmac.digest(key, text.encode(), "sha256"))


def _name(number: int, md5: str) -> str:
    """Names of the blocks of a blob are of one length."""
    return _base64(f"{number:0{_DIGITS}}{md5}".encode())


def _part(name: str, size: int) -> SentPart:
    text = base64.b64decode(name, validate=True).decode("ascii")
    number, md5 = int(text[:_DIGITS]), text[_DIGITS:]
    if len(bytes.fromhex(md5)) != hashlib.md5(usedforsecurity=False).digest_size:
        raise ValueError(f"a block called {text!r}")
    return SentPart(number, size, md5, name)


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
