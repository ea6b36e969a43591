"""hls.js in Chromium as a player of playlists that lie in a folder, behind a plain file server."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from aiohttp import web

from pyegress.demo.server import tools_directory

_PAGE = Path(__file__).parents[1] / "data" / "hls_player.html"
_TYPES = {".m3u8": "application/vnd.apple.mpegurl", ".ts": "video/mp2t", ".m4s": "video/mp4", ".mp4": "video/mp4"}
_SWITCHES = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--mute-audio", "--no-first-run", "--disable-extensions"),
    *("--autoplay-policy=no-user-gesture-required", "--disable-background-networking", "--disable-sync"),
    *("--disable-background-timer-throttling", "--disable-renderer-backgrounding"),
    "--disable-backgrounding-occluded-windows",
)


def why_unavailable() -> str:
    """Why nothing can be played here; empty when it can."""
    if shutil.which("chromium") is None:
        return "no chromium: run scripts/setup"
    return "" if _player() else "no hls.js: run scripts/setup"


def _player() -> Path | None:
    return next(iter(sorted(tools_directory().glob("hls-*.min.js"))), None)


@dataclass(frozen=True, slots=True)
class Played:
    """What the player saw. Times in seconds of the video."""

    ended: bool
    duration: float
    #: Pictures that were shown.
    times: list[float]
    #: Where playing stood still after it had begun.
    waits: list[float]
    #: What was buffered, whenever it was more than one range.
    holes: list[Any]
    ranges: list[tuple[float, float]]
    errors: list[dict[str, Any]]
    #: Seconds behind the live edge at the least, None when there was none.
    latency: float | None


class HlsPlayers:
    """Plays playlists of `folder`."""

    def __init__(self, folder: Path, scratch: Path) -> None:
        self._folder = folder
        self._scratch = scratch
        self._reports: dict[str, asyncio.Future[Played]] = {}
        self.base = ""
        #: Every request and what was answered.
        self.requests: list[tuple[str, int]] = []
        #: Browsers that are there; they get their player when `curtain` is set.
        self.waiting = 0
        self.curtain = asyncio.Event()
        self.curtain.set()

    async def play(self, playlist: str, *, rate: float = 1.0, low: bool = False, within: float = 60.0) -> Played:
        """Play `playlist` (a path below the folder) to its end, in a browser of its own."""
        name = f"{playlist}-{len(self._reports)}"
        query = urlencode(
            {"url": f"{self.base}/media/{playlist}", "rate": rate, "name": name} | ({"low": 1} if low else {})
        )
        self._reports[name] = asyncio.get_running_loop().create_future()
        profile = self._scratch / f"profile-{len(self._reports)}"
        browser = await asyncio.create_subprocess_exec(
            *("chromium", *_SWITCHES, f"--user-data-dir={profile}", f"{self.base}/?{query}"),
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            return await asyncio.wait_for(self._reports[name], within)
        except TimeoutError:
            raise AssertionError(f"{playlist} did not end within {within:g} s; {self.requests[-20:]}") from None
        finally:
            # Chromium is many processes; they are a group.
            os.killpg(browser.pid, 9)
            await browser.wait()

    async def answer(self, request: web.Request) -> web.StreamResponse:
        match request.path:
            case "/":
                return web.FileResponse(_PAGE)
            case "/hls.js":
                self.waiting += 1
                await self.curtain.wait()
                player = _player()
                assert player is not None
                return web.FileResponse(player)
            case "/report":
                told = json.loads(await request.text())
                fields = {name: told[name] for name in Played.__slots__}
                future = self._reports[request.query["name"]]
                if not future.done():
                    future.set_result(Played(**fields))
                return web.Response()
        path = self._folder / request.path.removeprefix("/media/")
        if not path.is_file():
            self.requests.append((request.path, 404))
            return web.Response(status=404)
        self.requests.append((request.path, 200))
        headers = {"Content-Type": _TYPES.get(path.suffix, "application/octet-stream"), "Cache-Control": "no-cache"}
        return web.FileResponse(path, headers=headers)


@asynccontextmanager
async def hls_players(folder: Path, scratch: Path) -> AsyncIterator[HlsPlayers]:
    """A file server for `folder`, and browsers to play what lies there."""
    players = HlsPlayers(folder, scratch)
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", players.answer)
    runner = web.AppRunner(app, shutdown_timeout=1.0)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    _, port = runner.addresses[0][:2]
    players.base = f"http://127.0.0.1:{port}"
    try:
        yield players
    finally:
        await runner.cleanup()
