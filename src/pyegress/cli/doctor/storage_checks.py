"""The configured storages: a real object is put there and deleted again."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable

from pyegress.cli.doctor.findings import Finding, failed, good, skipped
from pyegress.errors import EgressError
from pyegress.plan.storage import LocalStorage, Storage
from pyegress.service.config import ServiceConfig

#: Puts a small object into a storage and deletes it. Raises EgressError.
Probe = Callable[[Storage], Awaitable[None]]


async def put_and_delete(storage: Storage) -> None:
    """A `Probe`."""
    from pyegress.storage.bucket import Bucket

    await Bucket(storage).probe(f"pyegress-doctor-{secrets.token_hex(8)}")


async def check_storage(config: ServiceConfig, probe: Probe = put_and_delete) -> list[Finding]:
    """The storage and its backup."""
    findings = []
    backup = config.backup or config.backup_storage
    for check, section in (("storage", config.storage), ("backup", backup)):
        if section is None:
            continue
        try:
            storage = section.storage(check)
        except EgressError as error:
            findings.append(failed(check, error, "Files cannot be uploaded."))
            continue
        findings.append(await _try(check, storage, probe))
    return findings


async def _try(check: str, storage: Storage, probe: Probe) -> Finding:
    if isinstance(storage, LocalStorage):
        return skipped(check, "files stay on this disk")
    try:
        await probe(storage)
    except EgressError as error:
        return failed(check, error, "Finished recordings would stay on this disk until it works.")
    return good(check, f"an object was put into {storage.label} and deleted again")
