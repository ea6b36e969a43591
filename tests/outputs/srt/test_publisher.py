"""Streaming to a real SRT listener: what arrives there, and what is said when nothing can."""

from __future__ import annotations

import asyncio
import socket
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest

from pyegress.codecs import Codec, Kind
from pyegress.demo.server import free_port
from pyegress.errors import Code, EgressError
from pyegress.media.audio_encoder import AudioEncoder
from pyegress.outputs.encoded_streams import audio_stream, video_stream
from pyegress.outputs.muxer import StreamSpec
from pyegress.outputs.srt import connection
from pyegress.outputs.srt.publisher import SrtPublisher
from pyegress.outputs.streaming.unit import Unit
from pyegress.plan.encodings import AudioCodec, AudioEncoding, VideoCodec, VideoEncoding
from pyegress.plan.stream_urls import destination
from pyegress.rtp.frame import EncodedFrame
from tests.outputs.media import video
from tests.support.analysis import read_packets
from tests.support.srt_listener import SrtListener, why_unavailable

pytestmark = [
    pytest.mark.media,
    pytest.mark.usefixtures("no_tasks_left"),
    pytest.mark.skipif(bool(why_unavailable()), reason=why_unavailable()),
]

VIDEO = VideoEncoding(VideoCodec.H264, 160, 96, 25, 200, None)
AUDIO = AudioEncoding(AudioCodec.AAC, 64, 48_000)
PASSPHRASE = "verysecretpassphrase"


def packaged(kinds: frozenset[Kind]) -> tuple[SrtPublisher, list[Unit]]:
    """Two seconds of pictures and sound."""
    encoder = AudioEncoder(AUDIO)

    def described(first: EncodedFrame) -> StreamSpec:
        return video_stream(VIDEO, first) if first.codec.kind is Kind.VIDEO else audio_stream(encoder)

    publisher = SrtPublisher(kinds, described, timeout=1.0)
    frames = [(Kind.VIDEO, frame.timestamp / 90_000, frame) for frame in video(Codec.H264, 50)]
    sound = [packet for _ in range(100) for packet in encoder.encode(np.zeros((960, 2), np.float32))]
    frames += [(Kind.AUDIO, packet.timestamp / 48_000, packet) for packet in sound]
    frames.sort(key=lambda entry: entry[1])
    return publisher, [publisher.package(kind, frame) for kind, _, frame in frames if kind in kinds]


async def stream(publisher: SrtPublisher, url: str, units: list[Unit]) -> None:
    """In real time, as a listener expects."""
    connected = await publisher.connect(destination(url))
    first = next(index for index, unit in enumerate(units) if unit.start)
    for before, unit in pairwise((units[first], *units[first:])):
        await asyncio.sleep(max(0.0, unit.seconds - before.seconds) / 2)
        connected.send([unit])
        await connected.writable()
    assert connected.taken > 0
    await connected.aclose(orderly=True)


async def test_what_arrives_is_what_was_encoded(tmp_path: Path) -> None:
    publisher, units = packaged(frozenset(Kind))
    with SrtListener(tmp_path, passphrase=PASSPHRASE) as listener:
        await stream(publisher, listener.url + "&latency=500&streamid=#!::r=live,m=publish", units)
        listener.stop()
        path = listener.files[0]
    with av.open(str(path)) as container:
        assert container.format.name == "mpegts"
        pictures, sound = container.streams.video[0], container.streams.audio[0]
        assert (pictures.codec_context.name, pictures.width, pictures.height) == ("h264", 160, 96)
        assert (sound.codec_context.name, sound.rate) == ("aac", 48_000)
        assert sum(1 for _ in container.decode(video=0)) >= 40
    shown, heard = ([packet.pts or 0.0 for packet in read_packets(path, kind)] for kind in ("video", "audio"))
    assert [later - earlier for earlier, later in pairwise(shown)] == pytest.approx(
        [0.04] * (len(shown) - 1), abs=0.001
    )
    assert len(heard) >= 70
    assert abs(shown[0] - heard[0]) < 0.05


async def test_sound_alone_begins_anywhere(tmp_path: Path) -> None:
    _, units = packaged(frozenset({Kind.AUDIO}))
    starts = [unit.seconds for unit in units if unit.start]
    assert all(0.05 < b - a < 0.2 for a, b in pairwise(starts))
    path = tmp_path / "sound.ts"
    path.write_bytes(b"".join(unit.payload for unit in units if unit.seconds >= starts[3]))
    assert len(read_packets(path, "audio")) >= 60


async def test_what_listeners_say(tmp_path: Path) -> None:
    publisher, _ = packaged(frozenset(Kind))

    async def failure(url: str) -> str:
        with pytest.raises(EgressError) as failed:
            await publisher.connect(destination(url))
        assert failed.value.code is Code.UNAVAILABLE
        assert failed.value.remedy
        assert PASSPHRASE not in str(failed.value)
        return str(failed.value)

    with SrtListener(tmp_path, passphrase=PASSPHRASE) as listener:
        plain = f"srt://127.0.0.1:{listener.port}"
        assert "another passphrase" in await failure(f"{plain}?passphrase={PASSPHRASE}{PASSPHRASE}")
        assert "has a passphrase, and the other none" in await failure(plain)
    nobody = free_port(socket.SOCK_DGRAM)
    assert f"no SRT listener answers at 127.0.0.1:{nobody}" in await failure(f"srt://127.0.0.1:{nobody}")
    assert "cannot be resolved" in await failure(f"srt://no-such-host.invalid:9000?passphrase={PASSPHRASE}")


async def test_a_listener_that_is_gone_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "IDLE", 1.0)
    publisher, units = packaged(frozenset(Kind))
    with SrtListener(tmp_path) as listener:
        connected = await publisher.connect(destination(listener.url))
        connected.send(units[:10])
        await connected.writable()
        listener.kill()
        async with asyncio.timeout(10.0):
            with pytest.raises(EgressError, match="closed the connection"):
                await connected.ended()
        await connected.aclose(orderly=False)
        await connected.aclose(orderly=False)
