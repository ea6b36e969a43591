"""Where finished files go: the storage blocks of requests as frozen descriptions whose secrets have no repr."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from livekit.protocol import egress as pb

from pyegress.errors import InvalidRequest
from pyegress.plan.refusals import feature_disabled, invalid_field


@dataclass(frozen=True, slots=True)
class Proxy:
    """An HTTP proxy for uploads. The URL may carry a user and a password."""

    url: str = field(repr=False)
    username: str = field(default="", repr=False)
    password: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Retries:
    """How often an upload is tried, and the bounds of the pause between, in seconds."""

    attempts: int = 5
    min_delay: float = 0.1
    max_delay: float = 5.0


@dataclass(frozen=True, slots=True)
class Storage:
    """A place for files. `prefix` is put before every name; `presigned` asks for URLs that work without credentials."""

    prefix: str = field(default="", kw_only=True)
    presigned: bool = field(default=False, kw_only=True)

    @property
    def label(self) -> str:
        """The name in errors."""
        return "Local"


@dataclass(frozen=True, slots=True)
class LocalStorage(Storage):
    """The disk of the machine that records."""


@dataclass(frozen=True, slots=True)
class S3Storage(Storage):
    """A bucket of Amazon S3 or of a service that speaks its protocol.

    Without `access_key` and `secret` the machine's own credentials are used. `metadata` is sorted by name.
    """

    bucket: str
    region: str = ""
    endpoint: str = ""
    force_path_style: bool = False
    access_key: str = field(default="", repr=False)
    secret: str = field(default="", repr=False)
    session_token: str = field(default="", repr=False)
    assume_role_arn: str = ""
    assume_role_external_id: str = field(default="", repr=False)
    metadata: tuple[tuple[str, str], ...] = ()
    tagging: str = ""
    content_disposition: str = ""
    proxy: Proxy | None = None
    retries: Retries = Retries()

    @property
    def label(self) -> str:
        return "S3"


@dataclass(frozen=True, slots=True)
class GcsStorage(Storage):
    """A bucket of Google Cloud Storage. Without `credentials` (JSON) the machine's own are used."""

    bucket: str
    credentials: str = field(default="", repr=False)
    proxy: Proxy | None = None

    @property
    def label(self) -> str:
        return "GCP"


@dataclass(frozen=True, slots=True)
class AzureStorage(Storage):
    """A container of Azure Blob Storage. `endpoint` "" is the public cloud's."""

    container_name: str
    account_name: str = field(default="", repr=False)
    account_key: str = field(default="", repr=False)
    endpoint: str = ""

    @property
    def label(self) -> str:
        return "Azure"


@dataclass(frozen=True, slots=True)
class AliOssStorage(Storage):
    """A bucket of Alibaba Cloud OSS."""

    bucket: str
    endpoint: str
    region: str = ""
    access_key: str = field(default="", repr=False)
    secret: str = field(default="", repr=False)

    @property
    def label(self) -> str:
        return "AliOSS"


@dataclass(frozen=True, slots=True)
class AssumeRole:
    """The service's own S3 identity that takes on other roles, and the role when a request names none."""

    access_key: str = field(default="", repr=False)
    secret: str = field(default="", repr=False)
    arn: str = ""
    external_id: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class StorageDefaults:
    """What the service's configuration says about storage. `storage` None is the local disk."""

    storage: Storage | None = None
    backup: Storage | None = None
    local_allowed: bool = True
    prefix: str = ""
    presigned: bool = False
    assume_role: AssumeRole = AssumeRole()
    s3_retries: Retries = Retries()
    #: Of another cloud than the public one.
    azure_endpoint: str = ""


#: Any message with an `s3 | gcp | azure | aliOSS` block.
Upload = (
    pb.StorageConfig
    | pb.EncodedFileOutput
    | pb.DirectFileOutput
    | pb.SegmentedFileOutput
    | pb.ImageOutput
    | pb.AutoTrackEgress
)


def storage_for(uploads: tuple[Upload, ...], defaults: StorageDefaults) -> Storage:
    """The storage of an output: the first of `uploads` that names one, else the service's, else the local disk.

    Raises InvalidRequest when the local disk is not allowed or a block lacks what it needs.
    """
    for upload in uploads:
        if upload.HasField("s3"):
            asked: Storage = _s3(upload.s3, defaults)
        elif upload.HasField("gcp"):
            asked = _gcs(upload.gcp)
        elif upload.HasField("azure"):
            asked = _azure(upload.azure, defaults)
        elif upload.HasField("aliOSS"):
            asked = _alioss(upload.aliOSS)
        else:
            continue
        return replace(asked, prefix=defaults.prefix, presigned=defaults.presigned)
    if defaults.storage is not None:
        return defaults.storage
    if not defaults.local_allowed:
        raise invalid_field(
            "output",
            "No storage was named, and this service keeps no files on its own disk",
            "Add an s3, gcp, azure or aliOSS block to the output",
        )
    return LocalStorage(prefix=defaults.prefix, presigned=defaults.presigned)


def _s3(block: pb.S3Upload, defaults: StorageDefaults) -> S3Storage:
    _needed("s3", bucket=block.bucket)
    role = defaults.assume_role
    arn = block.assume_role_arn or role.arn
    storage = S3Storage(
        bucket=block.bucket,
        region=block.region,
        endpoint=block.endpoint,
        force_path_style=block.force_path_style,
        access_key=block.access_key,
        secret=block.secret,
        session_token=block.session_token,
        assume_role_arn=arn,
        assume_role_external_id=block.assume_role_external_id or ("" if block.assume_role_arn else role.external_id),
        metadata=_pairs(block.metadata),
        tagging=block.tagging,
        content_disposition=block.content_disposition,
        proxy=_proxy(block.proxy) if block.HasField("proxy") else None,
        retries=defaults.s3_retries,
    )
    if not arn or block.access_key:
        return storage
    if not (role.access_key and role.secret):
        raise feature_disabled(
            "this service has no S3 identity that could assume a role",
            "Send access_key and secret with the role, or configure s3_assume_role_key and s3_assume_role_secret",
            field="s3.assume_role_arn",
        )
    return replace(storage, access_key=role.access_key, secret=role.secret, session_token="")


def _pairs(values: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(values.items()))


def _gcs(block: pb.GCPUpload) -> GcsStorage:
    _needed("gcp", bucket=block.bucket)
    proxy = _proxy(block.proxy) if block.HasField("proxy") else None
    return GcsStorage(bucket=block.bucket, credentials=block.credentials, proxy=proxy)


def _azure(block: pb.AzureBlobUpload, defaults: StorageDefaults) -> AzureStorage:
    _needed("azure", container_name=block.container_name)
    return AzureStorage(
        container_name=block.container_name,
        account_name=block.account_name,
        account_key=block.account_key,
        endpoint=defaults.azure_endpoint,
    )


def _alioss(block: pb.AliOSSUpload) -> AliOssStorage:
    _needed("aliOSS", bucket=block.bucket, endpoint=block.endpoint)
    return AliOssStorage(
        bucket=block.bucket,
        endpoint=block.endpoint,
        region=block.region,
        access_key=block.access_key,
        secret=block.secret,
    )


def _needed(block: str, **fields: str) -> None:
    for name, value in fields.items():
        if not value:
            raise _missing(block, name)


def _missing(block: str, name: str) -> InvalidRequest:
    return invalid_field(
        f"{block}.{name}", f"The {block} block names no {name.replace('_', ' ')}", f"Set {name} in the {block} block"
    )


def _proxy(block: pb.ProxyConfig) -> Proxy:
    return Proxy(block.url, block.username, block.password)
