"""The page of the default layouts over HTTP: as it was built, and nothing else."""

from __future__ import annotations

import re
from pathlib import Path

import aiohttp
import pytest

from pyegress.errors import EgressError
from pyegress.service import template_app
from pyegress.service.config import parse_config
from pyegress.service.template_app import TemplateServer, template_files

pytestmark = [pytest.mark.wire, pytest.mark.usefixtures("no_tasks_left")]


async def test_the_page_and_what_it_loads() -> None:
    folder = template_files()
    assert folder is not None, "scripts/build-templates builds it"
    server = TemplateServer(0)
    await server.open()
    try:
        async with aiohttp.ClientSession() as client:
            async with client.get(server.url, params={"layout": "grid", "token": "t"}) as answer:
                assert answer.status == 200
                page = await answer.text()
            assert page == (folder / "index.html").read_text()
            loaded = re.findall(r'(?:src|href)="\./([^"]+)"', page)
            assert {Path(name).suffix for name in loaded} == {".js", ".css"}
            for name in loaded:
                async with client.get(server.url + name) as answer:
                    assert await answer.read() == (folder / name).read_bytes()
            for path in ("assets/", "assets/none.js", "%2e%2e/package.json"):
                async with client.get(server.url + path) as answer:
                    assert answer.status in (403, 404), path
    finally:
        await server.aclose()
        await server.aclose()


async def test_a_port_that_is_taken() -> None:
    first = TemplateServer(0)
    await first.open()
    try:
        port = int(first.url.rstrip("/").rpartition(":")[2])
        with pytest.raises(EgressError, match=f"port {port}") as raised:
            await TemplateServer(port).open()
        assert raised.value.field == "template_port"
    finally:
        await first.aclose()


async def test_a_page_that_was_not_built(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(template_app, "template_files", lambda: None)
    with pytest.raises(EgressError, match="not part of this installation") as raised:
        await TemplateServer(0).open()
    assert "scripts/build-templates" in raised.value.remedy


def test_who_draws_the_default_layouts() -> None:
    native, chrome = parse_config("{}").config, parse_config("template_engine: chrome\ntemplate_port: 8081").config
    own = parse_config("template_engine: chrome\ntemplate_base: https://t.example/").config
    assert (native.serves_templates, native.service.template_base) == (False, "")
    assert (chrome.serves_templates, chrome.service.template_base) == (True, "http://localhost:8081/")
    assert (own.serves_templates, own.service.template_base) == (False, "https://t.example/")
    for wrong, key in (("firefox", "template_engine"), ("chrome\ntemplate_port: 0", "template_port")):
        with pytest.raises(EgressError) as raised:
            parse_config(f"template_engine: {wrong}")
        assert raised.value.field == key
