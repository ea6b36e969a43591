"""Where an object lies: its key below a storage's prefix, and the URL that `location` of a result names. Pure."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import quote, urlsplit, urlunsplit

from pyegress.plan.storage import AliOssStorage, AzureStorage, GcsStorage, LocalStorage, Proxy, S3Storage, Storage

S3_HOST = "s3.amazonaws.com"
AZURE_HOST = "blob.core.windows.net"
GCS_HOST = "storage.googleapis.com"
#: What may stand before the host of an endpoint, so that a wildcard certificate fits.
_HOST_LABEL = re.compile(r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]")


def object_key(storage: Storage, name: str) -> str:
    """The key of the object `name` in `storage`: no leading `/`, the storage's prefix before it."""
    prefix = storage.prefix.strip("/")
    name = name.lstrip("/")
    return f"{prefix}/{name}" if prefix else name


def location(storage: Storage, key: str) -> str:
    """The URL of an object as results name it, always https; the path for the local disk."""
    match storage:
        case LocalStorage():
            return key
        case S3Storage(bucket=bucket, endpoint=endpoint):
            host = host_of(endpoint) or S3_HOST
            return f"https://{host}/{bucket}/{key}" if path_style(storage) else f"https://{bucket}.{host}/{key}"
        case GcsStorage(bucket=bucket):
            return f"https://{bucket}.{GCS_HOST}/{key}"
        case AzureStorage(container_name=container, account_name=account, endpoint=endpoint):
            if endpoint:
                return (
                    f"https://{host_of(endpoint)}{urlsplit(with_scheme(endpoint)).path.rstrip('/')}/{container}/{key}"
                )
            return f"https://{account}.{AZURE_HOST}/{container}/{key}"
        case AliOssStorage(bucket=bucket, endpoint=endpoint):
            return f"https://{bucket}.{host_of(endpoint)}/{key}"
    raise ValueError(f"{type(storage).__name__} has no locations")


def path_style(storage: S3Storage) -> bool:
    """Whether the bucket goes into the path: asked for, or it cannot be a part of the host's name."""
    if storage.force_path_style or not _HOST_LABEL.fullmatch(storage.bucket):
        return True
    name = urlsplit(with_scheme(storage.endpoint)).hostname or ""
    if name == "localhost":
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def with_scheme(endpoint: str) -> str:
    """An endpoint as a URL: https unless it says otherwise; "" stays empty."""
    return endpoint if not endpoint or "://" in endpoint else f"https://{endpoint}"


def host_of(endpoint: str) -> str:
    """Host and port of an endpoint."""
    return urlsplit(with_scheme(endpoint)).netloc.rpartition("@")[2]


def proxy_url(proxy: Proxy | None) -> str | None:
    """A proxy with its user and password in the URL; None when there is none."""
    if proxy is None or not proxy.url:
        return None
    parts = urlsplit(proxy.url if "://" in proxy.url else f"http://{proxy.url}")
    if not proxy.username:
        return urlunsplit(parts)
    user = f"{quote(proxy.username, safe='')}:{quote(proxy.password, safe='')}"
    return urlunsplit(parts._replace(netloc=f"{user}@{parts.netloc.rpartition('@')[2]}"))
