"""What goes wrong, as a new user meets it: the cause, the remedy, the exit code, and what was recorded is kept."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from livekit import api, rtc

from pyegress.cli.exit_codes import ExitCode
from pyegress.codecs import Codec
from pyegress.demo.server import LiveKitServer, free_port
from pyegress.room.events import Source
from tests.cli.command import Ended, environment, pyegress, run
from tests.cli.test_record import assert_seekable, content, grown
from tests.room.rooms import publisher
from tests.support.analysis import file_facts, read_pictures
from tests.support.netns import NetworkNamespace

pytestmark = pytest.mark.system

CAMERA = ("-i", "ada", "-s", "camera")


def assert_says(ended: Ended, code: ExitCode, *texts: str, within: float = 20.0) -> None:
    """It ended with the code, named cause and remedy, and did so soon."""
    assert ended.code == code, ended.err
    for text in texts:
        assert text in ended.err
    last = ended.err.strip().splitlines()[-2:]
    assert last[0].startswith("pyegress: "), ended.err
    words = last[0].removeprefix("pyegress: ")
    assert words[0].isupper() or words.startswith(("livekit-server", "/", "127.0.0.1", "--")), "a sentence"
    assert last[1].startswith("  "), "a remedy"
    assert all(line.endswith(".") and not line.endswith("..") for line in last)
    assert ended.seconds < within


# The server


async def test_nobody_listens(tmp_path: Path) -> None:
    url = f"ws://127.0.0.1:{free_port(socket.SOCK_STREAM)}"
    ended = await run(
        *("record", "track", "-r", "r", *CAMERA, "-o", tmp_path / "x"),
        env=environment(LIVEKIT_URL=url, LIVEKIT_API_KEY="devkey", LIVEKIT_API_SECRET="topsecret"),
        secrets=["topsecret"],
    )
    assert_says(
        ended,
        ExitCode.CONNECTION,
        url.removeprefix("ws://"),
        "cannot be reached",
        "Connection refused",
        "Check the URL",
    )


async def test_a_host_that_does_not_exist(tmp_path: Path) -> None:
    ended = await run(
        *("record", "track", "-r", "r", *CAMERA, "-o", tmp_path / "x", "--url", "wss://livekit.invalid"),
        env=environment(LIVEKIT_API_KEY="devkey", LIVEKIT_API_SECRET="topsecret"),
    )
    assert_says(ended, ExitCode.CONNECTION, "livekit.invalid:443 cannot be reached")


async def test_something_else_listens(tmp_path: Path) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 9\r\nConnection: close\r\n\r\nNot found")
        writer.close()

    other = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with other:
        ended = await run(
            *("record", "track", "-r", "r", *CAMERA, "-o", tmp_path / "x"),
            env=environment(
                LIVEKIT_URL=f"http://127.0.0.1:{other.sockets[0].getsockname()[1]}",
                LIVEKIT_API_KEY="devkey",
                LIVEKIT_API_SECRET="topsecret",
            ),
        )
    assert_says(ended, ExitCode.CONNECTION, "does not answer as livekit-server does", "Check the URL")


@pytest.mark.parametrize("wrong", ["LIVEKIT_API_KEY", "LIVEKIT_API_SECRET"])
async def test_wrong_key_or_secret(livekit_server: LiveKitServer, tmp_path: Path, wrong: str) -> None:
    ended = await run(
        *("record", "track", "-r", "r", *CAMERA, "-o", tmp_path / "x"),
        env=environment(livekit_server, **{wrong: "nonsense-and-mistake"}),
        secrets=[livekit_server.api_secret],
    )
    assert_says(ended, ExitCode.REFUSED, "refused our access token", "Check the API key and secret")


@pytest.mark.parametrize(
    ("grants", "code", "texts"),
    [
        ({"ttl": -60.0}, ExitCode.REFUSED, ("The access token has expired", "Give a new token")),
        ({"subscribe": False}, ExitCode.REFUSED, ("does not allow to subscribe", "roomJoin and canSubscribe")),
    ],
    ids=["expired", "may not subscribe"],
)
async def test_a_token_that_does_not_do(
    livekit_server: LiveKitServer, tmp_path: Path, grants: dict[str, Any], code: ExitCode, texts: tuple[str, ...]
) -> None:
    token = livekit_server.token("recorder", "cli-grants", hidden=True, publish=False, **grants)
    async with publisher(livekit_server, "cli-grants", content=content()):
        ended = await run(
            *("record", "track", *CAMERA, "-o", tmp_path / "x", "--wait", "3s"),
            env=environment(LIVEKIT_URL=livekit_server.url, LIVEKIT_TOKEN=token),
            secrets=[token],
        )
    assert_says(ended, code, *texts)


async def test_a_token_for_another_room(livekit_server: LiveKitServer, tmp_path: Path) -> None:
    token = livekit_server.token("recorder", "cli-other", hidden=True, publish=False)
    ended = await run(
        *("record", "tracks", "-r", "cli-this", "-o", tmp_path / "x"),
        env=environment(LIVEKIT_URL=livekit_server.url, LIVEKIT_TOKEN=token),
        secrets=[token],
    )
    assert_says(ended, ExitCode.USAGE, "The access token is for room 'cli-other', not for 'cli-this'")
    assert not (tmp_path / "x").exists()


async def test_a_token_without_the_right_to_join(livekit_server: LiveKitServer, tmp_path: Path) -> None:

    token = api.AccessToken(livekit_server.api_key, livekit_server.api_secret).with_identity("x").to_jwt()
    ended = await run(
        *("record", "track", "-r", "r", *CAMERA, "-o", tmp_path / "x"),
        env=environment(LIVEKIT_URL=livekit_server.url, LIVEKIT_TOKEN=token),
        secrets=[token],
    )
    assert_says(ended, ExitCode.REFUSED, "refused our access token", "its grants")


# What is not there


async def test_a_room_that_does_not_exist(livekit_server: LiveKitServer, tmp_path: Path) -> None:
    async with publisher(livekit_server, "cli-there", content=content(), video=False, audio=False):
        ended = await run(
            *("record", "track", "-r", "cli-nowhere", *CAMERA, "-o", tmp_path / "x", "--wait", "1s"),
            server=livekit_server,
        )
        assert "cli-nowhere" not in [room.name for room in await livekit_server.rooms()], "looking does not create it"
    assert_says(ended, ExitCode.NOT_FOUND, "Room 'cli-nowhere' does not exist", "'cli-there'", "--wait")
    assert "waiting for room 'cli-nowhere'" in ended.err


@pytest.mark.parametrize(
    ("arguments", "texts"),
    [
        (("track", "-i", "bob", "-s", "camera"), ("Participant 'bob' not found",)),
        (("track", "-i", "ada", "-s", "screen_share"), ("Participant 'ada' published no screen_share",)),
        (("track", "--track-id", "TR_nosuchtrack"), ("Track TR_nosuchtrack was not published",)),
        (("participant", "--copy", "-i", "bob"), ("Participant 'bob' not found",)),
        (
            ("track-composite", "--copy", "--audio-track-id", "TR_nosuchtrack"),
            ("No audio track TR_nosuchtrack was published",),
        ),
    ],
    ids=["identity", "source", "id", "participant", "pair"],
)
async def test_what_is_not_in_the_room(
    livekit_server: LiveKitServer, tmp_path: Path, arguments: tuple[str, ...], texts: tuple[str, ...]
) -> None:
    command, *rest = arguments
    async with publisher(livekit_server, f"cli-missing-{command}", content=content()) as ada:
        ended = await run(
            *("record", command, "-r", f"cli-missing-{command}", *rest, "-o", tmp_path / "x", "--wait", "1s"),
            server=livekit_server,
        )
        camera = ada.sids[Source.CAMERA]
    assert_says(ended, ExitCode.NOT_FOUND, *texts, "within 1 s; in the room: ada: ", f"camera {camera} (VP8)", "--wait")
    assert not os.listdir(tmp_path)


async def test_an_id_of_the_wrong_kind(livekit_server: LiveKitServer, tmp_path: Path) -> None:
    async with publisher(livekit_server, "cli-kind", content=content()) as ada:
        camera = ada.sids[Source.CAMERA]
        ended = await run(
            *("record", "track-composite", "-r", "cli-kind", "--audio-track-id", camera, "-o", tmp_path / "x"),
            server=livekit_server,
        )
    text = f"Track {camera} was given as --audio-track-id and is a video track"
    assert_says(ended, ExitCode.USAGE, text, "Give the id of a track of audio")
    assert not os.listdir(tmp_path)


async def test_nobody_publishes_anything(livekit_server: LiveKitServer, tmp_path: Path) -> None:
    async with publisher(livekit_server, "cli-quiet", content=content(), video=False, audio=False):
        ended = await run(
            *("record", "tracks", "-r", "cli-quiet", "-o", tmp_path, "--wait", "1s"), server=livekit_server
        )
    assert_says(ended, ExitCode.NOT_FOUND, "Nobody published anything", "ada: publishes nothing")


@pytest.mark.parametrize("room", ["cli-waits", "cli-nobody"])
async def test_ctrl_c_while_it_waits(livekit_server: LiveKitServer, tmp_path: Path, room: str) -> None:
    async with (
        publisher(livekit_server, "cli-waits", content=content()),
        pyegress(
            "record", "participant", "--copy", "-r", room, "-i", "bob", "-o", tmp_path / "x", server=livekit_server
        ) as command,
    ):
        await command.says("waiting for")
        command.signal(signal.SIGINT)
        ended = await command.ended(15)
    assert ended.code == ExitCode.NOTHING_RECORDED, ended.err
    assert "Stopped before any media came: nothing was recorded." in ended.err
    assert not os.listdir(tmp_path)


# The network


@pytest.fixture
def blocked(network_namespace: NetworkNamespace, new_livekit_server: Callable[..., LiveKitServer]) -> LiveKitServer:
    """A server whose signalling is reached from inside the namespace and whose media is not."""
    server = new_livekit_server(bind=network_namespace.outside, config={"rtc": {"tcp_port": 0}})
    network_namespace.impair(loss=1.0, loss_out=1.0)
    return server


async def test_udp_is_blocked(network_namespace: NetworkNamespace, blocked: LiveKitServer, tmp_path: Path) -> None:
    async with publisher(blocked, "r", content=content()):
        ended = await run(
            *("record", "track", "-r", "r", *CAMERA, "-o", tmp_path / "out" / "x", "--wait", "11s"),
            server=blocked,
            prefix=network_namespace.command([]),
            within=60,
        )
    assert_says(ended, ExitCode.CONNECTION, "UDP to the media server is blocked", "checks sent", within=60)
    assert "waiting for a media path to the server; in the room: ada: " in ended.err
    assert not os.listdir(tmp_path / "out")


async def test_udp_is_blocked_and_patience_is_short(
    network_namespace: NetworkNamespace, blocked: LiveKitServer, tmp_path: Path
) -> None:
    async with publisher(blocked, "r", content=content()):
        ended = await run(
            *("record", "track", "-r", "r", *CAMERA, "-o", tmp_path / "x", "--wait", "2s"),
            server=blocked,
            prefix=network_namespace.command([]),
        )
    assert_says(ended, ExitCode.CONNECTION, "No media arrived within 2 s", "no media path to the server", "firewall")


async def test_a_server_that_is_gone_for_good(own_livekit_server: LiveKitServer, tmp_path: Path) -> None:
    path = tmp_path / "ada.webm"
    async with (
        publisher(own_livekit_server, "r", content=content()),
        pyegress(
            *("record", "track", "-r", "r", *CAMERA, "-o", path, "--reconnect-window", "1s"), server=own_livekit_server
        ) as command,
    ):
        await grown(path, 20_000, command)
        own_livekit_server.kill()
        ended = await command.ended()
    assert_says(
        ended,
        ExitCode.CONNECTION,
        "was lost and did not come back within",
        "See whether livekit-server runs",
        within=60,
    )
    assert "RECONNECTING" in ended.err
    assert f"{path}  0:00:0" in ended.out
    assert_seekable(path)
    assert len(read_pictures(path)) > 10


async def test_the_recorder_is_removed(livekit_server: LiveKitServer, tmp_path: Path) -> None:
    path = tmp_path / "ada.webm"
    async with (
        publisher(livekit_server, "cli-removed", content=content()),
        pyegress("record", "track", "-r", "cli-removed", *CAMERA, "-o", path, server=livekit_server) as command,
    ):
        await grown(path, 20_000, command)
        async with livekit_server.admin() as client:
            listed = await client.room.list_participants(api.ListParticipantsRequest(room="cli-removed"))
            (ours,) = [one.identity for one in listed.participants if one.identity.startswith("EG_")]
        await livekit_server.remove_participant("cli-removed", ours)
        ended = await command.ended()
    assert_says(ended, ExitCode.REFUSED, "The recorder was removed from room 'cli-removed'")
    assert_seekable(path)


# Where it is written


@asynccontextmanager
async def on_air(server: LiveKitServer, room: str, **changes: Any) -> AsyncIterator[None]:
    async with publisher(server, room, content=content(**changes)):
        yield


async def record_to(server: LiveKitServer, room: str, output: object, *more: str, command: str = "track") -> Ended:
    who = () if command == "tracks" else CAMERA
    async with on_air(server, room):
        return await run("record", command, "-r", room, *who, "-o", output, "-d", "1s", *more, server=server)


async def test_a_file_that_exists_is_not_touched(livekit_server: LiveKitServer, tmp_path: Path) -> None:
    path = tmp_path / "ada.webm"
    path.write_text("precious")
    for output in (path, tmp_path / "ada"):
        ended = await record_to(livekit_server, "cli-exists", output)
        assert_says(ended, ExitCode.OUTPUT, f"{path} exists already", "--overwrite")
        assert path.read_text() == "precious"
    ended = await record_to(livekit_server, "cli-exists", path, "--overwrite")
    assert ended.code == 0, ended.err
    assert file_facts(path).duration is not None


@pytest.mark.skipif(Path("/dev/nvidia0").exists(), reason="this machine has a card")
async def test_a_card_that_is_not_there(tmp_path: Path) -> None:
    """Said before anything is joined: there is no server."""
    env = environment(LIVEKIT_URL="ws://127.0.0.1:1", LIVEKIT_API_KEY="k", LIVEKIT_API_SECRET="s")
    ended = await run("record", "room", "-r", "r", "-o", tmp_path / "x.mp4", "--hardware", "nvenc", env=env)
    assert_says(ended, ExitCode.USAGE, "H.264 cannot be encoded by an NVIDIA card here", "hardware auto or none")
    assert not os.listdir(tmp_path)


async def test_a_folder_that_holds_a_recording(livekit_server: LiveKitServer, tmp_path: Path) -> None:
    (tmp_path / "index.json").write_text("precious")
    ended = await record_to(livekit_server, "cli-index", tmp_path, command="tracks")
    assert_says(ended, ExitCode.OUTPUT, "holds a recording already", "Choose another folder")
    assert (tmp_path / "index.json").read_text() == "precious"


async def test_a_folder_instead_of_a_file(livekit_server: LiveKitServer, tmp_path: Path) -> None:
    ended = await record_to(livekit_server, "cli-folder", tmp_path)
    assert_says(ended, ExitCode.OUTPUT, f"Cannot write {tmp_path}: it is a folder", "Add a file name")


async def test_a_file_instead_of_a_folder(livekit_server: LiveKitServer, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    ended = await record_to(livekit_server, "cli-file", tmp_path / "file" / "x")
    assert_says(ended, ExitCode.OUTPUT, "a part of the path is no folder", "Choose a path whose parents are folders")


async def test_a_missing_folder_is_made(livekit_server: LiveKitServer, tmp_path: Path) -> None:
    ended = await record_to(livekit_server, "cli-made", tmp_path / "a" / "b" / "{room_name}" / "x")
    assert ended.code == 0, ended.err
    assert os.listdir(tmp_path / "a" / "b" / "cli-made") == ["x.webm"]


def mount(place: Path, *options: str) -> Iterator[Path]:
    """A small file system of one's own."""
    place.mkdir()
    if os.geteuid() != 0:
        pytest.skip("mounting takes root")
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", ",".join(options), "tmpfs", str(place)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        pytest.skip(f"cannot mount here: {done.stderr.strip()}")
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)


@pytest.fixture
def read_only(tmp_path: Path) -> Iterator[Path]:
    yield from mount(tmp_path / "read-only", "ro", "size=64k")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    yield from mount(tmp_path / "small", "size=64k")


async def test_a_folder_that_cannot_be_written(livekit_server: LiveKitServer, read_only: Path) -> None:
    for command, output in (("track", read_only / "x"), ("tracks", read_only / "all")):
        ended = await record_to(livekit_server, "cli-read-only", output, command=command)
        assert_says(ended, ExitCode.OUTPUT, "Read-only file system", "Choose a folder on a writable file system")


@pytest.mark.parametrize("codec", [Codec.VP8, Codec.H264])
async def test_the_disk_runs_full(livekit_server: LiveKitServer, small_disk: Path, codec: Codec) -> None:
    room = f"cli-full-{codec.name}"
    async with on_air(livekit_server, room, codec=codec):
        ended = await run(
            "record", "participant", "--copy", "-r", room, "-i", "ada", "-o", small_disk / "x", server=livekit_server
        )
    assert_says(ended, ExitCode.OUTPUT, "No space left on device", "Free space there or choose another disk", within=40)
    (name,) = os.listdir(small_disk)
    assert f"{small_disk / name}  0:00:0" in ended.out
    pictures = read_pictures(small_disk / name)
    assert len(pictures) > 10, "what was recorded plays"
    assert "too slow" not in ended.err


async def test_a_container_that_cannot_hold_the_codec(livekit_server: LiveKitServer, tmp_path: Path) -> None:
    ended = await record_to(livekit_server, "cli-container", tmp_path / "x.mp4")
    assert_says(ended, ExitCode.USAGE, "format MP4 incompatible with codec VP8", "Name the file *.webm")
    assert not os.listdir(tmp_path)


async def test_an_encrypted_track(livekit_server: LiveKitServer, tmp_path: Path) -> None:
    room: Any = rtc.Room()
    options = rtc.RoomOptions(
        auto_subscribe=False, encryption=rtc.E2EEOptions(key_provider_options=rtc.KeyProviderOptions(shared_key=b"key"))
    )
    await room.connect(livekit_server.url, livekit_server.token("eve", "cli-sealed"), options)
    source = rtc.AudioSource(48_000, 1)
    try:
        track = rtc.LocalAudioTrack.create_audio_track("mic", source)
        publish = rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_MICROPHONE)
        await room.local_participant.publish_track(track, publish)
        ended = await run(
            *("record", "track", "-r", "cli-sealed", "-i", "eve", "-s", "microphone", "-o", tmp_path / "x"),
            server=livekit_server,
        )
    finally:
        await room.disconnect()
        await source.aclose()
    assert_says(ended, ExitCode.USAGE, "(microphone of 'eve') is end-to-end encrypted", "publish without encryption")
    assert not os.listdir(tmp_path)


async def test_errors_are_in_the_json_too(livekit_server: LiveKitServer, tmp_path: Path) -> None:
    ended = await run(
        *("record", "track", "-r", "cli-json", *CAMERA, "-o", tmp_path / "x", "--wait", "1s", "--json"),
        server=livekit_server,
    )
    assert ended.code == ExitCode.NOT_FOUND
    result = ended.result
    assert (result["status"], result["files"]) == ("failed", [])
    assert (result["error"]["code"], result["error"]["error_code"]) == ("not_found", 404)
    assert "Room 'cli-json' does not exist" in result["error"]["message"]
    assert result["error"]["remedy"]
