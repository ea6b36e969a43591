"""`pyegress serve` as an operator meets it before anything is served."""

from __future__ import annotations

from pathlib import Path

import pytest

from pyegress.cli.exit_codes import ExitCode
from tests.cli.command import environment, run

pytestmark = pytest.mark.unit


async def test_help_says_what_signals_do() -> None:
    ended = await run("serve", "--help")
    assert ended.code == ExitCode.OK
    for word in ("--config", "SIGTERM", "SIGINT"):
        assert word in ended.out


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("health_port: high", "health_port must be a whole number"),
        ("{api_key: k, api_secret: hidden}", "ws_url is missing"),
        ("a: [hidden", "is no YAML"),
    ],
)
async def test_a_configuration_that_is_wrong(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(text)
    for ended in (
        await run("serve", "--config", file, env=environment(), secrets=["hidden"]),
        await run("serve", env=environment(EGRESS_CONFIG_BODY=text), secrets=["hidden"]),
    ):
        assert ended.code == ExitCode.USAGE
        assert said in ended.err


async def test_a_configuration_that_is_not_there(tmp_path: Path) -> None:
    ended = await run("serve", "--config", tmp_path / "none.yaml", env=environment())
    assert ended.code == ExitCode.USAGE
    assert "none.yaml cannot be read" in ended.err
