"""What a page leaves on this machine, takes from it, and shows beside itself: nothing."""

from __future__ import annotations

import asyncio
from ipaddress import ip_address

import pytest
from aiohttp import web

from pyegress.browser import proxy
from pyegress.browser.browser import Browser
from pyegress.plan.browser_options import BrowserOptions
from pyegress.plan.host_patterns import Address
from tests.support.page_server import PageServer
from tests.support.waiting import eventually
from tests.system.web_pages import a_page, needs_browser, nothing_is_left, traces

pytestmark = [pytest.mark.system, needs_browser]

#: A red border of one pixel around blue: whatever is missing or too much at an edge is seen.
BORDER = """<body style="margin:0;background:#0000ff"><div style="position:fixed;inset:0;border:1px solid #ff0000;
box-sizing:border-box"></div><div style="height:9000px;width:9000px"></div><script>
fetch("/report", { method: "POST", body: JSON.stringify([innerWidth, innerHeight, outerWidth, outerHeight,
screen.width >= innerWidth, scrollX + scrollY]) });</script>"""


async def test_a_page_is_as_large_as_its_picture() -> None:
    async with PageServer() as server:
        server.pages["/border"] = BORDER
        for width, height in ((1280, 720), (1920, 1080), (720, 1280), (426, 240)):
            async with a_page(width, height) as page:
                await page.load(server.url("/border"))
                await eventually(lambda: server.reports, "what the page measures")
                assert server.reports.pop()[:2] == [width, height]
                screen = page.browser.display.connect()
                try:

                    def drawn() -> bool:
                        seen = screen.pixels[..., :3]  # noqa: B023
                        edges = (seen[0], seen[-1], seen[:, 0], seen[:, -1])
                        inside = seen[1:-1, 1:-1].reshape(-1, 3)
                        return all((edge == (0, 0, 255)).all() for edge in edges) and bool(
                            (inside == (255, 0, 0)).all()
                        )

                    await eventually(drawn, f"a border around {width}x{height}", 20.0)
                finally:
                    screen.close()


#: Goes wherever a page might, tries to keep files, and notes what it finds of an earlier page.
WANDERER = """<body><script>
const here = location.href, found = [], note = (what) => found.push(what);
if (localStorage.getItem("x") || document.cookie || document.referrer) note("something of an earlier page");
localStorage.setItem("x", "1");
document.cookie = "x=1; max-age=100000";
indexedDB.open("x");
caches.open("x").then((it) => it.put("/x", new Response("x")));
const link = (href, name) => {
  const it = Object.assign(document.createElement("a"), { href, download: name });
  document.body.append(it); it.click(); };
const frame = (src) => new Promise((done) => {
  const it = document.createElement("iframe");
  const look = () => {
    try { if (it.contentDocument?.body?.innerText.includes("root:")) note("inside of " + src); } catch {}
    done();
  };
  it.onload = look; setTimeout(look, 1500); it.src = src; document.body.append(it); });
const load = (kind, src) => new Promise((done) => {
  const it = document.createElement(kind);
  it.onload = () => { note(kind + " " + src); done(); };
  it.onerror = done; setTimeout(done, 1500); it.src = src; document.body.append(it); });
async function wander() {
  const places = ["file:///etc/passwd", "file:///proc/self/environ", "chrome://version", "chrome://settings",
    "view-source:file:///etc/passwd", "devtools://devtools/bundled/inspector.html", "filesystem:file:///temporary/x",
    "chrome-extension://aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa/x", "ftp://127.0.0.1/", "javascript:void 0"];
  link("/download", "kept-one.bin");
  link(URL.createObjectURL(new Blob(["kept"])), "kept-two.bin");
  link("data:application/octet-stream,kept", "kept-three.bin");
  for (const place of places.slice(0, -1)) {
    await fetch(place).then(() => note("fetch " + place), () => {});
    await load("img", place);
    await load("script", place);
    try { open(place); } catch {}
    if (!place.startsWith("chrome-extension")) location.href = place;  // there is no page of it, which would be shown
  }
  await Promise.all(places.map(frame));
  await new Promise((done) => setTimeout(done, 500));
  if (location.href !== here) note("it went to " + location.href);
  await fetch("/report", { method: "POST", body: JSON.stringify(found) });
}
addEventListener("load", wander);
</script>"""


async def test_a_page_finds_and_leaves_nothing_on_this_machine() -> None:
    """Also not the page that was there before; two browsers, one after the other."""
    before = traces()
    async with PageServer() as server:
        server.pages["/wanderer"] = WANDERER
        for _ in range(2):
            async with a_page() as page:
                await page.load(server.url("/wanderer"))
                await eventually(lambda: server.reports, "the report of the page", 60.0)
                assert server.reports.pop() == []
                folder = page.browser.processes.folder
                assert [path for path in folder.rglob("*") if "kept" in path.name or path.suffix == ".crdownload"] == []
                assert (folder / "profile" / "Default").exists()
            assert not folder.exists()
    await nothing_is_left(before)


async def test_a_name_that_changes_its_address_leads_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """DNS rebinding: the page comes from one address; then its name is said to be that of another machine."""
    touched: list[str] = []
    answers = ["127.0.0.1"]

    async def resolve(host: str) -> list[Address]:
        return [ip_address(answers[-1] if host == "rebinding.example" else host)]

    monkeypatch.setattr(proxy, "_resolve", resolve)

    async def inside(request: web.BaseRequest) -> web.Response:
        touched.append(request.path)
        return web.Response(text="inside", headers={"Access-Control-Allow-Origin": "*"})

    async with PageServer() as server:
        runner = web.ServerRunner(web.Server(inside))
        await runner.setup()
        # The same port at another address, as an attacker needs it.
        await web.TCPSite(runner, "127.0.0.2", server.port).start()
        try:
            server.pages["/rebinding"] = f"""<script>
            const ask = () => fetch("/asked?" + Math.random()).then((answer) => answer.text()).catch(() => "");
            (async () => {{
              let answer;
              while ((answer = await ask()) === "outside") await new Promise((done) => setTimeout(done, 100));
              const body = JSON.stringify(answer);
              await fetch("http://127.0.0.1:{server.port}/report", {{ method: "POST", mode: "no-cors", body }});
            }})();</script>"""
            server.pages["/asked"] = "outside"
            server.keep_alive = False
            async with a_page(deny_hosts=("127.0.0.2",)) as page:
                await page.load(f"http://rebinding.example:{server.port}/rebinding")
                await eventually(lambda: server.asked["/asked"] > 1, "questions of the page")
                answers.append("127.0.0.2")
                await eventually(lambda: server.reports, "the report of the page", 20.0)
            assert (server.reports, touched) == ([""], [])
        finally:
            await runner.cleanup()


async def test_a_browser_that_cannot_be_opened_leaves_nothing() -> None:
    before = traces()
    with pytest.raises(Exception, match="did not start"):
        await Browser.open(BrowserOptions(executable="false"), width=640, height=360, framerate=30, udp=False)
    await nothing_is_left(before)
    assert not [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
