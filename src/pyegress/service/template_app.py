"""Serves the web page of the default layouts, for those who want them drawn by Chrome, on this machine only."""

from __future__ import annotations

import logging
from pathlib import Path

from aiohttp import web

from pyegress.errors import Code, EgressError

logger = logging.getLogger(__name__)

#: Only pages that a browser of ours opens come here.
HOST = "127.0.0.1"
_INDEX = "index.html"


def template_files() -> Path | None:
    """The built page: inside of the package, or in the checkout that is used in place; None when it was not built."""
    package = Path(__file__).parents[1]
    for folder in (package / "template_app", package.parents[1] / "templates" / "dist"):
        if (folder / _INDEX).is_file():
            return folder
    return None


class TemplateServer:
    """Listens from `open` to `aclose`. `port` 0 takes a free one."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        """What templates are opened with; known once it is open."""
        return f"http://localhost:{self._port}/"

    async def open(self) -> None:
        """Raises EgressError when the page was not built, or when the port cannot be had."""
        folder = template_files()
        if folder is None:
            raise EgressError(
                "The page of the default layouts is not part of this installation",
                field="template_engine",
                code=Code.FAILED_PRECONDITION,
                remedy="Build it (scripts/build-templates in a checkout, before pip install), or set template_engine "
                "to native",
            )

        async def index(request: web.Request) -> web.StreamResponse:
            return web.FileResponse(folder / _INDEX, headers={"Cache-Control": "no-cache"})

        application = web.Application()
        application.router.add_get("/", index)
        application.router.add_static("/", folder)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=2.0)
        await self._runner.setup()
        site = web.TCPSite(self._runner, HOST, self._port)
        try:
            await site.start()
        except OSError as error:
            await self.aclose()
            raise EgressError(
                f"Cannot listen on port {self._port}: {error.strerror}",
                field="template_port",
                code=Code.UNAVAILABLE,
                remedy="Give template_port a free port",
            ) from None
        ((_, self._port, *_),) = self._runner.addresses
        logger.info("the page of the default layouts is at %s", self.url)

    async def aclose(self) -> None:
        """Close the port. Idempotent."""
        if self._runner is not None:
            runner, self._runner = self._runner, None
            await runner.cleanup()
