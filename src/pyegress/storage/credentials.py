"""Who we are at S3: keys of the request, a role that is assumed, or what the machine has.

Given to obstore as a function, so that nothing of the process's environment mixes with what a request says.
"""

from __future__ import annotations

import configparser
import hashlib
import os
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Coroutine, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from pyegress.clock import wall
from pyegress.errors import Code, OutputFailed
from pyegress.plan.storage import AliOssStorage, S3Storage
from pyegress.storage.failures import upload_failed
from pyegress.storage.http_call import call
from pyegress.storage.locations import host_of, with_scheme
from pyegress.storage.s3_address import DEFAULT_REGION
from pyegress.storage.sigv4 import Keys, signed_headers

if TYPE_CHECKING:
    from obstore.store import S3Credential

Provider = Callable[[], Coroutine[Any, Any, "S3Credential"]]
#: How long a role is assumed for, and how long before its end it is assumed again, seconds.
_SESSION = 3600
_EARLY = timedelta(minutes=5)
_AMAZON = (".amazonaws.com", ".amazonaws.com.cn")
_NAMESPACE = "{https://sts.amazonaws.com/doc/2011-06-15/}"
#: Variables by which obstore itself finds an identity: those win over the credentials file, as with AWS's own tools.
_FOUND_BY_OBSTORE = (
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
)


def s3_provider(storage: S3Storage, region: str) -> Provider | None:
    """What gives credentials for `storage`; None is the machine's own (container, instance, web identity)."""
    keys = Keys(storage.access_key, storage.secret, storage.session_token) if storage.access_key else None
    if storage.assume_role_arn:
        base = keys or machine_keys(os.environ)
        if base is None:
            raise OutputFailed(
                f"S3 upload failed: no keys to assume the role {storage.assume_role_arn} with",
                field="s3.assume_role_arn",
                remedy="Configure access_key and secret, or s3_assume_role_key and s3_assume_role_secret",
                code=Code.PERMISSION_DENIED,
            )
        return AssumedRole(storage, base, region)
    if keys is None and ("AWS_ACCESS_KEY_ID" in os.environ or not any(map(os.environ.get, _FOUND_BY_OBSTORE))):
        keys = machine_keys(os.environ)
    return static(keys) if keys is not None else None


def oss_provider(storage: AliOssStorage) -> Provider | None:
    """What gives credentials for a bucket of OSS."""
    return static(Keys(storage.access_key, storage.secret)) if storage.access_key else None


def static(keys: Keys) -> Provider:
    """Keys that do not expire."""

    async def provide() -> S3Credential:
        return {
            "access_key_id": keys.access_key,
            "secret_access_key": keys.secret,
            "token": keys.token or None,
            "expires_at": None,
        }

    return provide


def machine_keys(environment: Mapping[str, str]) -> Keys | None:
    """Keys of the environment, else of the profile in AWS's credentials file; None when there are none."""
    if (key := environment.get("AWS_ACCESS_KEY_ID")) and (secret := environment.get("AWS_SECRET_ACCESS_KEY")):
        return Keys(key, secret, environment.get("AWS_SESSION_TOKEN", ""))
    named = environment.get("AWS_SHARED_CREDENTIALS_FILE", "")
    path = Path(named) if named else Path(environment.get("HOME", "/")) / ".aws" / "credentials"
    file = configparser.RawConfigParser()
    try:
        file.read(path)
        profile = file[environment.get("AWS_PROFILE", "") or "default"]
    except (OSError, UnicodeDecodeError, KeyError, configparser.Error):
        return None
    key, secret = profile.get("aws_access_key_id", ""), profile.get("aws_secret_access_key", "")
    return Keys(key, secret, profile.get("aws_session_token", "")) if key and secret else None


class AssumedRole:
    """A `Provider` that assumes a role at STS whenever the last session comes to its end."""

    def __init__(self, storage: S3Storage, base: Keys, region: str) -> None:
        self._storage = storage
        self._base = base
        self._region = region or DEFAULT_REGION

    async def __call__(self) -> S3Credential:
        """Temporary credentials. Raises OutputFailed."""
        storage = self._storage
        form = {
            "Action": "AssumeRole",
            "Version": "2011-06-15",
            "RoleArn": storage.assume_role_arn,
            "RoleSessionName": "pyegress",
            "DurationSeconds": str(_SESSION),
        }
        if storage.assume_role_external_id:
            form["ExternalId"] = storage.assume_role_external_id
        body = urlencode(form).encode()
        url = sts_url(storage, self._region, os.environ)
        headers = signed_headers(
            "POST",
            url,
            hashlib.sha256(body).hexdigest(),
            self._base,
            region=self._region,
            service="sts",
            at=wall(),
            headers={"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"},
        )
        answer = await call(storage, "POST", url, headers=headers, body=body, proxy=storage.proxy)
        if answer.status != 200:
            raise upload_failed(storage, f"{answer.described[:40]} of STS, assuming the role: {answer.text}")
        return _credential(storage, answer.text)


def _credential(storage: S3Storage, text: str) -> S3Credential:
    try:
        found = ElementTree.fromstring(text).find(f".//{_NAMESPACE}Credentials")
        values = {} if found is None else {child.tag.removeprefix(_NAMESPACE): child.text or "" for child in found}
        expires = datetime.fromisoformat(values["Expiration"].replace("Z", "+00:00")).astimezone(UTC)
        return {
            "access_key_id": values["AccessKeyId"],
            "secret_access_key": values["SecretAccessKey"],
            "token": values["SessionToken"] or None,
            "expires_at": expires - _EARLY,
        }
    except (ElementTree.ParseError, KeyError, ValueError):
        raise upload_failed(storage, "STS answered without credentials") from None


def sts_url(storage: S3Storage, region: str, environment: Mapping[str, str]) -> str:
    """Where roles are assumed: AWS's STS of the region; services that speak S3 answer at their own endpoint."""
    if named := environment.get("AWS_ENDPOINT_URL_STS", ""):
        return named.rstrip("/") + "/"
    if storage.endpoint and not host_of(storage.endpoint).partition(":")[0].endswith(
        (".amazonaws.com", ".amazonaws.com.cn")
    ):
        return with_scheme(storage.endpoint).rstrip("/") + "/"
    return f"https://sts.{region}.amazonaws.com/"
