"""Everybody who gets the sound of one egress over a WebSocket, each in the format that it asked for."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from pyegress.codecs import Codec, Kind
from pyegress.errors import Code, EgressError
from pyegress.lifecycle.outcome import StreamOutcome
from pyegress.outputs.streaming.failures import stream_failure
from pyegress.outputs.streaming.sender import Connection, StreamSender
from pyegress.outputs.streaming.unit import Unit
from pyegress.outputs.websocket.connection import TIMEOUT, TextUnit, WebsocketConnection
from pyegress.outputs.websocket.frames import FRAME, PcmFrames
from pyegress.plan.stream_urls import Destination
from pyegress.plan.websocket_format import SoundEncoding, WebsocketFormat, websocket_format
from pyegress.rtp.frame import EncodedFrame

#: What is kept for a receiver that is slow or away, seconds of sound.
BACKLOG = 5.0
_MIX_RATE = 48_000
_G711 = (Codec.PCMU, Codec.PCMA)


class _Receiver:
    """One of them: its format, and what turns the sound into it."""

    def __init__(self, target: Destination, wanted: WebsocketFormat, url: str) -> None:
        self.target = target
        self.wanted = wanted
        self.url = url
        self.sender: StreamSender
        self.frames: PcmFrames | None = None
        #: Frames so far, from the first sample on.
        self.count = 0
        self.begin = 0.0


class SoundReceivers:
    """Made on the event loop. `sound` from the media thread, everything else on the loop.

    `codec` is that of the track, None while unknown or if there are several; `on_failed` is told of every receiver
    that is given up, and `on_empty` when it was the last one.
    """

    def __init__(
        self,
        targets: Sequence[Destination],
        default: WebsocketFormat,
        *,
        window: float,
        codec: Callable[[], Codec | None],
        on_failed: Callable[[EgressError], None],
        on_empty: Callable[[EgressError | None], None],
        timeout: float = TIMEOUT,
    ) -> None:
        self._codec = codec
        self._on_failed = on_failed
        self._on_empty = on_empty
        self._timeout = timeout
        self._loop = asyncio.get_running_loop()
        self._lock = threading.Lock()
        self._ready: list[tuple[_Receiver, Unit]] = []
        #: Mutes and unmutes that the sound has not come to yet: second and text.
        self._marks: list[tuple[float, bytes]] = []
        self._ending = False
        self._receivers: list[_Receiver] = []
        for target in targets:
            wanted, url = websocket_format(target.url, default, partial(stream_failure, target.shown))
            receiver = _Receiver(target, wanted, url)
            receiver.sender = StreamSender(
                target,
                partial(self._connect, receiver),
                window=window,
                want_start=lambda: None,
                on_failed=self._given_up,
                backlog=BACKLOG,
                keep=True,
            )
            self._receivers.append(receiver)

    @property
    def streams(self) -> tuple[StreamOutcome, ...]:
        """All of them, in the order of the plan."""
        return tuple(receiver.sender.outcome for receiver in self._receivers)

    @property
    def idle(self) -> bool:
        """Whether nobody is left."""
        return all(receiver.sender.over for receiver in self._receivers)

    @property
    def lost(self) -> float:
        """Seconds of sound that a receiver was too slow for, of the slowest."""
        return max((receiver.sender.dropped * FRAME for receiver in self._receivers), default=0.0)

    def sound(self, block: NDArray[np.float32], sample: int) -> None:
        """The next block of the mix: [samples, 2] at 48 kHz, from `sample` on."""
        units: list[tuple[_Receiver, Unit]] = []
        for receiver in self._receivers:
            if receiver.wanted.encoding is SoundEncoding.PCM and not receiver.sender.over:
                if receiver.frames is None:
                    receiver.frames = PcmFrames(self._rate(receiver), receiver.wanted.channels)
                    receiver.begin = sample / _MIX_RATE
                units += self._units(receiver, receiver.frames.take(block))
        until = (sample + len(block)) / _MIX_RATE
        with self._lock:
            due = [mark for mark in self._marks if mark[0] < until]
            self._marks = [mark for mark in self._marks if mark[0] >= until]
        for at, text in due:
            units += [(receiver, TextUnit(Kind.AUDIO, at, True, text)) for receiver in self._receivers]
        if due:
            # Behind the frame in which it happened.
            units.sort(key=lambda entry: entry[1].seconds)
        self._hand_over(units)

    def published(self, frame: EncodedFrame) -> None:
        """The next frame of the track as it was published."""
        if frame.codec is not Codec.OPUS:
            return
        for receiver in self._receivers:
            if receiver.wanted.encoding is SoundEncoding.OPUS:
                at = frame.timestamp / frame.codec.clock_rate
                receiver.sender.submit(Unit(Kind.AUDIO, at, True, frame.payload))

    def muted(self, muted: bool, at: float | None, track_id: str = "") -> None:
        """A track is muted or not, at so many seconds of the sound (None: now). `track_id` where there are several."""
        text = json.dumps({"muted": muted} | ({"track_id": track_id} if track_id else {}), separators=(",", ":"))
        for receiver in self._receivers:
            if at is None or receiver.wanted.encoding is SoundEncoding.OPUS:
                receiver.sender.submit(TextUnit(Kind.AUDIO, receiver.count * FRAME, True, text.encode()))
        if at is not None and any(receiver.wanted.encoding is SoundEncoding.PCM for receiver in self._receivers):
            with self._lock:
                self._marks.append((at, text.encode()))

    async def finish(self) -> None:
        """Send what is left and close every connection in order."""
        self._ending = True
        for receiver in self._receivers:
            if receiver.frames is not None:
                self._ready += self._units(receiver, receiver.frames.flush())
        self._deliver()
        await asyncio.gather(*(receiver.sender.finish() for receiver in self._receivers))

    # -- inside -----------------------------------------------------------------------------------------------------

    def _units(self, receiver: _Receiver, frames: list[bytes]) -> list[tuple[_Receiver, Unit]]:
        first = receiver.count
        receiver.count += len(frames)
        return [
            (receiver, Unit(Kind.AUDIO, receiver.begin + (first + index) * FRAME, True, frame))
            for index, frame in enumerate(frames)
        ]

    def _hand_over(self, units: list[tuple[_Receiver, Unit]]) -> None:
        if not units:
            return
        with self._lock:
            idle = not self._ready
            self._ready += units
        if idle:
            self._loop.call_soon_threadsafe(self._deliver)

    def _deliver(self) -> None:
        with self._lock:
            units, self._ready = self._ready, []
        for receiver, unit in units:
            pcm = receiver.wanted.encoding is SoundEncoding.PCM
            if pcm or not isinstance(unit, TextUnit):
                receiver.sender.submit(unit)

    async def _connect(self, receiver: _Receiver) -> Connection:
        if receiver.wanted.encoding is SoundEncoding.OPUS and self._codec() in _G711:
            raise stream_failure(
                receiver.target.shown, "the track is not published in Opus", "Ask for pcm_s16le, or publish Opus"
            )
        greeting = partial(self._greeting, receiver)
        return await WebsocketConnection.open(receiver.url, receiver.target.shown, greeting, timeout=self._timeout)

    def _rate(self, receiver: _Receiver) -> int:
        return receiver.wanted.sample_rate or (8_000 if self._codec() in _G711 else _MIX_RATE)

    def _greeting(self, receiver: _Receiver) -> str:
        """The text frame that describes what follows; "" where nobody asked."""
        wanted = receiver.wanted
        if not wanted.describe:
            return ""
        opus = wanted.encoding is SoundEncoding.OPUS
        said: dict[str, object] = {
            "encoding": wanted.encoding.value,
            "sample_rate": _MIX_RATE if opus else self._rate(receiver),
            "channels": wanted.channels,
        }
        return json.dumps({"format": said if opus else said | {"frame_ms": round(FRAME * 1000)}})

    def _given_up(self, sender: StreamSender, error: EgressError) -> None:
        if sender.outcome.started_at is not None:
            error.code = Code.UNAVAILABLE
        self._on_failed(error)
        if self.idle and not self._ending:
            self._on_empty(error)
