"""The configured storages: a real object is put there and deleted again."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from pyegress.cli.doctor.findings import Finding, failed, good, skipped
from pyegress.errors import EgressError
from pyegress.plan.storage import LocalStorage, Storage
from pyegress.service.config import ServiceConfig

#: Puts a small object into a storage and deletes it. Raises EgressError.
Trial = Callable[[Storage], Awaitable[None]]


async def _trial(storage: Storage) -> None:
    from pyegress.storage.trial import put_and_delete  # its client is large

    await put_and_delete(storage)


async def check_storage(config: ServiceConfig, trial: Trial = _trial) -> list[Finding]:
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
        findings.append(await _try(check, storage, trial))
    return findings


async def _try(check: str, storage: Storage, trial: Trial) -> Finding:
    if isinstance(storage, LocalStorage):
        return skipped(check, "files stay on this disk")
    try:
        await trial(storage)
    except EgressError as error:
        return failed(check, error, "Finished recordings would stay on this disk until it works.")
    return good(check, f"an object was put into {storage.label} and deleted again")
