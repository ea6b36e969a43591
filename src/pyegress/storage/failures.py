"""What storages refuse, as the user should read it. Of a foreign text nothing is repeated but its code."""

from __future__ import annotations

import re
from dataclasses import dataclass

from pyegress.errors import Code, Fault, OutputFailed
from pyegress.plan.storage import AliOssStorage, AzureStorage, GcsStorage, LocalStorage, S3Storage, Storage
from pyegress.storage.locations import AZURE_HOST, GCS_HOST, S3_HOST, host_of

#: Longest part of a foreign text that is looked at.
_LOOKED_AT = 8000
_STATUS = re.compile(r"status code:? (\d{3})")
_CODE = re.compile(r"<Code>(\w{1,60})</Code>")
_EXPECTED_REGION = re.compile(r"<Region>([a-z0-9-]{1,40})</Region>")


@dataclass(frozen=True, slots=True)
class _Cause:
    """A sign in a foreign text, what it means, and what to do. `{where}` is the bucket, `{host}` the endpoint."""

    sign: str
    text: str
    remedy: str
    retryable: bool = False


_NO_CREDENTIALS = "Send some with the request, or set them in the environment"
_CHECK_TLS = "Check endpoint and its certificate"
#: The first sign that is found counts.
_CAUSES = (
    # Asked last of all for credentials, so whatever it answers, there are none.
    _Cause("metadata.google.internal", "this machine has no credentials", _NO_CREDENTIALS),
    _Cause("169.254.169.254", "this machine has no credentials", _NO_CREDENTIALS),
    _Cause("dns error", "the host {host} is not known (DNS)", "Check endpoint, account and region", True),
    _Cause(
        "invalid peer certificate", "the certificate of {host} is not trusted", "Check endpoint and its certificate"
    ),
    _Cause("InvalidCertificate", "the certificate of {host} is not trusted", _CHECK_TLS),
    _Cause("CorruptMessage", "{host} does not speak TLS", "Write the endpoint with http:// if that is meant"),
    _Cause("InvalidContentType", "{host} does not speak TLS", "Write the endpoint with http:// if that is meant"),
    _Cause("tcp connect error", "{host} takes no connections", "Check endpoint and network", True),
    _Cause("SignatureDoesNotMatch", "the secret is wrong", "Check secret (or account_key)"),
    _Cause("InvalidAccessKeyId", "the access key is not known", "Check access_key"),
    _Cause("AuthenticationFailed", "the account key is wrong", "Check account_name and account_key"),
    _Cause("ExpiredToken", "the session token has expired", "Send a fresh session_token"),
    _Cause("InvalidToken", "the session token is wrong", "Check session_token"),
    _Cause("NoSuchBucket", "{where} does not exist", "Create it, or check its name and region"),
    _Cause("ContainerNotFound", "{where} does not exist", "Create it, or check its name and account_name"),
    _Cause("NoSuchUpload", "somebody has aborted the upload", "Look at the lifecycle rules of the bucket"),
    _Cause("AuthorizationHeaderMalformed", "the region is wrong{region}", "Set region to that of the bucket"),
    _Cause("PermanentRedirect", "the region is wrong{region}", "Set region to that of the bucket"),
    _Cause("IllegalLocationConstraint", "the region is wrong{region}", "Set region to that of the bucket"),
    _Cause("RequestTimeTooSkewed", "the clock of this machine is wrong", "Set the clock"),
    _Cause("AccessDenied", "these keys may not write into {where}", "Allow them to write objects there"),
    _Cause("AuthorizationFailure", "these keys may not write into {where}", "Allow them to write objects there"),
    _Cause("EntityTooLarge", "the object is too large", "Limit file_output_max_size"),
    _Cause("SlowDown", "it asks to slow down", "Spread uploads over prefixes or buckets", True),
    _Cause("QuotaExceeded", "its quota is used up", "Raise the quota or choose another bucket"),
    _Cause("invalid_grant", "the credentials are not accepted", "Check the service account's key"),
    _Cause(
        "Unable to decode service account",
        "the credentials cannot be read",
        "Send the service account's key as JSON, unchanged",
    ),
    _Cause("timed out", "{host} did not answer in time", "Check endpoint and network", True),
)
#: By HTTP status where nothing else is known.
_BY_STATUS = {
    401: ("the credentials are not accepted", "Check the keys"),
    403: ("these keys may not write into {where}", "Allow them to write objects there"),
    404: ("{where} does not exist", "Create it, or check its name"),
    407: ("the proxy asks for a user and password", "Check proxy username and password"),
}
_RETRYABLE_STATUS = {408, 409, 425, 429}


def upload_failed(storage: Storage, text: str) -> OutputFailed:
    """The error of an upload that failed with the foreign `text`, which may carry signatures: none of it is shown."""
    text = text[:_LOOKED_AT]
    where, host = described(storage), endpoint_of(storage)
    found = _STATUS.search(text)
    status = int(found[1]) if found else 0
    region = f", {_EXPECTED_REGION.search(text)[1]} is right" if _EXPECTED_REGION.search(text) else ""  # type: ignore[index]
    retryable = not status or status >= 500 or status in _RETRYABLE_STATUS
    cause = next((cause for cause in _CAUSES if cause.sign in text), None)
    if cause is not None:
        words, remedy, retryable = cause.text, cause.remedy, cause.retryable or status >= 500
    elif status in _BY_STATUS:
        words, remedy = _BY_STATUS[status]
    elif status >= 500:
        words, remedy = "{host} has a problem of its own", "Try again later"
    elif status:
        words, remedy = "{host} refused it", "Look at the log of the storage"
    else:
        words, remedy = "the connection to {host} broke", "Check endpoint and network"
    words = words.format(where=where, host=host, region=region)
    code = _CODE.search(text)
    detail = " ".join(filter(None, (f"HTTP {status}" if status else "", code[1] if code else "")))
    return OutputFailed(
        f"{storage.label} upload failed: {words}" + (f" ({detail})" if detail else ""),
        remedy=remedy,
        field=where,
        retryable=retryable,
        fault=Fault.DESTINATION,
    )


def both_failed(primary: OutputFailed, backup: OutputFailed) -> OutputFailed:
    """The storage and its backup refused the same object."""
    return OutputFailed(
        f"primary: {primary.message}\nbackup: {backup.message}",
        remedy=primary.remedy,
        field=primary.field,
        retryable=primary.retryable or backup.retryable,
        code=Code.INVALID_ARGUMENT,
    )


def described(storage: Storage) -> str:
    """The place in words."""
    match storage:
        case S3Storage(bucket=bucket) | GcsStorage(bucket=bucket) | AliOssStorage(bucket=bucket):
            return f"bucket {bucket}"
        case AzureStorage(container_name=container):
            return f"container {container}"
        case LocalStorage():
            return "the local disk"
    return storage.label


def endpoint_of(storage: Storage) -> str:
    """The host that is spoken with."""
    match storage:
        case S3Storage(endpoint=endpoint):
            return host_of(endpoint) or S3_HOST
        case AliOssStorage(endpoint=endpoint):
            return host_of(endpoint)
        case AzureStorage(account_name=account, endpoint=endpoint):
            return host_of(endpoint) or f"{account}.{AZURE_HOST}"
        case GcsStorage():
            return GCS_HOST
    return storage.label
