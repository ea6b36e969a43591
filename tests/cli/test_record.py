"""`pyegress record` against the real server, as a new user meets it; what it recorded is decoded."""

from __future__ import annotations

import json
import os
import signal
from itertools import pairwise
from pathlib import Path
from statistics import median

import pytest

from pyegress.codecs import Codec
from pyegress.demo.publishers import Content
from pyegress.demo.server import LiveKitServer
from pyegress.room.events import Source
from tests.cli.command import Command, environment, pyegress, run
from tests.room.rooms import publisher
from tests.support.analysis import (
    beep_onsets,
    file_facts,
    flash_onsets,
    numbers_of,
    read_packets,
    read_pictures,
    read_sound,
)
from tests.support.waiting import eventually

pytestmark = pytest.mark.system

#: Resident memory of a recording process: 80 MB is the goal on a quiet machine; CI builds differ.
MEMORY = 100 << 20


def assert_each_second(onsets: list[float], what: str) -> None:
    """Content at its times. How exactly sound and picture belong together is proven in tests/system/test_av_alignment,
    where what the publisher itself does on a busy machine is known."""
    assert len(onsets) >= 2, f"{what}: {onsets}"
    assert median(later - earlier for earlier, later in pairwise(onsets)) == pytest.approx(1.0, abs=0.1), what


def content(codec: Codec = Codec.VP8, participant: int = 3) -> Content:
    return Content(encoded=True, codec=codec, size=(320, 180), participant=participant, clip_seconds=4)


def size_of(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


async def grown(path: Path, octets: int, command: Command) -> None:
    await eventually(lambda: size_of(path) >= octets, f"{octets} bytes in {path.name}; {command.err!r}", within=40)


def assert_plays(path: Path, duration: float, *, slack: float = 0.5) -> None:
    """An ordinary file of about this duration, whose pictures all decode, in order, from the first key frame on.

    Whether frames are missing is asked elsewhere: on a busy machine publishers drop some by themselves.
    """
    facts = file_facts(path)
    assert facts.duration == pytest.approx(duration, abs=slack)
    pictures = read_pictures(path)
    assert len(pictures) > duration * 30 / 3
    assert pictures[0].keyframe
    numbers = [picture.number for picture in pictures]
    steps = [((after or 0) - (before or 0)) % 120 for before, after in pairwise(numbers)]
    assert None not in numbers
    assert all(0 < step < 60 for step in steps), "never twice, never back"


def assert_seekable(path: Path) -> None:
    data = path.read_bytes()
    if path.suffix == ".mp4":
        assert data.index(b"moov") < data.index(b"mdat")
        assert b"mvex" not in data[: data.index(b"mdat")], "it is no fragmented one any more"
    else:
        assert b"\x1c\x53\xbb\x6b" in data, "cues"


async def test_one_track_for_a_duration_with_json(livekit_server: LiveKitServer, tmp_path: Path) -> None:
    async with (
        publisher(livekit_server, "cli-track", content=content()) as ada,
        pyegress(
            *("record", "track", "-r", "cli-track", "-i", "ada", "-s", "camera", "-o", "sub/ada", "-d", "3s", "--json"),
            server=livekit_server,
            cwd=tmp_path,
        ) as command,
    ):
        await command.says("●")
        assert command.rss < MEMORY
        ended = await command.ended()
        sid = ada.sids[Source.CAMERA]
    assert ended.code == 0
    result = ended.result
    assert (result["status"], result["end_reason"], result["error"]) == ("complete", "Session limit reached", None)
    (file,) = result["files"]
    assert file["path"] == str(tmp_path / "sub" / "ada.webm")
    assert file["streams"][0] | {"frames": 0} == {
        "kind": "video",
        "codec": "VP8",
        "frames": 0,
        "width": 320,
        "height": 180,
        "track_ids": [sid],
        "source": "camera",
    }
    assert file["size"] == size_of(tmp_path / "sub" / "ada.webm")
    assert_plays(tmp_path / "sub" / "ada.webm", 3.0, slack=0.1)
    assert_seekable(tmp_path / "sub" / "ada.webm")
    assert "joining the room\n" in ended.err
    assert "ada/camera VP8" in ended.err
    assert ended.err.rstrip().endswith("finishing the files")


async def test_ctrl_c_on_a_terminal_finishes_a_participant_recording(
    livekit_server: LiveKitServer, tmp_path: Path
) -> None:
    """The live line is on the terminal, the result on standard output."""
    path = tmp_path / "ada.mp4"
    async with (
        publisher(livekit_server, "cli-live", content=content(Codec.H264)),
        pyegress(
            *("record", "participant", "--copy", "-r", "cli-live", "-i", "ada", "-o", path),
            server=livekit_server,
            terminal=True,
        ) as command,
    ):
        await command.says("● 0:00:03")
        command.signal(signal.SIGINT)
        ended = await command.ended()
    assert ended.code == 0, ended.err
    assert "\n" not in ended.err
    assert "\r\x1b[2K● 0:00:01  " in ended.err
    assert ended.err.endswith("\r\x1b[2K")
    assert ended.out.startswith(f"{path}  0:00:0")
    assert "Opus" in ended.out
    assert "H.264 320x180" in ended.out
    facts = file_facts(path)
    assert {stream.codec for stream in facts.streams} == {"h264", "opus"}
    assert facts.duration is not None
    assert 2.5 <= facts.duration <= 10.0
    assert_plays(path, facts.duration)
    assert_seekable(path)
    assert_each_second(flash_onsets(read_pictures(path)), "flashes")
    assert_each_second(beep_onsets(read_sound(path), 1100.0), "beeps")


async def test_sigterm_finishes_a_sound_recording(livekit_server: LiveKitServer, tmp_path: Path) -> None:
    path = tmp_path / "ada.ogg"
    async with (
        publisher(livekit_server, "cli-term", content=content(), video=False) as ada,
        pyegress(
            "record", "track", "-r", "cli-term", "--track-id", ada.sids[Source.MICROPHONE], "-o", path,
            server=livekit_server,
        ) as command,
    ):  # fmt: skip
        await grown(path, 3000, command)
        command.signal(signal.SIGTERM)
        command.signal(signal.SIGTERM)
        ended = await command.ended()
    assert ended.code == 0, ended.err
    sound = read_sound(path)
    assert sound.duration > 1.5
    assert not sound.gaps
    assert len(beep_onsets(sound, 1100.0)) >= 1


async def test_a_terminal_that_is_closed_finishes_the_file(livekit_server: LiveKitServer, tmp_path: Path) -> None:
    path = tmp_path / "ada.webm"
    async with (
        publisher(livekit_server, "cli-hup", content=content()),
        pyegress(
            *("record", "track", "-r", "cli-hup", "-i", "ada", "-s", "camera", "-o", path), server=livekit_server
        ) as command,
    ):
        await grown(path, 10_000, command)
        command.signal(signal.SIGHUP)
        ended = await command.ended()
    assert ended.code == 0, ended.err
    assert_seekable(path)


async def test_a_pair_by_ids_ends_when_both_are_unpublished(livekit_server: LiveKitServer, tmp_path: Path) -> None:
    path = tmp_path / "pair.webm"
    async with publisher(livekit_server, "cli-pair", content=content(Codec.VP9)) as ada:
        arguments = ("--audio-track-id", ada.sids[Source.MICROPHONE], "--video-track-id", ada.sids[Source.CAMERA])
        async with pyegress(
            *("record", "track-composite", "--copy", "-r", "cli-pair", *arguments, "-o", tmp_path / "pair"),
            server=livekit_server,
        ) as command:
            await grown(path, 20_000, command)
            await ada.unpublish(Source.CAMERA)
            await ada.unpublish(Source.MICROPHONE)
            ended = await command.ended()
    assert ended.code == 0, ended.err
    assert {stream.codec for stream in file_facts(path).streams} == {"vp9", "opus"}
    assert len(numbers_of(read_pictures(path))) > 15


async def test_every_track_of_everybody(livekit_server: LiveKitServer, tmp_path: Path) -> None:
    index_path = tmp_path / "index.json"
    async with (
        publisher(livekit_server, "cli-all", content=content()) as ada,
        pyegress("record", "tracks", "-r", "cli-all", "-o", tmp_path, server=livekit_server) as command,
    ):
        await eventually(index_path.exists, f"the index while it records; {command.err!r}", within=40)
        async with publisher(livekit_server, "cli-all", "bob", content(Codec.H264, 5), audio=False) as bob:
            bobs = tmp_path / f"bob-camera-{bob.sids[Source.CAMERA]}.mp4"
            await grown(bobs, 20_000, command)
        adas = tmp_path / f"ada-camera-{ada.sids[Source.CAMERA]}.webm"
        await eventually(
            lambda: b"mvex" not in bobs.read_bytes()[:4096] and b"moov" in bobs.read_bytes()[:4096],
            "the file of who has left, finished while the recording goes on",
            within=20,
        )
        running = json.loads(index_path.read_text())
        await grown(adas, size_of(adas) + 10_000, command)
        command.signal(signal.SIGINT)
        ended = await command.ended()
    assert ended.code == 0, ended.err
    assert running["running"] is True
    index = json.loads(index_path.read_text())
    assert index["running"] is False
    assert index["room_name"] == "cli-all"
    entries = {(track["identity"], track["source"]): track for track in index["tracks"]}
    assert set(entries) == {("ada", "camera"), ("ada", "microphone"), ("bob", "camera")}
    assert {track["codec"] for track in entries.values()} == {"VP8", "H.264", "Opus"}
    for track in entries.values():
        (file,) = track["files"]
        facts = file_facts(tmp_path / file["path"])
        assert file["end"] - file["start"] == pytest.approx(facts.duration, abs=0.06)
        assert (track["start"], track["end"]) == (file["start"], file["end"])
    assert_each_second(flash_onsets(read_pictures(tmp_path / entries["ada", "camera"]["files"][0]["path"])), "flashes")
    sound = read_sound(tmp_path / entries["ada", "microphone"]["files"][0]["path"])
    assert_each_second(beep_onsets(sound, 1100.0), "beeps")
    assert entries["bob", "camera"]["start"] > entries["ada", "camera"]["start"]
    assert entries["bob", "camera"]["end"] < entries["ada", "camera"]["end"]


async def test_the_screen_share_of_a_participant_who_comes_later(livekit_server: LiveKitServer, tmp_path: Path) -> None:
    """Waits for the room, then for the participant, then for the tracks, and says so."""
    path = tmp_path / "slides.webm"
    async with pyegress(
        *(
            "record",
            "participant",
            "--copy",
            "-r",
            "cli-later",
            "-i",
            "ada",
            "--screen-share",
            "-o",
            path,
            "--grace",
            "0",
        ),
        server=livekit_server,
    ) as command:
        await command.says("waiting for room 'cli-later'")
        async with publisher(livekit_server, "cli-later", content=content()) as ada:
            await command.says("waiting for the screen share of 'ada'; in the room: ada: ")
            await ada.publish(Source.SCREEN_SHARE, content(participant=9))
            await grown(path, 20_000, command)
        ended = await command.ended()
    assert ended.code == 0, ended.err
    pictures = read_pictures(path)
    assert {picture.participant for picture in pictures} == {9}
    assert len(pictures) > 10


async def test_a_muted_track_is_waited_for_beyond_the_limit(livekit_server: LiveKitServer, tmp_path: Path) -> None:
    async with publisher(livekit_server, "cli-muted", content=content(), audio=False) as ada:
        ada.mute(Source.CAMERA)
        async with pyegress(
            "record", "track", "-r", "cli-muted", "-i", "ada", "-s", "camera", "-o", tmp_path / "x", "--wait", "1s",
            server=livekit_server,
        ) as command:  # fmt: skip
            await command.says("waiting for the camera of 'ada' to be unmuted")
            ada.unmute(Source.CAMERA)
            await grown(tmp_path / "x.webm", 10_000, command)
            command.signal(signal.SIGINT)
            ended = await command.ended()
    assert ended.code == 0, ended.err


async def test_a_ready_token_is_enough_and_goes_before_key_and_secret(
    livekit_server: LiveKitServer, tmp_path: Path
) -> None:
    token = livekit_server.token("recorder", "cli-token", hidden=True, recorder=True, publish=False)
    env = environment(
        LIVEKIT_URL=livekit_server.url, LIVEKIT_TOKEN=token, LIVEKIT_API_KEY="k", LIVEKIT_API_SECRET="wrong"
    )
    async with publisher(livekit_server, "cli-token", content=content()):
        ended = await run(
            *("record", "track", "-i", "ada", "-s", "microphone", "-o", f"{tmp_path}/", "-d", "1", "--quiet"),
            env=env,
            secrets=[token, livekit_server.api_secret],
        )
    assert ended.code == 0, ended.err
    assert ended.err == ""
    (name,) = os.listdir(tmp_path)
    assert name.startswith("TR_")
    assert name.endswith(".ogg")


async def test_options_go_before_the_environment(livekit_server: LiveKitServer, tmp_path: Path) -> None:
    env = environment(LIVEKIT_URL="ws://127.0.0.1:9", LIVEKIT_API_KEY="k", LIVEKIT_API_SECRET="wrong")
    async with publisher(livekit_server, "cli-options", content=content()):
        ended = await run(
            *("record", "track", "-r", "cli-options", "-i", "ada", "-s", "microphone", "-o", tmp_path / "x", "-d", "1"),
            *("--url", livekit_server.url, "--api-key", livekit_server.api_key),
            *("--api-secret", livekit_server.api_secret, "--verbose"),
            env=env,
            secrets=[livekit_server.api_secret],
        )
    assert ended.code == 0, ended.err
    assert "waiting -> active: first media arrived" in ended.err


async def test_a_room_that_is_closed_ends_the_recording_in_order(livekit_server: LiveKitServer, tmp_path: Path) -> None:
    path = tmp_path / "ada.webm"
    async with (
        publisher(livekit_server, "cli-closed", content=content()),
        pyegress(
            *("record", "participant", "--copy", "-r", "cli-closed", "-i", "ada", "-o", path, "--json"),
            server=livekit_server,
        ) as command,
    ):
        await grown(path, 20_000, command)
        await livekit_server.delete_room("cli-closed")
        ended = await command.ended()
    assert ended.code == 0, ended.err
    assert ended.result["end_reason"] == "Source closed"
    assert_seekable(path)


async def test_packets_are_those_that_were_published(livekit_server: LiveKitServer, tmp_path: Path) -> None:
    async with publisher(livekit_server, "cli-bytes", content=content()) as ada:
        ended = await run(
            *("record", "track", "-r", "cli-bytes", "-i", "ada", "-s", "camera", "-o", tmp_path / "x", "-d", "2"),
            server=livekit_server,
        )
        published = {frame.data for frame in ada.log()}
    assert ended.code == 0, ended.err
    packets = read_packets(tmp_path / "x.webm", "video")
    assert len(packets) > 30
    assert {packet.data for packet in packets} <= published


async def test_a_room_until_its_file_is_large_enough(livekit_server: LiveKitServer, tmp_path: Path) -> None:
    path = tmp_path / "room.mp4"
    async with publisher(livekit_server, "cli-room", content=content()):
        ended = await run(
            *("record", "room", "-r", "cli-room", "-o", tmp_path / "room", "--width", "320", "--height", "180"),
            *("--max-file-size", "60k", "--json"),
            server=livekit_server,
            within=60,
        )
    assert ended.code == 0, ended.err
    assert ended.result["end_reason"] == "Session limit reached"
    assert ended.result["details"] == "the file size is reached"
    (file,) = ended.result["files"]
    assert file["path"] == str(path)
    assert 50_000 < path.stat().st_size == file["size"] < 400_000
    assert [stream.codec for stream in file_facts(path).streams] == ["h264", "aac"]
    assert_seekable(path)
    shown = {picture.participant for picture in read_pictures(path)[10:]}
    assert 3 in shown
    assert_each_second(beep_onsets(read_sound(path), 1100.0), "beeps")
