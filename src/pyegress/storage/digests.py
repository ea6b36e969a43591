"""What tells two objects apart: MD5 of everything and of each part, which is what ETags are made of."""

from __future__ import annotations

import hashlib

MIB = 1024 * 1024
#: Bytes of a part, unless an object is so large that it would have too many of them (S3 takes 10000).
PART = 8 * MIB
MOST_PARTS = 9_000


def part_size(size: int) -> int:
    """Bytes of each part of an object of `size` bytes."""
    return max(PART, -(-size // MOST_PARTS))


class Digests:
    """Fed with an object, part by part."""

    def __init__(self) -> None:
        self._whole = hashlib.md5(usedforsecurity=False)
        self._parts: list[bytes] = []
        self.size = 0

    def add(self, part: bytes | memoryview) -> None:
        """The next part of the object, as it is sent. Releases the GIL."""
        self._whole.update(part)
        self._parts.append(hashlib.md5(part, usedforsecurity=False).digest())
        self.size += len(part)

    @property
    def md5(self) -> str:
        return self._whole.hexdigest()

    @property
    def etags(self) -> frozenset[str]:
        """ETags that only these bytes have, sent at once or in these parts.

        Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity-upload.html
        """
        joined = hashlib.md5(b"".join(self._parts), usedforsecurity=False).hexdigest()
        return frozenset({self.md5, f"{joined}-{len(self._parts)}"})

    def matches(self, etag: str | None) -> bool:
        """Whether an ETag says that exactly these bytes are stored. False too when it is made in another way."""
        return etag is not None and etag.strip('"').lower() in self.etags
