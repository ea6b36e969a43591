"""What tells two objects apart: MD5 of each part, which is what ETags are made of."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator

MIB = 1024 * 1024
#: Bytes of a part, unless an object is so large that it would have too many of them (S3 takes 10000).
PART = 8 * MIB
MOST_PARTS = 9_000


def part_size(size: int) -> int:
    """Bytes of each part of an object of `size` bytes."""
    return max(PART, -(-size // MOST_PARTS))


def etag_of_parts(digests: Iterable[bytes]) -> str:
    """The ETag of an object that was sent in parts with these MD5 sums."""
    parts = list(digests)
    return f"{hashlib.md5(b''.join(parts), usedforsecurity=False).hexdigest()}-{len(parts)}"


class Digests:
    """Fed with an object, part by part."""

    def __init__(self) -> None:
        self._parts: list[tuple[int, bytes]] = []
        self.size = 0

    def add(self, part: bytes | memoryview) -> None:
        """The next part of the object, as it is sent. Releases the GIL."""
        self._parts.append((len(part), hashlib.md5(part, usedforsecurity=False).digest()))
        self.size += len(part)

    @property
    def last(self) -> str:
        """MD5 of the last part, in hex."""
        return self._parts[-1][1].hex() if self._parts else ""

    @property
    def sizes(self) -> Iterator[int]:
        """Bytes of each part."""
        return (size for size, _ in self._parts)

    def same(self, other: Digests) -> bool:
        """Whether both were fed with the same bytes, in the same parts."""
        return self._parts == other._parts

    @property
    def etags(self) -> frozenset[str]:
        """ETags that only these bytes have, sent in these parts; of a single one also as it is sent at once.

        Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity-upload.html
        """
        etags = {etag_of_parts(digest for _, digest in self._parts)}
        return frozenset(etags | {self.last} if len(self._parts) == 1 else etags)

    def matches(self, etag: str | None) -> bool:
        """Whether an ETag says that exactly these bytes are stored. False too when it is made in another way."""
        return etag is not None and etag.strip('"').lower() in self.etags
