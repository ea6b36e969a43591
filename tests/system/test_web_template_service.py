"""A room that a web page draws, through the service: the contract of templates, UpdateLayout included."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from urllib.parse import parse_qs

import pytest
from livekit.protocol import egress as pb

from pyegress.errors import Code, EgressError
from pyegress.lifecycle.egress import EgressStatus, status_of
from pyegress.room.token import token_claims
from pyegress.server.twirp import ServerAccess
from pyegress.service.browser_config import BrowserSection
from pyegress.service.config import ServiceConfig
from pyegress.service.egress_service import EgressStart
from pyegress.service.room_service import RoomService
from pyegress.service.supervisor import Supervisor
from pyegress.service.template_app import TemplateServer, template_files
from tests.support.composed import read_looks
from tests.support.livekit_server import LiveKitServer
from tests.support.page_server import PageServer
from tests.support.waiting import eventually
from tests.system.compositions import CELLS, WHOLE, mostly, stretch
from tests.system.scenes import clip, prepare, publishing
from tests.system.web_pages import STARTED, needs_browser, nothing_is_left, traces

pytestmark = [pytest.mark.system, needs_browser]

SMALL = pb.EncodingOptions(width=640, height=360, framerate=30)
FILE = pb.EncodedFileOutput(filepath="room.mp4", disable_manifest=True)


class Told:
    """A supervisor and the newest info of each egress."""

    def __init__(self, supervisor: Supervisor) -> None:
        self.supervisor = supervisor
        self.infos: dict[str, pb.EgressInfo] = {}
        supervisor.listen(self._hear)

    def _hear(self, info: pb.EgressInfo) -> None:
        self.infos[info.egress_id] = info

    async def becomes(self, egress_id: str, status: EgressStatus) -> pb.EgressInfo:
        def there() -> bool:
            now = status_of(self.infos[egress_id])
            assert now is status or not now.final, self.infos[egress_id].error
            return now is status

        await eventually(there, f"{status.name}, not {self.infos.get(egress_id)}", STARTED)
        return self.infos[egress_id]


@asynccontextmanager
async def node(server: LiveKitServer, folder: Path, **changes: object) -> AsyncIterator[Told]:
    config = ServiceConfig(
        api_key=server.api_key,
        api_secret=server.api_secret,
        ws_url=server.url,
        local_directory=str(folder),
        state_directory=str(folder / "state"),
        spare_workers=0,
        **changes,  # type: ignore[arg-type]
    )
    async with Supervisor(config) as supervisor:
        yield Told(supervisor)


@pytest.mark.skipif(template_files() is None, reason="the page of the default layouts is not built")
async def test_the_page_of_the_default_layouts_draws_a_room(livekit_server: LiveKitServer, tmp_path: Path) -> None:
    """The room and its token, the signals of the SDK, another layout on the way, the end of the room."""
    before, name = traces(), "templates-default"
    people = {"ada": 3, "ben": 4, "cleo": 5}
    for identity, number in people.items():
        prepare(identity, clip(participant=number))
    page = TemplateServer(0)
    await page.open()
    room_service = RoomService(ServerAccess(livekit_server.url, livekit_server.api_key, livekit_server.api_secret))
    try:
        async with AsyncExitStack() as stack:
            # No private address but those of the configuration: the LiveKit server and the templates.
            browser = BrowserSection(block_private_networks=True)
            told = await stack.enter_async_context(
                node(livekit_server, tmp_path, template_base=page.url, browser=browser)
            )
            for identity, number in people.items():
                await stack.enter_async_context(publishing(livekit_server, name, identity, clip(participant=number)))
            request = pb.RoomCompositeEgressRequest(room_name=name, layout="grid", advanced=SMALL, file_outputs=[FILE])
            await told.supervisor.start(EgressStart("EG_page", request))
            await told.becomes("EG_page", EgressStatus.ACTIVE)
            await asyncio.sleep(4.0)  # media: the grid is to be recorded
            await room_service.update_layout(name, "EG_page", "single-speaker")
            await asyncio.sleep(4.0)  # media: and so is the other layout
            await told.supervisor.stop("EG_page")
            info = await told.becomes("EG_page", EgressStatus.COMPLETE)
    finally:
        await room_service.aclose()
        await page.aclose()
    assert info.file_results[0].filename == "room.mp4"
    looks = read_looks(tmp_path / "room.mp4", {**CELLS, "all": WHOLE})
    end = looks[-1].at
    grid, single = stretch(looks, min(2.5, end / 3), min(3.5, end / 2)), stretch(looks, end - 1.0, end)
    assert {grid[-1].shows(cell) for cell in "abc"} == set(people.values())
    assert mostly([look.shows("all") is None for look in grid])
    assert mostly([look.shows("all") in people.values() for look in single], 0.8)
    await nothing_is_left(before)


async def test_a_custom_template_gets_what_the_contract_says_and_may_fail(
    livekit_server: LiveKitServer, tmp_path: Path
) -> None:
    """Its own query stays; an error that it shows ends the start with its words."""
    async with (
        PageServer() as server,
        node(livekit_server, tmp_path, template_base=server.url("/own?theme=dark")) as told,
    ):
        server.pages["/own"] = """<script>setTimeout(() => {
        document.body.innerHTML = "<div class=error>could not establish signal connection</div>"; }, 300)</script>"""
        request = pb.RoomCompositeEgressRequest(
            room_name="templates-own",
            layout="mine",
            advanced=SMALL,
            file_outputs=[FILE],
        )
        await told.supervisor.start(EgressStart("EG_own", request))
        info = await told.becomes("EG_own", EgressStatus.FAILED)
        query = parse_qs(server.queries["/own"])
    assert "template error: could not establish signal connection" in info.error
    assert info.error_code == Code.INVALID_ARGUMENT.http
    assert (query["layout"], query["theme"], query["url"]) == (["mine"], ["dark"], [livekit_server.url])
    claims = token_claims(query["token"][0])
    assert (claims["sub"], claims["video"]["room"], claims["kind"]) == ("EG_own", "templates-own", "egress")
    assert query["token"][0] not in str(info)


async def test_a_node_without_a_browser_stays_silent(livekit_server: LiveKitServer, tmp_path: Path) -> None:
    config = ServiceConfig(
        api_key=livekit_server.api_key,
        api_secret=livekit_server.api_secret,
        ws_url=livekit_server.url,
        local_directory=str(tmp_path),
        state_directory=str(tmp_path / "state"),
        spare_workers=0,
    )
    missing = EgressError("Chromium is missing", code=Code.FAILED_PRECONDITION)
    page = EgressStart("EG_a", pb.WebEgressRequest(url="https://example.com", file_outputs=[FILE]))
    room = EgressStart("EG_b", pb.RoomCompositeEgressRequest(room_name="r", layout="grid", file_outputs=[FILE]))
    async with Supervisor(config, browser_missing=lambda: missing) as supervisor:
        assert supervisor.bid(page) is None
        assert supervisor.bid(room) is not None
        with pytest.raises(EgressError, match="Chromium is missing"):
            await supervisor.start(page)
