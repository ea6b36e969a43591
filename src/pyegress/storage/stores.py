"""Storages of a plan as obstore's clients: the one place that knows obstore's options."""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit, urlunsplit

import aiohttp
from obstore.exceptions import BaseError
from obstore.store import AzureStore, GCSStore, S3Store

from pyegress.errors import OutputFailed
from pyegress.plan.storage import (
    AliOssStorage,
    AzureStorage,
    GcsStorage,
    Proxy,
    Retries,
    S3Storage,
    Storage,
)
from pyegress.storage.credentials import s3_provider, static
from pyegress.storage.failures import upload_failed
from pyegress.storage.locations import S3_HOST, path_style, proxy_url, with_scheme
from pyegress.storage.sigv4 import Keys

if TYPE_CHECKING:
    from obstore.store import ClientConfig, RetryConfig, S3Config

Store = S3Store | GCSStore | AzureStore
#: For a connection, and for one request: the part of a large object, over a line that others use too.
CONNECT_TIMEOUT = timedelta(seconds=5)
REQUEST_TIMEOUT = timedelta(minutes=5)
#: A request is tried again within this time only: its signature ages.
RETRY_WINDOW = timedelta(minutes=3)
DEFAULT_REGION = "us-east-1"
_OSS_REGION = re.compile(r"^(?:s3\.)?oss-([a-z0-9-]+?)(?:-internal)?\.aliyuncs\.com$")


async def open_store(storage: Storage) -> Store:
    """A client of the bucket. May ask S3 where it is. Raises OutputFailed."""
    try:
        match storage:
            case S3Storage():
                return await _s3(storage)
            case GcsStorage():
                return _gcs(storage)
            case AzureStorage():
                return _azure(storage)
            case AliOssStorage():
                return _oss(storage)
    except (BaseError, ValueError, OSError) as error:
        raise upload_failed(storage, str(error)) from None
    raise ValueError(f"{type(storage).__name__} is no bucket")


async def _s3(storage: S3Storage) -> S3Store:
    region = storage.region or _machine_region()
    if not region:
        region = DEFAULT_REGION if storage.endpoint else await region_of(storage)
    config: S3Config = {"region": region, "skip_signature": False}
    in_path = path_style(storage)
    config["virtual_hosted_style_request"] = not in_path
    endpoint = with_scheme(storage.endpoint).rstrip("/") or f"https://s3.{region}.amazonaws.com"
    if not in_path:
        parts = urlsplit(endpoint)
        endpoint = urlunsplit(parts._replace(netloc=f"{storage.bucket}.{parts.netloc}"))
    # Both, so that neither is taken from the environment: it was looked at before, where that was meant.
    config["endpoint"] = config["aws_endpoint_url_s3"] = endpoint
    if not storage.endpoint:
        # Amazon checks what arrives; others need not know how.
        config["checksum_algorithm"] = "SHA256"
    return S3Store(
        storage.bucket,
        config=config,
        client_options=_client(endpoint, storage.proxy),
        retry_config=_retry(storage.retries),
        credential_provider=s3_provider(storage, region),
    )


def _machine_region() -> str:
    return os.environ.get("AWS_REGION", "") or os.environ.get("AWS_DEFAULT_REGION", "")


async def region_of(storage: S3Storage, amazon: str = f"https://{S3_HOST}") -> str:
    """Where a bucket is: Amazon tells everybody in a header, allowed to read it or not. Raises OutputFailed."""
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=15)) as session,
            session.head(
                f"{amazon}/{quote(storage.bucket)}",
                allow_redirects=False,
                proxy=proxy_url(storage.proxy),
            ) as response,
        ):
            return response.headers.get("x-amz-bucket-region", DEFAULT_REGION)
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        sign = "dns error" if isinstance(error, aiohttp.ClientConnectorDNSError) else "tcp connect error"
        raise upload_failed(storage, sign) from None


def _gcs(storage: GcsStorage) -> GCSStore:
    return GCSStore(
        storage.bucket,
        config={"service_account_key": storage.credentials} if storage.credentials else {},
        client_options=_client("http://" if '"gcs_base_url": "http:' in storage.credentials else "", storage.proxy),
        retry_config=_retry(Retries()),
    )


def complete(storage: Storage, environment: Mapping[str, str]) -> Storage:
    """A storage with what its description leaves to the machine, as far as its URLs show it."""
    if not isinstance(storage, AzureStorage):
        return storage
    account, key = (
        ("AZURE_STORAGE_ACCOUNT", "AZURE_STORAGE_ACCOUNT_NAME"),
        ("AZURE_STORAGE_KEY", "AZURE_STORAGE_ACCOUNT_KEY"),
    )
    named = storage.account_name
    return replace(
        storage,
        account_name=named or _first(environment, account),
        # A key of ours is not for the account of somebody else.
        account_key=storage.account_key or ("" if named else _first(environment, key)),
    )


def _first(environment: Mapping[str, str], names: tuple[str, ...]) -> str:
    return next((value for name in names if (value := environment.get(name, ""))), "")


def _azure(storage: AzureStorage) -> AzureStore:
    endpoint = with_scheme(storage.endpoint).rstrip("/")
    return AzureStore(
        storage.container_name,
        config={
            "account_name": storage.account_name,
            **({"account_key": storage.account_key} if storage.account_key else {}),
            **({"endpoint": endpoint} if endpoint else {}),
        },
        client_options=_client(endpoint, None),
        retry_config=_retry(Retries()),
    )


def _oss(storage: AliOssStorage) -> S3Store:
    """OSS answers to S3's protocol at its own endpoints, with the bucket in the host's name."""
    endpoint = with_scheme(storage.endpoint).rstrip("/")
    parts = urlsplit(endpoint)
    named = _OSS_REGION.match(parts.hostname or "")
    host = parts.netloc if not named or parts.netloc.startswith("s3.") else f"s3.{parts.netloc}"
    # Only what stands in for OSS in a test has no name of its own for each bucket.
    in_path = path_style(S3Storage(bucket=storage.bucket, endpoint=endpoint))
    endpoint = urlunsplit(parts._replace(netloc=host if in_path else f"{storage.bucket}.{host}"))
    return S3Store(
        storage.bucket,
        config={
            "region": (f"oss-{named[1]}" if named else "") or storage.region or DEFAULT_REGION,
            "endpoint": endpoint,
            "aws_endpoint_url_s3": endpoint,
            "virtual_hosted_style_request": not in_path,
            "skip_signature": False,
            # OSS has no bulk delete of this form, and tags of its own.
            "disable_bulk_delete": True,
            "disable_tagging": True,
        },
        client_options=_client(endpoint, None),
        retry_config=_retry(Retries()),
        credential_provider=static(Keys(storage.access_key, storage.secret)) if storage.access_key else None,
    )


def _client(endpoint: str, proxy: Proxy | None) -> ClientConfig:
    options: ClientConfig = {
        "connect_timeout": CONNECT_TIMEOUT,
        "timeout": REQUEST_TIMEOUT,
        "allow_http": endpoint.startswith("http://"),
        "user_agent": "pyegress",
    }
    if (url := proxy_url(proxy)) is not None:
        options["proxy_url"] = url
    return options


def _retry(retries: Retries) -> RetryConfig:
    """Of single requests, so of the parts of a large object. `attempts` counts the first one too."""
    return {
        "max_retries": max(0, retries.attempts - 1),
        "retry_timeout": RETRY_WINDOW,
        "backoff": {
            "init_backoff": timedelta(seconds=retries.min_delay),
            "max_backoff": timedelta(seconds=max(retries.max_delay, retries.min_delay)),
            "base": 2,
        },
    }


def check_azure_key(storage: AzureStorage) -> None:
    """Raise OutputFailed for an account key that cannot be one: the client would say so in words of its own."""
    try:
        base64.b64decode(storage.account_key, validate=True)
    except ValueError:
        raise OutputFailed(
            "Azure upload failed: account_key is not base64",
            field=f"container {storage.container_name}",
            remedy="Copy the key of the storage account unchanged",
        ) from None
