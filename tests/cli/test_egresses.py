"""`pyegress start, stop, list, …` against pyegress's own door, as a user types them."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from livekit.protocol import egress as pb

from pyegress.cli import egresses
from pyegress.cli.exit_codes import ExitCode
from pyegress.errors import Code, EgressError
from pyegress.plan.request_json import REQUEST_TYPES
from tests.api.doors import KEY, SECRET, Opened, opened
from tests.cli.command import Ended, environment, pyegress, run
from tests.support.waiting import eventually

pytestmark = pytest.mark.wire

ROOM = {"room_name": "room", "layout": "grid", "file_outputs": [{"filepath": "out.mp4"}]}
S = pb.EgressStatus


def reach(at: Opened) -> dict[str, str]:
    return environment(LIVEKIT_URL=at.door.url, LIVEKIT_API_KEY=KEY, LIVEKIT_API_SECRET=SECRET, COLUMNS="200")


async def typed(at: Opened, *arguments: object) -> Ended:
    return await run(*arguments, env=reach(at), secrets=[SECRET])


@pytest.fixture
async def at(tmp_path: Path, no_tasks_left: object) -> AsyncIterator[Opened]:
    async with opened(tmp_path) as door:
        yield door


def test_every_type_is_offered() -> None:
    assert tuple(REQUEST_TYPES) == egresses.TYPES


async def test_an_egress_from_start_to_end(at: Opened, tmp_path: Path) -> None:
    file = tmp_path / "request.json"
    file.write_text(json.dumps(ROOM))
    started = await typed(at, "start", file)
    assert started.code == ExitCode.OK, started.err
    egress_id, status, *_ = started.out.split()
    assert (egress_id, status) == (at.service.starts[0].egress_id, "STARTING")
    assert at.service.starts[0].request == pb.RoomCompositeEgressRequest(
        room_name="room", layout="grid", file_outputs=[pb.EncodedFileOutput(filepath="out.mp4")]
    )

    at.rooms.inside.add(("room", egress_id))
    at.service.move(egress_id, S.EGRESS_ACTIVE)
    assert (await typed(at, "update-layout", egress_id, "speaker")).code == ExitCode.OK
    assert json.loads(at.rooms.metadata["room", egress_id]) == {"layout": "speaker"}
    added = await typed(at, "update-stream", egress_id, "--add", "rtmp://a/b", "--remove", "rtmp://c/d")
    assert added.code == ExitCode.OK
    assert (list(at.service.updates[0].add_output_urls), list(at.service.updates[0].remove_output_urls)) == (
        ["rtmp://a/b"],
        ["rtmp://c/d"],
    )

    async with pyegress("watch", egress_id, "--interval", "0.1", env=reach(at)) as watching:
        await eventually(lambda: "ACTIVE" in watching.out, "ACTIVE is shown", 40.0)
        stopped = await typed(at, "stop", egress_id, "--json")
        assert stopped.result["status"] == "EGRESS_ENDING"
        await eventually(lambda: "ENDING" in watching.out, "ENDING is shown", 20.0)
        at.service.move(egress_id, S.EGRESS_FAILED, error="disk full", error_code=Code.INTERNAL.http)
        ended = await watching.ended()
    assert ended.code == ExitCode.INTERNAL
    assert "FAILED" in ended.out.splitlines()[-1]
    assert "disk full" in ended.out.splitlines()[-1]

    again = await typed(at, "stop", egress_id)
    assert (again.code, "EGRESS_FAILED cannot be stopped" in again.err) == (ExitCode.USAGE, True)
    listed = await typed(at, "list", "--room", "room", "--json")
    assert [(each["egress_id"], each["status"]) for each in json.loads(listed.out)] == [(egress_id, "EGRESS_FAILED")]
    table = await typed(at, "list")
    assert [line.split("\t")[:2] for line in table.out.splitlines()] == [["egress", "status"], [egress_id, "FAILED"]]
    assert (await typed(at, "list", "--active")).out == ""
    nobody = await typed(at, "list", "--id", "EG_unknown")
    assert nobody.code == ExitCode.NOT_FOUND


async def test_what_is_wrong_is_named(at: Opened, tmp_path: Path) -> None:
    file = tmp_path / "request.json"
    file.write_text(json.dumps({"room_name": "room", "layuot": "grid"}))
    typo = await typed(at, "start", file)
    assert (typo.code, "layuot is no field" in typo.err, "Did you mean layout?" in typo.err) == (2, True, True)
    file.write_text("{")
    assert "not JSON" in (await typed(at, "start", file)).err
    unclear = await typed(at, "start", "--type", "rooms", file)
    assert (unclear.code, "There is no egress of type 'rooms'" in unclear.err) == (ExitCode.USAGE, True)
    assert "cannot be read" in (await typed(at, "start", tmp_path / "none.json")).err
    unknown = await typed(at, "watch", "EG_unknown")
    assert (unknown.code, "no egress EG_unknown" in unknown.err) == (ExitCode.NOT_FOUND, True)

    file.write_text(json.dumps(ROOM | {"room_name": "nowhere"}))
    nowhere = await typed(at, "start", file)
    assert (nowhere.code, "requested room does not exist" in nowhere.err) == (ExitCode.NOT_FOUND, True)
    file.write_text(json.dumps(ROOM))
    at.service.refuse.append(EgressError("not enough CPU", code=Code.UNAVAILABLE, remedy="Try again"))
    full = await typed(at, "start", file)
    assert (full.code, "not enough CPU" in full.err) == (ExitCode.CONNECTION, True)

    wrong = await run("list", env=reach(at) | {"LIVEKIT_API_SECRET": "w" * 32}, secrets=["w" * 32])
    assert (wrong.code, "which is of API key 'key'" in wrong.err) == (ExitCode.REFUSED, True)
    gone = await run("list", env=reach(at) | {"LIVEKIT_URL": "http://127.0.0.1:9"})
    assert (gone.code, "Check the URL" in gone.err) == (ExitCode.CONNECTION, True)
    nothing = await run("list", env=environment())
    assert (nothing.code, "--url is missing" in nothing.err) == (ExitCode.USAGE, True)


async def test_a_request_from_standard_input(at: Opened) -> None:
    script = f'echo \'{json.dumps(ROOM)}\' | exec "$0" "$@"'
    async with pyegress("start", "-", "--json", env=reach(at), prefix=["sh", "-c", script]) as command:
        ended = await command.ended()
    assert ended.code == ExitCode.OK, ended.err
    assert ended.result["room_composite"]["layout"] == "grid"
