"""Sound to real WebSocket servers: what is in the frames, what is said beside them, who is given up and when."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from pyegress.clock import Monotonic
from pyegress.codecs import Codec
from pyegress.demo.server import free_port
from pyegress.errors import Code, EgressError
from pyegress.lifecycle.outcome import StreamStatus
from pyegress.outputs.streaming import retries
from pyegress.outputs.websocket.receivers import SoundReceivers
from pyegress.plan.stream_urls import destination
from pyegress.plan.websocket_format import USUAL, WebsocketFormat
from pyegress.rtp.frame import EncodedFrame
from tests.support.sound_receiver import SoundReceiver
from tests.support.waiting import eventually

pytestmark = [pytest.mark.media, pytest.mark.usefixtures("no_tasks_left")]

BLOCK = 960


def tone(sample: int, count: int = BLOCK) -> NDArray[np.float32]:
    """440 Hz left, half as loud right."""
    wave = 0.5 * np.sin(2 * np.pi * 440 * (np.arange(count) + sample) / 48_000)
    return np.stack([wave, wave / 2], axis=1).astype(np.float32)


class Egress:
    """Receivers, and whom they told of what."""

    def __init__(
        self, *urls: str, default: WebsocketFormat = USUAL, codec: Codec | None = Codec.OPUS, window: float = 30.0
    ) -> None:
        self.failed: list[EgressError] = []
        self.empty: list[EgressError | None] = []
        self.receivers = SoundReceivers(
            [destination(url) for url in urls],
            default,
            window=window,
            codec=lambda: codec,
            on_failed=self.failed.append,
            on_empty=self.empty.append,
            timeout=2.0,
        )
        self.sample = 0

    def play(self, blocks: int) -> None:
        for _ in range(blocks):
            self.receivers.sound(tone(self.sample), self.sample)
            self.sample += BLOCK


@pytest.fixture
async def receiver() -> AsyncIterator[SoundReceiver]:
    async with SoundReceiver() as receiver:
        yield receiver


async def test_the_sound_as_existing_receivers_expect_it(receiver: SoundReceiver) -> None:
    egress = Egress(receiver.url + "?token=a%20b&pyegress.describe=0")
    await eventually(lambda: receiver.connections, "connected")
    (got,) = receiver.connections
    egress.play(50)
    egress.receivers.muted(True, 0.505)
    egress.receivers.muted(False, 1.2)
    egress.play(50)
    await egress.receivers.finish()
    await eventually(lambda: got.over, "closed")
    assert got.path == "/sound?token=a%20b"
    assert got.headers["Content-Type"] == "audio/x-raw"
    assert {len(frame) for frame in got.binary} == {1920}
    assert len(got.binary) == 200
    assert np.abs(got.samples() - tone(0, 96_000) * 32_767).max() <= 1.0
    assert got.texts == [{"muted": True}, {"muted": False}]
    texts = [index for index, (_, frame) in enumerate(got.frames) if isinstance(frame, str)]
    assert [data for _, data in got.frames if isinstance(data, str)] == ['{"muted":true}', '{"muted":false}']
    # Where it happened, to the frame.
    assert texts[0] in (100, 101)
    assert texts[1] in (121, 122)
    assert got.close_code == 1000
    (outcome,) = egress.receivers.streams
    assert outcome.status is StreamStatus.FINISHED
    assert outcome.started_at is not None
    assert "a%20b" not in str(outcome)
    assert (egress.failed, egress.empty) == ([], [])


@pytest.mark.parametrize(
    ("query", "codec", "rate", "channels"),
    [
        ("pyegress.sample_rate=16000&pyegress.channels=1", Codec.OPUS, 16_000, 1),
        ("", Codec.PCMU, 8_000, 2),
        ("pyegress.sample_rate=48000", Codec.PCMA, 48_000, 2),
        ("pyegress.sample_rate=44100", None, 44_100, 2),
    ],
)
async def test_other_formats(
    receiver: SoundReceiver, query: str, codec: Codec | None, rate: int, channels: int
) -> None:
    egress = Egress(f"{receiver.url}?pyegress.describe=1&{query}", codec=codec)
    await eventually(lambda: receiver.connections, "connected")
    egress.play(50)
    await egress.receivers.finish()
    (got,) = receiver.connections
    await eventually(lambda: got.over, "closed")
    assert got.texts == [
        {"format": {"encoding": "pcm_s16le", "sample_rate": rate, "channels": channels, "frame_ms": 10}}
    ]
    assert isinstance(got.frames[0][1], str)
    assert {len(frame) for frame in got.binary} == {rate // 100 * channels * 2}
    samples = got.samples(channels).astype(float)
    assert len(samples) == pytest.approx(rate, abs=rate // 50)
    spectrum = np.abs(np.fft.rfft(samples[:, 0]))
    assert np.argmax(spectrum) * rate / len(samples) == pytest.approx(440, abs=2)
    expected = 0.5 if channels == 2 else 0.375
    assert np.abs(samples[rate // 4 : -rate // 4, 0]).max() == pytest.approx(expected * 32_767, rel=0.03)


async def test_packets_as_they_were_published(receiver: SoundReceiver) -> None:
    egress = Egress(receiver.url, default=WebsocketFormat(encoding=USUAL.encoding, describe=True))
    asked = Egress(receiver.url + "?pyegress.encoding=opus&pyegress.describe=1")
    await eventually(lambda: len(receiver.connections) == 2, "connected")
    for number in range(5):
        for one in (egress, asked):
            one.receivers.published(EncodedFrame(Codec.OPUS, bytes([number]) * 40, number * 960, Monotonic(0.0)))
    asked.receivers.muted(True, 99.0)
    asked.play(5)
    await egress.receivers.finish()
    await asked.receivers.finish()
    got = max(receiver.connections, key=lambda one: len(one.binary))
    await eventually(lambda: got.over, "closed")
    assert got.binary == [bytes([number]) * 40 for number in range(5)]
    assert got.texts == [
        {"format": {"encoding": "opus", "sample_rate": 48_000, "channels": 2}},
        {"muted": True},
    ]
    refused = Egress(receiver.url + "?pyegress.encoding=opus", codec=Codec.PCMU)
    await eventually(lambda: refused.failed, "refused")
    assert "not published in Opus" in str(refused.failed[0])
    await refused.receivers.finish()


async def test_a_receiver_that_comes_back_gets_what_was_kept(
    receiver: SoundReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retries, "BACK_OFF", (0.05,))
    egress = Egress(receiver.url + "?pyegress.describe=1")
    await eventually(lambda: receiver.connections, "connected")
    egress.play(10)
    await eventually(lambda: len(receiver.connections[0].binary) == 20, "the first frames")
    await receiver.stop()
    await eventually(lambda: egress.receivers.streams[0].retries > 0, "it was noticed")
    egress.play(100)
    await receiver.start()
    await eventually(lambda: len(receiver.connections) == 2, "connected again")
    again = receiver.connections[1]
    await eventually(lambda: len(again.binary) >= 200, "what was kept")
    assert np.abs(again.samples()[:9600] - tone(9600, 9600) * 32_767).max() <= 1.0
    assert again.texts[0]["format"]["sample_rate"] == 48_000
    await receiver.stop()
    await eventually(lambda: egress.receivers.streams[0].retries > 1, "it was noticed again")
    # More than is kept: the oldest goes.
    egress.play(300)
    await eventually(lambda: 0.9 < egress.receivers.lost < 1.1, "what is too much is left out")
    await egress.receivers.finish()
    assert egress.failed == []


async def http_refusal(receiver: SoundReceiver) -> str:
    receiver.status = 403
    return receiver.url


async def nobody(receiver: SoundReceiver) -> str:
    return f"ws://127.0.0.1:{free_port(socket.SOCK_STREAM)}/sound"


async def no_such_host(receiver: SoundReceiver) -> str:
    return "wss://no-such-host.invalid/sound"


async def no_tls(receiver: SoundReceiver) -> str:
    return receiver.url.replace("ws:", "wss:")


@pytest.mark.parametrize(
    ("where", "said"),
    [
        (http_refusal, "answered HTTP 403"),
        (nobody, "connection refused"),
        (no_such_host, "cannot be resolved"),
        (no_tls, "TLS with 127.0.0.1"),
    ],
)
async def test_who_cannot_be_connected_to(
    receiver: SoundReceiver, where: Callable[[SoundReceiver], object], said: str
) -> None:
    url = await where(receiver)  # type: ignore[misc]
    egress = Egress(f"{url}?token=verysecret")
    await eventually(lambda: egress.empty, "given up")
    (error,) = egress.failed
    assert said in str(error)
    assert error.code is Code.INVALID_ARGUMENT
    assert error.remedy
    assert "verysecret" not in str(error)
    assert egress.receivers.idle
    await egress.receivers.finish()


async def test_a_lost_receiver_is_given_up_in_the_end(receiver: SoundReceiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retries, "BACK_OFF", (0.05,))
    egress = Egress(receiver.url, window=0.3)
    await eventually(lambda: receiver.connections, "connected")
    egress.play(1)
    await eventually(lambda: receiver.connections[0].binary, "sound")
    await receiver.stop()
    await eventually(lambda: egress.empty, "given up")
    (error,) = egress.failed
    assert error.code is Code.UNAVAILABLE
    (outcome,) = egress.receivers.streams
    assert (outcome.status, outcome.error) == (StreamStatus.FAILED, str(error))
    async with asyncio.timeout(5.0):
        await egress.receivers.finish()
