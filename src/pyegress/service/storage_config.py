"""The `storage` and `backup` sections of the configuration."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Annotated

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
from pyegress.service.config_reader import UNLIMITED, About, AnySection, Seconds, bad_config


@dataclass(frozen=True, slots=True)
class ProxySection:
    url: Annotated[str, About("Address of the proxy.", "http://proxy:3128")] = field(repr=False)
    username: Annotated[str, About("User at the proxy.")] = field(default="", repr=False)
    password: Annotated[str, About("Their password.")] = field(default="", repr=False)

    @property
    def proxy(self) -> Proxy:
        return Proxy(self.url, self.username, self.password)


@dataclass(frozen=True, slots=True)
class S3Section:
    bucket: Annotated[str, About("Name of the bucket.", "recordings")]
    access_key: Annotated[str, About("Without one: AWS_ACCESS_KEY_ID, or the role of the machine.")] = field(
        default="", repr=False
    )
    secret: Annotated[str, About("Secret of the access key.")] = field(default="", repr=False)
    session_token: Annotated[str, About("For temporary credentials.")] = field(default="", repr=False)
    assume_role_arn: Annotated[str, About("Role to take on for uploads.", "arn:aws:iam::123456789012:role/egress")] = ""
    assume_role_external_id: Annotated[str, About("External id that the role asks for.")] = field(
        default="", repr=False
    )
    region: Annotated[str, About("Region of the bucket.", "eu-central-1")] = ""
    endpoint: Annotated[str, About("Of services that speak S3 and are not AWS.", "https://minio.example.com")] = ""
    force_path_style: Annotated[bool, About("Bucket in the path of URLs, not in the host name.")] = False
    proxy_config: Annotated[ProxySection | None, About("Proxy for the uploads.")] = None
    max_retries: Annotated[int, About("Tries of one upload, 0 is usual.")] = 0
    max_retry_delay: Annotated[Seconds, About("Longest pause between them, 0s is usual.")] = UNLIMITED
    min_retry_delay: Annotated[Seconds, About("Shortest pause between them, 0s is usual.")] = UNLIMITED
    metadata: Annotated[AnySection, About("Names and values kept with each object.", {"team": "video"})] = field(
        default_factory=dict
    )
    tagging: Annotated[str, About("Tags of each object.", "team=video")] = ""
    content_disposition: Annotated[str, About("Header of downloads.", "attachment")] = ""

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
    container_name: Annotated[str, About("Name of the container.", "recordings")]
    account_name: Annotated[str, About("Without one: AZURE_STORAGE_ACCOUNT.")] = field(default="", repr=False)
    account_key: Annotated[str, About("Without one: AZURE_STORAGE_KEY.")] = field(default="", repr=False)
    endpoint: Annotated[str, About("Of another cloud than the public one. Not a key of LiveKit Egress.")] = ""

    @property
    def storage(self) -> AzureStorage:
        return AzureStorage(
            container_name=self.container_name,
            account_name=self.account_name,
            account_key=self.account_key,
            endpoint=self.endpoint,
        )


@dataclass(frozen=True, slots=True)
class GcpSection:
    bucket: Annotated[str, About("Name of the bucket.", "recordings")]
    credentials_json: Annotated[str, About("Text of the key file; without one: GOOGLE_APPLICATION_CREDENTIALS.")] = (
        field(default="", repr=False)
    )
    proxy_config: Annotated[ProxySection | None, About("Proxy for the uploads.")] = None

    @property
    def storage(self) -> GcsStorage:
        proxy = self.proxy_config.proxy if self.proxy_config else None
        return GcsStorage(bucket=self.bucket, credentials=self.credentials_json, proxy=proxy)


@dataclass(frozen=True, slots=True)
class AliOssSection:
    bucket: Annotated[str, About("Name of the bucket.", "recordings")]
    endpoint: Annotated[str, About("Endpoint of the region.", "https://oss-eu-central-1.aliyuncs.com")]
    access_key: Annotated[str, About("Id of the access key.")] = field(default="", repr=False)
    secret: Annotated[str, About("Secret of the access key.")] = field(default="", repr=False)
    region: Annotated[str, About("Region of the bucket.")] = ""

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

    prefix: Annotated[str, About("Put before every name, also on the local disk.", "egress/")] = ""
    generate_presigned_url: Annotated[bool, About("Locations are links that open for whoever has them.")] = False
    s3: Annotated[S3Section | None, About("Amazon S3, or what speaks its protocol.")] = None
    azure: Annotated[AzureSection | None, About("Azure Blob Storage.")] = None
    gcp: Annotated[GcpSection | None, About("Google Cloud Storage.")] = None
    alioss: Annotated[AliOssSection | None, About("Alibaba Cloud OSS.")] = None

    def storage(self, key: str) -> Storage:
        """The storage that the section `key` describes. Raises InvalidRequest for more than one."""
        given = [section for section in (self.s3, self.azure, self.gcp, self.alioss) if section is not None]
        if len(given) > 1:
            raise bad_config(key, "names more than one provider", "Keep one of s3, azure, gcp and alioss")
        storage: Storage = given[0].storage if given else LocalStorage()
        return replace(storage, prefix=self.prefix, presigned=self.generate_presigned_url)
