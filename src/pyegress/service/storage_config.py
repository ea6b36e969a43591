"""The `storage` and `backup` sections of the configuration."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from pyegress.plan.storage import (
    AliOssStorage,
    AzureStorage,
    GcsStorage,
    LocalStorage,
    Proxy,
    Retries,
    S3Storage,
    Storage,
)
from pyegress.service.config_reader import UNLIMITED, AnySection, Seconds, bad_config


@dataclass(frozen=True, slots=True)
class ProxySection:
    url: str = field(repr=False)
    username: str = field(default="", repr=False)
    password: str = field(default="", repr=False)

    @property
    def proxy(self) -> Proxy:
        return Proxy(self.url, self.username, self.password)


@dataclass(frozen=True, slots=True)
class S3Section:
    bucket: str
    access_key: str = field(default="", repr=False)
    secret: str = field(default="", repr=False)
    session_token: str = field(default="", repr=False)
    assume_role_arn: str = ""
    assume_role_external_id: str = field(default="", repr=False)
    region: str = ""
    endpoint: str = ""
    force_path_style: bool = False
    proxy_config: ProxySection | None = None
    max_retries: int = 0
    max_retry_delay: Seconds = UNLIMITED
    min_retry_delay: Seconds = UNLIMITED
    metadata: AnySection = field(default_factory=dict)
    tagging: str = ""
    content_disposition: str = ""

    @property
    def retries(self) -> Retries:
        """As configured, else the defaults."""
        default = Retries()
        return Retries(
            self.max_retries or default.attempts,
            self.min_retry_delay or default.min_delay,
            self.max_retry_delay or default.max_delay,
        )

    @property
    def storage(self) -> S3Storage:
        return S3Storage(
            bucket=self.bucket,
            region=self.region,
            endpoint=self.endpoint,
            force_path_style=self.force_path_style,
            access_key=self.access_key,
            secret=self.secret,
            session_token=self.session_token,
            assume_role_arn=self.assume_role_arn,
            assume_role_external_id=self.assume_role_external_id,
            metadata=tuple(sorted((str(name), str(value)) for name, value in self.metadata.items())),
            tagging=self.tagging,
            content_disposition=self.content_disposition,
            proxy=self.proxy_config.proxy if self.proxy_config else None,
            retries=self.retries,
        )


@dataclass(frozen=True, slots=True)
class AzureSection:
    container_name: str
    account_name: str = field(default="", repr=False)
    account_key: str = field(default="", repr=False)

    @property
    def storage(self) -> AzureStorage:
        return AzureStorage(
            container_name=self.container_name, account_name=self.account_name, account_key=self.account_key
        )


@dataclass(frozen=True, slots=True)
class GcpSection:
    bucket: str
    credentials_json: str = field(default="", repr=False)
    proxy_config: ProxySection | None = None

    @property
    def storage(self) -> GcsStorage:
        proxy = self.proxy_config.proxy if self.proxy_config else None
        return GcsStorage(bucket=self.bucket, credentials=self.credentials_json, proxy=proxy)


@dataclass(frozen=True, slots=True)
class AliOssSection:
    bucket: str
    endpoint: str
    access_key: str = field(default="", repr=False)
    secret: str = field(default="", repr=False)
    region: str = ""

    @property
    def storage(self) -> AliOssStorage:
        return AliOssStorage(
            bucket=self.bucket,
            endpoint=self.endpoint,
            region=self.region,
            access_key=self.access_key,
            secret=self.secret,
        )


@dataclass(frozen=True, slots=True)
class StorageSection:
    """At most one provider; none is the local disk."""

    prefix: str = ""
    generate_presigned_url: bool = False
    s3: S3Section | None = None
    azure: AzureSection | None = None
    gcp: GcpSection | None = None
    alioss: AliOssSection | None = None

    def storage(self, key: str) -> Storage:
        """The storage that the section `key` describes. Raises InvalidRequest for more than one."""
        given = [section for section in (self.s3, self.azure, self.gcp, self.alioss) if section is not None]
        if len(given) > 1:
            raise bad_config(key, "names more than one provider", "Keep one of s3, azure, gcp and alioss")
        storage: Storage = given[0].storage if given else LocalStorage()
        return replace(storage, prefix=self.prefix, presigned=self.generate_presigned_url)
