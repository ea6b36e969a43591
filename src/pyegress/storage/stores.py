"""Storages of a plan as obstore's clients: the one place that knows obstore's options."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

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
from pyegress.storage.credentials import oss_provider, s3_provider
from pyegress.storage.failures import upload_failed
from pyegress.storage.locations import proxy_url, with_scheme
from pyegress.storage.s3_address import S3Address, oss_address, s3_address

if TYPE_CHECKING:
    from obstore.store import ClientConfig, RetryConfig, S3Config

Store = S3Store | GCSStore | AzureStore
#: For a connection, and for one request: the part of a large object, over a line that others use too.
CONNECT_TIMEOUT = timedelta(seconds=5)
REQUEST_TIMEOUT = timedelta(minutes=5)
#: A request is tried again within this time only: its signature ages.
RETRY_WINDOW = timedelta(minutes=3)


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
    address = await s3_address(storage)
    config = _s3_config(address)
    if not storage.endpoint:
        # Amazon checks what arrives; others need not know how.
        config["checksum_algorithm"] = "SHA256"
    return S3Store(
        storage.bucket,
        config=config,
        client_options=_client(address.endpoint, storage.proxy),
        retry_config=_retry(storage.retries),
        credential_provider=s3_provider(storage, address.region),
    )


def _s3_config(address: S3Address) -> S3Config:
    return {
        "region": address.region,
        "skip_signature": False,
        "virtual_hosted_style_request": not address.in_path,
        # Both, so that neither is taken from the environment: it was looked at before, where that was meant.
        "endpoint": address.endpoint,
        "aws_endpoint_url_s3": address.endpoint,
    }


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
    address = oss_address(storage)
    config = _s3_config(address)
    # OSS has no bulk delete of this form, and tags of its own.
    config["disable_bulk_delete"] = config["disable_tagging"] = True
    return S3Store(
        storage.bucket,
        config=config,
        client_options=_client(address.endpoint, None),
        retry_config=_retry(Retries()),
        credential_provider=oss_provider(storage),
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
