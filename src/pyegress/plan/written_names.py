"""What an egress will write, as far as it is known: two that run must not write the same."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator

from pyegress.plan.recording_plan import FileOutput, ImageOutput, Output, SegmentOutput
from pyegress.plan.storage import (
    AliOssStorage,
    AzureStorage,
    GcsStorage,
    LocalStorage,
    S3Storage,
    Storage,
)


def storage_place(storage: Storage) -> str:
    """Which storage it is, whatever credentials lead there."""
    match storage:
        case LocalStorage():
            return "local"
        case S3Storage(bucket=bucket, endpoint=endpoint):
            return f"s3 {endpoint} {bucket}"
        case GcsStorage(bucket=bucket):
            return f"gcs {bucket}"
        case AzureStorage(container_name=container, account_name=account):
            return f"azure {account} {container}"
        case AliOssStorage(bucket=bucket, endpoint=endpoint):
            return f"oss {endpoint} {bucket}"
        case _:
            return storage.label


def written_name(name: str, storage: Storage) -> str:
    """A name as one text for the whole world: where, and the path there."""
    return f"{storage_place(storage)}:{posixpath.join(storage.prefix, name.lstrip('/')) if storage.prefix else name}"


def written_names(outputs: tuple[Output, ...]) -> Iterator[str]:
    """Every name that is known before anything is recorded. Those of segments and images are told by their prefix."""
    for output in outputs:
        match output:
            case FileOutput(path=path, storage=storage):
                names = [path]
            case SegmentOutput(names=segments, storage=storage):
                names = [segments.playlist, segments.prefix]
                names += [segments.live_playlist] if segments.live_playlist else []
            case ImageOutput(prefix=prefix, storage=storage):
                names = [prefix]
            case _:
                continue
        yield from (written_name(name, storage) for name in names if "{" not in name)
