"""Publishing to a real server: what arrives there, and what is said when it does not."""

from __future__ import annotations

import asyncio
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import av
import numpy as np
import pytest
from aiohttp import web

from pyegress.clock import monotonic
from pyegress.codecs import Codec, Kind
from pyegress.demo.server import free_port
from pyegress.errors import Code, EgressError
from pyegress.lifecycle.outcome import StreamStatus
from pyegress.media.audio_encoder import AudioEncoder
from pyegress.outputs.encoded_streams import audio_stream
from pyegress.outputs.rtmp.publisher import RtmpPublisher
from pyegress.outputs.rtmp.twitch import TwitchIngests
from pyegress.outputs.streaming import sender
from pyegress.outputs.streaming.sender import StreamSender
from pyegress.outputs.streaming.unit import Unit
from pyegress.plan.encodings import AudioCodec, AudioEncoding, VideoCodec, VideoEncoding
from pyegress.plan.stream_urls import destination
from tests.outputs.media import video
from tests.support.analysis import read_packets
from tests.support.rtmp_server import RtmpServer, why_unavailable
from tests.support.tcp_proxy import TcpProxy
from tests.support.waiting import eventually

pytestmark = [
    pytest.mark.media,
    pytest.mark.usefixtures("no_tasks_left"),
    pytest.mark.skipif(bool(why_unavailable()), reason=why_unavailable()),
]

VIDEO = VideoEncoding(VideoCodec.H264, 160, 96, 25, 200, None)
AUDIO = AudioEncoding(AudioCodec.AAC, 64, 48_000)
#: More bytes than any system takes without a reader.
MUCH = 30_000_000
KEY = "verysecretkey"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RtmpServer]:
    with RtmpServer(tmp_path_factory.mktemp("rtmp")) as server:
        yield server


class Encoders:
    """A second of pictures and sound, packaged."""

    def __init__(self, twitch: TwitchIngests | None = None, tls: ssl.SSLContext | None = None) -> None:
        encoder = AudioEncoder(AUDIO)
        self.publisher = RtmpPublisher(
            frozenset(Kind), VIDEO, AUDIO, lambda frame: audio_stream(encoder), twitch=twitch, tls=tls, timeout=1.0
        )
        sound = [packet for _ in range(50) for packet in encoder.encode(np.zeros((960, 2), np.float32))]
        units = [self.publisher.package(Kind.VIDEO, frame) for frame in video(Codec.H264, 25)]
        units += [self.publisher.package(Kind.AUDIO, packet) for packet in sound]
        units.sort(key=lambda unit: unit.seconds)
        self.units: list[Unit] = units[next(index for index, unit in enumerate(units) if unit.start) :]

    async def publish(self, url: str) -> None:
        connection = await self.publisher.connect(destination(url))
        connection.send(self.units)
        await connection.writable()
        await connection.aclose(orderly=True)

    async def failure(self, url: str) -> str:
        """What is said of a destination that cannot be published to."""
        with pytest.raises(EgressError) as failed:
            await self.publisher.connect(destination(url))
        assert failed.value.code is Code.UNAVAILABLE
        assert failed.value.remedy
        assert KEY not in str(failed.value)
        return str(failed.value)


async def test_what_arrives_is_what_was_encoded(server: RtmpServer) -> None:
    encoders = Encoders()
    await encoders.publish(server.url("arrives", "recorded"))
    await eventually(lambda: server.recordings("arrives"), "a recording")
    (path,) = server.recordings("arrives")
    await eventually(lambda: "deleteStream" in server.log_tail(), "the server has heard of the end")
    await eventually(lambda: _pictures(path) == 25, "all pictures are in the file")
    with av.open(str(path)) as container:
        assert sum(1 for _ in container.decode(video=0)) == 25
        pictures, sound = container.streams.video[0], container.streams.audio[0]
        assert (pictures.codec_context.name, pictures.width, pictures.height) == ("h264", 160, 96)
        assert (sound.codec_context.name, sound.rate, sound.layout.name) == ("aac", 48_000, "stereo")
    assert [packet.pts for packet in read_packets(path, "video")] == pytest.approx(
        [number / 25 for number in range(25)]
    )
    heard = [packet.pts for packet in read_packets(path, "audio")]
    assert heard == pytest.approx([number * 1024 / 48_000 for number in range(len(heard))], abs=0.001)
    assert len(heard) == sum(1 for unit in encoders.units if unit.kind is Kind.AUDIO)


def _pictures(path: Path) -> int:
    """Those that the server has written yet."""
    try:
        return len(read_packets(path, "video"))
    except av.error.InvalidDataError:
        return 0


async def test_what_servers_say(server: RtmpServer) -> None:
    """Each way in which it can fail is told by its own words."""
    encoders = Encoders()
    holder = await encoders.publisher.connect(destination(server.url(KEY)))
    try:
        assert "Already publishing" in await encoders.failure(server.url(KEY))
    finally:
        await holder.aclose(orderly=False)
    assert "instead of the answer to connect" in await encoders.failure(server.url(KEY, "nosuchapplication"))
    assert "nothing listens at 127.0.0.1" in await encoders.failure(
        f"rtmp://127.0.0.1:{free_port(socket.SOCK_STREAM)}/a/{KEY}"
    )
    assert "connection refused" in await encoders.failure(f"rtmp://localhost:{free_port(socket.SOCK_STREAM)}/a/{KEY}")
    assert "cannot be resolved" in await encoders.failure(f"rtmp://no-such-host.invalid/a/{KEY}")
    assert "does not answer with TLS" in await encoders.failure(server.url(KEY).replace("rtmp:", "rtmps:"))
    closed = await encoders.publisher.connect(destination(server.url(KEY, "closed")))
    with pytest.raises(EgressError, match="accepted the stream, and closed the connection at once"):
        await closed.ended()
    await closed.aclose(orderly=False)


async def test_servers_that_accept_and_say_nothing(server: RtmpServer) -> None:
    encoders = Encoders()
    async with TcpProxy("127.0.0.1", server.port) as proxy:
        proxy.stall()
        said = await encoders.failure(f"rtmp://127.0.0.1:{proxy.port}/live/{KEY}")
        assert "did not send the handshake within 1 s" in said
        proxy.go_on()
        connection = await encoders.publisher.connect(destination(f"rtmp://127.0.0.1:{proxy.port}/live/{KEY}"))
        proxy.stall()
        connection.send([*encoders.units, *[Unit(Kind.VIDEO, 1.0, False, bytes(MUCH // 4))] * 4])
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                await connection.writable()
        assert connection.pending
        assert 0 < connection.taken < MUCH
        await connection.aclose(orderly=False)


async def test_a_server_that_stalls_is_left_and_called_again(
    server: RtmpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sender, "_WATCH", 0.05)
    encoders = Encoders()
    async with TcpProxy("127.0.0.1", server.port) as proxy:
        target = destination(f"rtmp://127.0.0.1:{proxy.port}/recorded/stalls")
        wanted: list[float] = []
        stream = StreamSender(
            target,
            partial(encoders.publisher.connect, target),
            window=20.0,
            want_start=lambda: wanted.append(monotonic()),
            on_failed=lambda stream, error: pytest.fail(str(error)),
            stall=0.3,
        )
        await eventually(lambda: wanted, "connected")
        proxy.stall()
        for unit in (*encoders.units, *[Unit(Kind.VIDEO, 1.0, False, bytes(MUCH // 4))] * 4):
            stream.submit(unit)
        await eventually(lambda: proxy.connections == 2, "it was noticed, and called again")
        assert stream.outcome.status is StreamStatus.ACTIVE
        proxy.go_on()
        await eventually(lambda: len(wanted) == 2, "connected again")
        for unit in encoders.units:
            stream.submit(unit)
        await stream.finish()
        assert stream.outcome.status.name == "FINISHED"
        assert stream.outcome.retries >= 1
    await eventually(lambda: len(server.recordings("stalls")) >= 1, "a recording")
    await eventually(lambda: decoded(server.recordings("stalls")[-1]) == 25, "every picture of the second time")


def decoded(path: Path) -> int:
    """How many pictures a recording has."""
    if path.stat().st_size < 1000:
        return 0
    with av.open(str(path)) as container:
        return sum(1 for _ in container.decode(video=0))


async def test_a_web_server_is_told_from_an_rtmp_server() -> None:
    async def hello(request: web.Request) -> web.Response:
        return web.Response(text="hello")

    async with serving(hello) as port:
        assert "does not speak RTMP" in await Encoders().failure(f"rtmp://127.0.0.1:{port}/live/{KEY}")
        assert "TLS with 127.0.0.1" in await Encoders().failure(f"rtmps://127.0.0.1:{port}/live/{KEY}")


@asynccontextmanager
async def serving(handler: object) -> AsyncIterator[int]:
    """A web server at a free port."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)  # type: ignore[arg-type]
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


async def test_twitch_is_asked_where_its_servers_are(server: RtmpServer) -> None:
    answer: dict[str, object] = {
        "ingests": [
            {"url_template": f"rtmp://127.0.0.1:{server.port}/recorded/{{stream_key}}"},
            {"url_template": "rtmp://127.0.0.1:9/app/{stream_key}"},
        ]
    }
    asked = 0

    async def ingests(request: web.Request) -> web.Response:
        nonlocal asked
        asked += 1
        return web.json_response(answer)

    async with serving(ingests) as port:
        encoders = Encoders(twitch=TwitchIngests(f"http://127.0.0.1:{port}/ingests"))
        await encoders.publish(f"twitch://{KEY}1")
        await encoders.publish(f"rtmps://fra02.contribute.live-video.net/app/{KEY}2")
        assert asked == 1
        for key in (f"{KEY}1", f"{KEY}2"):
            assert len(server.recordings(key)) == 1
        answer.clear()
        encoders = Encoders(twitch=TwitchIngests(f"http://127.0.0.1:{port}/ingests"))
        assert "no ingest found" in await encoders.failure(f"twitch://{KEY}")
    assert "cannot be had" in await encoders.failure(f"twitch://{KEY}")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A key and its own certificate for localhost, in one file."""
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-keyout", str(path), "-out", str(path) + ".crt", "-subj", "/CN=localhost"]
    command += ["-addext", "subjectAltName=DNS:localhost"]
    subprocess.run(command, check=True, capture_output=True, timeout=30)
    path.write_bytes(path.read_bytes() + Path(str(path) + ".crt").read_bytes())
    return path


async def test_rtmps(server: RtmpServer, certificate: Path) -> None:
    """Over TLS, to a certificate that is trusted and to one that is not."""
    own = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    own.load_cert_chain(certificate)
    trusted = ssl.create_default_context(cafile=str(certificate))

    async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", server.port)
        await asyncio.gather(pump(reader, far_writer), pump(far_reader, writer), return_exceptions=True)

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.close()

    async with await asyncio.start_server(forward, "127.0.0.1", 0, ssl=own) as front:
        port = front.sockets[0].getsockname()[1]
        await Encoders(tls=trusted).publish(f"rtmps://localhost:{port}/recorded/tls")
        await eventually(lambda: server.recordings("tls"), "a recording")
        said = await Encoders().failure(f"rtmps://localhost:{port}/recorded/{KEY}")
        assert "TLS certificate of localhost" in said
        assert "self-signed" in said or "self signed" in said
