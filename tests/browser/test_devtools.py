"""The protocol over a real socket pair; a test is the browser."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from pyegress.browser import devtools
from pyegress.browser.devtools import DevTools, DevToolsError
from pyegress.browser.failures import BrowserFailed

pytestmark = pytest.mark.wire


@asynccontextmanager
async def connected() -> AsyncIterator[tuple[DevTools, socket.socket]]:
    """A connection, and the browser's end of it."""
    ours, browser = socket.socketpair()
    connection = await DevTools.over(ours)
    with browser:
        try:
            yield connection, browser
        finally:
            await connection.aclose()


async def answered(connection: DevTools, browser: socket.socket, answer: dict[str, Any]) -> dict[str, Any]:
    """Call something, and answer so."""
    call = asyncio.create_task(connection.call("Browser.getVersion", timeout=10.0))
    request = json.loads((await asyncio.to_thread(browser.recv, 65536)).removesuffix(b"\0"))
    assert request["method"] == "Browser.getVersion"
    await asyncio.to_thread(browser.sendall, json.dumps({"id": request["id"], **answer}).encode() + b"\0")
    return await call


async def test_answers_refusals_and_events(no_tasks_left: object) -> None:
    async with connected() as (connection, browser):
        events: list[tuple[str, dict[str, Any]]] = []
        connection.listen("s", lambda method, event: events.append((method, event)))
        browser.sendall(b'{"method": "Page.x", "sessionId": "s", "params": {"a": 1}}\0{"method": "of nobody"}\0')
        assert await answered(connection, browser, {"result": {"product": "x"}}) == {"product": "x"}
        assert events == [("Page.x", {"a": 1})]
        with pytest.raises(DevToolsError, match="no"):
            await answered(connection, browser, {"error": {"message": "no"}})


async def test_a_message_that_is_too_long_is_left_out(monkeypatch: pytest.MonkeyPatch, no_tasks_left: object) -> None:
    monkeypatch.setattr(devtools, "_LIMIT", 1000)
    async with connected() as (connection, browser):
        long = json.dumps({"method": "Runtime.consoleAPICalled", "params": {"text": "x" * 20_000}}).encode()
        await asyncio.to_thread(browser.sendall, long + b"\0")
        assert await answered(connection, browser, {"result": {"product": "x"}}) == {"product": "x"}


async def test_who_waits_is_told_that_the_browser_is_gone(no_tasks_left: object) -> None:
    async with connected() as (connection, browser):
        call = asyncio.create_task(connection.call("Browser.getVersion", timeout=10.0))
        await asyncio.to_thread(browser.recv, 65536)
        browser.close()
        with pytest.raises(BrowserFailed, match="gone"):
            await call
        with pytest.raises(BrowserFailed, match="gone"):
            await connection.call("Browser.getVersion")
