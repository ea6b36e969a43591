"""What a new user reads first, and how soon."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pyegress.cli.exit_codes import ExitCode
from pyegress.cli.main import app
from pyegress.plan.encoding_arguments import AUDIO_CODECS, COPY, PRESET_NAMES, QUALITIES, VIDEO_CODECS
from pyegress.plan.foreground import AUDIO_MIXINGS
from tests.cli.command import environment

pytestmark = pytest.mark.unit

RECORDINGS = ("track", "participant", "track-composite", "tracks", "room")
ENCODED = ("participant", "track-composite", "room")
ENCODING = (
    *("--preset", "--width", "--height", "--fps", "--video-bitrate", "--audio-bitrate", "--video-codec"),
    *("--audio-codec", "--key-frame-interval", "--quality", "--hardware", "--max-file-size"),
)
COMMON = (
    *("--room", "--url", "--api-key", "--api-secret", "--token", "--duration", "--wait", "--reconnect-window"),
    *("--overwrite", "--json", "--quiet", "--verbose"),
)


def shown(*arguments: str, code: int = 0, **variables: str) -> str:
    """The output as one line of words."""
    env = environment() | variables | {"COLUMNS": "200", "TERM": "dumb"}
    result = CliRunner().invoke(app, list(arguments), env=env)
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


@pytest.mark.parametrize("command", RECORDINGS)
def test_only_what_encodes_has_options_for_it(command: str) -> None:
    text = shown("record", command, "--help")
    for option in ENCODING:
        assert (option in text) == (command in ENCODED), option
    assert ("--copy" in text) == ("passthrough" in text) == (command in ("participant", "track-composite"))
    assert ("--layout" in text) == (command == "room")


@pytest.mark.parametrize("command", ["start", "stop", "list", "update-layout", "update-stream", "watch"])
def test_commands_of_the_service_have_examples_and_say_how_it_is_reached(command: str) -> None:
    text = shown(command, "--help")
    assert f"pyegress {command} " in text
    for name in ("LIVEKIT_URL", "LIVEKIT_API_KEY", "LIVEKIT_API_SECRET"):
        assert name in text
    for code in ExitCode:
        assert f"{code.value} " in text


def test_help_names_what_can_be_chosen() -> None:
    text = shown("record", "room", "--help")
    for table in (VIDEO_CODECS, AUDIO_CODECS, QUALITIES, AUDIO_MIXINGS):
        for name in table:
            assert name in text
    for name in PRESET_NAMES.keys() - {COPY}:
        assert name.removeprefix("PORTRAIT_") in text


@pytest.mark.parametrize("arguments", [["--help"], ["-h"], ["record", "-h"]])
def test_help_of_the_groups(arguments: list[str]) -> None:
    text = shown(*arguments)
    assert "record" in text.lower()
    if "record" in arguments:
        assert all(f"{command} Record" in text for command in RECORDINGS)


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Folders for outputs are made before the server is asked."""
    monkeypatch.chdir(tmp_path)


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


ROOM = ("record", "room", "-r", "r", "-o", "x.mp4")
ALICE = ("record", "participant", "-r", "r", "-i", "alice", "-o", "x")
TRACK = ("record", "track-composite", "-r", "r", "-o", "x", "--audio-track-id", "TR_1")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((*ROOM, "--preset", "4k"), "--preset: There is no preset '4k'. Use one of H264_720P_30, "),
        ((*ROOM, "--preset", "passthrough"), "--preset: A layout and a mix have to be encoded"),
        ((*ROOM, "--width", "641"), "--width: Pictures cannot be encoded with a width of 641. Give an even number"),
        ((*ROOM, "--fps", "1000"), "--fps: Pictures cannot be encoded at 1000 a second. Give 1 to 240"),
        ((*ROOM, "--video-bitrate", "-5"), "--video-bitrate: The video bitrate cannot be -5. Give more than 0"),
        (
            (*ROOM, "--video-codec", "theora"),
            "--video-codec: There is no video codec 'theora'. Use one of h264, h264-b",
        ),
        ((*ROOM, "--video-codec", "vp8"), "--output: x.mp4 cannot hold VP8 and Opus. Name the file *.webm"),
        ((*ROOM, "--audio-codec", "mp3"), "--audio-codec: No kind of file holds MP3 beside pictures. Leave the codec"),
        ((*ROOM, "--quality", "best"), "--quality: There is no quality 'best'. Use one of economy, standard, high."),
        ((*ROOM, "--layout", "grid?gap=x"), "--layout: The layout option 'gap' is 'x', which is not a whole number"),
        (
            (*ROOM, "--audio-mixing", "left"),
            "--audio-mixing: There is no audio mixing 'left'. Use one of default, dual-",
        ),
        ((*ROOM, "--audio-only", "--video-only"), "The options --audio-only and --video-only exclude each other."),
        ((*ROOM, "--audio-only", "--layout", "grid"), "The option --layout makes no sense: no video is recorded."),
        ((*ROOM, "--audio-only", "--fps", "25"), "The option --fps makes no sense: no video is recorded. Leave it out"),
        ((*ROOM, "--video-only", "--audio-bitrate", "96"), "The option --audio-bitrate makes no sense: no audio is"),
        ((*ROOM, "--max-file-size", "big"), "'big' is no size; write 500M, 2G or a number of bytes"),
        ((*ROOM, "--max-file-size", "0"), "--max-file-size: The max file size must be more than 0."),
        ((*ROOM, "--url", "h:1"), "--url: 'h:1' is not the URL of a LiveKit server."),
        ((*ROOM, "--copy"), "No such option: --copy"),
        ((*ALICE, "--copy", "--video-bitrate", "500"), "The option --video-bitrate makes no sense for copies of the"),
        (
            (*ALICE, "--preset", "passthrough", "--fps", "25"),
            "The option --fps makes no sense for copies of the packets",
        ),
        ((*ALICE, "--copy", "--max-file-size", "5M"), "The option --max-file-size makes no sense for copies of the"),
        ((*ALICE[:-1], "x.mp3", "--width", "640"), "The option --width makes no sense: no video is recorded."),
        ((*ALICE[:-1], "x.webm", "--audio-codec", "aac"), "--output: x.webm cannot hold H.264 and AAC."),
        ((*ALICE, "-o", "y"), "--output: The request has 2 of a kind of output."),
        (
            ("record", "track", "-r", "x", "--track-id", "TR_1", "-o", "hls:a.m3u8"),
            "--output: The copy of a track goes to one file.",
        ),
        (
            ("record", "tracks", "-r", "x", "-o", "hls:a"),
            "--output: A recording of every track goes to a folder",
        ),
        ((*ALICE, "-o", "hls:a.m3u8", "-o", "images:a/b@1s", "--copy"), "--output: Images cannot be made without"),
        ((*ALICE, "-o", "hls:a.m3u8?part=0.5", "--copy"), "--output: Low latency parts need an encoder"),
        ((*ALICE, "-o", "hls:a.m3u8?speed=3"), "--output: hls: has no option 'speed=3'. There are duration=, "),
        ((*ALICE, "-o", "images:a@0s"), "--output: every=0s is no whole number of seconds. Write every=5"),
        ((*ROOM, "-o", "images:a", "--audio-only"), "--output: Images were asked for, and nothing with pictures"),
        ((*ROOM, "--video-codec", "vp8", "-o", "hls:a.m3u8"), "--video-codec: "),
        ((*TRACK, "--width", "640"), "The option --width makes no sense: no video is recorded."),
        ((*TRACK, "--video-track-id", "TR_1"), "--audio-track-id: The audio and the video track are the same."),
        (
            (*TRACK[:5], "x.flac", *TRACK[6:], "--audio-bitrate", "96"),
            "--audio-bitrate makes no sense: FLAC is lossless.",
        ),
    ],
)
def test_options_that_make_no_sense_are_named_as_they_were_typed(arguments: tuple[str, ...], message: str) -> None:
    server = {"LIVEKIT_URL": "ws://127.0.0.1:9", "LIVEKIT_API_KEY": "key", "LIVEKIT_API_SECRET": "hush"}
    assert message in shown(*arguments, code=ExitCode.USAGE, **server)


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
