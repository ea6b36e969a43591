"""The sections of the configuration: the keys of LiveKit Egress, and a few of our own."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from pyegress.plan.recording_plan import LimitRule, RequestType, SessionLimits
from pyegress.plan.websocket_format import SoundEncoding, WebsocketFormat
from pyegress.service.config_reader import UNLIMITED, About, AnySection, Seconds, unused
from pyegress.storage.spool_steps import Retention

LOG_LEVELS = {"debug": "DEBUG", "info": "INFO", "warn": "WARNING", "warning": "WARNING", "error": "ERROR"}
_RETENTION = Seconds(24 * 3600.0)
_PATIENCE = Seconds(600.0)
_SAMPLING = unused("the log is not sampled")


@dataclass(frozen=True, slots=True)
class LoggingSection:
    level: Annotated[str, About("debug, info, warn or error.")] = "info"
    json: Annotated[bool, About("One JSON object a line; false is plain text.")] = True
    sample: Annotated[bool, _SAMPLING] = False
    sample_initial: Annotated[int, _SAMPLING] = 0
    sample_interval: Annotated[int, _SAMPLING] = 0
    item_sample_seconds: Annotated[int, _SAMPLING] = 0
    item_sample_initial: Annotated[int, _SAMPLING] = 0
    item_sample_interval: Annotated[int, _SAMPLING] = 0
    component_levels: Annotated[AnySection, unused("its components are not ours")] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RedisTlsSection:
    enabled: Annotated[bool, About("Speak TLS.")] = False
    insecure: Annotated[bool, About("Take any certificate.")] = False
    server_name: Annotated[str, About("Name in the certificate, where it is not the host's.")] = ""
    ca_cert_file: Annotated[str, About("PEM of who signed the certificate.")] = ""
    client_cert_file: Annotated[str, About("PEM of our own certificate.")] = ""
    client_key_file: Annotated[str, About("PEM of its key.")] = ""


@dataclass(frozen=True, slots=True)
class RedisSection:
    """One of address, sentinel_addresses and cluster_addresses."""

    address: Annotated[str, About("host:port of a single node.", "localhost:6379")] = ""
    username: Annotated[str, About("User, where Redis has users.")] = ""
    password: Annotated[str, About("Password.")] = field(default="", repr=False)
    db: Annotated[int, About("Number of the database.")] = 0
    use_tls: Annotated[bool, About("", instead="redis.tls.enabled")] = False
    tls: Annotated[RedisTlsSection, About("TLS towards Redis.")] = RedisTlsSection()
    sentinel_master_name: Annotated[str, About("Name of the master, with Sentinel.")] = ""
    sentinel_username: Annotated[str, About("User at the sentinels.")] = ""
    sentinel_password: Annotated[str, About("Password at the sentinels.")] = field(default="", repr=False)
    sentinel_addresses: Annotated[tuple[str, ...], About("host:port of the sentinels.")] = ()
    cluster_addresses: Annotated[tuple[str, ...], About("host:port of nodes of a Redis Cluster.")] = ()
    max_redirects: Annotated[int, unused("redirections of a cluster are followed as far as they lead")] = 2
    dial_timeout: Annotated[int, About("Milliseconds for connecting, 0 is 5000.")] = 0
    read_timeout: Annotated[int, About("Milliseconds for an answer, 0 is 3000.")] = 0
    write_timeout: Annotated[int, About("Milliseconds for sending; the longer of both counts.")] = 0
    pool_timeout: Annotated[int, unused("a call waits for a connection as long as for its answer")] = 0
    pool_size: Annotated[int, About("Connections at most, 0 is 16.")] = 0


@dataclass(frozen=True, slots=True)
class LimitRuleSection:
    """The most that one request may take. 0 is no limit."""

    rooms: Annotated[str, About("Pattern of room names.")] = "*"
    requests: Annotated[tuple[str, ...], About("Kinds of requests; none is all.", ["room_composite"])] = ()
    max_duration: Annotated[Seconds, About("Longest recording.", "10m")] = UNLIMITED
    max_size: Annotated[int, About("Largest file, bytes.")] = 0

    @property
    def rule(self) -> LimitRule:
        kinds = tuple(RequestType(name) for name in self.requests)
        return LimitRule(self.rooms, kinds, self.max_duration, self.max_size)


@dataclass(frozen=True, slots=True)
class LimitsSection:
    """Of every egress with such an output; the shortest applies. 0 is none."""

    file_output_max_duration: Annotated[Seconds, About("Longest recording into a file.", "4h")] = UNLIMITED
    file_output_max_size: Annotated[int, About("Largest file, bytes.")] = 0
    stream_output_max_duration: Annotated[Seconds, About("Longest stream.")] = UNLIMITED
    segment_output_max_duration: Annotated[Seconds, About("Longest recording into segments.")] = UNLIMITED
    image_output_max_duration: Annotated[Seconds, About("Longest egress that takes images.")] = UNLIMITED
    rules: Annotated[
        tuple[LimitRuleSection, ...], About("Limits of requests, by room and kind: see docs/service.md.")
    ] = ()

    @property
    def limits(self) -> SessionLimits:
        return SessionLimits(
            file=self.file_output_max_duration,
            stream=self.stream_output_max_duration,
            segment=self.segment_output_max_duration,
            image=self.image_output_max_duration,
            file_size=self.file_output_max_size,
            rules=tuple(each.rule for each in self.rules),
        )


@dataclass(frozen=True, slots=True)
class CostSection:
    """What an egress is reckoned with until it can be measured: cores and gigabytes (`service.costs`)."""

    max_cpu_utilization: Annotated[float, About("Share of the cores that egresses may take.")] = 0.8
    max_memory: Annotated[float, About("GB that all may take together, 0 is no limit.")] = 0.0
    memory_cost: Annotated[float, About("GB that an egress is said to take.")] = 0.0
    room_composite_cpu_cost: Annotated[float | None, About("Cores of a room composite.", 0.6)] = None
    audio_room_composite_cpu_cost: Annotated[float | None, About("Of one with sound alone.", 0.15)] = None
    sdk_audio_room_composite_cpu_cost: Annotated[float | None, About("Of one without a browser.", 0.15)] = None
    sdk_audio_room_composite_memory_cost: Annotated[float | None, About("Its GB, else memory_cost.", 0.1)] = None
    web_cpu_cost: Annotated[float | None, About("Cores of a web page.", 1.0)] = None
    audio_web_cpu_cost: Annotated[float | None, About("Of its sound alone.", 0.5)] = None
    participant_cpu_cost: Annotated[float | None, About("Cores of a participant.", 0.5)] = None
    track_composite_cpu_cost: Annotated[float | None, About("Cores of two tracks that are encoded.", 0.5)] = None
    track_cpu_cost: Annotated[float | None, About("Cores of a track that is copied.", 0.05)] = None
    max_pulse_clients: Annotated[int, unused("every page has a sound server of its own")] = 60
    memory_source: Annotated[str, About("What is measured: proc_rss (our workers) or cgroup.")] = "proc_rss"
    memory_kill_grace_sec: Annotated[int, About("Seconds above max_memory before an egress is ended.")] = 0
    cpu_kill_grace_sec: Annotated[int, About("Seconds that a stopped egress has before it is killed.")] = 30


@dataclass(frozen=True, slots=True)
class ApiSection:
    """The Egress API over HTTP: only for this machine unless `host` says otherwise."""

    host: Annotated[str, About("Address that is listened on.")] = "127.0.0.1"
    port: Annotated[int, About("Port; 0 is a free one.")] = 7985
    keys: Annotated[AnySection, About("API secrets by API key, beside api_key.", {"other": "secret"})] = field(
        default_factory=dict, repr=False
    )
    database: Annotated[str, About('File that keeps the infos; "" is in state_directory.')] = ""
    retention: Annotated[Seconds, About("For how long an ended egress is listed.")] = _RETENTION
    webhook_path: Annotated[str, About("Where livekit-server posts its webhooks for auto_egress.")] = "/livekit/webhook"


@dataclass(frozen=True, slots=True)
class SpoolSection:
    """Where everything that is recorded has a folder until it is delivered and told."""

    directory: Annotated[str, About('Where the folders are; "" is in state_directory.')] = ""
    encryption_key: Annotated[str, About("Keeps credentials of requests there, encrypted; without it on no disk.")] = (
        field(default="", repr=False)
    )
    patience: Annotated[Seconds, About("How long an egress stays ENDING while its storage fails.")] = _PATIENCE
    keep: Annotated[Seconds, About("For how long the local copy of what is delivered is kept.")] = UNLIMITED
    max_age: Annotated[Seconds, About("What is older is dropped, 0s is never.", "720h")] = UNLIMITED
    max_size: Annotated[int, About("Bytes of all folders; beyond them the oldest is dropped. 0 is any.")] = 0
    drop_undelivered: Annotated[bool, About("Drop also what is not delivered.")] = False

    @property
    def retention(self) -> Retention:
        return Retention(self.keep, self.max_age, self.max_size, self.drop_undelivered)


@dataclass(frozen=True, slots=True)
class DiskSection:
    """Space that is to be free where the service writes."""

    warn_below: Annotated[int, About("Bytes; fewer are warned of.")] = 2_000_000_000
    refuse_below: Annotated[int, About("Bytes; with fewer no new egress is taken.")] = 500_000_000


@dataclass(frozen=True, slots=True)
class WebhooksSection:
    """Who is told of every egress that came over HTTP."""

    urls: Annotated[tuple[str, ...], About("Where events are posted.", ["https://example.com/hook"])] = ()
    api_key: Annotated[str, About('Name of the API key that signs; "" is api_key.')] = ""
    include_events: Annotated[tuple[str, ...], About("Only these.", ["egress_ended"])] = ()
    exclude_events: Annotated[tuple[str, ...], About("All but these.", ["egress_updated"])] = ()


@dataclass(frozen=True, slots=True)
class WebsocketSection:
    """What receivers of sound are sent, unless their URLs say otherwise (docs/streams.md)."""

    encoding: Annotated[str, About("pcm_s16le, or opus: the packets of a track as they were published.")] = "pcm_s16le"
    sample_rate: Annotated[int, About("Hz; 0 is that of the track, 8000 or 48000.")] = 0
    channels: Annotated[int, About("1 or 2.")] = 2
    describe: Annotated[bool, About("The first text frame says what follows.")] = False

    @property
    def format(self) -> WebsocketFormat:
        return WebsocketFormat(SoundEncoding(self.encoding), self.sample_rate, self.channels, self.describe)
