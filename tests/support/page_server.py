"""Web pages for tests: a server in the test's own loop, with what it was asked for."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from pathlib import Path
from typing import Any, Self

from aiohttp import web

FRAMES = Path(__file__).with_name("frames.html")


class PageServer:
    """Serves on a port of 127.0.0.1 that the system chooses. Used as `async with`."""

    def __init__(self) -> None:
        #: Requests by path.
        self.asked: Counter[str] = Counter()
        #: Query strings by path, the newest.
        self.queries: dict[str, str] = {}
        #: What pages posted to /report.
        self.reports: list[Any] = []
        #: What pages that ask for orders are told next.
        self.orders: list[str] = []
        #: Pages by path that a test adds: HTML, or scripts (.js).
        self.pages: dict[str, str] = {}
        #: Whether a connection serves several requests.
        self.keep_alive = True
        self.port = 0
        self._held = asyncio.Event()
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._serve)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.port = self._runner.addresses[0][1]
        return self

    async def __aexit__(self, *error: object) -> None:
        self._held.set()
        assert self._runner is not None
        await self._runner.cleanup()

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        response = await self._answer(request)
        if not self.keep_alive:
            response.force_close()
        return response

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        path = request.path
        self.asked[path] += 1
        self.queries[path] = request.query_string
        match path:
            case "/frames":
                return _html(FRAMES.read_text())
            case "/report" | "/public/report":
                self.reports.append(json.loads(await request.text()))
                return web.Response(text="")
            case "/order":
                return web.Response(text=self.orders.pop(0) if self.orders else "")
            case "/password":
                return web.Response(status=401, headers={"WWW-Authenticate": 'Basic realm="frames"'})
            case "/circle":
                raise web.HTTPFound("/circle")
            case "/to" | "/public/to":
                raise web.HTTPFound(request.query["url"])
            case "/slow":
                await self._held.wait()
                return _html("late")
            case "/broken":
                return web.Response(status=503, text="<p>broken</p>", content_type="text/html")
            case "/download":
                return web.Response(body=b"\0" * 100, headers={"Content-Disposition": "attachment; filename=a.bin"})
            case _ if path in self.pages:
                kind = "text/javascript" if path.endswith(".js") else "text/html"
                return web.Response(text=self.pages[path], content_type=kind, charset="utf-8")
            case _:
                raise web.HTTPNotFound


def _html(text: str) -> web.Response:
    return web.Response(text=text, content_type="text/html", charset="utf-8")
