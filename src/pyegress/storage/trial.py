"""Whether a storage works, found out by using it."""

from __future__ import annotations

import secrets
import tempfile
from pathlib import Path

from pyegress.plan.storage import Storage
from pyegress.storage.bucket import Bucket


async def put_and_delete(storage: Storage) -> None:
    """Put a small object into a bucket, read it back, and delete it. Raises OutputFailed."""
    name = f"pyegress-doctor-{secrets.token_hex(6)}.txt"
    bucket = Bucket(storage)
    with tempfile.NamedTemporaryFile(prefix="pyegress-doctor-") as file:
        file.write(b"put by pyegress doctor, which deletes it again\n")
        file.flush()
        await bucket.put(Path(file.name), name, "text/plain", sent=lambda octets: None)
    await bucket.delete(name)
