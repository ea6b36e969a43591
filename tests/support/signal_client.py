"""The smallest LiveKit subscriber: a WebSocket, the protobufs and a MediaTransport. For tests below the Room."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

import aiohttp
from livekit.protocol import models, rtc

from pyegress.clock import Monotonic
from pyegress.room.answer import build_answer
from pyegress.room.sdp import SessionOffer, parse_offer
from pyegress.room.transport import DatagramSeam, IceServer, MediaTransport, TransportState


class SignalClient:
    """Joins a room, subscribes to everything and answers each offer in its order."""

    def __init__(
        self,
        url: str,
        token: str,
        *,
        on_rtp: Callable[[bytes, Monotonic], None],
        seam: DatagramSeam | None = None,
        relay_only: bool = False,
        filter_candidate: Callable[[str], bool] = lambda line: True,
        ice_server: Callable[[IceServer], IceServer] = lambda server: server,
    ) -> None:
        self._url = url
        self._token = token
        self._on_rtp = on_rtp
        self._seam = seam
        self._relay_only = relay_only
        self._filter = filter_candidate
        self._ice_server = ice_server
        self._task: asyncio.Task[None] | None = None
        self._rtcp: list[bytes] = []
        self.offers: list[str] = []
        self.parsed: list[SessionOffer] = []
        self.answers: list[str] = []
        self.states: list[TransportState] = []
        self.offer_came = asyncio.Event()
        self.transport: MediaTransport
        self._sid = ""

    @property
    def rtcp(self) -> list[bytes]:
        return self._rtcp

    async def __aenter__(self) -> Self:
        self._http = aiohttp.ClientSession()
        self._socket = await self._connect({})
        join = (await self._receive()).join
        self._sid = join.participant.sid
        servers = [
            self._ice_server(IceServer(url, s.username, s.credential)) for s in join.ice_servers for url in s.urls
        ]
        self.transport = MediaTransport(
            ice_servers=servers,
            on_rtp=self._on_rtp,
            on_rtcp=lambda data, now: self._rtcp.append(data),
            on_candidate=self._trickle,
            on_state=self.states.append,
            seam=self._seam,
            relay_only=self._relay_only,
        )
        self._task = asyncio.create_task(self._run(), name="signal-client")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._stop_reading()
        await self.transport.aclose()
        await self._socket.close()
        await self._http.close()

    async def resume(self) -> None:
        """Cut the signal connection and take it up again, which makes the server restart ICE."""
        await self._stop_reading()
        await self._socket.close()
        self.offer_came.clear()
        self._socket = await self._connect({"reconnect": "1", "sid": self._sid})
        state = rtc.SyncState(
            answer=rtc.SessionDescription(type="answer", sdp=self.answers[-1]),
            offer=rtc.SessionDescription(type="offer", sdp=self.offers[-1]),
            subscription=rtc.UpdateSubscription(subscribe=False),
        )
        await self._send(rtc.SignalRequest(sync_state=state))
        self._task = asyncio.create_task(self._run(), name="signal-client")

    async def _connect(self, more: dict[str, str]) -> aiohttp.ClientWebSocketResponse:
        parameters = {"access_token": self._token, "protocol": "16", "auto_subscribe": "1", "sdk": "python", **more}
        return await self._http.ws_connect(self._url + "/rtc", params=parameters)

    async def _stop_reading(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
            self._task = None

    async def _receive(self) -> Any:
        response = rtc.SignalResponse()
        response.ParseFromString(await self._socket.receive_bytes())
        return response

    async def _send(self, request: Any) -> None:
        await self._socket.send_bytes(request.SerializeToString())

    def _trickle(self, line: str | None) -> None:
        if line is not None and self._task is not None and self._filter(line):
            candidate = {"candidate": line, "sdpMid": "0", "sdpMLineIndex": 0}
            trickle = rtc.TrickleRequest(candidateInit=json.dumps(candidate), target=rtc.SUBSCRIBER)
            self._sending = asyncio.ensure_future(self._send(rtc.SignalRequest(trickle=trickle)))

    async def _run(self) -> None:
        while True:
            response = await self._receive()
            kind = response.WhichOneof("message")
            if kind == "offer":
                await self._answer(response.offer)
            elif kind == "trickle" and response.trickle.target == rtc.SUBSCRIBER:
                candidate = json.loads(response.trickle.candidateInit)
                if self._filter(candidate["candidate"]):
                    self.transport.add_remote_candidate(candidate["candidate"], candidate.get("usernameFragment"))
            elif kind == "leave" and response.leave.reason != models.UNKNOWN_REASON:
                return

    async def _answer(self, description: Any) -> None:
        lines = description.sdp.split("\r\n")
        kept = (line for line in lines if not line.startswith("a=candidate:") or self._filter(line))
        offer = parse_offer("\r\n".join(kept))
        credentials = await self.transport.negotiate(offer)
        sdp = build_answer(
            offer,
            ufrag=credentials.ufrag,
            pwd=credentials.pwd,
            fingerprint=self.transport.fingerprint,
            candidates=[line for line in credentials.candidates if self._filter(line)],
        )
        answer = rtc.SessionDescription(type="answer", sdp=sdp, id=description.id)
        await self._send(rtc.SignalRequest(answer=answer))
        self.offers.append(description.sdp)
        self.parsed.append(offer)
        self.answers.append(sdp)
        self.offer_came.set()
