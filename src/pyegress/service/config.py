"""The configuration of the service: one table of keys, which LiveKit Egress's files fit."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pyegress.errors import InvalidRequest
from pyegress.plan.encoding_arguments import HARDWARE, QUALITIES
from pyegress.plan.encodings import EncodingWish
from pyegress.plan.recording_plan import DEFAULT_STREAM_RETRY, RequestType, Service, Waits
from pyegress.plan.storage import AssumeRole, Retries, StorageDefaults
from pyegress.plan.websocket_format import RATES, SoundEncoding
from pyegress.service.browser_config import BrowserSection
from pyegress.service.config_reader import (
    UNLIMITED,
    About,
    AnySection,
    Findings,
    Seconds,
    bad_config,
    read_section,
    unused,
)
from pyegress.service.config_sections import (
    LOG_LEVELS,
    ApiSection,
    CostSection,
    DiskSection,
    LimitsSection,
    LoggingSection,
    RedisSection,
    SpoolSection,
    WebhooksSection,
    WebsocketSection,
)
from pyegress.service.config_text import parse_yaml
from pyegress.service.storage_config import StorageSection

_IO_CREATE, _IO_UPDATE, _KILL_GRACE, _ORPHAN_TIMEOUT = Seconds(15), Seconds(30), Seconds(60), Seconds(60)
_STREAM_RETRY = Seconds(DEFAULT_STREAM_RETRY)
_NO_TUNING = unused("reception and timing adapt by themselves")


@dataclass(frozen=True, slots=True)
class ServiceConfig:
    """Everything that can be configured."""

    ws_url: Annotated[str, About("livekit-server; else LIVEKIT_WS_URL or LIVEKIT_URL.", "ws://localhost:7880")] = ""
    api_key: Annotated[str, About("API key there; else LIVEKIT_API_KEY.", "devkey")] = ""
    api_secret: Annotated[str, About("Its secret; else LIVEKIT_API_SECRET.", "secret")] = field(default="", repr=False)
    redis: Annotated[RedisSection | None, About("Take requests from livekit-server, over the Redis it uses.")] = None
    cluster_id: Annotated[str, About("Topic of StartEgress; livekit-server uses none.")] = ""
    api: Annotated[
        ApiSection | None, About("Take requests over HTTP; without this section only where there is no Redis.")
    ] = None
    webhooks: Annotated[WebhooksSection, About("Who is told of egresses that came over HTTP.")] = field(
        default_factory=WebhooksSection
    )
    auto_egress: Annotated[tuple[AnySection, ...], About("Rules of what is recorded without being asked.")] = ()
    health_port: Annotated[int, About("Load and running egresses; /healthz, /readyz. 0 is none.", 8080)] = 0
    prometheus_port: Annotated[int, About("Metrics. 0 is none.", 9090)] = 0
    debug_port: Annotated[int, About("/debug: tasks and pipelines as text. 0 is none.", 7070)] = 0
    debug_host: Annotated[str, About("Address of debug_port.")] = "127.0.0.1"
    debug_handler_port: Annotated[int, About("", instead="debug_port")] = 0
    local_directory: Annotated[str, About('Relative names go below it; "" is where the service was started.')] = ""
    overwrite: Annotated[bool, About("Replace local files that exist; false refuses their names.")] = True
    disallow_local_storage: Annotated[bool, About("Refuse requests whose files would stay on this disk.")] = False
    storage: Annotated[StorageSection, About("Where files go unless the request says; none is this disk.")] = field(
        default_factory=StorageSection
    )
    backup: Annotated[StorageSection | None, About("Where they go when the storage fails.")] = None
    backup_storage: Annotated[StorageSection | None, About("", instead="backup")] = None
    s3_assume_role_key: Annotated[str, About("Access key that may take on the roles of requests.")] = field(
        default="", repr=False
    )
    s3_assume_role_secret: Annotated[str, About("Its secret.")] = field(default="", repr=False)
    s3_assume_role_arn: Annotated[str, About("Role that is taken on before those.")] = ""
    s3_assume_role_external_id: Annotated[str, About("External id that it asks for.")] = field(default="", repr=False)
    session_limits: Annotated[LimitsSection, About("Longest and largest.")] = field(default_factory=LimitsSection)
    cpu_cost: Annotated[CostSection, About("What an egress is reckoned with.")] = field(default_factory=CostSection)
    logging: Annotated[LoggingSection, About("The log, on standard error.")] = field(default_factory=LoggingSection)
    state_directory: Annotated[str, About('What must survive a restart; "" is ~/.local/state/pyegress.')] = ""
    spool: Annotated[SpoolSection, About("What is not delivered yet, and what a crash left.")] = field(
        default_factory=SpoolSection
    )
    disk: Annotated[DiskSection, About("Space that is to be free.")] = field(default_factory=DiskSection)
    quality: Annotated[str, About("What an encoder spends on its picture: economy, standard or high.")] = "standard"
    hardware: Annotated[str, About("What encodes H.264: none, nvenc, or auto (nvenc where there is one).")] = "none"
    video_encoder_threads: Annotated[int, About("0 leaves their number to the size of the pictures.")] = 0
    spare_workers: Annotated[int, About("Workers that wait with the encoders loaded; one starts 0.1 s sooner.")] = 0
    kill_grace: Annotated[Seconds, About("For recordings that are ended by a second signal.")] = _KILL_GRACE
    stream_retry: Annotated[
        Seconds, About("A destination of a stream that was lost is tried again for so long; 0s: never.")
    ] = _STREAM_RETRY
    websocket: Annotated[WebsocketSection, About("Sound over WebSockets.")] = field(default_factory=WebsocketSection)
    hls_part: Annotated[
        Seconds, About("Parts of low latency HLS, in fMP4 segments on this disk; 0s: whole segments only.", "500ms")
    ] = UNLIMITED
    drain_timeout: Annotated[Seconds, About("How long a drain may take; 0s is without limit.")] = UNLIMITED
    io_create_timeout: Annotated[Seconds, About("For livekit-server to store a new egress.")] = _IO_CREATE
    io_update_timeout: Annotated[Seconds, About("For livekit-server to store a change.")] = _IO_UPDATE
    io_selection_timeout: Annotated[Seconds, About("For one of them to take the call; 0s is 1s.")] = UNLIMITED
    orphan_timeout: Annotated[Seconds, About("How long an egress may lack a node before it is marked as failed.")] = (
        _ORPHAN_TIMEOUT
    )
    template_base: Annotated[str, About("Page of custom templates, where a request names none.")] = ""
    template_engine: Annotated[
        str, About("Who draws the default layouts: native, or chrome, which opens a page of them.")
    ] = "native"
    template_port: Annotated[int, About("That page is served here, to this machine only.")] = 7980
    browser: Annotated[BrowserSection, About("How web pages are opened.")] = field(default_factory=BrowserSection)
    chrome_flags: Annotated[AnySection, About("Switches of Chromium, with their values.")] = field(default_factory=dict)
    insecure: Annotated[bool, About("Chromium checks no certificates, and lets pages load anything.")] = False
    enable_chrome_sandbox: Annotated[bool, unused("browser.sandbox: it is used where the system allows it")] = False
    max_upload_queue: Annotated[int, unused("the spool on disk is the queue")] = 60
    io_workers: Annotated[int, unused("every egress has a queue of its own")] = 5
    pulse_sink_reap_grace_sec: Annotated[int, unused("no sound server is shared")] = 30
    latency: Annotated[AnySection, _NO_TUNING] = field(default_factory=dict)
    latency_overrides: Annotated[AnySection, _NO_TUNING] = field(default_factory=dict)
    enable_one_shot_sender_report_sync: Annotated[bool, _NO_TUNING] = False
    enable_sync_engine: Annotated[bool, _NO_TUNING] = False
    audio_tempo_controller: Annotated[AnySection, _NO_TUNING] = field(default_factory=dict)
    test_overrides: Annotated[AnySection, unused("faults are injected from outside")] = field(default_factory=dict)
    psrpc: Annotated[AnySection, unused("compressed messages are read, and none are sent")] = field(
        default_factory=dict
    )
    debug: Annotated[AnySection, unused("see debug_port")] = field(default_factory=dict)

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
            template_base=self._template_base,
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
                azure_endpoint=self.storage.azure.endpoint if self.storage.azure else "",
            ),
            limits=self.session_limits.limits,
            overwrite=self.overwrite,
            waits=Waits(stream=self.stream_retry),
            websocket=self.websocket.format,
            hls_part=self.hls_part,
            encoding=EncodingWish(
                quality=QUALITIES[self.quality],
                hardware=HARDWARE[self.hardware],
                threads=self.video_encoder_threads or None,
            ),
            browser=self.browser.options(
                flags=self.chrome_flags, insecure=self.insecure, redis=self.redis, trusted=self._trusted
            ),
        )

    @property
    def _trusted(self) -> tuple[str, ...]:
        """Where pages may go although it may be a private address: the server that we record, and our templates."""
        places = (urlsplit(url) for url in (self.ws_url, self._template_base) if url)
        return tuple(
            f"[{place.hostname}]:{port}" if ":" in place.hostname else f"{place.hostname}:{port}"
            for place in places
            if place.hostname
            for port in (place.port or (443 if place.scheme in ("wss", "https") else 80),)
        )

    @property
    def serves_templates(self) -> bool:
        """Whether the default layouts are a page of ours."""
        return self.template_engine == "chrome" and not self.template_base

    @property
    def _template_base(self) -> str:
        return f"http://localhost:{self.template_port}/" if self.serves_templates else self.template_base

    @property
    def _storage_is_local(self) -> bool:
        storage = self.storage
        return not (storage.s3 or storage.azure or storage.gcp or storage.alioss)

    @property
    def spool_directory(self) -> str:
        """Where the spool is."""
        return self.spool.directory or os.path.join(self.state_directory, "spool")

    @property
    def secrets(self) -> tuple[str, ...]:
        """What no log line may show."""
        redis = self.redis or RedisSection()
        keys = [str(secret) for secret in self.api.keys.values()] if self.api else []
        named = [
            self.api_secret,
            self.spool.encryption_key,
            redis.password,
            redis.sentinel_password,
            self.s3_assume_role_secret,
            *keys,
        ]
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
    loaded = parse_config(config_text(path, body, environment))
    return replace(loaded, config=completed(loaded.config, environment))


def config_text(path: str | os.PathLike[str], body: str, environment: Mapping[str, str]) -> str:
    """The text that `load_config` reads, "" for none. Raises InvalidRequest for a file that cannot be read."""
    if not (path or body):
        body, path = environment.get("EGRESS_CONFIG_BODY", ""), environment.get("EGRESS_CONFIG_FILE", "")
    return body or (_read(Path(path)) if path else "")


def completed(config: ServiceConfig, environment: Mapping[str, str]) -> ServiceConfig:
    """A configuration with what the environment adds to it."""
    return replace(
        config,
        api_key=config.api_key or environment.get("LIVEKIT_API_KEY", ""),
        api_secret=config.api_secret or environment.get("LIVEKIT_API_SECRET", ""),
        ws_url=config.ws_url or environment.get("LIVEKIT_WS_URL", "") or environment.get("LIVEKIT_URL", ""),
        debug_port=config.debug_port or config.debug_handler_port,
        state_directory=config.state_directory or _state_directory(environment),
        local_directory=os.path.abspath(config.local_directory or "."),
    )


def parse_config(text: str) -> LoadedConfig:
    """The configuration in a YAML text. Raises InvalidRequest that names the key, the first of several."""
    findings = Findings()
    config = read_config(text, findings)
    if findings.errors:
        first, *others = findings.errors
        if others:
            first.remedy += f". There are {len(others)} more problems: pyegress config check shows all"
        raise first
    return LoadedConfig(config, tuple(text for _, text in findings.warnings))


def read_config(text: str, findings: Findings) -> ServiceConfig:
    """The configuration in a YAML text as far as it can be read; everything that is wrong goes to `findings`."""
    try:
        config = read_section(ServiceConfig, parse_yaml(text), "", findings)
    except InvalidRequest as error:
        findings.errors.append(error)
        return ServiceConfig()
    findings.errors.extend(_contradictions(config))
    findings.warnings.extend(_vain(config))
    return config


def check_server(config: ServiceConfig) -> None:
    """Raise InvalidRequest when it is not known where livekit-server is, or who we are there."""
    for error in require_server(config):
        raise error


def require_server(config: ServiceConfig) -> Iterator[InvalidRequest]:
    """What is missing to find livekit-server."""
    for key in ("ws_url", "api_key", "api_secret"):
        if not getattr(config, key):
            yield bad_config(key, "is missing", f"Set {key}, or LIVEKIT_{key.upper()} in the environment")


def _contradictions(config: ServiceConfig) -> Iterator[InvalidRequest]:
    """What each key alone does not show."""
    if config.logging.level.lower() not in LOG_LEVELS:
        yield bad_config("logging.level", "is no level", f"Use one of {', '.join(LOG_LEVELS)}")
    for key in ("health_port", "prometheus_port", "debug_port", "debug_handler_port", "template_port"):
        if not 0 <= getattr(config, key) <= 65535:
            yield bad_config(key, "is no port", "Use 1 to 65535, or 0 for none")
    if config.api is not None and not 0 <= config.api.port <= 65535:
        yield bad_config("api.port", "is no port", "Use 1 to 65535, or 0 for a free one")
    if config.template_engine not in ("native", "chrome"):
        yield bad_config("template_engine", "draws nothing", "Use native or chrome")
    if config.serves_templates and not config.template_port:
        yield bad_config("template_port", "is none, but template_engine is chrome", "Give it a port, 7980 is usual")
    yield from config.browser.contradictions()
    cost = config.cpu_cost
    if not 0 < cost.max_cpu_utilization <= 1:
        yield bad_config("cpu_cost.max_cpu_utilization", "must be above 0 and at most 1", "0.8 is usual")
    if cost.memory_source not in ("proc_rss", "cgroup"):
        yield bad_config("cpu_cost.memory_source", "is no source of figures", "Use proc_rss or cgroup")
    for key, table in (("quality", QUALITIES), ("hardware", HARDWARE)):
        if getattr(config, key) not in table:
            yield bad_config(key, "is no name that is known", f"Use one of {', '.join(table)}")
    sound = config.websocket
    for key, value, known in (
        ("encoding", sound.encoding, [each.value for each in SoundEncoding]),
        ("sample_rate", sound.sample_rate, [0, *RATES]),
        ("channels", sound.channels, [1, 2]),
    ):
        if value not in known:
            yield bad_config(f"websocket.{key}", "is none that is known", f"Use one of {', '.join(map(str, known))}")
    kinds = [kind.value for kind in RequestType]
    for index, rule in enumerate(config.session_limits.rules):
        if not set(rule.requests) <= set(kinds):
            key = f"session_limits.rules[{index}].requests"
            yield bad_config(key, "has a kind that is not known", f"Use {', '.join(kinds)}")
    counts = {key: getattr(config, key) for key in ("spare_workers", "io_workers", "video_encoder_threads")}
    counts |= {"spool.max_size": config.spool.max_size}
    counts |= {"disk.warn_below": config.disk.warn_below, "disk.refuse_below": config.disk.refuse_below}
    for key, count in counts.items():
        if count < 0:
            yield bad_config(key, "must not be negative", "Use 0 or more")
    for key in ("storage", "backup", "backup_storage"):
        if (section := getattr(config, key)) is not None:
            try:
                section.storage(key)
            except InvalidRequest as error:
                yield error


def _vain(config: ServiceConfig) -> Iterator[tuple[str, str]]:
    """What nothing comes of."""
    if config.redis is not None and config.api is None:
        for key, given in (("auto_egress", config.auto_egress), ("webhooks", config.webhooks.urls)):
            if given:
                yield key, f"{key} has no effect without the section api: requests come over Redis only"


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
