"""The configuration of the service: the YAML keys of LiveKit Egress, and a few of our own."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import yaml

from pyegress.errors import InvalidRequest
from pyegress.plan.recording_plan import DEFAULT_STREAM_RETRY, Service, SessionLimits, Waits
from pyegress.plan.storage import AssumeRole, Retries, StorageDefaults
from pyegress.service.config_reader import UNLIMITED, AnySection, Seconds, bad_config, read_section
from pyegress.service.storage_config import StorageSection

_IO_CREATE, _IO_UPDATE, _KILL_GRACE = Seconds(15), Seconds(30), Seconds(60)
_STREAM_RETRY = Seconds(DEFAULT_STREAM_RETRY)
_RETENTION = Seconds(24 * 3600.0)
LOG_LEVELS = {"debug": "DEBUG", "info": "INFO", "warn": "WARNING", "warning": "WARNING", "error": "ERROR"}


@dataclass(frozen=True, slots=True)
class LoggingSection:
    level: str = "info"
    json: bool = True
    #: Of the reference's sampling logger.
    sample: bool = False
    sample_initial: int = 0
    sample_interval: int = 0
    item_sample_seconds: int = 0
    item_sample_initial: int = 0
    item_sample_interval: int = 0
    component_levels: AnySection = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RedisTlsSection:
    enabled: bool = False
    insecure: bool = False
    server_name: str = ""
    ca_cert_file: str = ""
    client_cert_file: str = ""
    client_key_file: str = ""


@dataclass(frozen=True, slots=True)
class RedisSection:
    """One of address, sentinel_addresses and cluster_addresses. Timeouts are milliseconds, 0 is usual."""

    address: str = ""
    username: str = ""
    password: str = field(default="", repr=False)
    db: int = 0
    use_tls: bool = False
    tls: RedisTlsSection = RedisTlsSection()
    sentinel_master_name: str = ""
    sentinel_username: str = ""
    sentinel_password: str = field(default="", repr=False)
    sentinel_addresses: tuple[str, ...] = ()
    cluster_addresses: tuple[str, ...] = ()
    max_redirects: int = 2
    dial_timeout: int = 0
    read_timeout: int = 0
    write_timeout: int = 0
    pool_timeout: int = 0
    pool_size: int = 0


@dataclass(frozen=True, slots=True)
class LimitsSection:
    file_output_max_duration: Seconds = UNLIMITED
    file_output_max_size: int = 0
    stream_output_max_duration: Seconds = UNLIMITED
    segment_output_max_duration: Seconds = UNLIMITED
    image_output_max_duration: Seconds = UNLIMITED

    @property
    def limits(self) -> SessionLimits:
        return SessionLimits(
            file=self.file_output_max_duration,
            stream=self.stream_output_max_duration,
            segment=self.segment_output_max_duration,
            image=self.image_output_max_duration,
            file_size=self.file_output_max_size,
        )


@dataclass(frozen=True, slots=True)
class CostSection:
    """Cores and gigabytes. A cost that is None is the measured one, see `service.costs`."""

    max_cpu_utilization: float = 0.8
    max_memory: float = 0.0
    memory_cost: float = 0.0
    room_composite_cpu_cost: float | None = None
    audio_room_composite_cpu_cost: float | None = None
    sdk_audio_room_composite_cpu_cost: float | None = None
    sdk_audio_room_composite_memory_cost: float | None = None
    web_cpu_cost: float | None = None
    audio_web_cpu_cost: float | None = None
    participant_cpu_cost: float | None = None
    track_composite_cpu_cost: float | None = None
    track_cpu_cost: float | None = None
    max_pulse_clients: int = 60
    memory_source: str = "proc_rss"
    memory_kill_grace_sec: int = 0
    cpu_kill_grace_sec: int = 30


@dataclass(frozen=True, slots=True)
class ApiSection:
    """The Egress API over HTTP: only for this machine unless `host` says otherwise.

    `keys` are API secrets by API key, beside api_key; `database` keeps the infos, "" is in the state directory.
    """

    host: str = "127.0.0.1"
    port: int = 7985
    keys: AnySection = field(default_factory=dict, repr=False)
    database: str = ""
    retention: Seconds = _RETENTION
    webhook_path: str = "/livekit/webhook"


@dataclass(frozen=True, slots=True)
class WebhooksSection:
    """Who is told of every egress that came over HTTP. `api_key` signs, "" is the service's own."""

    urls: tuple[str, ...] = ()
    api_key: str = ""


@dataclass(frozen=True, slots=True)
class ServiceConfig:
    """Everything that can be configured. Fields without a comment are keys of LiveKit Egress."""

    api_key: str = ""
    api_secret: str = field(default="", repr=False)
    ws_url: str = ""
    redis: RedisSection | None = None
    cluster_id: str = ""
    health_port: int = 0
    prometheus_port: int = 0
    template_base: str = ""
    disallow_local_storage: bool = False
    session_limits: LimitsSection = LimitsSection()
    storage: StorageSection = field(default_factory=StorageSection)
    backup: StorageSection | None = None
    backup_storage: StorageSection | None = None
    s3_assume_role_key: str = field(default="", repr=False)
    s3_assume_role_secret: str = field(default="", repr=False)
    s3_assume_role_arn: str = ""
    s3_assume_role_external_id: str = field(default="", repr=False)
    logging: LoggingSection = LoggingSection()
    cpu_cost: CostSection = CostSection()
    io_create_timeout: Seconds = _IO_CREATE
    io_update_timeout: Seconds = _IO_UPDATE
    io_selection_timeout: Seconds = UNLIMITED
    io_workers: int = 5
    # Accepted, so that a configuration can be taken as it is; they tune parts that are not there or need no tuning.
    debug_handler_port: int = 0
    template_port: int = 7980
    enable_chrome_sandbox: bool = False
    chrome_flags: AnySection = field(default_factory=dict)
    insecure: bool = False
    max_upload_queue: int = 60
    pulse_sink_reap_grace_sec: int = 30
    latency: AnySection = field(default_factory=dict)
    latency_overrides: AnySection = field(default_factory=dict)
    video_encoder_threads: int = 0
    enable_one_shot_sender_report_sync: bool = False
    enable_sync_engine: bool = False
    audio_tempo_controller: AnySection = field(default_factory=dict)
    test_overrides: AnySection = field(default_factory=dict)
    psrpc: AnySection = field(default_factory=dict)
    debug: AnySection = field(default_factory=dict)
    # Our own.
    #: The Egress API over HTTP. Without this section it is open when there is no Redis.
    api: ApiSection | None = None
    webhooks: WebhooksSection = WebhooksSection()
    #: Rules of what is recorded without being asked.
    auto_egress: tuple[AnySection, ...] = ()
    #: Where relative file names go; "" is the folder in which the service was started.
    local_directory: str = ""
    #: What must survive a restart.
    state_directory: str = ""
    #: Workers that wait, loaded, for the next egress.
    spare_workers: int = 1
    #: How long a destination of a stream that was lost is tried again; 0: not at all.
    stream_retry: Seconds = _STREAM_RETRY
    #: For recordings that are ended by a second signal, before they are killed.
    kill_grace: Seconds = _KILL_GRACE
    #: How long a drain may take before running recordings are ended; 0 is without limit.
    drain_timeout: Seconds = UNLIMITED

    @property
    def log_level(self) -> str:
        """As `logging` names it."""
        return LOG_LEVELS[self.logging.level.lower()]

    @property
    def service(self) -> Service:
        """What is added to every request."""
        s3 = self.storage.s3
        storage = self.storage.storage("storage")
        backup = self.backup or self.backup_storage
        return Service(
            ws_url=self.ws_url,
            api_key=self.api_key,
            api_secret=self.api_secret,
            template_base=self.template_base,
            storage=StorageDefaults(
                storage=storage if not self._storage_is_local else None,
                backup=backup.storage("backup") if backup else None,
                local_allowed=not self.disallow_local_storage,
                prefix=self.storage.prefix,
                presigned=self.storage.generate_presigned_url,
                assume_role=AssumeRole(
                    self.s3_assume_role_key,
                    self.s3_assume_role_secret,
                    self.s3_assume_role_arn,
                    self.s3_assume_role_external_id,
                ),
                s3_retries=s3.retries if s3 else Retries(),
            ),
            limits=self.session_limits.limits,
            waits=Waits(stream=self.stream_retry),
        )

    @property
    def _storage_is_local(self) -> bool:
        storage = self.storage
        return not (storage.s3 or storage.azure or storage.gcp or storage.alioss)

    @property
    def secrets(self) -> tuple[str, ...]:
        """What no log line may show."""
        redis = self.redis or RedisSection()
        keys = [str(secret) for secret in self.api.keys.values()] if self.api else []
        named = [self.api_secret, redis.password, redis.sentinel_password, self.s3_assume_role_secret, *keys]
        for section in (self.storage, self.backup, self.backup_storage):
            if section is None:
                continue
            named += [section.s3.secret, section.s3.session_token] if section.s3 else []
            named += [section.azure.account_key] if section.azure else []
            named += [section.alioss.secret] if section.alioss else []
            named += [section.gcp.credentials_json] if section.gcp else []
        return tuple(secret for secret in named if secret)


@dataclass(frozen=True, slots=True)
class LoadedConfig:
    """A configuration, and what should be said about it."""

    config: ServiceConfig
    warnings: tuple[str, ...]


def load_config(
    path: str | os.PathLike[str] = "", body: str = "", environment: Mapping[str, str] | None = None
) -> LoadedConfig:
    """Read the configuration: a body before a file, arguments before EGRESS_CONFIG_BODY and EGRESS_CONFIG_FILE.

    Keys and URL that it lacks are taken from LIVEKIT_API_KEY, LIVEKIT_API_SECRET and LIVEKIT_WS_URL (or LIVEKIT_URL).
    Raises InvalidRequest that names the key.
    """
    environment = os.environ if environment is None else environment
    if not (path or body):
        body, path = environment.get("EGRESS_CONFIG_BODY", ""), environment.get("EGRESS_CONFIG_FILE", "")
    text = body or (_read(Path(path)) if path else "")
    loaded = parse_config(text)
    config = loaded.config
    config = replace(
        config,
        api_key=config.api_key or environment.get("LIVEKIT_API_KEY", ""),
        api_secret=config.api_secret or environment.get("LIVEKIT_API_SECRET", ""),
        ws_url=config.ws_url or environment.get("LIVEKIT_WS_URL", "") or environment.get("LIVEKIT_URL", ""),
        state_directory=config.state_directory or _state_directory(environment),
        local_directory=os.path.abspath(config.local_directory or "."),
    )
    return replace(loaded, config=config)


def parse_config(text: str) -> LoadedConfig:
    """The configuration in a YAML text. Raises InvalidRequest that names the key."""
    try:
        values = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" in line {mark.line + 1}, column {mark.column + 1}" if mark is not None else ""
        problem = getattr(error, "problem", None) or "it cannot be read"
        raise bad_config("", f"is no YAML: {problem}{where}", "Check indentation and quotation marks there") from None
    warnings: list[str] = []
    config = read_section(ServiceConfig, values, "", warnings)
    _check(config)
    return LoadedConfig(config, tuple(warnings))


def check_server(config: ServiceConfig) -> None:
    """Raise InvalidRequest when it is not known where livekit-server is, or who we are there."""
    for key in ("ws_url", "api_key", "api_secret"):
        if not getattr(config, key):
            raise bad_config(key, "is missing", f"Set {key}, or LIVEKIT_{key.upper()} in the environment")


def _check(config: ServiceConfig) -> None:
    if config.logging.level.lower() not in LOG_LEVELS:
        raise bad_config("logging.level", "is no level", f"Use one of {', '.join(LOG_LEVELS)}")
    for key in ("health_port", "prometheus_port", "debug_handler_port", "template_port"):
        if not 0 <= getattr(config, key) <= 65535:
            raise bad_config(key, "is no port", "Use 1 to 65535, or 0 for none")
    if config.api is not None and not 0 <= config.api.port <= 65535:
        raise bad_config("api.port", "is no port", "Use 1 to 65535, or 0 for a free one")
    cost = config.cpu_cost
    if not 0 < cost.max_cpu_utilization <= 1:
        raise bad_config("cpu_cost.max_cpu_utilization", "must be above 0 and at most 1", "0.8 is usual")
    if cost.memory_source not in ("proc_rss", "cgroup"):
        raise bad_config("cpu_cost.memory_source", "is no source of figures", "Use proc_rss or cgroup")
    for key in ("spare_workers", "io_workers"):
        if getattr(config, key) < 0:
            raise bad_config(key, "must not be negative", "Use 0 or more")
    for key in ("storage", "backup", "backup_storage"):
        if (section := getattr(config, key)) is not None:
            section.storage(key)


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise InvalidRequest(
            f"The configuration {path} cannot be read: {reason}",
            field="config",
            remedy="Check --config or EGRESS_CONFIG_FILE",
        ) from None


def _state_directory(environment: Mapping[str, str]) -> str:
    base = environment.get("XDG_STATE_HOME") or os.path.join(os.path.expanduser("~"), ".local", "state")
    return os.path.join(base, "pyegress")
