"""`pyegress config` as an operator uses it."""

from __future__ import annotations

from pathlib import Path

import pytest

from pyegress.cli.config_check import check_config
from pyegress.cli.exit_codes import ExitCode
from tests.cli.command import environment, run

pytestmark = pytest.mark.unit

BROKEN = """\
api_kee: x
api_key: k
health_port: high
redis: {addres: localhost:6379}
storage:
  s3: {region: r, secret: hidden}
cpu_cost:
  max_cpu_utilization: 1.5
  memory_source: guess
api: {}
auto_egress:
  - record: rooms
  - record: room
    request: {file_outputs: [{filepath: a.mp4}]}
io_workers: 8
backup_storage: {gcp: {bucket: b}}
"""


def found(text: str, **variables: str) -> list[tuple[str, str, int | None]]:
    return [(problem.kind, problem.key, problem.line) for problem in check_config(text, variables)]


def test_everything_at_once_with_line_and_key() -> None:
    assert found(BROKEN) == [
        ("error", "api_secret", None),
        ("error", "ws_url", None),
        ("warning", "api_kee", 1),
        ("error", "health_port", 3),
        ("warning", "redis.addres", 4),
        ("error", "redis.address", 4),
        ("error", "storage.s3.bucket", 6),
        ("error", "cpu_cost.max_cpu_utilization", 8),
        ("error", "cpu_cost.memory_source", 9),
        ("error", "auto_egress[0].record", 12),
        ("error", "auto_egress[1].request", 14),
        ("note", "io_workers", 15),
        ("note", "backup_storage", 16),
    ]
    said = "\n".join(problem.text for problem in check_config(BROKEN, {}))
    assert "did you mean api_key?" in said
    assert "hidden" not in said


SERVER = {"LIVEKIT_URL": "ws://h", "LIVEKIT_API_KEY": "k", "LIVEKIT_API_SECRET": "s" * 32}


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("", []),
        ("api: {port: 0}", []),
        ("a: 1\na: 2\n", ["error"]),
        ("- a", ["error"]),
        ("a: [b", ["error"]),
        ("a: &a {b: *a}", ["warning"]),
        (
            "redis: {address: 'h:1'}\nauto_egress: [{record: room, request: {file_outputs: [{filepath: r/}]}}]",
            ["warning"],
        ),
        ("webhooks: {urls: [nowhere]}", ["error"]),
        ("io_workers: 1", ["note"]),
    ],
)
def test_kinds_of_problems(text: str, kinds: list[str]) -> None:
    assert [problem.kind for problem in check_config(text, SERVER)] == kinds


async def test_as_it_is_typed(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(BROKEN)
    ended = await run("config", "check", file, secrets=["hidden"])
    assert ended.code == ExitCode.USAGE
    assert f"{file}:3: error: health_port must be a whole number" in ended.out
    body = await run("config", "check", env=environment() | SERVER | {"EGRESS_CONFIG_BODY": "io_workers: 2"})
    assert (body.code, "configuration:1: note: io_workers" in body.out) == (ExitCode.OK, True)
    missing = await run("config", "check", tmp_path / "none.yaml")
    assert (missing.code, "cannot be read" in missing.err) == (ExitCode.USAGE, True)
    example = await run("config", "example")
    file.write_text(example.out)
    good = await run("config", "check", file)
    assert (good.code, good.out) == (ExitCode.OK, "The configuration can be used.\n")
