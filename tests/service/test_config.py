from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from pyegress.errors import InvalidRequest
from pyegress.plan.encodings import Hardware, Quality
from pyegress.plan.storage import AzureStorage, LocalStorage, Retries, S3Storage
from pyegress.service.config import check_server, load_config, parse_config
from pyegress.service.config_reader import parse_seconds

pytestmark = pytest.mark.unit

#: Every key of LiveKit Egress, with the values of its documentation where it has some.
REFERENCE = """
api_key: key
api_secret: hidden-secret
ws_url: wss://livekit.example
redis:
  address: localhost:6379
  username: u
  password: hidden-redis
  db: 3
  use_tls: true
  tls: {enabled: true, insecure: true, server_name: s, ca_cert_file: c, client_cert_file: d, client_key_file: k}
  sentinel_master_name: m
  sentinel_username: u
  sentinel_password: hidden-sentinel
  sentinel_addresses: [a:1, b:2]
  cluster_addresses: [a:1]
  max_redirects: 3
  dial_timeout: 2000
  read_timeout: 200
  write_timeout: 200
  pool_timeout: 1
  pool_size: 5
health_port: 8080
prometheus_port: 9090
debug_handler_port: 7070
template_port: 7980
template_base: http://localhost:7980/
cluster_id: c
enable_chrome_sandbox: true
chrome_flags: {a: b}
insecure: true
max_upload_queue: 60
disallow_local_storage: true
io_create_timeout: 15s
io_update_timeout: 30s
io_selection_timeout: 0s
io_workers: 5
session_limits:
  file_output_max_duration: 1h30m
  file_output_max_size: 1000
  stream_output_max_duration: 2h
  segment_output_max_duration: 90s
  image_output_max_duration: 500ms
storage:
  prefix: p
  generate_presigned_url: true
  s3:
    access_key: a
    secret: hidden-s3
    session_token: hidden-token
    assume_role_arn: arn
    assume_role_external_id: id
    region: r
    endpoint: e
    bucket: b
    force_path_style: true
    proxy_config: {url: "http://p", username: u, password: p}
    max_retries: 3
    max_retry_delay: 5s
    min_retry_delay: 100ms
    metadata: {k: v}
    tagging: t
    content_disposition: inline
backup:
  azure: {account_name: n, account_key: hidden-azure, container_name: c}
s3_assume_role_key: k
s3_assume_role_secret: hidden-role
s3_assume_role_arn: arn
s3_assume_role_external_id: id
logging: {level: debug, json: true, sample: true, component_levels: {psrpc: info}}
debug: {enable_profiling: true, prefix: p}
cpu_cost:
  max_cpu_utilization: 0.7
  max_memory: 8
  memory_cost: 0.5
  room_composite_cpu_cost: 3
  audio_room_composite_cpu_cost: 1
  sdk_audio_room_composite_cpu_cost: 1
  sdk_audio_room_composite_memory_cost: 1
  web_cpu_cost: 3
  audio_web_cpu_cost: 1
  participant_cpu_cost: 2
  track_composite_cpu_cost: 2
  track_cpu_cost: 1
  max_pulse_clients: 60
  memory_source: cgroup
  memory_kill_grace_sec: 3
  cpu_kill_grace_sec: 30
pulse_sink_reap_grace_sec: 30
latency: {jitter_buffer_latency: 2s}
latency_overrides: {track: {jitter_buffer_latency: 1s}}
video_encoder_threads: 2
enable_one_shot_sender_report_sync: true
enable_sync_engine: true
audio_tempo_controller: {enabled: true, adjustment_rate: 0.05}
test_overrides: {failure_injection_room: r}
psrpc: {compression: {quality: 1}}
"""


def refused(text: str) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        parse_config(text)
    return caught.value


def test_every_key_of_the_reference_is_known() -> None:
    loaded = parse_config(REFERENCE)
    assert loaded.warnings == ()
    config = loaded.config
    assert config.redis is not None
    assert config.redis.tls.server_name == "s"
    assert config.log_level == "DEBUG"
    service = config.service
    assert service.encoding.threads == 2
    assert (service.limits.file, service.limits.image, service.limits.file_size) == (5400.0, 0.5, 1000)
    storage = service.storage
    assert isinstance(storage.storage, S3Storage)
    assert (storage.storage.bucket, storage.storage.prefix, storage.storage.presigned) == ("b", "p", True)
    assert storage.s3_retries == Retries(3, 0.1, 5.0)
    assert isinstance(storage.backup, AzureStorage)
    assert not storage.local_allowed
    assert storage.assume_role.secret == "hidden-role"


def test_what_encoders_are_told() -> None:
    usual = parse_config("").config.service.encoding
    assert (usual.quality, usual.hardware, usual.threads) == (Quality.STANDARD, Hardware.NONE, None)
    encoding = parse_config("{quality: high, hardware: nvenc}").config.service.encoding
    assert (encoding.quality, encoding.hardware) == (Quality.HIGH, Hardware.NVENC)
    assert refused("hardware: amd").remedy == "Use one of none, nvenc, auto"
    assert refused("quality: best").field == "quality"


def test_no_secret_is_shown() -> None:
    config = parse_config(REFERENCE).config
    assert "hidden" not in repr(config)
    assert "hidden" not in repr(config.service)
    hidden = {value for value in yaml.safe_load(REFERENCE)["storage"]["s3"].values() if "hidden" in str(value)}
    assert hidden < set(config.secrets)
    assert {"hidden-secret", "hidden-redis", "hidden-sentinel", "hidden-azure", "hidden-role"} < set(config.secrets)


def test_an_empty_configuration_is_the_defaults() -> None:
    config = parse_config("").config
    assert config == parse_config("{}").config
    assert config.redis is None
    assert config.service.storage.storage is None
    assert config.cpu_cost.max_cpu_utilization == 0.8
    assert not config.service.limits.file


def test_a_prefix_for_local_files_needs_no_provider() -> None:
    storage = parse_config("storage: {prefix: recordings}").config.service.storage
    assert (storage.storage, storage.prefix) == (None, "recordings")
    assert parse_config("backup: {}").config.service.storage.backup == LocalStorage()


def test_both_names_of_the_backup() -> None:
    for name in ("backup", "backup_storage"):
        text = f"{name}: {{gcp: {{bucket: b}}}}"
        assert parse_config(text).config.service.storage.backup is not None


def test_unknown_keys_are_named_with_the_nearest() -> None:
    loaded = parse_config("api_kee: x\ncpu_cost: {web_cost: 3}\nnothing_like_it: 1\n")
    near, nested, far = loaded.warnings
    assert "api_kee" in near
    assert "did you mean api_key?" in near
    assert "cpu_cost.web_cost" in nested
    assert "web_cpu_cost" in nested
    assert "nothing_like_it" in far


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("health_port: high", "health_port"),
        ("health_port: 70000", "health_port"),
        ("api: {port: -1}", "api.port"),
        ("insecure: 1", "insecure"),
        ("redis: localhost:6379", "redis"),
        ("redis: {sentinel_addresses: a}", "redis.sentinel_addresses"),
        ("redis: {sentinel_addresses: [[a]]}", "redis.sentinel_addresses[0]"),
        ("session_limits: {file_output_max_duration: 15}", "session_limits.file_output_max_duration"),
        ("session_limits: {file_output_max_duration: 15 minutes}", "session_limits.file_output_max_duration"),
        ("session_limits: {rules: [{max_duration: 5}]}", "session_limits.rules[0].max_duration"),
        ("session_limits: {rules: [{}, {requests: [webs]}]}", "session_limits.rules[1].requests"),
        ("storage: {s3: {region: r}}", "storage.s3.bucket"),
        ("storage: {s3: {bucket: b}, gcp: {bucket: b}}", "storage"),
        ("cpu_cost: {max_cpu_utilization: 1.5}", "cpu_cost.max_cpu_utilization"),
        ("cpu_cost: {memory_source: guess}", "cpu_cost.memory_source"),
        ("logging: {level: loud}", "logging.level"),
        ("chrome_flags: [a]", "chrome_flags"),
        ("spare_workers: -1", "spare_workers"),
        ("- a", ""),
    ],
)
def test_errors_name_the_key(text: str, key: str) -> None:
    error = refused(text)
    assert error.field == key
    assert key in error.message
    assert error.remedy


def test_what_is_no_yaml() -> None:
    error = refused("api_key: [hidden\nb: c")
    assert "line" in error.message
    assert "hidden" not in str(error)


def test_keys_of_digits_are_text() -> None:
    assert parse_config("api_secret: 12345").config.api_secret == "12345"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1h30m", 5400.0),
        ("15s", 15.0),
        ("1.5s", 1.5),
        ("250ms", 0.25),
        ("0", 0.0),
        ("15", None),
        ("s", None),
        ("", None),
    ],
)
def test_durations(text: str, seconds: float | None) -> None:
    assert parse_seconds(text) == seconds


def test_where_a_configuration_comes_from(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("api_key: file\nstate_directory: /s\n")
    environment = {"LIVEKIT_API_KEY": "env", "LIVEKIT_API_SECRET": "s", "LIVEKIT_WS_URL": "ws://h"}
    both = environment | {"EGRESS_CONFIG_FILE": str(file), "EGRESS_CONFIG_BODY": "api_key: body"}
    assert load_config(environment=environment).config.api_key == "env"
    assert load_config(environment=both).config.api_key == "body"
    assert load_config(file, environment=both).config.api_key == "file"
    assert load_config(file, "api_key: argument", environment=both).config.api_key == "argument"
    loaded = load_config(file, environment=environment).config
    assert (loaded.api_secret, loaded.ws_url, loaded.state_directory) == ("s", "ws://h", "/s")
    with pytest.raises(InvalidRequest, match="cannot be read"):
        load_config(tmp_path / "none.yaml", environment={})


def test_a_service_must_know_its_server() -> None:
    check_server(parse_config("{ws_url: 'ws://h', api_key: k, api_secret: s}").config)
    with pytest.raises(InvalidRequest, match="LIVEKIT_API_SECRET") as caught:
        check_server(parse_config("{ws_url: 'ws://h', api_key: k}").config)
    assert caught.value.field == "api_secret"
