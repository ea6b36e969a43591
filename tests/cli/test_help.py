"""What a new user reads first, and how soon."""

from __future__ import annotations

import subprocess
import sys

import pytest
from typer.testing import CliRunner

from pyegress.cli.exit_codes import ExitCode
from pyegress.cli.main import app
from tests.cli.command import environment

pytestmark = pytest.mark.unit

RECORDINGS = ("track", "participant", "track-composite", "tracks", "room")
COMMON = (
    *("--room", "--url", "--api-key", "--api-secret", "--token", "--duration", "--wait", "--reconnect-window"),
    *("--overwrite", "--json", "--quiet", "--verbose"),
)


def shown(*arguments: str, code: int = 0) -> str:
    """The output as one line of words."""
    result = CliRunner().invoke(app, list(arguments), env=environment() | {"COLUMNS": "200", "TERM": "dumb"})
    assert result.exit_code == code, result.output
    return " ".join(result.output.replace("│", " ").split())


@pytest.mark.parametrize("command", RECORDINGS)
def test_help_names_every_option_and_has_an_example(command: str) -> None:
    text = shown("record", command, "--help")
    for option in (*COMMON, "--output"):
        assert option in text
    assert f"pyegress record {command} -r standup" in text
    for name in ("LIVEKIT_URL", "LIVEKIT_API_KEY", "LIVEKIT_API_SECRET"):
        assert name in text
    for code in ExitCode:
        assert f"{code.value} " in text


@pytest.mark.parametrize("arguments", [["--help"], ["-h"], ["record", "-h"]])
def test_help_of_the_groups(arguments: list[str]) -> None:
    text = shown(*arguments)
    assert "record" in text.lower()
    if "record" in arguments:
        assert all(f"{command} Record" in text for command in RECORDINGS)


def test_a_participant_is_waited_for_without_limit_and_a_track_is_not() -> None:
    assert "[default: 0]" in shown("record", "participant", "--help")
    assert "[default: 30s]" in shown("record", "track", "--help")


def test_the_version() -> None:
    assert shown("--version").startswith("pyegress 0.")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["record", "track", "-r", "r"], "Missing option '--output'"),
        (["record", "track", "-o", "x", "--frobnicate"], "No such option: --frobnicate"),
        (["record", "trakc"], "No such command 'trakc'"),
        (["record", "track", "-o", "x", "-d", "soon"], "'soon' is no time; write 90, 90s, 15m or 1h30m"),
        (["record", "track", "-o", "x", "--wait", "-3"], "'-3' is no time"),
        (["record", "track", "-o", "x", "-r", "r"], "No track was named"),
        (["record", "track", "-o", "x", "-r", "r", "-i", "alice"], "No track was named"),
        (["record", "participant", "-o", "x", "-r", "r"], "No participant was named"),
        (["record", "track-composite", "-o", "x", "-r", "r"], "No track was named"),
        (["record", "room", "-o", "x", "-r", "r", "--layout", "grid?frob=1"], "layout option 'frob' does not exist"),
        (["record", "tracks", "-o", "x", "-r", "r"], "No LiveKit server was named. Give --url or set LIVEKIT_URL"),
        (["record", "tracks", "-o", "x", "-r", "r", "--url", "ws://h"], "The api key and api secret is missing"),
        (["record", "tracks", "-o", "x", "--url", "ws://h"], "No room was named"),
        (["record", "tracks", "-o", "x", "-r", "r", "--url", "h:7880"], "'h:7880' is not the URL of a LiveKit server"),
        (
            ["record", "tracks", "-o", "x", "--url", "ws://h", "--token", "x", "-r", "r"],
            "The access token is not a JWT",
        ),
    ],
)
def test_mistakes_are_named_at_once(arguments: list[str], message: str) -> None:
    assert message in shown(*arguments, code=ExitCode.USAGE)


def loaded(modules: str, heavy: tuple[str, ...]) -> list[str]:
    """Which of `heavy` a fresh process has when it has imported `modules`."""
    script = f"import sys, {modules}\nprint(*(name for name in {heavy!r} if name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    return done.stdout.split()


def test_help_and_mistakes_do_not_wait_for_what_records() -> None:
    heavy = ("aiohttp", "OpenSSL", "aioice", "google.protobuf", "livekit", "av", "numpy", "uvloop")
    assert loaded("pyegress.cli.main, pyegress.cli.foreground, pyegress.worker.record", heavy) == []


def test_recording_does_not_load_what_it_does_not_need() -> None:
    assert loaded("pyegress.worker.session", ("av", "numpy", "rich", "PIL", "livekit.api", "livekit.rtc")) == []
