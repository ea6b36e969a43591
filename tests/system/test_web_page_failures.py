"""Pages that cannot be loaded, each with its own error; one browser meets all of them."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from pyegress.browser.failures import PageFailed
from pyegress.lifecycle.recording import RecordingState
from tests.support.page_server import PageServer
from tests.support.waiting import eventually
from tests.system.web_pages import a_page, needs_browser, nothing_is_left, record, traces

pytestmark = [pytest.mark.system, needs_browser]


@asynccontextmanager
async def tls_server(folder: Path) -> AsyncIterator[int]:
    """A server whose certificate nobody has signed; its port."""
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    await asyncio.to_thread(
        subprocess.run, [*command, "-keyout", str(key), "-out", str(certificate)], check=True, capture_output=True
    )
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def test_every_failure_says_what_it_is(tmp_path: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        closed = unused.getsockname()[1]
    async with (
        PageServer() as server,
        tls_server(tmp_path) as tls,
        a_page(load_timeout=5.0, own=(":9",)) as page,
    ):
        server.pages["/error"] = "<div class=error>no such room: token=hunter2hunter</div>"
        server.pages["/exception"] = "<p>x</p><script>console.error('before'); undefinedThing()</script>"
        for url, words in {
            server.url("/nothing"): "HTTP 404 Not Found",
            server.url("/broken"): "HTTP 503",
            server.url("/circle"): "redirects in a circle",
            server.url("/download"): "download",
            server.url("/slow"): "timed out after 5 s",
            server.url("/error"): "template error: no such room",
            f"http://127.0.0.1:{closed}/": "refuses connections",
            f"https://127.0.0.1:{tls}/": "trusted",
            server.url("/").replace("http:", "https:"): "TLS",
            "http://no-such-host.invalid/?token=hunter2hunter": "cannot be resolved",
            "http://169.254.169.254/latest/meta-data/": "metadata services",
            "http://metadata.google.internal/": "metadata service",
            server.url("/to?url=http://169.254.169.254/"): "metadata services",
        }.items():
            with pytest.raises(PageFailed) as caught:
                await page.load(url)
            assert words in str(caught.value), f"{url}: {caught.value}"
            assert caught.value.remedy
            assert "hunter2" not in str(caught.value)
        await page.load(server.url("/exception"))
        await eventually(lambda: any("undefinedThing" in line for line in page.console.lines), "the exception")
        assert "error: before" in page.console.lines


async def test_a_page_that_never_gives_its_signal_tells_what_was_on_its_console(tmp_path: Path) -> None:
    before = traces()
    async with PageServer() as server:
        server.pages["/silent"] = "<script>console.error('no microphone')</script>"
        url = server.url("/silent")
        async with record(url, tmp_path / "a.mp4", await_start_signal=True, wait=1.0) as recording:
            result = await recording.wait()
        assert result.state is RecordingState.FAILED
        assert "START_RECORDING" in str(result.error)
        assert "no microphone" in str(result.error)

        # An error that the page shows later ends the wait too.
        server.pages["/late"] = """<script>setTimeout(() => { const error = document.createElement("div");
        error.className = "error"; error.textContent = "connection failed"; document.body.append(error); }, 700)
        </script>"""
        async with record(server.url("/late"), tmp_path / "b.mp4", await_start_signal=True, wait=60.0) as recording:
            result = await recording.wait()
        assert "template error: connection failed" in str(result.error)

        # The page ends before it began.
        server.pages["/over"] = "<script>console.log('END_RECORDING')</script>"
        async with record(server.url("/over"), tmp_path / "c.mp4", await_start_signal=True) as recording:
            result = await recording.wait()
        assert result.state is RecordingState.ABORTED
    assert os.listdir(tmp_path) == []
    await nothing_is_left(before)


#: Tries every way to a host that a page has, and reports which of them got an answer.
PROBE = """<script>
const asked = new URLSearchParams(location.search), port = asked.get("port"), udp = Number(asked.get("udp"));
const hosts = ["169.254.169.254", "127.0.0.1:" + port, "[::ffff:127.0.0.1]:" + port, "localhost:" + port];
const within = (promise) => Promise.race([promise, new Promise((_, no) => setTimeout(no, 4000))]);
const reached = (name, promise) => within(promise).then(() => name, () => null);
const socket = (url) => new Promise((yes, no) => { const it = new WebSocket(url); it.onopen = yes; it.onerror = no; });
const image = (url) => new Promise((yes, no) => {
  const it = new Image(); it.onload = yes; it.onerror = no; it.src = url; });
const frame = (url) => fetch("/to?url=" + encodeURIComponent(url), { mode: "no-cors" });
async function ice(protocol) {
  const peer = new RTCPeerConnection();
  peer.createDataChannel("x");
  await peer.setLocalDescription(await peer.createOffer());
  const type = protocol === "tcp" ? " tcptype passive" : "";
  const target = protocol === "tcp" ? Number(port) : udp;
  const sdp = ["v=0", "o=- 1 1 IN IP4 0.0.0.0", "s=-", "t=0 0", "a=group:BUNDLE 0", "a=ice-lite",
    "m=application 9 UDP/DTLS/SCTP webrtc-datachannel", "c=IN IP4 0.0.0.0", "a=mid:0", "a=setup:passive",
    "a=ice-ufrag:abcd", "a=ice-pwd:abcdefghijklmnopqrstuvwx", "a=sctp-port:5000",
    "a=fingerprint:sha-256 " + Array(32).fill("00").join(":"),
    `a=candidate:1 1 ${protocol} 2130706431 127.0.0.1 ${target} typ host${type}`, ""].join("\\r\\n");
  await peer.setRemoteDescription({ type: "answer", sdp });
  await new Promise((done) => setTimeout(done, 1500));
}
async function probe() {
  const found = [];
  for (const host of hosts) {
    found.push(reached("fetch " + host, fetch(`http://${host}/`, { mode: "no-cors" })));
    found.push(reached("redirect " + host, frame(`http://${host}/`)));
    found.push(reached("socket " + host, socket(`ws://${host}/`)));
    found.push(reached("image " + host, image(`http://${host}/`)));
    if (window.WebTransport) found.push(reached("transport " + host, new WebTransport(`https://${host}/`).ready));
  }
  found.push(reached("file", fetch("file:///etc/passwd")));
  found.push(reached("own " , fetch("/own").then((answer) => answer.ok ? 1 : Promise.reject())));
  await within(ice("udp")).catch(() => {});
  await within(ice("tcp")).catch(() => {});
  await fetch("/report", { method: "POST", body: JSON.stringify((await Promise.all(found)).filter(Boolean)) });
}
probe();
</script>"""


async def test_no_way_leads_to_what_is_forbidden() -> None:
    """Parts of pages, redirects, WebSockets, WebTransport and WebRTC; `own` stands for any port of ours."""
    touched: list[str] = []

    async def ours(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        touched.append("tcp")
        writer.close()

    class Datagrams(asyncio.DatagramProtocol):
        def datagram_received(self, data: bytes, addr: object) -> None:
            touched.append("udp")

    control = await asyncio.start_server(ours, "127.0.0.1", 0)
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(Datagrams, local_addr=("127.0.0.1", 0))
    try:
        port = control.sockets[0].getsockname()[1]
        udp = transport.get_extra_info("sockname")[1]
        async with PageServer() as server, a_page(own=(f":{port}",)) as page:
            server.pages["/own"] = "own"
            server.pages["/probe"] = PROBE
            await page.load(server.url(f"/probe?port={port}&udp={udp}"))
            await eventually(lambda: server.reports, "the report of the page", 40.0)
        assert json.dumps(server.reports[0]) == json.dumps(["own "])
        assert touched == []
    finally:
        transport.close()
        control.close()
        await control.wait_closed()


async def test_webgl_is_there_when_it_is_asked_for() -> None:
    async with PageServer() as server:
        server.pages["/gl"] = """<script>fetch("/report", { method: "POST",
        body: JSON.stringify(!!document.createElement("canvas").getContext("webgl")) })</script>"""
        for wanted in (True, False):
            async with a_page(webgl=wanted) as page:
                await page.load(server.url("/gl"))
                await eventually(lambda: server.reports, "the report of the page")
            assert server.reports.pop() is wanted
