"""Lists of URLs in real Chromium: whatever a page, its parts, frames and workers ask for meets them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pyegress.browser.failures import PageFailed
from tests.support.page_server import PageServer
from tests.support.waiting import eventually
from tests.system.web_pages import a_page, needs_browser

pytestmark = [pytest.mark.system, needs_browser]

#: Asks for the same URL in every way that a page has, and reports which of them got an answer.
ASKING = """<script>
const secret = location.origin + "/secret/";
const within = (promise) => Promise.race([promise, new Promise((_, no) => setTimeout(no, 5000))]);
const reached = (name, promise) => within(promise).then(() => name, () => null);
const answered = (url, options) => fetch(url, options).then((answer) => answer.ok ? 1 : Promise.reject());
function element(kind, name, url, fields) {
  return new Promise((yes, no) => {
    const it = Object.assign(document.createElement(kind), fields);
    it.onload = yes; it.onerror = no; it[name] = url;
    document.body.append(it);
  });
}
const told = (target) => new Promise((yes, no) => {
  target.onmessage = (event) => event.data === "reached" ? yes() : no(); });
const worker = (code) => told(new Worker(URL.createObjectURL(new Blob([code]))));
async function service() {
  await navigator.serviceWorker.register("/public/service.js");
  const { active } = await navigator.serviceWorker.ready;
  const { port1, port2 } = new MessageChannel();
  const answer = told(port1);
  active.postMessage(secret + "service", [port2]);
  await answer;
}
function frame(url) {
  return new Promise((yes, no) => {
    addEventListener("message", (event) => {
      if (event.data[0] === url) event.data[1] ? yes() : no();
    });
    element("iframe", "src", url);
  });
}
const elsewhere = location.origin.replace("127.0.0.1", "localhost");
async function ask() {
  const found = [
    reached("allowed", answered("/public/ok")),
    reached("allowed redirect", answered("/public/to?url=/public/ok")),
    reached("fetch", answered(secret + "fetch")),
    reached("written otherwise", answered(location.origin + "/%73ecret/written")),
    reached("redirect", answered("/public/to?url=" + secret + "redirect")),
    reached("image", element("img", "src", secret + "image")),
    reached("script", element("script", "src", secret + "script.js")),
    reached("style", element("link", "href", secret + "style", { rel: "stylesheet" })),
    reached("worker", worker(`fetch("${secret}worker").then((it) => postMessage(it.ok && "reached"), postMessage)`)),
    reached("service worker", service()),
    reached("frame elsewhere", frame(elsewhere + "/public/frame")),
  ];
  element("iframe", "src", secret + "frame");
  navigator.sendBeacon(secret + "beacon");
  new EventSource(secret + "events");
  await fetch("/public/report", { method: "POST", body: JSON.stringify((await Promise.all(found)).filter(Boolean)) });
}
addEventListener("load", ask);
</script>"""
FRAME = """<script>const tell = (what) => parent.postMessage([location.href, what], "*");
fetch(location.origin + "/secret/inner").then((it) => tell(it.ok), () => tell(false));</script>"""
SERVICE = """self.addEventListener("install", () => self.skipWaiting());
self.addEventListener("activate", (event) => event.waitUntil(self.clients.claim()));
self.addEventListener("message", (event) => fetch(event.data).then(
  (it) => event.ports[0].postMessage(it.ok ? "reached" : ""), () => event.ports[0].postMessage("")));"""


def serve_pages(server: PageServer) -> None:
    names = (
        "fetch",
        "written",
        "redirect",
        "image",
        "script.js",
        "style",
        "worker",
        "service",
        "frame",
        "beacon",
        "inner",
    )
    server.pages |= {f"/secret/{name}": "secret" for name in (*names, "events")}
    server.pages |= {
        "/public/ok": "ok",
        "/public/asking": ASKING,
        "/public/frame": FRAME,
        "/public/service.js": SERVICE,
    }


@pytest.mark.parametrize(
    "lists",
    [
        {"deny_urls": ("*/secret",)},
        {"allow_urls": ("127.0.0.1/public/", "http://localhost/public")},
        {"deny_urls": ("*",), "allow_urls": ("127.0.0.1/public/", "http://localhost/public")},
    ],
    ids=["denied", "allowed", "both"],
)
async def test_every_way_of_a_page_meets_the_lists(lists: dict[str, Any]) -> None:
    async with PageServer() as server, a_page(**lists) as page:
        serve_pages(server)
        await page.load(server.url("/public/asking"))
        await eventually(lambda: server.reports, "the report of the page", 40.0)
        assert json.dumps(server.reports) == json.dumps([["allowed", "allowed redirect"]])
        assert server.asked["/public/frame"] == server.asked["/public/service.js"] == 1, "so they asked in vain"
        assert [path for path in server.asked if "secret" in path] == []

        words = "denied" if "allow_urls" not in lists else "not on the list of URLs that are allowed|denied"
        for url in (server.url("/secret/fetch"), server.url("/public/to?url=/secret/fetch")):
            with pytest.raises(PageFailed, match=words) as caught:
                await page.load(url)
            assert "browser.allow_urls" in caught.value.remedy
        assert [path for path in server.asked if "secret" in path] == []
